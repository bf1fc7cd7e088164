//! What the pool is told of connections, and what it wants done.

use voiddht_core::event::{Destination, Misbehaviour};
use voiddht_core::peer::ConnectionId;
use voiddht_identity::KeyExchangeGroup;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::peer::{Dialect, Message};
use voiddht_wire::{NodeId, PeerAddress};

/// A connection whose handshake has ended.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Its name: a new one, or the one of the dial.
    pub connection: ConnectionId,
    /// The node at the other end; `None` for a client that showed no certificate.
    pub proved: Option<Proved>,
    /// The other end of the TCP connection.
    pub remote: PeerAddress,
    /// Where it was dialled, if this node did.
    pub dialed: Option<PeerAddress>,
    /// The dialect spoken on it.
    pub dialect: Dialect,
    /// The key exchange group of its handshake.
    pub group: Option<KeyExchangeGroup>,
    /// The secrets by which both sides proved their membership; `None` in a public network.
    pub proven_by: Option<ProvenBy>,
}

/// What a handshake proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The node.
    pub id: NodeId,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
}

/// How a connection ended, as far as the core wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whether it was closed in good order, by either side.
    pub clean: bool,
    /// Whether this node closed it, after all that was queued had been written.
    pub written: bool,
    /// The rule that the peer broke, if that was the reason.
    pub broken: Option<Misbehaviour>,
}

/// Why an [`Output::Send`] was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// Too many bytes are queued: on this connection, or on all of them together.
    Full,
    /// The connection is ending.
    Closed,
    /// The connection's dialect cannot express the message.
    DoesNotFit,
}

/// One thing that the driver is asked to do. Outputs are in order.
#[derive(Debug)]
pub enum Output {
    /// Queue a message to be written. If that fails, report it with [`Pool::not_sent`](crate::Pool::not_sent).
    Send {
        /// On which connection, which may be a dial for which the driver reported that requests may
        /// be sent.
        connection: ConnectionId,
        /// How to encode it.
        dialect: Dialect,
        /// What. A reply answers one request of the other side.
        message: Message,
    },
    /// Queue the refusal of a request whose reply could not be sent, in what is reserved for
    /// refusals. If there is no room for it either, the request stays unanswered.
    Refuse {
        /// On which connection.
        connection: ConnectionId,
        /// How to encode it.
        dialect: Dialect,
        /// The ERROR.
        error: Message,
    },
    /// A request that was read from a connection needs no answer.
    NoAnswer {
        /// Which connection.
        connection: ConnectionId,
    },
    /// Dial.
    Dial {
        /// The name of the connection to be.
        connection: ConnectionId,
        /// The address, and the expected node.
        to: Destination,
    },
    /// Give up a dial. Its end is not reported; what was sent on it already is dropped.
    CancelDial {
        /// The name that the connection would have had.
        connection: ConnectionId,
    },
    /// Close a connection after what is queued has been written, and report its end.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Close a connection now and report its end. What its peer has not read is not written.
    Drop {
        /// Which.
        connection: ConnectionId,
    },
    /// Close a connection that was reported as opened, and is not used. The pool does not know it.
    TurnAway {
        /// Which.
        connection: ConnectionId,
    },
    /// A limit was reached.
    LimitReached(Limit),
}

/// The limits of the connection layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections with peers.
    Connections,
    /// Connections with one authenticated peer.
    ConnectionsPerPeer,
    /// Peers of the original network, remembered as such.
    LegacyPeers,
    /// Bytes that are queued to be sent to peers.
    QueuedBytes,
    /// Requests in flight on one connection.
    RequestsPerPeer,
    /// Connections of clients without a certificate.
    UnauthenticatedConnections,
}
