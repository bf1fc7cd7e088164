//! Keeps records on the k closest nodes while nodes join and leave (Kademlia, section 2.5).
//!
//! * *Renewal*: once per upkeep interval each record is stored again on the k closest nodes, by one
//!   holder. All holders plan it; the closest goes first, and the others reschedule when its copy
//!   arrives. Records are renewed by region: one lookup finds the nodes for all keys nearby.
//!   Renewal repairs unnoticed changes; observed ones are repaired at once:
//! * *Movement* (`movement`): a node that joins the k closest of a key receives the record, and so
//!   does the node that replaces one that died.
//! * *Leaving* (`leaving`): each record goes to the node that will replace this one, and to the
//!   closest.
//!
//! * *Probation* (`probation`): a newcomer receives records slowly, and each goes to one more node.
//!
//! They only decide which record goes where; `copies` sends it. Copies carry the remaining TTL,
//! their version, and the flag that distinguishes them from publications. They are bounded in
//! flight and jittered, and renewal waits while users are served.

mod copies;
mod corrections;
mod leaving;
mod movement;
mod probation;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::time::Duration;

use rand::RngExt;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

use super::Node;
use super::operate::Origin;
use super::schedule::Task;
use crate::density::MAX_WIDENING;
use crate::label::LookupPurpose;
use crate::time::Moment;
use copies::Copies;
use corrections::Corrections;
use leaving::Leaving;
use movement::Movement;
use probation::Probation;

/// Records of one region renewed after one lookup, at most.
const MAX_REGION: usize = 256;
/// While more operations than this are in progress, renewal waits.
const BUSY_OPERATIONS: usize = 64;
/// How long it waits then.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
/// The share of the upkeep interval for which a record's renewal may wait because users are
/// served: then it is their values that are at stake.
const BUSY_PATIENCE: f64 = 0.05;
/// When a record is renewed after this node stored or renewed it, as shares of the interval. What
/// is left of the interval is for those farther away, should this node not do it.
const OWN_TURN: Range<f64> = 0.60..0.70;
/// When it is renewed after another holder's copy came: if that one is not there next time.
const AFTER_ANOTHER: Range<f64> = 0.75..0.85;
/// When a record that came back from disk is renewed.
const AFTER_RESTART: Range<f64> = 0.05..0.50;
/// Records of a region that are due within this share of the interval are renewed together.
const TOGETHER: f64 = 0.1;

/// What is to be copied where, and when each record is looked at next.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    plans: BTreeMap<Key, Plan>,
    due: BTreeSet<(Moment, Key)>,
    /// Records that wait for the end of a lookup.
    region: Vec<Key>,
    copies: Copies,
    corrections: Corrections,
    movement: Movement,
    leaving: Leaving,
    probation: Probation,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    at: Moment,
    /// Whether nearer holders have had their chance.
    deferred: bool,
}

impl Upkeep {
    fn plan(&mut self, key: Key, at: Moment, deferred: bool) {
        if let Some(old) = self.plans.insert(key, Plan { at, deferred }) {
            self.due.remove(&(old.at, key));
        }
        self.due.insert((at, key));
    }

    fn forget(&mut self, key: &Key) {
        if let Some(old) = self.plans.remove(key) {
            self.due.remove(&(old.at, *key));
        }
    }
}

impl Node {
    /// This node holds a record that is new or changed.
    pub(super) fn upkeep_holds(&mut self, key: Key) {
        self.plan_renewal(key, OWN_TURN);
    }

    /// Another holder has renewed this record: all replicas were just looked after.
    pub(super) fn upkeep_saw_copy(&mut self, key: Key) {
        if self.upkeep.plans.contains_key(&key) {
            self.plan_renewal(key, AFTER_ANOTHER);
        }
    }

    /// A record came back from disk: others may have died, or changed, meanwhile.
    pub(super) fn upkeep_restored(&mut self, key: Key) {
        self.plan_renewal(key, AFTER_RESTART);
    }

    /// Renews what is due, one region at a time.
    pub(super) fn run_upkeep(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        if self.is_busy() || !self.upkeep.region.is_empty() {
            return self.schedule.set(Task::Upkeep, self.now.mono + BUSY_PAUSE);
        }
        while let Some((at, key)) = self.upkeep.due.first().copied() {
            if at > self.now.mono {
                return self.schedule.set(Task::Upkeep, at);
            }
            if !self.upkeep.copies.has_room() {
                return self.schedule.set(Task::Upkeep, self.now.mono + BUSY_PAUSE);
            }
            if self.begin_renewal(key) {
                return;
            }
        }
    }

    /// The nodes around a region are known: its records go where they belong.
    pub(super) fn handle_upkeep_lookup_ended(&mut self, nodes: &[NodeInfo]) {
        for key in std::mem::take(&mut self.upkeep.region) {
            self.renew(key, nodes);
        }
        self.send_copies();
        self.schedule.set_earlier(Task::Upkeep, self.now.mono);
    }

    /// How many contacts are closer to a key than this node, counted up to k. A client is farther
    /// from every key than any of them.
    pub(super) fn own_rank(&self, key: &Key) -> usize {
        if self.is_client() {
            return self.config.k;
        }
        let own = key.distance(&self.own.id);
        let nodes = self.closest(key, self.config.k);
        nodes.partition_point(|node| key.distance(&node.id) < own)
    }

    /// Whether users are served, and records can wait.
    fn is_busy(&self) -> bool {
        let patience = self.config.upkeep_interval.mul_f64(BUSY_PATIENCE);
        let oldest = self.upkeep.due.first().map(|(at, _)| self.now.mono.since(*at));
        self.operations.len() > BUSY_OPERATIONS && oldest.is_some_and(|waits| waits < patience)
    }

    fn plan_renewal(&mut self, key: Key, share: Range<f64>) {
        let share = self.random.random_range(share);
        let at = self.now.mono + self.config.upkeep_interval.mul_f64(share);
        self.upkeep.plan(key, at, false);
        self.schedule.set_earlier(Task::Upkeep, at);
    }

    /// Begins the renewal of the region of a key that is due. False if it needs no lookup now.
    fn begin_renewal(&mut self, key: Key) -> bool {
        if self.expires(&key).is_none() {
            self.upkeep.forget(&key);
            return false;
        }
        if !self.have_nearer_had_their_chance(&key) {
            return false;
        }
        if self.table.is_empty() {
            // There is no node to bring it to; a node that joins is handed it.
            self.plan_renewal(key, OWN_TURN);
            return false;
        }
        let region = self.due_around(key);
        for near in &region {
            self.plan_renewal(*near, OWN_TURN);
        }
        let target = region[region.len() / 2];
        self.upkeep.region = region;
        self.start_find(Origin::Own(LookupPurpose::Upkeep), target, self.now);
        true
    }

    /// The records near to one that is due, itself among them, that are this node's turn soon.
    fn due_around(&self, key: Key) -> Vec<Key> {
        let depth = self.table.bucket_of(&self.own.id).range().depth();
        let soon = self.now.mono + self.config.upkeep_interval.mul_f64(TOGETHER);
        let mut region = vec![key];
        for near in self.records.keys_from(Bound::Included(region_start(&key, depth))) {
            if shared_bits(&near, &key) < depth || region.len() >= MAX_REGION {
                break;
            }
            let plan = self.upkeep.plans.get(&near);
            // Where others are nearer and have yet to have their chance, it would be work twice.
            if near != key
                && plan.is_some_and(|plan| plan.at <= soon)
                && (plan.is_some_and(|plan| plan.deferred) || self.own_rank(&near) == 0)
            {
                region.push(near);
            }
        }
        region.sort_unstable();
        region
    }

    /// The closest holder renews first: every other waits a little longer the farther it is, and
    /// finds, most often, that the copy has arrived meanwhile.
    fn have_nearer_had_their_chance(&mut self, key: &Key) -> bool {
        let deferred = self.upkeep.plans.get(key).is_none_or(|plan| plan.deferred);
        let rank = self.own_rank(key);
        if deferred || rank == 0 {
            return true;
        }
        let share = 0.02 + 0.2 * rank as f64 / self.config.k as f64;
        let at = self.now.mono + self.config.upkeep_interval.mul_f64(share);
        self.upkeep.plan(*key, at, true);
        false
    }

    fn renew(&mut self, key: Key, around: &[NodeInfo]) {
        let k = self.config.k;
        let replicas = k + self.excess_around(&key) + self.on_probation_around(&key);
        let mut nodes = self.closest(&key, replicas);
        let is_wanted = |node: &&NodeInfo| {
            !self.is_own(&node.id) && !self.table.is_suspect(&node.id) && !self.is_banned(&node.id)
        };
        nodes.extend(around.iter().filter(is_wanted));
        nodes.sort_unstable_by_key(|node| key.distance(&node.id));
        nodes.dedup_by_key(|node| node.id);
        let own = key.distance(&self.own.id);
        let rank = match self.is_client() {
            true => replicas,
            false => nodes.partition_point(|node| key.distance(&node.id) < own),
        };
        self.records.mark_cached(&key, rank >= replicas);
        for node in nodes.into_iter().take(if rank < replicas { replicas - 1 } else { replicas }) {
            self.upkeep.copies.enqueue(key, node);
        }
    }

    /// By how many the contacts around a key are more than should be there: PUTs have gone to as
    /// many more nodes, and renewal that did not follow would leave the record, in the end, with
    /// those that are too many.
    fn excess_around(&self, key: &Key) -> usize {
        let Some(size) = self.size_to_judge_by() else { return 0 };
        let distances = |count| -> Vec<_> {
            self.closest(key, count).iter().map(|node| key.distance(&node.id)).collect()
        };
        match size.excess(&distances(self.config.k)) {
            0 => 0,
            _ => size.excess(&distances(self.config.k + MAX_WIDENING)),
        }
    }
}

/// The lowest key that shares the first `depth` bits with `key`.
pub(super) fn region_start(key: &Key, depth: usize) -> Key {
    (depth..voiddht_wire::id::ID_BITS).fold(*key, |key, bit| key.with_bit(bit, false))
}

pub(super) fn shared_bits(a: &Key, b: &Key) -> usize {
    a.distance(&NodeId::from_bytes(b.to_bytes())).leading_zeros() as usize
}
