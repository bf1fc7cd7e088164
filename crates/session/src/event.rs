//! Everything that can happen to a session, and everything that it can ask for.

use std::net::IpAddr;

use voiddht_core::configured::{PeerName, ResolveError};
use voiddht_core::event::{
    Command, CommandId, Destination, Misbehaviour, Notice, Outcome, Ticket, Undelivered, Write,
};
use voiddht_core::peer::ConnectionId;
use voiddht_identity::network::ProvenBy;
use voiddht_identity::pin::{PinCounters, Settlement};
use voiddht_identity::{Certificate, KeyExchangeGroup, PinRecord, ProvedPeer, Verdict};
use voiddht_wire::peer::{Dialect, ErrorCode, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress};

use crate::Accepted;

/// One thing that happened outside of the session.
#[derive(Debug)]
pub enum Input {
    /// A message arrived.
    Received {
        /// On which connection. What comes on one that is closing is dropped.
        connection: ConnectionId,
        /// What it says. Its header's sender is the peer's ID: the driver refuses others.
        message: Message,
    },
    /// A legacy ERROR arrived, which names no request.
    BareError {
        /// On which connection.
        connection: ConnectionId,
        /// What it says.
        code: ErrorCode,
    },
    /// An [`Output::Send`] was not executed. May be fed while outputs are drained.
    NotSent {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: Message,
        /// Why.
        why: NotSent,
    },
    /// TLS has authenticated a dialled peer, which has yet to prove its membership of the private
    /// network: requests may be sent.
    MaySend {
        /// The connection to be.
        connection: ConnectionId,
    },
    /// A handshake ended well.
    Opened {
        /// The connection. Boxed: it is large and rare.
        opened: Box<Opened>,
        /// The peer whose certificate is to be judged by the pins; `None` for a client that showed
        /// none.
        proof: Option<ProvedPeer>,
    },
    /// A dial brought no connection.
    DialFailed {
        /// The name that the connection would have had.
        connection: ConnectionId,
        /// Why.
        why: Undelivered,
    },
    /// A connection ended.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// How.
        ending: Ending,
    },
    /// So many connections and dials there may be from now on.
    ConnectionLimit(usize),
    /// The secrets of the private network that are accepted from now on.
    SecretsChanged(Accepted),
    /// The end of an [`Output::Probe`].
    Probed {
        /// The probed node, and its address.
        contact: NodeInfo,
        /// What was found.
        found: ProbeEnd,
    },
    /// See [`voiddht_core::event::Input::Command`].
    Command {
        /// Names the answer.
        id: CommandId,
        /// What is wanted.
        command: Command,
    },
    /// The end of an [`Output::Resolve`].
    Resolved {
        /// The name.
        name: PeerName,
        /// Its addresses, or why there are none.
        found: Result<Vec<PeerAddress>, ResolveError>,
    },
    /// The end of an [`Output::Persist`]. May be fed while outputs are drained.
    Persisted {
        /// Which.
        ticket: Ticket,
        /// Whether it will survive a power cut.
        durable: bool,
    },
    /// See [`voiddht_core::event::Input::Called`].
    Called {
        /// From where.
        from: IpAddr,
    },
    /// See [`voiddht_core::event::Input::Duplicate`].
    Duplicate {
        /// From where the other process connected.
        address: PeerAddress,
    },
    /// See [`voiddht_core::event::Input::AddressChanged`].
    AddressChanged {
        /// The new address.
        address: PeerAddress,
    },
    /// The moment of [`crate::Session::next_wakeup`] has come.
    WakeUp,
}

/// How a probe ended.
#[derive(Debug)]
pub enum ProbeEnd {
    /// This certificate is pushed there, and it is the authenticated one.
    Listens(Certificate),
    /// Nothing, or another node, listens there.
    ListensNot,
    /// This node had no room to find out.
    NotTried,
}

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
    /// Queue a message to be written. If that fails, report [`Input::NotSent`].
    Send {
        /// On which connection: one that was opened, or one of [`Input::MaySend`].
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
    /// Close a connection after what is queued has been written, and report its end. It may be one
    /// whose end is being reported, where its peer is banned for that.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Close a connection now and report its end. What its peer has not read is not written.
    Drop {
        /// Which.
        connection: ConnectionId,
    },
    /// Close a connection that was reported as opened, and is not used.
    TurnAway {
        /// Which.
        connection: ConnectionId,
    },
    /// Find out whether a peer listens where it says: dial, and compare the certificate that is
    /// pushed with the authenticated one.
    Probe {
        /// The peer and its address.
        contact: NodeInfo,
        /// What a live connection with it has proved; `None` if there is none any more.
        proved: Option<Proved>,
    },
    /// Find out the addresses of a configured peer's name, within seconds.
    Resolve {
        /// The name.
        name: PeerName,
    },
    /// Bring these writes to disk, in this order. A driver without a data directory answers at once
    /// that it did.
    Persist {
        /// Names the answer.
        ticket: Ticket,
        /// What.
        writes: Vec<Write>,
    },
    /// Keep a pin on disk, in place of any of the same ID.
    SavePin(PinRecord),
    /// Forget a pin on disk.
    ForgetPin(NodeId),
    /// A command has ended.
    Answer {
        /// Which.
        id: CommandId,
        /// How.
        outcome: Outcome,
    },
    /// The core has something for people or metrics. Nothing depends on it.
    Notice(Notice),
    /// Likewise, of pins.
    Trust(TrustNotice),
    /// What the pins have counted since the start.
    PinsCounted(PinCounters),
    /// A limit was reached.
    LimitReached(Limit),
}

/// What is worth a log line about pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustNotice {
    /// A peer authenticated an ID that is pinned to another key.
    Conflict {
        /// The ID.
        peer: NodeId,
        /// Where its packets come from.
        address: PeerAddress,
        /// What followed: it is refused, or the ID was reassigned to it.
        verdict: Verdict,
    },
    /// The owner of a pin is asked whether it lives.
    OwnerAsked {
        /// The pinned ID.
        owner: NodeId,
        /// The pinned address.
        address: PeerAddress,
    },
    /// A check has ended.
    Settled(Settlement),
}

/// The limits of the connection layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Connections with peers.
    Connections,
    /// Connections with one authenticated peer.
    ConnectionsPerPeer,
    /// Peers of the original network, remembered as such.
    LegacyPeers,
    /// Probes of listening addresses in progress.
    Probes,
    /// Bytes that are queued to be sent to peers.
    QueuedBytes,
    /// Requests in flight on one connection.
    RequestsPerPeer,
    /// Takeover checks in progress.
    TakeoverChecks,
    /// Connections of clients without a certificate.
    UnauthenticatedConnections,
}
