//! Comparisons of networks that are in progress: see [`split`](super::split).

use std::collections::BTreeMap;

use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

use crate::time::Moment;

/// Comparisons in progress, at most; one more is put off. Each is a lookup.
const MAX_COMPARISONS: usize = 8;

/// Comparisons of a peer's network with this node's.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    /// Whether the join in progress is to introduce nodes to each other.
    pub(super) introduces: bool,
    pub(super) merged_at: Option<Moment>,
    pub(super) asked_back: BTreeMap<NodeId, Moment>,
    next: u32,
    under_way: BTreeMap<u32, Comparison>,
}

#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) peer: NodeInfo,
    /// The closest nodes that were known when it began, the peer left out.
    pub(super) known: Vec<NodeId>,
}

impl Comparisons {
    /// A place for one more; `None` if there is none, or this peer has one.
    pub(super) fn begin(&mut self, peer: NodeInfo, known: Vec<NodeId>) -> Option<u32> {
        if self.under_way.len() >= MAX_COMPARISONS
            || self.under_way.values().any(|comparison| comparison.peer.id == peer.id)
        {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        self.under_way.insert(self.next, Comparison { peer, known });
        Some(self.next)
    }

    /// The lookup of a comparison has ended.
    pub(super) fn end(&mut self, comparison: u32) -> Option<Comparison> {
        self.under_way.remove(&comparison)
    }
}
