//! Lookups that the node makes for itself: to join, to learn of neighbours and the size of the
//! network, and to refresh quiet buckets.

use rand::RngExt;
use voiddht_wire::Key;
use voiddht_wire::peer::NodeInfo;

use super::Node;
use super::join::{Looked, Step};
use super::operate::Origin;
use crate::label::LookupPurpose;

/// Lookups of random points where the estimate of the network's size contradicts the own
/// neighbourhood. Two times renew half of what the estimate is made of.
const SIZE_LOOKUPS: usize = crate::density::NEIGHBOURHOODS / 4;

impl Node {
    /// Does what joining asks for, until it waits.
    pub(super) fn run_join(&mut self) {
        while let Some(step) = self.join.poll_step() {
            match step {
                Step::Find(target) => self.look_up(LookupPurpose::Join, target),
                Step::Compare(comparison, peer) => self.start_comparison(comparison, peer),
                Step::Unpark => self.unpark(),
                Step::Fill => self.join.fill(&mut self.cx),
            }
        }
    }

    /// A lookup of the node's own has ended, or there was no room for it.
    pub(super) fn own_lookup_ended(
        &mut self,
        purpose: LookupPurpose,
        looked: Looked,
        nodes: &[NodeInfo],
    ) {
        match purpose {
            LookupPurpose::Join => {
                self.join.lookup_ended(&mut self.cx, looked, nodes);
                self.run_join();
            }
            LookupPurpose::Upkeep => {
                self.upkeep.lookup_ended(&mut self.cx, &mut self.values.records, nodes);
            }
            LookupPurpose::Refresh | LookupPurpose::Keep => {}
        }
    }

    /// The lookup of a comparison has ended, or there was no room for it.
    pub(super) fn comparison_ended(&mut self, number: u32, looked: Looked, nodes: &[NodeInfo]) {
        self.join.compared(&mut self.cx, number, looked, nodes);
        self.run_join();
    }

    /// Looks for the own ID, and plans the next time.
    pub(super) fn find_self(&mut self) {
        if self.cx.leaving.is_some() {
            return;
        }
        if !self.cx.table.is_empty() {
            self.look_up(LookupPurpose::Refresh, self.cx.own.id.as_key());
            if self.join.recurring.is_time_to_look_anywhere(&self.cx) {
                self.look_anywhere(1);
            }
        }
        self.join.recurring.plan_find_self(&mut self.cx);
    }

    /// Compares the estimate of the network's size with the own neighbourhood, which costs no
    /// request, and renews it where they contradict each other.
    pub(super) fn check_size(&mut self) {
        if self.cx.leaving.is_some() {
            return;
        }
        self.join.lost.write_tenures(&mut self.cx);
        let own = self.cx.own.id.as_key();
        let neighbours = self.cx.closest(&own, self.cx.config.k);
        let distances: Vec<_> = neighbours.iter().map(|node| own.distance(&node.id)).collect();
        self.cx.size.observe_own(&distances);
        let is_contradicted = self.cx.size.is_contradicted();
        if is_contradicted {
            self.look_anywhere(SIZE_LOOKUPS);
        }
        self.join.recurring.plan_size_check(&mut self.cx, is_contradicted);
    }

    /// Looks into a bucket that was quiet for long.
    pub(super) fn refresh_buckets(&mut self) {
        let cx = &mut self.cx;
        let quiet_since = cx.now.mono.back(cx.config.refresh_interval);
        let quiet: Vec<_> = cx.table.buckets_unvisited_since(quiet_since).collect();
        let target = match quiet.len() {
            0 => None,
            count => {
                let range = quiet[cx.random.random_range(0..count)];
                Some(range.random_target(&mut cx.random))
            }
        };
        if let Some(target) = target
            && !self.cx.table.is_empty()
        {
            self.look_up(LookupPurpose::Refresh, target);
        }
        self.join.recurring.plan_refresh(&mut self.cx);
    }

    /// Looks at random points, to learn the size of the network. Joining filled the estimate within
    /// seconds, and a node that joined a small network would go on believing in it.
    fn look_anywhere(&mut self, points: usize) {
        for _ in 0..points {
            let target = Key::from_bytes(self.cx.random.random());
            self.look_up(LookupPurpose::Refresh, target);
        }
    }

    /// Starts a lookup of the node's own.
    pub(super) fn look_up(&mut self, purpose: LookupPurpose, target: Key) {
        self.start_find(Origin::Own(purpose), target, self.cx.now);
    }
}
