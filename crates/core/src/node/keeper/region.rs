//! Kept values of one region, from the first that is due to the nodes that all of them go to.

use std::sync::Arc;

use rand::RngExt;
use voiddht_wire::Key;
use voiddht_wire::api::Proof;
use voiddht_wire::peer::NodeInfo;

use super::super::Node;
use super::super::operate::Origin;
use super::super::upkeep::{region_start, shared_bits};
use super::{KeepStep, Known, LOOKUP_PAUSE};
use crate::event::Outcome;
use crate::kept::{Entry, KeptState, REPUBLISH_JITTER, REPUBLISH_SHARE};
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

/// Keys near each other that are republished together.
#[derive(Debug)]
pub(super) struct Region {
    keys: Vec<Key>,
    factor: f64,
    to_check: Vec<Key>,
    checking: usize,
    /// What is to be looked up, once everything is checked.
    targets: Option<Vec<Key>>,
    looking: usize,
    nodes: Vec<NodeInfo>,
}

impl Node {
    /// Takes all keys near to one that is due.
    pub(super) fn begin_region(&mut self, key: Key) {
        let depth = self.keep_region_depth();
        let mut keys = Vec::new();
        let (from, now) = (region_start(&key, depth), self.now.mono);
        for (near, is_due) in self.keeper.table.due_from(from, now, TOGETHER) {
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
        keys.retain(|key| !self.end_kept(key));
        let to_check = keys.iter().copied().filter(|key| self.is_plain_kept(key)).collect();
        for key in &keys {
            self.keeper.table.set_due(key, None);
        }
        if keys.is_empty() {
            return;
        }
        let jitter = 1.0 - REPUBLISH_JITTER..1.0 + REPUBLISH_JITTER;
        let factor = self.random.random_range(jitter);
        let id = self.keeper.next_region;
        self.keeper.next_region += 1;
        let region = Region {
            keys,
            factor,
            to_check,
            checking: 0,
            targets: None,
            looking: 0,
            nodes: Vec::new(),
        };
        self.keeper.regions.insert(id, region);
    }

    /// Stops keeping a value whose end has passed, unless contacts show that this node's clock is wrong.
    pub(super) fn end_kept(&mut self, key: &Key) -> bool {
        let is_clock_wrong = self.is_clock_wrong;
        let has_ended = |entry: &Entry| !is_clock_wrong && entry.has_ended(self.now.wall);
        let has_ended = self.keeper.table.get(key).is_some_and(has_ended);
        if has_ended {
            self.stop_keeping(key, KeptState::Ended);
        }
        has_ended
    }

    fn is_plain_kept(&self, key: &Key) -> bool {
        self.keeper.table.get(key).is_some_and(|entry| entry.value.class() == Class::Plain)
    }

    /// How many bits the keys of a region share.
    fn keep_region_depth(&self) -> usize {
        let known = (self.table.len() + 1) as f64;
        let nodes = self.network_size().map_or(known, |size| size.nodes());
        (nodes / NODES_PER_REGION).log2().max(0.0) as usize
    }

    /// Begins the next read or lookup of a region. True if anything was done.
    pub(super) fn advance_region(&mut self, id: u64) -> bool {
        let depth = self.keep_region_depth();
        let Some(region) = self.keeper.regions.get_mut(&id) else { return false };
        if let Some(key) = region.to_check.pop() {
            region.checking += 1;
            self.begin_keep_read();
            let origin = (Origin::Keep(KeepStep::Check(id, key)), self.now);
            self.start_get(origin, key, ReadMode::default());
            return true;
        }
        if region.targets.is_none() {
            let targets = targets(&region.keys, depth + PART_BITS);
            if targets.len() >= region.keys.len() {
                return self.put_one_by_one(id);
            }
            region.targets = Some(targets);
        }
        let Some(region) = self.keeper.regions.get_mut(&id) else { return false };
        let Some(target) = region.targets.as_mut().and_then(Vec::pop) else { return false };
        region.looking += 1;
        self.begin_keep_read();
        self.start_find(Origin::Keep(KeepStep::Look(id)), target, self.now);
        true
    }

    /// Publishes the next key of a region that is not worth lookups of its own.
    fn put_one_by_one(&mut self, id: u64) -> bool {
        let Some(region) = self.keeper.regions.get_mut(&id) else { return false };
        let factor = region.factor;
        let key = region.keys.pop();
        if region.keys.is_empty() {
            self.keeper.regions.remove(&id);
        }
        let Some(key) = key else { return false };
        self.keeper.factors.insert(key, factor);
        self.keeper.lookup_at = self.now.mono + LOOKUP_PAUSE;
        self.place_kept(&key, None, self.now);
        true
    }

    pub(super) fn begin_keep_read(&mut self) {
        self.keeper.reading_in_flight += 1;
        self.keeper.lookup_at = self.now.mono + LOOKUP_PAUSE;
    }

    /// What a plain value's key holds is known: has another publisher won it?
    pub(super) fn kept_was_checked(&mut self, id: u64, key: &Key, outcome: Outcome) {
        let verdict = self.judge_check(key, &outcome);
        if let Some(region) = self.keeper.regions.get_mut(&id) {
            region.checking -= 1;
            if verdict != Checked::Publish {
                region.keys.retain(|one| one != key);
            }
        }
        match verdict {
            Checked::Publish => {}
            Checked::Superseded => self.stop_keeping(key, KeptState::Superseded),
            Checked::Later => self.retry_publication(key),
        }
        self.end_region_if_done(id);
    }

    fn judge_check(&self, key: &Key, outcome: &Outcome) -> Checked {
        let Some(entry) = self.keeper.table.get(key).filter(|entry| entry.is_kept()) else {
            return Checked::Publish;
        };
        let Outcome::Get { value, version, proof, .. } = outcome else { return Checked::Later };
        let Some(found) = value.as_ref().filter(|found| *found != entry.value.bytes()) else {
            return Checked::Publish;
        };
        let wins = match (proof, version) {
            (Some(Proof::Signature | Proof::Hash), _) => true,
            (_, Some(version)) => {
                Rank::new(Class::Plain, found, *version) > entry.value.rank(entry.version)
            }
            // Only original peers returned it: no version tells which is newer.
            (_, None) => false,
        };
        if wins { Checked::Superseded } else { Checked::Publish }
    }

    pub(super) fn region_was_looked_up(&mut self, id: u64, nodes: Vec<NodeInfo>) {
        let Some(region) = self.keeper.regions.get_mut(&id) else { return };
        region.looking -= 1;
        region.nodes.extend(nodes);
        self.end_region_if_done(id);
    }

    /// Hands the values of a region on once its nodes are known.
    fn end_region_if_done(&mut self, id: u64) {
        let Some(region) = self.keeper.regions.get(&id) else { return };
        if region.is_under_way() && !region.keys.is_empty() {
            return;
        }
        let Some(mut region) = self.keeper.regions.remove(&id) else { return };
        for key in &region.keys {
            region.nodes.extend(self.closest(key, self.config.k));
        }
        region.nodes.retain(|node| !self.is_own(&node.id));
        region.nodes.sort_unstable_by_key(|node| node.id);
        region.nodes.dedup_by_key(|node| node.id);
        let nodes: Arc<[NodeInfo]> = region.nodes.into();
        for key in region.keys {
            self.keeper.factors.insert(key, region.factor);
            self.keeper.placing.push_back(Known { key, nodes: Arc::clone(&nodes) });
        }
    }
}

/// What a read of a plain value's key has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    Publish,
    Superseded,
    Later,
}

impl Region {
    /// Whether a read or a lookup is to be begun for it.
    pub(super) fn waits_for_lookup(&self) -> bool {
        match &self.targets {
            _ if !self.to_check.is_empty() => true,
            _ if self.checking > 0 => false,
            None => true,
            Some(targets) => !targets.is_empty(),
        }
    }

    fn is_under_way(&self) -> bool {
        self.waits_for_lookup() || self.checking > 0 || self.looking > 0
    }
}

/// One key of each part of a region, about the middle of those in it. The keys are sorted.
fn targets(keys: &[Key], depth: usize) -> Vec<Key> {
    let parts = keys.chunk_by(|one, other| shared_bits(one, other) >= depth);
    parts.map(|part| part[part.len() / 2]).collect()
}
