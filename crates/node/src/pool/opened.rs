//! What the pool is told of a connection whose handshake has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use voiddht_core::peer::ConnectionId;
use voiddht_identity::KeyExchangeGroup;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::peer::Dialect;
use voiddht_wire::{NodeId, PeerAddress};

use crate::outbox::Outbox;

/// A connection whose handshake has ended.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its name: a new one, or the one of the dial.
    pub(crate) connection: ConnectionId,
    /// Who is there; `None` for a client that showed no certificate.
    pub(crate) proved: Option<Proved>,
    /// The other end of the TCP connection.
    pub(crate) remote: PeerAddress,
    /// Where it was dialled, if this node did.
    pub(crate) dialed: Option<PeerAddress>,
    /// How it speaks.
    pub(crate) dialect: Dialect,
    /// What is written to it.
    pub(crate) outbox: Arc<Outbox>,
    /// How its keys were agreed on.
    pub(crate) group: Option<KeyExchangeGroup>,
    /// The secrets by which both sides proved their membership; `None` in a public network.
    pub(crate) proven_by: Option<ProvenBy>,
}

/// What a handshake proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    /// The node.
    pub(crate) id: NodeId,
    /// SHA-256 of its certificate.
    pub(crate) fingerprint: [u8; 32],
}

/// Names connections, for all who make them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionIds(Arc<AtomicU64>);

impl ConnectionIds {
    pub(crate) fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
