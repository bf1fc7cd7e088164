//! What one peer, and all peers of one address prefix together, may take from this node.
//!
//! * [`requests`]: how many requests in a time.
//! * [`storage`]: how many records and bytes at once.
//!
//! A quota is no judgement: who reaches it is answered ERROR 13, and loses no
//! reputation. Loopback and private addresses are exempt by default, as in
//! [`crate::diversity`].

pub mod requests;
pub mod storage;

use voiddht_wire::{NodeId, PeerAddress};

pub use requests::{RequestLimits, RequestQuota};
pub use storage::{StorageLimits, StorageQuota, Usage};

use crate::peer::Peer;

/// On whose bill something goes: a node, and the address that its packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The peer.
    pub id: NodeId,
    /// Where it is. The port means nothing.
    pub address: PeerAddress,
}

impl From<&Peer> for Account {
    fn from(peer: &Peer) -> Self {
        Self { id: peer.id(), address: peer.remote() }
    }
}

/// A quota that a peer has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaReached {
    /// Requests of this peer.
    PeerRequests,
    /// Requests from its prefix.
    PrefixRequests,
    /// Records held for this peer.
    PeerRecords,
    /// Bytes held for this peer.
    PeerBytes,
    /// Records held for its prefix.
    PrefixRecords,
    /// Bytes held for its prefix.
    PrefixBytes,
}
