//! Nodes that join or depart, and the copies of this node's records that follow. The closest living
//! holder acts; all others rely on it.
//!
//! A newcomer among the k closest of a key receives the record. Where one of the k closest died,
//! the next closest replaces it and receives the record.
//!
//! Both need a scan of all records. It runs in slices, and handles all nodes that joined or
//! departed in the meantime together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Distance, Key, NodeId};

use super::copies::Copies;
use super::probation::Probation;
use crate::contact::Contact;
use crate::label::Limit;
use crate::node::context::Context;
use crate::node::schedule::Task;
use crate::record::RecordStore;
use crate::request::Purpose;
use crate::time::Moment;

/// Records looked at in one step, so that a step stays short.
const SLICE: usize = 256;
/// The pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(2);
/// Nodes that joined or departed and wait for a pass. Those beyond the bound are served by the
/// next renewal.
const MAX_WAITING: usize = 512;
/// Nodes that joined, and that departed, and are remembered. 48 bytes each.
const MAX_REMEMBERED: usize = 4 * MAX_WAITING;
/// How long newcomers are gathered, so that many of them cost one pass over the records.
const GATHERING: Duration = Duration::from_millis(100);
/// The same for departed nodes: where many die at once, not all are missed at the same moment, and
/// a record must not be brought to one that is dead too.
const MISSING: Duration = Duration::from_secs(1);
/// How long joined and departed nodes are remembered, at most: as long as it may take to notice
/// that the holder that should have acted was dead by then.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long a node that has joined takes no node that it has dialled for a newcomer: those were
/// there before it. One that has come back hands nothing over for as long: where a whole network
/// comes back, all would send all they hold to all. Renewal does the rest.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long a newcomer is not counted on to hold what it was handed, to know others that joined with
/// it, or to act: what another one should hold is then handed to that by a node whose warm-up is
/// over. Not just for the newcomer's own [`WARM_UP`]: nodes that joined together are met apart, by as much as
/// the silent nodes that each of them asked while it joined have cost it (14 s were seen, of three). The
/// one that was met first has met the other during its warm-up, and does not take it for a newcomer.
const GRACE_PERIOD: Duration = Duration::from_secs(60);
/// A holder that has spoken within this time is taken to live.
const SPOKEN: Duration = Duration::from_secs(5);
const _: () = assert!(GRACE_PERIOD.as_secs() > WARM_UP.as_secs());

/// The side that opened the connection by which a contact entered the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Met {
    /// This node: it had heard of the other.
    ByDialling,
    /// The other: as a node does that joins.
    ByBeingDialled,
}

/// Nodes that joined or departed and are not handled yet.
#[derive(Debug, Default)]
pub(super) struct Movement {
    joined: BTreeSet<NodeId>,
    /// Each with when it was last heard.
    departed: BTreeMap<NodeId, Moment>,
    /// Those that departed in the last while, oldest first.
    missed: VecDeque<(Moment, NodeId)>,
    /// Those that joined in the last while, and when.
    appeared: BTreeMap<NodeId, Moment>,
    warm_up: Option<WarmUp>,
    pass: Option<Pass>,
}

/// Until when this node cannot tell which nodes are new.
#[derive(Clone, Copy, Debug)]
struct WarmUp {
    until: Moment,
    /// Whether it was part of the network before.
    returned: bool,
}

/// A look through the records.
#[derive(Debug, Default)]
struct Pass {
    joined: BTreeSet<NodeId>,
    departed: BTreeMap<NodeId, Moment>,
    /// Holders that were asked whether they live.
    asked: BTreeSet<NodeId>,
    after: Option<Key>,
}

/// The nodes that should hold the record of a key, as far as this node knows, nearest first.
struct Replicas {
    nodes: Vec<NodeInfo>,
    /// How many there should be: k, and those on probation, which are replicas in addition to the others.
    count: usize,
}

/// What a record needs since a pass.
enum Follow {
    /// Copies to these nodes, if any.
    Copy(Vec<NodeInfo>),
    /// Nothing of this node as long as that holder, which is nearer, lives.
    RelyOn(NodeInfo),
}

impl Replicas {
    fn of(key: &Key, cx: &Context, probation: &Probation) -> Self {
        let nodes = cx.closest(key, cx.config.k);
        let count = cx.config.k + probation.count(cx, &nodes);
        let nodes = if count > cx.config.k { cx.closest(key, count) } else { nodes };
        Self { nodes, count }
    }
}

impl Movement {
    fn forget_old(&mut self, now: Moment) {
        self.appeared.retain(|_, since| now.since(*since) < REMEMBERED);
        while self.missed.front().is_some_and(|(since, _)| now.since(*since) >= REMEMBERED) {
            self.missed.pop_front();
        }
    }

    /// Whether this node has appeared since then.
    fn appeared_since(&self, id: &NodeId, since: Moment) -> bool {
        self.appeared.get(id).is_some_and(|at| *at >= since)
    }

    fn is_idle(&self) -> bool {
        self.pass.is_none() && self.joined.is_empty() && self.departed.is_empty()
    }

    /// Whether a contact that was met in this way is new to the network, and not only to this node.
    fn is_newcomer(&self, met: Met, now: Moment) -> bool {
        match self.warm_up {
            Some(warm_up) if now < warm_up.until => !warm_up.returned && met == Met::ByBeingDialled,
            _ => true,
        }
    }

    /// The pass in progress, or one for all that wait.
    fn begin(&mut self) -> Pass {
        self.pass.take().unwrap_or_else(|| Pass {
            joined: std::mem::take(&mut self.joined),
            departed: std::mem::take(&mut self.departed),
            asked: BTreeSet::new(),
            after: None,
        })
    }

    /// A contact has entered the routing table: records may now belong there.
    pub(super) fn contact_joined(
        &mut self,
        cx: &mut Context,
        has_records: bool,
        contact: NodeInfo,
        met: Met,
    ) {
        self.departed.remove(&contact.id);
        self.missed.retain(|(_, id)| *id != contact.id);
        if cx.leaving.is_none() && has_records && self.is_newcomer(met, cx.now.mono) {
            if self.joined.len() >= MAX_WAITING || self.appeared.len() >= MAX_REMEMBERED {
                return cx.limit_reached(Limit::Movements);
            }
            self.joined.insert(contact.id);
            self.appeared.insert(contact.id, cx.now.mono);
            let at = cx.now.mono + cx.jittered(GATHERING);
            cx.schedule.set_earlier(Task::Movement, at);
        }
    }

    /// A contact that was last heard then has died: what it held has a replica less.
    pub(super) fn contact_died(
        &mut self,
        cx: &mut Context,
        has_records: bool,
        id: NodeId,
        last_heard: Moment,
    ) {
        self.joined.remove(&id);
        self.appeared.remove(&id);
        if cx.leaving.is_some() || !has_records {
            return;
        }
        if self.departed.len() >= MAX_WAITING {
            return cx.limit_reached(Limit::Movements);
        }
        self.departed.insert(id, last_heard);
        if self.missed.len() >= MAX_REMEMBERED {
            self.missed.pop_front();
        }
        self.missed.push_back((cx.now.mono, id));
        let at = cx.now.mono + cx.jittered(MISSING);
        cx.schedule.set_earlier(Task::Movement, at);
    }

    /// This node is part of a network now, or again: a node that departed while it lost its network
    /// is not dead.
    pub(super) fn joined(&mut self, now: Moment, returned: bool) {
        let warm_up = WarmUp { until: now + WARM_UP, returned };
        *self = Self { warm_up: Some(warm_up), ..Self::default() };
    }

    /// Looks through a slice of the records.
    pub(super) fn run(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        probation: &Probation,
        copies: &mut Copies,
    ) {
        self.forget_old(cx.now.mono);
        let mut pass = self.begin();
        let from = pass.after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<Key> = records.keys_from(from).take(SLICE).collect();
        for key in &keys {
            match self.follow(cx, probation, key, &pass) {
                Follow::RelyOn(holder) => make_sure_of(cx, holder, &mut pass),
                Follow::Copy(nodes) => {
                    nodes.into_iter().for_each(|node| copies.enqueue(*key, node))
                }
            }
        }
        if keys.len() == SLICE {
            pass.after = keys.last().copied();
            self.pass = Some(pass);
        }
    }

    /// Plans the next slice, or the next pass, if there is more to do.
    pub(super) fn plan(&self, cx: &mut Context) {
        if !self.is_idle() {
            cx.schedule.set_earlier(Task::Movement, cx.now.mono + STEP_PAUSE);
        }
    }

    /// What a record needs since this pass.
    fn follow(&self, cx: &Context, probation: &Probation, key: &Key, pass: &Pass) -> Follow {
        let replicas = Replicas::of(key, cx, probation);
        let undone_since = undone_since(cx, key, pass);
        let wanted = self.new_holders(cx, key, pass, &replicas, undone_since);
        if wanted.is_empty() {
            return Follow::Copy(wanted);
        }
        match self.relied_on(cx, key, &replicas, undone_since) {
            Some(holder) => Follow::RelyOn(holder),
            None => Follow::Copy(wanted),
        }
    }

    /// Those of the replicas that should hold the record of a key since this pass: they are new, or have
    /// moved up for departed ones.
    fn new_holders(
        &self,
        cx: &Context,
        key: &Key,
        pass: &Pass,
        replicas: &Replicas,
        undone_since: Option<Moment>,
    ) -> Vec<NodeInfo> {
        let is_new = |node: &NodeInfo| {
            pass.joined.contains(&node.id)
                || undone_since.is_some_and(|since| self.appeared_since(&node.id, since))
        };
        let k = cx.config.k;
        let closest = replicas.nodes.iter().take(k);
        let mut wanted: Vec<NodeInfo> = closest.filter(|node| is_new(node)).copied().collect();
        let departed = self.former_holders(cx, key, pass, undone_since);
        let own = key.distance(&cx.own.id);
        // Of the k closest, and of the wider set: a node on probation may be the one that moved up.
        for count in [k, replicas.count] {
            let moved_up = moved_up_among(&replicas.nodes, own, &departed, key, count);
            let moved_up = moved_up.filter(|node| !is_new(node));
            let missing: Vec<_> = moved_up.filter(|node| !wanted.contains(node)).copied().collect();
            wanted.extend(missing);
        }
        wanted
    }

    /// The nearest holder that has been one for long enough to act, if it is nearer than this node.
    fn relied_on(
        &self,
        cx: &Context,
        key: &Key,
        replicas: &Replicas,
        undone_since: Option<Moment>,
    ) -> Option<NodeInfo> {
        let settled_at = cx.now.mono.back(GRACE_PERIOD);
        let unsure_since = undone_since.map_or(settled_at, |since| since.min(settled_at));
        let settled = |node: &&NodeInfo| !self.appeared_since(&node.id, unsure_since);
        let holder = replicas.nodes.iter().find(settled).copied()?;
        (key.distance(&holder.id) < key.distance(&cx.own.id)).then_some(holder)
    }

    /// Nodes that no longer hold the record of a key, in this pass: departed nodes, nodes that departed
    /// before and were not replaced, and unresponsive ones. Searches for the closest nodes skip the
    /// last. If they were not counted, every death while another node is unresponsive would be
    /// replaced by the same node, and one replica would be missing.
    fn former_holders(
        &self,
        cx: &Context,
        key: &Key,
        pass: &Pass,
        undone_since: Option<Moment>,
    ) -> BTreeSet<NodeId> {
        let mut departed: BTreeSet<NodeId> = pass.departed.keys().copied().collect();
        if let Some(since) = undone_since {
            let missed = self.missed.iter();
            departed.extend(missed.filter(|(at, _)| *at >= since).map(|(_, id)| *id));
        }
        if !departed.is_empty() {
            let mut silent = Vec::new();
            let is_suspect = |contact: &Contact| contact.is_suspect();
            cx.table.closest_where(key, cx.config.k, &mut silent, is_suspect);
            departed.extend(silent.iter().map(|node| node.id));
        }
        departed
    }
}

/// Since when perhaps no node has acted for a key: a nearer node departed, which was to act until it
/// was last heard. `None` if none departed.
fn undone_since(cx: &Context, key: &Key, pass: &Pass) -> Option<Moment> {
    let own = key.distance(&cx.own.id);
    let nearer = pass.departed.iter().filter(|(id, _)| key.distance(id) < own);
    nearer.map(|(_, heard)| *heard).min()
}

/// A holder that others rely on is asked whether it lives, unless it has spoken a moment ago. A
/// connection proves nothing: one with a machine that has lost its power stays up for long. The
/// answer, or the silence, is followed like any other.
fn make_sure_of(cx: &mut Context, holder: NodeInfo, pass: &mut Pass) {
    let quiet_since = cx.now.mono.back(SPOKEN);
    let has_spoken = cx.last_heard(&holder.id) >= quiet_since;
    if !has_spoken && pass.asked.insert(holder.id) {
        cx.request(holder, Body::Ping, Purpose::Liveness);
    }
}

/// Which of these nodes, nearest first, are among the `count` closest, this one at `own` included, only
/// since those of `departed` are not.
fn moved_up_among<'a>(
    nodes: &'a [NodeInfo],
    own: Distance,
    departed: &BTreeSet<NodeId>,
    key: &Key,
    count: usize,
) -> impl Iterator<Item = &'a NodeInfo> + use<'a> {
    let is_holder = nodes.len() < count || own < key.distance(&nodes[count - 1].id);
    let others = &nodes[..nodes.len().min(count - usize::from(is_holder))];
    let distances = others.iter().map(|node| key.distance(&node.id));
    let moved_up = moved_up(distances.chain(is_holder.then_some(own)), departed, key, count);
    others.iter().rev().take(moved_up)
}

/// How many of the k closest nodes, at these distances, are among them only since those of
/// `departed` are not.
fn moved_up(
    living: impl Iterator<Item = Distance>,
    departed: &BTreeSet<NodeId>,
    key: &Key,
    k: usize,
) -> usize {
    let mut former: Vec<(Distance, bool)> = living.map(|distance| (distance, false)).collect();
    former.extend(departed.iter().map(|id| (key.distance(id), true)));
    former.sort_unstable();
    former.iter().take(k).filter(|(_, is_departed)| *is_departed).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(living: &[u8], departed: &[u8], k: usize, expected: usize) {
        let id = |number: &u8| {
            let mut bytes = [0; 32];
            bytes[31] = *number;
            NodeId::from_bytes(bytes)
        };
        let key = Key::default();
        let living = living.iter().map(|number| key.distance(&id(number)));
        let departed = departed.iter().map(id).collect();
        assert_eq!(moved_up(living, &departed, &key, k), expected);
    }

    #[test]
    fn as_many_move_up_as_departed_from_among_the_closest() {
        check(&[1, 2, 3], &[], 3, 0);
        check(&[1, 2, 5], &[4], 3, 1);
        check(&[1, 2, 5], &[6], 3, 0);
        check(&[5, 6, 7], &[1, 2, 3, 4], 3, 3);
        check(&[1, 3, 5], &[2, 4], 3, 1);
    }

    #[test]
    fn of_fewer_than_k_all_may_have_moved_up() {
        check(&[1, 2], &[9], 4, 1);
        check(&[1, 2], &[7, 8, 9], 4, 2);
    }
}
