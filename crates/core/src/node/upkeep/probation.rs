//! Nodes on probation: contacts that this node has not known for long.
//!
//! A fresh identity costs nothing, and may be gone a moment later with all that it was given. So for some
//! minutes
//!
//! * records are handed to it within a [budget](crate::quota::handover) of its address prefix,
//! * it is a replica in addition to the k others: upkeep brings each record to as many more nodes,
//! * its goodbye counts as a death: whether it has handed over what it held is not known.
//!
//! It is nevertheless among the closest for PUTs, lookups and everything else, and counts in receipts: where
//! half of a network is replaced in an hour, a PUT that passed over newcomers would miss the nodes that readers
//! ask. A node that comes back, after a restart or an outage, is known by its [tenure](crate::node::join::lost)
//! and is not on probation. In a young network, where all nodes are new, tenure says nothing, and none is.

use std::time::Duration;

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

use crate::diversity::DiversityLimits;
use crate::node::context::Context;
use crate::quota::HandoverQuota;
use crate::quota::handover::PROBATION;
use crate::time::Moment;

/// No contact is on probation for longer than this part of the time for which this node has been in the network.
const YOUNG_NETWORK: u32 = 2;
/// What a copy costs besides its value: key, header and framing.
const COPY_OVERHEAD: usize = 128;

/// When this node joined, and what it hands to newcomers.
#[derive(Debug)]
pub(super) struct Probation {
    joined_at: Moment,
    budget: HandoverQuota,
}

impl Default for Probation {
    fn default() -> Self {
        let budget = HandoverQuota::new(DiversityLimits::TABLE);
        Self { joined_at: Moment::default(), budget }
    }
}

impl Probation {
    /// This node is part of a network now.
    pub(super) fn joined(&mut self, now: Moment) {
        self.joined_at = now;
    }

    /// Whether a node is no contact, or has not been one for long.
    pub(in super::super) fn includes(&self, cx: &Context, id: &NodeId) -> bool {
        let now = cx.now.mono;
        let joined_for = now.since(self.joined_at);
        let least = PROBATION.min(joined_for / YOUNG_NETWORK);
        cx.table.get(id).is_none_or(|contact| contact.tenure(now) < least)
    }

    /// How many of the contacts closest to a key are on probation: as many more hold its record.
    pub(super) fn count_around(&self, cx: &Context, key: &Key) -> usize {
        self.count(cx, &cx.closest(key, cx.config.k))
    }

    /// How many of these nodes are on probation.
    pub(super) fn count(&self, cx: &Context, nodes: &[NodeInfo]) -> usize {
        nodes.iter().filter(|node| self.includes(cx, &node.id)).count()
    }

    /// When a copy with a value of so many bytes may be sent to a node: `None` if not within its probation.
    pub(super) fn reserve_copy(
        &mut self,
        cx: &mut Context,
        to: &NodeInfo,
        value_bytes: usize,
    ) -> Option<Duration> {
        // What a node that leaves does not hand over is lost.
        if cx.leaving.is_some() || !self.includes(cx, &to.id) {
            return Some(Duration::ZERO);
        }
        let bytes = u32::try_from(value_bytes + COPY_OVERHEAD).unwrap_or(u32::MAX);
        self.budget.reserve(to, bytes, PROBATION, cx.now.mono)
    }
}
