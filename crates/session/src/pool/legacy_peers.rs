//! What the pool knows of peers of the original network: see [`legacy`](super::legacy).

use std::collections::{BTreeMap, BTreeSet};

use voiddht_core::event::Destination;
use voiddht_wire::NodeId;
use voiddht_wire::limits::MAX_LEGACY_VALUE_BYTES;
use voiddht_wire::peer::Body;

/// Peers of which it is remembered how they speak. 32 bytes each; when there are more, all are
/// forgotten, which costs each a value or two that is dialled for without success.
const MAX_KNOWN: usize = 4096;

/// What the pool knows of them.
#[derive(Debug, Default)]
pub(super) struct LegacyPeers {
    known: BTreeSet<NodeId>,
    /// Connections of which the core was notified, by peer.
    pub(super) announced: BTreeMap<NodeId, usize>,
}

impl LegacyPeers {
    /// Whether this peer was found to speak so.
    pub(super) fn is_known(&self, peer: &NodeId) -> bool {
        self.known.contains(peer)
    }

    /// Whether a request cannot be put into words that the peer would understand, so that dialling
    /// it would fail.
    pub(super) fn never_takes(&self, to: &Destination, body: &Body) -> bool {
        !fits(body) && to.id.is_some_and(|id| self.is_known(&id))
    }

    /// This peer speaks `voiddht/1`, now at least.
    pub(super) fn forget(&mut self, peer: &NodeId) {
        // Nearly always there are none.
        if !self.known.is_empty() {
            self.known.remove(peer);
        }
    }

    /// Whether all others had to be forgotten.
    pub(super) fn remember(&mut self, peer: NodeId) -> bool {
        let is_full = self.known.len() >= MAX_KNOWN && !self.known.contains(&peer);
        if is_full {
            self.known.clear();
        }
        self.known.insert(peer);
        is_full
    }
}

/// Whether the dialect has a frame for a request as long.
pub(super) fn fits(body: &Body) -> bool {
    let Body::Store(record) = body else { return true };
    record.value.len() <= MAX_LEGACY_VALUE_BYTES
}
