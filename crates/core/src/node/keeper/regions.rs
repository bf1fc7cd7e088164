//! Regions of kept values that are under way: from the first key that is due to the nodes that all of
//! them go to.

use std::sync::Arc;

use rand::RngExt;
use voiddht_wire::Key;
use voiddht_wire::api::Proof;
use voiddht_wire::peer::NodeInfo;

use super::region::{Region, targets};
use super::{KeepOperation, KeepStart, KeepStep, Keeper, Known, LOOKUP_PAUSE, Turn};
use crate::event::Outcome;
use crate::kept::table::Entry;
use crate::kept::{KeptState, REPUBLISH_JITTER, REPUBLISH_SHARE};
use crate::node::contacts::Contacts;
use crate::node::context::Context;
use crate::node::upkeep::{region_start, shared_bits};
use crate::node::values::Values;
use crate::operation::get::ReadMode;
use crate::record::order::{Class, Rank};

/// Values of one region, at most: the next region takes what is left.
const MAX_REGION_KEYS: usize = 1024;
/// Nodes that are expected in a region: more than a replica set, so that the k closest of each of
/// its keys lie in it, and few enough that four lookups find them all.
const NODES_PER_REGION: f64 = 32.0;
/// Bits of a key that tell the parts of a region apart of which each has a lookup of its own.
const PART_BITS: usize = 2;
/// Values of a region that are due within this share of their TTL are republished together: a tenth
/// of the interval between two publications.
const TOGETHER: f64 = REPUBLISH_SHARE * REPUBLISH_JITTER;

impl Keeper {
    /// Takes all keys near to one that is due.
    pub(super) fn begin_region(&mut self, cx: &mut Context, key: Key) {
        let depth = region_depth(cx);
        let mut keys = Vec::new();
        let (from, now) = (region_start(&key, depth), cx.now.mono);
        for (near, is_due) in self.table.due_from(from, now, TOGETHER) {
            if shared_bits(&near, &key) < depth || keys.len() >= MAX_REGION_KEYS {
                break;
            }
            if is_due {
                keys.push(near);
            }
        }
        if !keys.contains(&key) {
            // Beyond the limit of a region.
            keys.push(key);
        }
        keys.retain(|key| !self.end_kept(cx, key));
        let to_check = keys.iter().copied().filter(|key| self.is_plain_kept(key)).collect();
        for key in &keys {
            self.table.set_due(key, None);
        }
        if keys.is_empty() {
            return;
        }
        let jitter = 1.0 - REPUBLISH_JITTER..1.0 + REPUBLISH_JITTER;
        let factor = cx.random.random_range(jitter);
        let id = self.next_region;
        self.next_region += 1;
        let region = Region { keys, factor, to_check, ..Region::default() };
        self.regions.insert(id, region);
    }

    /// Stops keeping a value whose end has passed, unless contacts show that this node's clock is wrong.
    pub(super) fn end_kept(&mut self, cx: &mut Context, key: &Key) -> bool {
        let has_ended = |entry: &Entry| entry.has_ended(cx.now.wall);
        let has_ended = !cx.is_clock_wrong && self.table.get(key).is_some_and(has_ended);
        if has_ended {
            self.stop_keeping(cx, key, KeptState::Ended);
        }
        has_ended
    }

    fn is_plain_kept(&self, key: &Key) -> bool {
        self.table.get(key).is_some_and(|entry| entry.value.class() == Class::Plain)
    }

    /// The next read or lookup of a region.
    pub(super) fn advance_region(
        &mut self,
        cx: &Context,
        values: &Values,
        contacts: &Contacts,
        id: u64,
    ) -> Turn {
        let Some(region) = self.regions.get_mut(&id) else { return Turn::Idle };
        if let Some(key) = region.to_check.pop() {
            region.checking += 1;
            let what = KeepOperation::Get { key, mode: ReadMode::default() };
            return Turn::Start(self.begin_read(cx, KeepStep::Check(id, key), what));
        }
        if region.targets.is_none() {
            let targets = targets(&region.keys, region_depth(cx) + PART_BITS);
            if targets.len() >= region.keys.len() {
                return match self.take_one(cx, id) {
                    Some(key) => Turn::of(self.place(cx, values, contacts, &key, None, cx.now)),
                    None => Turn::Idle,
                };
            }
            region.targets = Some(targets);
        }
        let Some(target) = region.targets.as_mut().and_then(Vec::pop) else { return Turn::Idle };
        region.looking += 1;
        let what = KeepOperation::Find { target };
        Turn::Start(self.begin_read(cx, KeepStep::Look(id), what))
    }

    /// The next key of a region that is not worth lookups of its own: each is PUT by itself.
    fn take_one(&mut self, cx: &Context, id: u64) -> Option<Key> {
        let region = self.regions.get_mut(&id)?;
        let factor = region.factor;
        let key = region.keys.pop();
        if region.keys.is_empty() {
            self.regions.remove(&id);
        }
        let key = key?;
        self.factors.insert(key, factor);
        self.lookup_at = cx.now.mono + LOOKUP_PAUSE;
        Some(key)
    }

    pub(super) fn begin_read(
        &mut self,
        cx: &Context,
        step: KeepStep,
        what: KeepOperation,
    ) -> KeepStart {
        self.reading_in_flight += 1;
        self.lookup_at = cx.now.mono + LOOKUP_PAUSE;
        KeepStart { step, what }
    }

    /// What a plain value's key holds is known: has another publisher won it?
    pub(super) fn kept_was_checked(
        &mut self,
        cx: &mut Context,
        id: u64,
        key: &Key,
        outcome: Outcome,
    ) {
        let verdict = self.judge_check(key, &outcome);
        if let Some(region) = self.regions.get_mut(&id) {
            region.checking -= 1;
            if verdict != Checked::Publish {
                region.keys.retain(|one| one != key);
            }
        }
        match verdict {
            Checked::Publish => {}
            Checked::Superseded => self.stop_keeping(cx, key, KeptState::Superseded),
            Checked::Later => self.retry_publication(cx, key),
        }
        self.end_region_if_done(cx, id);
    }

    fn judge_check(&self, key: &Key, outcome: &Outcome) -> Checked {
        let Some(entry) = self.table.get(key).filter(|entry| entry.is_kept()) else {
            return Checked::Publish;
        };
        let Outcome::Get { value, version, proof, .. } = outcome else { return Checked::Later };
        let Some(found) = value.as_ref().filter(|found| *found != entry.value.bytes()) else {
            return Checked::Publish;
        };
        let wins = match (proof, version) {
            (None | Some(Proof::Vote), Some(version)) => {
                Rank::new(Class::Plain, found, *version) > entry.value.rank(entry.version)
            }
            // Only original peers returned it: no version tells which is newer.
            (None | Some(Proof::Vote), None) => false,
            // Every self-verifying value wins over a plain one.
            (Some(_), _) => true,
        };
        if wins { Checked::Superseded } else { Checked::Publish }
    }

    pub(super) fn region_was_looked_up(&mut self, cx: &Context, id: u64, nodes: Vec<NodeInfo>) {
        let Some(region) = self.regions.get_mut(&id) else { return };
        region.looking -= 1;
        region.nodes.extend(nodes);
        self.end_region_if_done(cx, id);
    }

    /// Hands the values of a region on once its nodes are known.
    fn end_region_if_done(&mut self, cx: &Context, id: u64) {
        let Some(region) = self.regions.get(&id) else { return };
        if region.is_under_way() && !region.keys.is_empty() {
            return;
        }
        let Some(mut region) = self.regions.remove(&id) else { return };
        for key in &region.keys {
            region.nodes.extend(cx.closest(key, cx.config.k));
        }
        region.nodes.retain(|node| !cx.is_own(&node.id));
        region.nodes.sort_unstable_by_key(|node| node.id);
        region.nodes.dedup_by_key(|node| node.id);
        let nodes: Arc<[NodeInfo]> = region.nodes.into();
        for key in region.keys {
            self.factors.insert(key, region.factor);
            self.placing.push_back(Known { key, nodes: Arc::clone(&nodes) });
        }
    }
}

/// How many bits the keys of a region share.
fn region_depth(cx: &Context) -> usize {
    let known = (cx.table.len() + 1) as f64;
    let nodes = cx.network_size().map_or(known, |size| size.nodes());
    (nodes / NODES_PER_REGION).log2().max(0.0) as usize
}

/// What a read of a plain value's key has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    Publish,
    Superseded,
    Later,
}
