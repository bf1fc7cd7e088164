//! A lookup whose peers answer anything, in any order, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use voiddht_core::config::K;
use voiddht_core::diversity::DiversityLimits;
use voiddht_core::lookup::{Ask, Breadth, Lookup, MAX_CANDIDATES, MAX_REQUESTS, State};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

use super::source::{self, Source};

/// A model, outside of the lookup, of the referrals that it received and their sources.
struct Model {
    target: Key,
    told: BTreeMap<NodeId, BTreeSet<u8>>,
    asked: BTreeMap<NodeId, Ask>,
    late: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
}

/// It asks no node twice, none that was not named on that very path, none that cannot be
/// dialled; has no more in flight than it may; always ends; and ends only when the closest that
/// it was told of have answered or failed.
pub(crate) fn lookup(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let target =
        if source.flag() { Key::default() } else { source::node(source.byte()).id.as_key() };
    let breadth = Breadth {
        want: 1 + source.below(24),
        alpha: 1 + source.below(8),
        paths: source.one_of(&[1, 5, 2, 16]),
        diversity: source::diversity(&mut source),
    };
    let seeds = source::nodes(&mut source, 20);
    let mut lookup = Lookup::new(target, source::own(), breadth, &seeds);
    let mut model = Model {
        target,
        told: BTreeMap::new(),
        asked: BTreeMap::new(),
        late: BTreeSet::new(),
        answered: BTreeSet::new(),
    };
    for (index, seed) in seeds.iter().enumerate() {
        model.tell(seed, (index % breadth.paths) as u8);
    }
    loop {
        while let Some(ask) = lookup.next_ask() {
            model.check_ask(&lookup, ask);
        }
        if lookup.is_finished() {
            break;
        }
        assert!(!model.waiting().is_empty(), "not finished, and nothing to wait for");
        model.step(&mut lookup, &mut source);
        model.check_state(&lookup);
    }
    model.check_end(&lookup, breadth);
}

impl Model {
    fn tell(&mut self, node: &NodeInfo, path: u8) {
        self.told.entry(node.id).or_default().insert(path);
    }

    fn waiting(&self) -> Vec<Ask> {
        let settled = |ask: &&Ask| !self.answered.contains(&ask.node.id);
        self.asked.values().filter(settled).copied().collect()
    }

    fn check_ask(&mut self, lookup: &Lookup, ask: Ask) {
        assert!(ask.node.address.is_dialable() && ask.node.id != source::own());
        let told = self.told.get(&ask.node.id).expect("asks a node that was not named");
        assert!(told.contains(&ask.path), "asks on a path that was not told of it");
        assert!(self.asked.insert(ask.node.id, ask).is_none(), "asks a node twice");
        assert!(self.asked.len() <= MAX_REQUESTS as usize);
        self.check_state(lookup);
    }

    /// One of those that are asked is overdue, fails, or answers; sometimes one that is not asked.
    fn step(&mut self, lookup: &mut Lookup, source: &mut Source<'_>) {
        let waiting = self.waiting();
        let ask = waiting[source.below(waiting.len())];
        match if source.is_empty() { 0 } else { source.byte() % 8 } {
            0 => {
                assert!(lookup.failed(&ask.node.id));
                self.answered.insert(ask.node.id);
            }
            1 => {
                lookup.late(&ask.node.id);
                self.late.insert(ask.node.id);
            }
            2 => {
                let stranger = source::node(source.byte());
                let awaited = waiting.iter().any(|ask| ask.node.id == stranger.id);
                if !awaited {
                    assert!(!lookup.answered(&stranger.id, &[source::node(source.byte())]));
                    assert!(!lookup.failed(&stranger.id));
                }
            }
            _ => {
                let named = source::nodes(source, 20);
                assert!(lookup.answered(&ask.node.id, &named));
                self.answered.insert(ask.node.id);
                named.iter().for_each(|node| self.tell(node, ask.path));
            }
        }
    }

    fn check_state(&self, lookup: &Lookup) {
        let waiting = self.waiting();
        let in_time = waiting.iter().filter(|ask| !self.late.contains(&ask.node.id)).count();
        assert_eq!(lookup.in_flight(), in_time);
        assert!(in_time <= lookup.parallelism());
        let candidates = lookup.candidates();
        assert!(candidates.len() <= MAX_CANDIDATES);
        assert!(candidates.is_sorted_by(|a, b| a.distance < b.distance));
    }

    /// Fewer nodes exist here than a lookup remembers, so that all it was told of are there.
    fn check_end(&self, lookup: &Lookup, breadth: Breadth) {
        let answered = lookup.closest_answered(usize::MAX);
        assert!(answered.into_iter().all(|node| self.answered.contains(&node.id)));
        let bounded = breadth.diversity != DiversityLimits::NONE;
        if bounded || self.asked.len() >= MAX_REQUESTS as usize {
            return;
        }
        let mut all: Vec<_> = (0..=255).map(source::node).collect();
        all.retain(|node| self.told.contains_key(&node.id));
        all.retain(|node| node.id != source::own() && node.address.is_dialable());
        all.sort_unstable_by_key(|node| self.target.distance(&node.id));
        let state = |node: &NodeInfo| lookup.candidate(&node.id).map(|candidate| candidate.state);
        // A node that only a malicious node named may be left out, once half as many others have
        // answered.
        let is_doubtful = |node: &&NodeInfo| {
            lookup.candidate(&node.id).is_some_and(|candidate| lookup.is_doubtful(candidate))
        };
        let enough = 2 * lookup.closest_answered(usize::MAX).count() >= breadth.want.min(K);
        let left = all.iter().filter(|node| state(node) != Some(State::Failed));
        let left = left.filter(|node| !(enough && is_doubtful(node)));
        for node in left.take(breadth.want) {
            assert_eq!(state(node), Some(State::Answered), "one of the closest was passed over");
        }
    }
}
