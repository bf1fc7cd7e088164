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
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId};

use super::context::Context;
use super::schedule::Task;
use crate::density::MAX_WIDENING;
use crate::event::{CommandId, Destination, Outcome};
use crate::label::Limit;
use crate::operation::Answer;
use crate::peer::Peer;
use crate::record::RecordStore;
use crate::request::Purpose;
use crate::time::Moment;
use copies::Copies;
use corrections::{Corrections, CorrectionsFull};
use leaving::HandOver;
pub(super) use movement::Met;
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
/// How long movement pauses while too many copies wait.
const FULL_PAUSE: Duration = Duration::from_millis(50);
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
    hand_over: HandOver,
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

impl Upkeep {
    /// This node holds a record that is new or changed.
    pub(super) fn holds(&mut self, cx: &mut Context, key: Key) {
        self.plan_renewal(cx, key, OWN_TURN);
    }

    /// Another holder has renewed this record: all replicas were just looked after.
    pub(super) fn saw_copy(&mut self, cx: &mut Context, key: Key) {
        if self.plans.contains_key(&key) {
            self.plan_renewal(cx, key, AFTER_ANOTHER);
        }
    }

    /// A record came back from disk: others may have died, or changed, meanwhile.
    pub(super) fn restored(&mut self, cx: &mut Context, key: Key) {
        self.plan_renewal(cx, key, AFTER_RESTART);
    }

    /// Renews what is due, one region at a time: the point at which the nodes of the next are to be
    /// looked up, if there is one. Renewal waits while users are served, who have so many
    /// operations in progress.
    pub(super) fn run(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        operations: usize,
    ) -> Option<Key> {
        if cx.leaving.is_some() {
            return None;
        }
        if self.is_busy(cx, operations) || !self.region.is_empty() {
            cx.set_after(Task::Upkeep, BUSY_PAUSE);
            return None;
        }
        while let Some((at, key)) = self.due.first().copied() {
            if at > cx.now.mono {
                cx.schedule.set(Task::Upkeep, at);
                return None;
            }
            if !self.copies.has_room() {
                cx.set_after(Task::Upkeep, BUSY_PAUSE);
                return None;
            }
            if let Some(target) = self.begin_renewal(cx, records, key) {
                return Some(target);
            }
        }
        None
    }

    /// The nodes around a region are known: its records go where they belong.
    pub(super) fn lookup_ended(
        &mut self,
        cx: &mut Context,
        records: &mut RecordStore,
        nodes: &[NodeInfo],
    ) {
        for key in std::mem::take(&mut self.region) {
            self.renew(cx, records, key, nodes);
        }
        self.send_copies(cx, records);
        cx.schedule.set_earlier(Task::Upkeep, cx.now.mono);
    }

    /// Whether users are served, and records can wait.
    fn is_busy(&self, cx: &Context, operations: usize) -> bool {
        let patience = cx.config.upkeep_interval.mul_f64(BUSY_PATIENCE);
        let oldest = self.due.first().map(|(at, _)| cx.now.mono.since(*at));
        operations > BUSY_OPERATIONS && oldest.is_some_and(|waits| waits < patience)
    }

    fn plan_renewal(&mut self, cx: &mut Context, key: Key, share: Range<f64>) {
        let share = cx.random.random_range(share);
        let at = cx.now.mono + cx.config.upkeep_interval.mul_f64(share);
        self.plan(key, at, false);
        cx.schedule.set_earlier(Task::Upkeep, at);
    }

    /// Begins the renewal of the region of a key that is due: where its nodes are to be looked up.
    fn begin_renewal(&mut self, cx: &mut Context, records: &RecordStore, key: Key) -> Option<Key> {
        if records.get(&key, cx.now.boot).is_none() {
            self.forget(&key);
            return None;
        }
        if !self.have_nearer_had_their_chance(cx, &key) {
            return None;
        }
        if cx.table.is_empty() {
            // There is no node to bring it to; a node that joins is handed it.
            self.plan_renewal(cx, key, OWN_TURN);
            return None;
        }
        let region = self.due_around(cx, records, key);
        for near in &region {
            self.plan_renewal(cx, *near, OWN_TURN);
        }
        let target = region[region.len() / 2];
        self.region = region;
        Some(target)
    }

    /// The records near to one that is due, itself among them, that are this node's turn soon.
    fn due_around(&self, cx: &Context, records: &RecordStore, key: Key) -> Vec<Key> {
        let depth = cx.table.bucket_of(&cx.own.id).range().depth();
        let soon = cx.now.mono + cx.config.upkeep_interval.mul_f64(TOGETHER);
        let mut region = vec![key];
        for near in records.keys_from(Bound::Included(region_start(&key, depth))) {
            if shared_bits(&near, &key) < depth || region.len() >= MAX_REGION {
                break;
            }
            let plan = self.plans.get(&near);
            // Where others are nearer and have yet to have their chance, it would be work twice.
            if near != key
                && plan.is_some_and(|plan| plan.at <= soon)
                && (plan.is_some_and(|plan| plan.deferred) || cx.own_rank(&near) == 0)
            {
                region.push(near);
            }
        }
        region.sort_unstable();
        region
    }

    /// The closest holder renews first: every other waits a little longer the farther it is, and
    /// finds, most often, that the copy has arrived meanwhile.
    fn have_nearer_had_their_chance(&mut self, cx: &Context, key: &Key) -> bool {
        let deferred = self.plans.get(key).is_none_or(|plan| plan.deferred);
        let rank = cx.own_rank(key);
        if deferred || rank == 0 {
            return true;
        }
        let share = 0.02 + 0.2 * rank as f64 / cx.config.k as f64;
        let at = cx.now.mono + cx.config.upkeep_interval.mul_f64(share);
        self.plan(*key, at, true);
        false
    }

    fn renew(&mut self, cx: &Context, records: &mut RecordStore, key: Key, around: &[NodeInfo]) {
        let k = cx.config.k;
        let replicas = k + excess_around(cx, &key) + self.probation.count_around(cx, &key);
        let mut nodes = cx.closest(&key, replicas);
        let is_wanted = |node: &&NodeInfo| {
            !cx.is_own(&node.id) && !cx.table.is_suspect(&node.id) && !cx.is_banned(&node.id)
        };
        nodes.extend(around.iter().filter(is_wanted));
        nodes.sort_unstable_by_key(|node| key.distance(&node.id));
        nodes.dedup_by_key(|node| node.id);
        let own = key.distance(&cx.own.id);
        let rank = match cx.is_client() {
            true => replicas,
            false => nodes.partition_point(|node| key.distance(&node.id) < own),
        };
        records.mark_cached(&key, rank >= replicas);
        for node in nodes.into_iter().take(if rank < replicas { replicas - 1 } else { replicas }) {
            self.copies.enqueue(key, node);
        }
    }

    /// Sends what waits, as far as there may be more in flight.
    fn send_copies(&mut self, cx: &mut Context, records: &RecordStore) {
        for _ in 0..self.copies.take_dropped() {
            cx.limit_reached(Limit::QueuedCopies);
        }
        while self.copies.may_send_more() {
            self.hand_over.refill(cx, records, &mut self.copies);
            if !self.copies.send_next(cx, records, &mut self.probation) {
                return;
            }
        }
    }
}

/// Copies that were sent.
impl Upkeep {
    /// What became of a copy.
    pub(super) fn copy_ended(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        key: Key,
        to: Destination,
        answer: &Answer,
    ) {
        if self.copies.handle_answer(cx, key, to, answer) {
            self.send_copies(cx, records);
            self.leave_if_through(cx);
        }
    }

    /// The time has come for copies that are tried again.
    pub(super) fn retry_copies(&mut self, cx: &mut Context, records: &RecordStore) {
        self.copies.retry(cx);
        self.send_copies(cx, records);
        self.leave_if_through(cx);
    }

    /// A holder renews a record that lost to this node's by the order of records: it missed an
    /// update.
    pub(super) fn correct(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        key: Key,
        peer: &Peer,
    ) {
        let Some(contact) = cx.table.get(&peer.id()).map(|contact| contact.info()) else {
            return;
        };
        let interval = cx.config.upkeep_interval;
        match self.corrections.admit(key, contact.id, interval, cx.now.mono) {
            Ok(true) => {
                self.copies.enqueue(key, contact);
                self.send_copies(cx, records);
            }
            Ok(false) => {}
            Err(CorrectionsFull) => cx.limit_reached(Limit::MaxCorrections),
        }
    }
}

/// Nodes that join and depart.
impl Upkeep {
    /// This node is part of a network now, or again; whether it was part of one before.
    pub(super) fn joined(&mut self, cx: &Context, returned: bool) {
        self.probation.joined(cx.now.mono);
        self.movement.joined(cx.now.mono, returned);
    }

    /// A contact has entered the routing table: records may now belong there.
    pub(super) fn contact_joined(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        contact: NodeInfo,
        met: Met,
    ) {
        self.movement.contact_joined(cx, !records.is_empty(), contact, met);
    }

    /// A contact that was last heard then has died: what it held has a replica less.
    pub(super) fn contact_died(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        id: NodeId,
        last_heard: Moment,
    ) {
        self.movement.contact_died(cx, !records.is_empty(), id, last_heard);
    }

    /// Looks through a slice of the records, for those that joined and departed.
    pub(super) fn run_movement(&mut self, cx: &mut Context, records: &RecordStore) {
        if cx.leaving.is_some() {
            return;
        }
        if !self.copies.has_room() {
            return cx.set_after(Task::Movement, FULL_PAUSE);
        }
        self.movement.run(cx, records, &self.probation, &mut self.copies);
        self.send_copies(cx, records);
        self.movement.plan(cx);
    }

    /// Whether a node is no contact, or has not been one for long.
    pub(super) fn is_on_probation(&self, cx: &Context, id: &NodeId) -> bool {
        self.probation.includes(cx, id)
    }
}

/// The end of a node.
impl Upkeep {
    /// Hands over all records, without leaving: those of a node that others cannot dial.
    pub(super) fn hand_over(&mut self, cx: &mut Context, records: &RecordStore) {
        self.hand_over.start();
        self.send_copies(cx, records);
    }

    /// Hands over all records, says goodbye, and then answers.
    pub(super) fn start_leave(&mut self, cx: &mut Context, records: &RecordStore, id: CommandId) {
        cx.leaving = Some(id);
        self.copies.clear();
        self.copies.note_arrivals();
        self.hand_over.start();
        let patience = cx.config.leave_patience;
        cx.set_after(Task::LeaveBy, patience);
        self.send_copies(cx, records);
        self.leave_if_through(cx);
    }

    /// Ends the leave if everything has been handed over.
    fn leave_if_through(&mut self, cx: &mut Context) {
        let is_through = self.hand_over.is_through() && self.copies.is_idle();
        // Without the deadline the leave has ended: answers that come later change nothing.
        if is_through && cx.schedule.is_set(Task::LeaveBy) {
            self.finish_leave(cx);
        }
    }

    /// Says goodbye to all connected peers: a PING from a node that listens on port 0.
    pub(super) fn finish_leave(&mut self, cx: &mut Context) {
        let Some(id) = cx.leaving else { return };
        self.copies.clear();
        self.hand_over.stop();
        cx.schedule.cancel(Task::LeaveBy);
        for contact in cx.connected_contacts() {
            cx.request(contact, Body::Ping, Purpose::Farewell);
        }
        let handed_over = self.copies.arrivals();
        cx.answer(id, Outcome::Left { handed_over });
    }
}

/// By how many the contacts around a key are more than should be there: PUTs have gone to as
/// many more nodes, and renewal that did not follow would leave the record, in the end, with
/// those that are too many.
fn excess_around(cx: &Context, key: &Key) -> usize {
    let Some(size) = cx.size_to_judge_by() else { return 0 };
    let distances = |count| -> Vec<_> {
        cx.closest(key, count).iter().map(|node| key.distance(&node.id)).collect()
    };
    match size.excess(&distances(cx.config.k)) {
        0 => 0,
        _ => size.excess(&distances(cx.config.k + MAX_WIDENING)),
    }
}

/// The lowest key that shares the first `depth` bits with `key`.
pub(super) fn region_start(key: &Key, depth: usize) -> Key {
    (depth..voiddht_wire::id::ID_BITS).fold(*key, |key, bit| key.with_bit(bit, false))
}

pub(super) fn shared_bits(a: &Key, b: &Key) -> usize {
    a.distance(&NodeId::from_bytes(b.to_bytes())).leading_zeros() as usize
}
