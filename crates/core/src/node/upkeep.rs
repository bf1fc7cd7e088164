//! Keeping records on the k closest nodes while nodes come and go (Kademlia, section 2.5).
//!
//! * *Renewal*: once per upkeep interval each record is stored again on the k closest nodes, by
//!   one holder. All holders plan it; the closest goes first, and whoever sees its copy arrive
//!   plans anew. Records are renewed by region: one lookup finds the nodes for all keys nearby.
//! * *Hand-over*: a node that appears among the k closest of a key is given the record by the
//!   closest holder that this node knows, which is itself or not at all.
//! * *Leaving*: each record goes to the node that will take this one's place, and to the closest.
//!
//! Copies carry the time that is left and the version they have, and the flag that tells them
//! from publications. They are bounded in flight, jittered, and wait while users are served.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, Range};
use std::time::Duration;

use rand::RngExt;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId};

use super::Node;
use super::operate::Origin;
use super::schedule::Task;
use crate::event::{CommandId, Destination, Outcome};
use crate::operation::Answer;
use crate::peer::Peer;
use crate::request::Purpose;
use crate::time::Moment;

/// Copies in flight at once.
const COPIES_IN_FLIGHT: usize = 32;
/// Records of one region renewed after one lookup, at most.
const MAX_REGION: usize = 256;
/// Records looked at in one step of a hand-over, so that a step stays short.
const HAND_OVER_SLICE: usize = 256;
/// Newcomers that wait for their records. Who finds no place is served by the next renewal.
const MAX_NEWCOMERS: usize = 512;
/// Copies that wait to be sent, at most; renewal stops to plan more until there is room.
const MAX_QUEUED: usize = 16_384;
/// How long newcomers are gathered, so that many of them cost one pass over the records.
const GATHERING: Duration = Duration::from_millis(100);
/// How long a newcomer is not counted on to hold what it was handed, or to know others that came
/// with it: what another one should hold is then handed to that by somebody who is settled.
const SETTLING: Duration = Duration::from_secs(5);
/// How long a node that has come back hands nothing over: to it everybody is a newcomer, and
/// where a whole network comes back, all would send all they hold to all. Renewal does the rest.
const YOUTH: Duration = Duration::from_secs(10);
/// While more operations than this are under way, upkeep waits.
const BUSY_OPERATIONS: usize = 64;
/// How long upkeep waits then.
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

/// What is to be copied where, and when each record is looked at next.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    plans: BTreeMap<Key, Plan>,
    due: BTreeSet<(Moment, Key)>,
    region: Vec<Key>,
    queue: VecDeque<(Key, NodeInfo)>,
    in_flight: usize,
    newcomers: BTreeSet<NodeId>,
    /// Newcomers of the last seconds, and when each appeared.
    settling: BTreeMap<NodeId, Moment>,
    /// Until when this node itself is no judge of who is new.
    young_until: Option<Moment>,
    hand_over_from: Option<Key>,
    handed_over: BTreeSet<Key>,
    /// How far a leaving node is with its records; `None` if it is through, or not leaving.
    leave_from: Option<Bound<Key>>,
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

    fn enqueue(&mut self, key: Key, node: NodeInfo) -> bool {
        let room = self.queue.len() < MAX_QUEUED;
        if room {
            self.queue.push_back((key, node));
        }
        room
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0 && self.leave_from.is_none()
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

    /// A holder renews a record of which this node has a newer version: it missed an update.
    pub(super) fn bring_up_to_date(&mut self, key: Key, peer: &Peer) {
        if let Some(contact) = self.table.get(&peer.id()).map(|contact| contact.info()) {
            self.upkeep.enqueue(key, contact);
            self.send_copies();
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
            if self.upkeep.queue.len() > MAX_QUEUED / 2 {
                return self.schedule.set(Task::Upkeep, self.now.mono + BUSY_PAUSE);
            }
            if self.begin_renewal(key) {
                return;
            }
        }
    }

    /// Whether users are served, and records can wait.
    fn is_busy(&self) -> bool {
        let patience = self.config.upkeep_interval.mul_f64(BUSY_PATIENCE);
        let oldest = self.upkeep.due.first().map(|(at, _)| self.now.mono.since(*at));
        self.operations.len() > BUSY_OPERATIONS && oldest.is_some_and(|waits| waits < patience)
    }

    /// The nodes around a region are known: its records go where they belong.
    pub(super) fn handle_upkeep_lookup_ended(&mut self, nodes: &[NodeInfo]) {
        for key in std::mem::take(&mut self.upkeep.region) {
            self.renew(key, nodes);
        }
        self.send_copies();
        self.schedule.set_earlier(Task::Upkeep, self.now.mono);
    }

    pub(super) fn handle_upkeep_answer(&mut self, key: Key, answer: &Answer) {
        self.upkeep.in_flight = self.upkeep.in_flight.saturating_sub(1);
        if matches!(answer, Answer::Stored) {
            self.upkeep.handed_over.insert(key);
        }
        self.send_copies();
        // Without the deadline the leave has ended: answers that come later change nothing.
        if self.schedule.is_set(Task::LeaveBy) && self.upkeep.is_idle() {
            self.finish_leave();
        }
    }

    /// A contact has entered the routing table: records may now belong there.
    pub(super) fn contact_joined(&mut self, contact: NodeInfo) {
        self.note_joined();
        if self.found_again(&contact) {
            self.restart_find_self();
        }
        let is_young = self.upkeep.young_until.is_some_and(|until| self.now.mono < until);
        if self.leaving.is_none()
            && !self.records.is_empty()
            && !is_young
            && self.upkeep.newcomers.len() < MAX_NEWCOMERS
        {
            self.upkeep.newcomers.insert(contact.id);
            self.upkeep.settling.insert(contact.id, self.now.mono);
            let at = self.now.mono + self.jittered(GATHERING);
            self.schedule.set_earlier(Task::HandOver, at);
        }
    }

    /// This node is part of a network again.
    pub(super) fn upkeep_returned(&mut self) {
        self.upkeep.young_until = Some(self.now.mono + YOUTH);
    }

    /// Looks through a slice of the records for those that newcomers should hold.
    pub(super) fn run_hand_over(&mut self) {
        let newcomers = self.upkeep.newcomers.clone();
        let now = self.now.mono;
        self.upkeep.settling.retain(|_, since| now.since(*since) < SETTLING);
        let from = self.upkeep.hand_over_from.map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<Key> = self.records.keys_from(from).take(HAND_OVER_SLICE).collect();
        for key in &keys {
            self.hand_over(*key, &newcomers);
        }
        self.upkeep.hand_over_from = keys.last().copied();
        if keys.len() < HAND_OVER_SLICE {
            self.upkeep.hand_over_from = None;
            for newcomer in &newcomers {
                self.upkeep.newcomers.remove(newcomer);
            }
        }
        self.send_copies();
        if self.upkeep.hand_over_from.is_some() || !self.upkeep.newcomers.is_empty() {
            let pause = Duration::from_millis(2);
            self.schedule.set_earlier(Task::HandOver, self.now.mono + pause);
        }
    }

    /// Hands over, says goodbye, and then answers.
    pub(super) fn start_leave(&mut self, id: CommandId) {
        if self.leaving.is_some() {
            return self.answer(id, Outcome::Left { handed_over: 0 });
        }
        self.unpark();
        self.leaving = Some(id);
        self.upkeep.queue.clear();
        self.upkeep.handed_over.clear();
        self.upkeep.leave_from = Some(Bound::Unbounded);
        self.schedule.set(Task::LeaveBy, self.now.mono + self.config.leave_patience);
        self.send_copies();
        if self.upkeep.is_idle() {
            self.finish_leave();
        }
    }

    /// Says goodbye to whoever is connected: a PING from a node that listens on port 0.
    pub(super) fn finish_leave(&mut self) {
        let Some(id) = self.leaving else { return };
        if !self.schedule.is_set(Task::LeaveBy) && !self.upkeep.is_idle() {
            self.upkeep.queue.clear();
            self.upkeep.leave_from = None;
        }
        self.schedule.cancel(Task::LeaveBy);
        let contacts: Vec<NodeInfo> = self
            .table
            .iter()
            .map(|contact| contact.info())
            .filter(|contact| self.connected.contains(&contact.id))
            .collect();
        for contact in contacts {
            self.request(Destination::from(contact), Body::Ping, Purpose::Farewell);
        }
        let handed_over = self.upkeep.handed_over.len();
        self.answer(id, Outcome::Left { handed_over });
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
            // There is nobody to bring it to; whoever appears is handed it.
            self.plan_renewal(key, OWN_TURN);
            return false;
        }
        let depth = self.table.bucket_of(&self.own.id).range().depth();
        let soon = self.now.mono + self.config.upkeep_interval.mul_f64(0.1);
        let mut region: Vec<Key> = Vec::new();
        for near in self.records.keys_from(Bound::Included(region_start(&key, depth))) {
            if shared_bits(&near, &key) < depth || region.len() >= MAX_REGION {
                break;
            }
            if near == key || self.upkeep.plans.get(&near).is_some_and(|plan| plan.at <= soon) {
                region.push(near);
            }
        }
        if !region.contains(&key) {
            region.push(key);
        }
        for near in &region {
            self.plan_renewal(*near, OWN_TURN);
        }
        let target = region[region.len() / 2];
        self.upkeep.region = region;
        self.start_find(Origin::Upkeep, target, self.now.mono);
        true
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

    /// How many contacts are closer to a key than this node, counted up to k.
    pub(super) fn own_rank(&self, key: &Key) -> usize {
        let own = key.distance(&self.own.id);
        let nodes = self.closest(key, self.config.k);
        nodes.partition_point(|node| key.distance(&node.id) < own)
    }

    fn renew(&mut self, key: Key, around: &[NodeInfo]) {
        let k = self.config.k;
        let mut nodes = self.closest(&key, k);
        nodes.extend(around.iter().filter(|node| !self.is_own(&node.id)));
        nodes.sort_unstable_by_key(|node| key.distance(&node.id));
        nodes.dedup_by_key(|node| node.id);
        let own = key.distance(&self.own.id);
        let rank = nodes.partition_point(|node| key.distance(&node.id) < own);
        self.records.mark_cached(&key, rank >= k);
        for node in nodes.into_iter().take(if rank < k { k - 1 } else { k }) {
            self.upkeep.enqueue(key, node);
        }
    }

    fn hand_over(&mut self, key: Key, newcomers: &BTreeSet<NodeId>) {
        let nodes = self.closest(&key, self.config.k);
        let own = key.distance(&self.own.id);
        let nearest_holder = nodes.iter().find(|node| !self.upkeep.settling.contains_key(&node.id));
        if nearest_holder.is_some_and(|holder| key.distance(&holder.id) < own) {
            return;
        }
        for node in nodes.into_iter().filter(|node| newcomers.contains(&node.id)) {
            self.upkeep.enqueue(key, node);
        }
    }

    /// The next records of a leaving node: each goes to the node that takes this one's place among
    /// the k closest, and to the closest.
    fn leave_more(&mut self) {
        while self.upkeep.queue.is_empty()
            && let Some(from) = self.upkeep.leave_from.take()
        {
            let keys: Vec<Key> = self.records.keys_from(from).take(HAND_OVER_SLICE).collect();
            for key in &keys {
                let nodes = self.closest(key, self.config.k);
                let own = key.distance(&self.own.id);
                let successor = (nodes.len() == self.config.k)
                    .then(|| nodes[nodes.len() - 1])
                    .filter(|last| own < key.distance(&last.id));
                for node in nodes.first().copied().into_iter().chain(successor) {
                    self.upkeep.enqueue(*key, node);
                }
            }
            self.upkeep.leave_from = keys.last().map(|last| Bound::Excluded(*last));
        }
    }

    fn send_copies(&mut self) {
        while self.upkeep.in_flight < COPIES_IN_FLIGHT {
            self.leave_more();
            let Some((key, node)) = self.upkeep.queue.pop_front() else { break };
            let Some(mut record) = self.held(&key).filter(|record| record.ttl > 0) else {
                continue;
            };
            record.maintenance = true;
            if self.request(node.into(), Body::Store(record), Purpose::Upkeep(key)).is_some() {
                self.upkeep.in_flight += 1;
            }
        }
    }
}

/// The lowest key that shares the first `depth` bits with `key`.
fn region_start(key: &Key, depth: usize) -> Key {
    (depth..voiddht_wire::id::ID_BITS).fold(*key, |key, bit| key.with_bit(bit, false))
}

fn shared_bits(a: &Key, b: &Key) -> usize {
    a.distance(&NodeId::from_bytes(b.to_bytes())).leading_zeros() as usize
}
