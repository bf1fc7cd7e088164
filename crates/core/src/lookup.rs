//! The iterative lookup (Kademlia, section 2.3) on disjoint paths (S/Kademlia, section 4.4).
//!
//! A lookup is one sorted list of candidates. Each records the paths on which it was named and the
//! path that queried it. A node named on two paths belongs to the one that queries it first, so no
//! node is queried on two. With one path this is Kademlia's own lookup.
//!
//! It ends when every relevant candidate has answered or failed: the `want` closest of all, and on
//! each path that path's share of them. So a path that hostile nodes have filled with close
//! neighbours cannot end the others.
//!
//! An *overdue* request no longer counts against the parallelism, and the search continues around
//! it; the lookup still does not end until it answers or fails. After a mass failure many requests
//! are overdue together, so each also lets its path have one more in flight, up to [`MAX_EXTRA`].
//!
//! A malicious node can name any number of nodes that do not exist, closer to the target than all
//! real ones, and each costs a timeout. So bad referrals count against their referrers
//! ([`namers`]): a candidate is *doubtful* if each of its referrers named several nodes that did
//! not answer. Doubtful candidates are queried last, and only if less than half of the `want`
//! nodes, or of k, have answered. The same applies to nodes that recently failed to answer this
//! node.
//!
//! A malicious node can also name real nodes at wrong addresses. So a candidate has several
//! addresses ([`candidate`]): it is queried at the one that most peers name, and, if it does not
//! answer there, at the next.

use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Distance, Key, NodeId};

use crate::config::{K, MAX_PATHS};
use crate::diversity::{DiversityCounter, DiversityLimits};

pub mod candidate;
mod lots;
mod namers;
mod reach;

pub use candidate::{Candidate, State};
pub use lots::Lots;
use namers::Namers;
use reach::Reach;

/// Candidates that a lookup remembers. The farthest that were not asked make room.
pub const MAX_CANDIDATES: usize = 256;
/// Requests that one lookup sends, at most: five times what an honest network of a million nodes
/// needs. It bounds what lists of nodes that do not exist can cost.
pub const MAX_REQUESTS: u32 = 200;

/// Requests that a path may have in flight beyond its share of alpha, once some were overdue on it.
pub const MAX_EXTRA: u8 = 2;
/// The same, once some were slow: three more nodes beside the first are as many as a path of five has to
/// ask of 20.
pub const MAX_EXTRA_SLOW: u8 = 3;

/// How wide a lookup searches.
#[derive(Clone, Copy, Debug)]
pub struct Breadth {
    /// The closest nodes that must have answered at its end.
    pub want: usize,
    /// Requests in flight on a single path.
    pub alpha: usize,
    /// Disjoint paths.
    pub paths: usize,
    /// How many nodes of one address prefix may be asked: the others are passed over.
    pub diversity: DiversityLimits,
}

/// A node to ask now, and the path it is asked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The node to query.
    pub node: NodeInfo,
    /// On which path, from 0.
    pub path: u8,
}

/// A search for the nodes closest to a point.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Key,
    own: NodeId,
    want: usize,
    share: usize,
    per_path: u8,
    paths: u8,
    in_flight: [u8; MAX_PATHS],
    /// Requests in flight beyond `per_path` that slow and overdue ones have earned their path.
    extra: [u8; MAX_PATHS],
    /// Those of `in_flight` that are slow.
    slow: [u8; MAX_PATHS],
    late: usize,
    candidates: Vec<Candidate>,
    sites: DiversityCounter,
    asked: u32,
    hops: u8,
    answers: usize,
    namers: Namers,
    lots: Option<Lots>,
}

impl Lookup {
    /// A search for `target` that starts from `seeds`, nearest first; they are dealt to the
    /// paths in turn. `own` is never asked.
    pub fn new(target: Key, own: NodeId, breadth: Breadth, seeds: &[NodeInfo]) -> Self {
        let paths = breadth.paths.clamp(1, MAX_PATHS);
        let mut lookup = Self {
            target,
            own,
            want: breadth.want.max(1),
            share: breadth.want.max(1).div_ceil(paths),
            per_path: u8::try_from(breadth.alpha.div_ceil(paths).max(1)).unwrap_or(u8::MAX),
            paths: paths as u8,
            in_flight: [0; MAX_PATHS],
            extra: [0; MAX_PATHS],
            slow: [0; MAX_PATHS],
            late: 0,
            candidates: Vec::with_capacity(2 * seeds.len()),
            sites: DiversityCounter::new(breadth.diversity),
            asked: 0,
            hops: 0,
            answers: 0,
            namers: Namers::default(),
            lots: None,
        };
        for (index, seed) in seeds.iter().enumerate() {
            lookup.add(*seed, 1 << (index % paths), None, 1);
        }
        lookup
    }

    /// The point that is searched.
    pub fn target(&self) -> Key {
        self.target
    }

    /// Searches on, until this many of the closest have answered; never for fewer than before.
    pub fn widen(&mut self, want: usize) {
        self.want = self.want.max(want);
        self.share = self.want.div_ceil(usize::from(self.paths));
    }

    /// From now on has this many requests in flight, divided among the paths.
    pub fn hasten(&mut self, in_flight: usize) {
        let per_path = in_flight.div_ceil(usize::from(self.paths));
        self.per_path = self.per_path.max(u8::try_from(per_path).unwrap_or(u8::MAX));
    }

    /// From now on asks those that are certainly among the closest in random order: which of them are
    /// the very closest, an attacker can choose. Those of them that it began with are dealt to the
    /// paths anew, in that order: dealt nearest first, each path would have one of the very closest among
    /// the few that it chooses from.
    pub fn draw_lots(&mut self, lots: Option<Lots>) {
        self.lots = lots;
        let Some(lots) = lots else { return };
        let mut drawn: Vec<(u64, usize)> = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            match lots.draw(candidate) {
                Some(lot) if candidate.is_seed && candidate.state == State::Heard => {
                    drawn.push((lot, index));
                }
                Some(_) => {}
                None => break,
            }
        }
        drawn.sort_unstable();
        for (turn, (_, index)) in drawn.into_iter().enumerate() {
            self.candidates[index].told = 1 << (turn % usize::from(self.paths));
        }
    }

    /// Adds contacts of this node, nearest first, to those it began with.
    pub fn add_seeds(&mut self, seeds: &[NodeInfo]) {
        let paths = usize::from(self.paths);
        for (index, seed) in seeds.iter().enumerate() {
            self.add(*seed, 1 << (index % paths), None, 1);
        }
    }

    /// Adds nodes that were found responsive just now: they count as if this lookup had asked them.
    pub fn assume_answered<'a>(&mut self, nodes: impl Iterator<Item = &'a NodeInfo>) {
        let paths = usize::from(self.paths);
        for (index, node) in nodes.enumerate() {
            self.add(*node, 1 << (index % paths), None, 1);
        }
        for index in 0..self.candidates.len() {
            if self.candidates[index].state == State::Heard {
                self.candidates[index].state = State::Answered;
                self.answers += 1;
            }
        }
    }

    /// Asks nodes once more, as many as in a new lookup: what is asked now is another question. What
    /// they still answer to the one before is no longer this lookup's.
    pub fn ask_again(&mut self, which: impl Fn(&NodeId) -> bool) {
        self.asked = 0;
        for index in 0..self.candidates.len() {
            if !which(&self.candidates[index].node.id) {
                continue;
            }
            match self.candidates[index].state {
                State::Heard | State::Failed => continue,
                State::Asked => self.release(index),
                State::Late => self.late -= 1,
                State::Answered => self.answers = self.answers.saturating_sub(1),
            }
            self.candidates[index].state = State::Heard;
        }
    }

    /// The next node to ask, if one may be asked now. The caller sends the request.
    pub fn next_ask(&mut self) -> Option<Ask> {
        self.next_ask_on(u16::MAX)
    }

    /// The next node to ask on one of these paths, each a bit.
    pub fn next_ask_on(&mut self, paths: u16) -> Option<Ask> {
        while self.asked < MAX_REQUESTS {
            let (index, path) = match self.next_candidate(paths, false) {
                Some(next) => next,
                None if self.needs_doubtful() => self.next_candidate(paths, true)?,
                None => return None,
            };
            let candidate = &mut self.candidates[index];
            if !candidate.counted && !self.sites.add(&candidate.node.address) {
                candidate.state = State::Failed;
                continue;
            }
            candidate.counted = true;
            self.asked += 1;
            self.in_flight[usize::from(path)] += 1;
            candidate.state = State::Asked;
            candidate.is_slow = false;
            candidate.asked_on = Some(path);
            self.hops = self.hops.max(candidate.hops);
            return Some(Ask { node: candidate.node, path });
        }
        None
    }

    /// The candidate to ask next among those that matter on one of these paths with a request to
    /// spare: of those that are drawn by lot the first, or else the closest.
    fn next_candidate(&self, paths: u16, doubtful: bool) -> Option<(usize, u8)> {
        let mut reach = self.reach();
        let mut drawn: Option<(u64, usize, u8)> = None;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let lot = self.lots.and_then(|lots| lots.draw(candidate));
            if lot.is_none() && drawn.is_some() {
                break;
            }
            if !doubtful && self.is_doubtful(candidate) {
                continue;
            }
            let Some(matters) = reach.pass(candidate, candidate.keeps_waiting()) else {
                break;
            };
            if candidate.state != State::Heard {
                continue;
            }
            let free = (0..self.paths)
                .filter(|path| matters & paths & (1 << path) != 0)
                .filter(|path| self.in_flight[usize::from(*path)] < self.limit(*path))
                .min_by_key(|path| self.in_flight[usize::from(*path)]);
            match (free, lot) {
                (None, _) => {}
                (Some(path), None) => return Some((index, path)),
                (Some(path), Some(lot)) => {
                    if drawn.is_none_or(|(first, ..)| lot < first) {
                        drawn = Some((lot, index, path));
                    }
                }
            }
        }
        drawn.map(|(_, index, path)| (index, path))
    }

    fn reach(&self) -> Reach {
        Reach::new(self.want, self.share, self.paths)
    }

    /// Whether as many requests were sent as may be.
    pub fn is_exhausted(&self) -> bool {
        self.asked >= MAX_REQUESTS
    }

    /// Whether everything that matters has answered or failed.
    pub fn is_finished(&self) -> bool {
        self.is_over(false)
    }

    /// Whether everything that matters has answered or failed, those apart that are overdue: for
    /// callers that need some of the closest nodes, not proof that there are no others.
    pub fn is_settled(&self) -> bool {
        self.is_over(true)
    }

    fn is_over(&self, without_late: bool) -> bool {
        let exhausted = self.is_exhausted();
        let enough = self.has_enough();
        let late_may_miss = without_late && self.has_most();
        let mut reach = self.reach();
        for candidate in &self.candidates {
            if enough && self.is_doubtful(candidate) {
                continue;
            }
            let is_late = candidate.state == State::Late;
            match reach.pass(candidate, without_late && is_late) {
                None => return true,
                Some(0) => {}
                Some(_) => match candidate.state {
                    State::Late if late_may_miss => {}
                    State::Asked | State::Late => return false,
                    State::Heard if !exhausted => return false,
                    _ => {}
                },
            }
        }
        true
    }

    /// A node answered with these nodes (none, if it answered with something else).
    /// False if it was not being asked.
    pub fn answered(&mut self, id: &NodeId, nodes: &[NodeInfo]) -> bool {
        let Some((path, hops)) = self.settle(id, State::Answered) else { return false };
        let namer = self.namers.number(id);
        for node in nodes {
            self.add(*node, 1 << path, Some((*id, namer)), hops.saturating_add(1));
        }
        true
    }

    /// A node takes longer than usual: its path may ask one more meanwhile, and beyond its share. It is
    /// still waited for.
    pub fn slow(&mut self, id: &NodeId) {
        if let Some(index) = self.position(id)
            && let Candidate { state: State::Asked, is_slow: false, asked_on: Some(path), .. } =
                self.candidates[index]
        {
            self.candidates[index].is_slow = true;
            self.slow[usize::from(path)] += 1;
            self.spare(path, MAX_EXTRA_SLOW);
        }
    }

    /// Gives a path one more request in flight, up to so many beyond its share.
    fn spare(&mut self, path: u8, most: u8) {
        let extra = &mut self.extra[usize::from(path)];
        if *extra < most {
            *extra += 1;
        }
    }

    /// A node is slower than it should be: the path goes on without it.
    pub fn late(&mut self, id: &NodeId) {
        if let Some(index) = self.position(id)
            && self.candidates[index].state == State::Asked
        {
            self.candidates[index].state = State::Late;
            self.late += 1;
            self.release(index);
            if let Candidate { asked_on: Some(path), is_slow: false, .. } = self.candidates[index] {
                self.spare(path, MAX_EXTRA);
            }
            self.namers.judge(self.candidates[index].namers, false);
        }
    }

    /// This node has found a node silent, just now or a moment ago: it is asked last.
    pub fn doubt(&mut self, id: &NodeId) {
        if let Some(index) = self.position(id) {
            self.candidates[index].silent = true;
        }
    }

    /// A node did not answer, or could not be reached: if it is said to listen elsewhere too, it is
    /// asked there. False if it was not asked.
    pub fn failed(&mut self, id: &NodeId) -> bool {
        let was_asked = self.settle(id, State::Failed).is_some();
        if was_asked && let Some(index) = self.position(id) {
            self.candidates[index].choose_address(&self.namers);
        }
        was_asked
    }

    /// A node refused. False if it was not asked.
    pub fn refused(&mut self, id: &NodeId) -> bool {
        self.settle(id, State::Failed).is_some()
    }

    /// How many of the closest nodes must have answered at its end.
    pub fn wanted(&self) -> usize {
        self.want
    }

    /// The `count` closest that answered, nearest first.
    pub fn closest_answered(&self, count: usize) -> impl Iterator<Item = NodeInfo> + '_ {
        self.candidates
            .iter()
            .filter(|candidate| candidate.state == State::Answered)
            .map(|candidate| candidate.node)
            .take(count)
    }

    /// All nodes that have not failed and are not doubtful, nearest first: where records may be
    /// put.
    pub fn usable(&self) -> impl Iterator<Item = &Candidate> + '_ {
        self.candidates
            .iter()
            .filter(|candidate| candidate.state != State::Failed && !self.is_doubtful(candidate))
    }

    /// Doubtful candidates, nearest first: records are stored on them only as a last resort.
    pub fn doubtful(&self) -> impl Iterator<Item = &Candidate> + '_ {
        self.candidates.iter().filter(|candidate| self.is_doubtful(candidate))
    }

    /// Whether a node that has not answered was found unresponsive before, or was named only by
    /// peers of whose nodes several did not answer.
    pub fn is_doubtful(&self, candidate: &Candidate) -> bool {
        if matches!(candidate.state, State::Answered | State::Failed) {
            return false;
        }
        candidate.silent || !(candidate.is_seed || self.namers.is_trusted(candidate.namers))
    }

    /// The distances of all nodes that have not failed, nearest first, without those that are too
    /// many of one address prefix: they will not be asked.
    pub fn distances(&self) -> Vec<Distance> {
        let mut sites = DiversityCounter::new(self.sites.limits());
        let distinct = self.usable().filter(|candidate| sites.add(&candidate.node.address));
        distinct.map(|candidate| candidate.distance).collect()
    }

    /// All candidates, nearest first.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Requests in flight that still count against the parallelism.
    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().map(|count| usize::from(*count)).sum()
    }

    /// Requests in flight that are not slow.
    pub fn in_time(&self) -> usize {
        (0..self.paths).map(|path| usize::from(self.in_time_on(path))).sum()
    }

    /// The paths on which requests are in flight and in time, each a bit.
    pub fn busy_paths(&self) -> u16 {
        let busy = (0..self.paths).filter(|path| self.in_time_on(*path) > 0);
        busy.fold(0, |paths, path| paths | 1 << path)
    }

    fn in_time_on(&self, path: u8) -> u8 {
        let path = usize::from(path);
        self.in_flight[path].saturating_sub(self.slow[path])
    }

    /// Requests that are overdue and have not been answered since, nor failed.
    pub fn late_ones(&self) -> usize {
        self.late
    }

    /// The most requests that may be in flight.
    pub fn parallelism(&self) -> usize {
        (0..self.paths).map(|path| usize::from(self.limit(path))).sum()
    }

    /// The most requests that one path may have in flight.
    fn limit(&self, path: u8) -> u8 {
        self.per_path.saturating_add(self.extra[usize::from(path)])
    }

    /// The longest chain of nodes that was followed.
    pub fn hops(&self) -> u32 {
        u32::from(self.hops)
    }

    /// What is known of a node.
    pub fn candidate(&self, id: &NodeId) -> Option<&Candidate> {
        self.position(id).map(|index| &self.candidates[index])
    }

    /// How many nodes of one address prefix it asks.
    pub fn diversity(&self) -> DiversityLimits {
        self.sites.limits()
    }

    fn add(&mut self, node: NodeInfo, told: u16, named_by: Option<(NodeId, Option<u8>)>, hops: u8) {
        if node.id == self.own || !node.address.is_dialable() {
            return;
        }
        let distance = self.target.distance(&node.id);
        let namer = named_by.and_then(|(_, namer)| namer);
        match self.candidates.binary_search_by(|candidate| candidate.distance.cmp(&distance)) {
            Ok(index) => {
                let known = &mut self.candidates[index];
                known.told |= told;
                let known_of_it = known.named(node.address, namer);
                known.choose_address(&self.namers);
                if named_by.is_none() && known.state == State::Heard {
                    known.node.address = node.address;
                    known.is_seed = true;
                }
                if let (Some(namer), Some(answered)) = (namer, known_of_it) {
                    self.namers.judge_one(namer, answered);
                }
            }
            Err(index) => {
                if self.candidates.len() >= MAX_CANDIDATES && !self.make_room(index) {
                    return;
                }
                let named_by = named_by.map(|(id, _)| id);
                let candidate = Candidate::new((distance, node), told, named_by, namer, hops);
                self.candidates.insert(index, candidate);
            }
        }
    }

    /// Drops the farthest candidate that was not asked, if it is farther than place `index`.
    fn make_room(&mut self, index: usize) -> bool {
        let farthest = self.candidates.iter().rposition(|one| one.state == State::Heard);
        match farthest {
            Some(farthest) if farthest >= index => {
                self.candidates.remove(farthest);
                true
            }
            _ => false,
        }
    }

    /// Doubtful ones are asked when nothing else can be, and something is wanting.
    fn needs_doubtful(&self) -> bool {
        !self.has_enough() && self.in_flight() == 0
    }

    /// Whether enough nodes have answered to do without doubtful candidates: half of what
    /// is wanted, and of k at the most. A search may want more nodes than exist, if it was widened
    /// or some of the closest are dead, and would end with a timeout for each invented node.
    fn has_enough(&self) -> bool {
        2 * self.answers >= self.want.min(K)
    }

    /// Whether enough nodes have answered not to wait for overdue ones: half of what is
    /// wanted, or of all nodes not known to be unresponsive, in a smaller network.
    fn has_most(&self) -> bool {
        let is_known = |one: &&Candidate| match one.state {
            State::Failed => false,
            State::Answered => true,
            _ => !one.silent,
        };
        let known = self.candidates.iter().filter(is_known).count();
        self.answers > 0 && 2 * self.answers >= self.want.min(K).min(known)
    }

    fn settle(&mut self, id: &NodeId, state: State) -> Option<(u8, u8)> {
        let index = self.position(id)?;
        match self.candidates[index].state {
            State::Asked => {
                self.release(index);
                self.namers.judge(self.candidates[index].namers, state == State::Answered);
            }
            // That it was overdue was held against its namers already.
            State::Late => {
                self.late -= 1;
                if state == State::Answered {
                    self.namers.judge(self.candidates[index].namers, true);
                }
            }
            _ => return None,
        }
        self.answers += usize::from(state == State::Answered);
        let candidate = &mut self.candidates[index];
        candidate.state = state;
        Some((candidate.asked_on?, candidate.hops))
    }

    fn release(&mut self, index: usize) {
        let Candidate { asked_on: Some(path), is_slow, .. } = self.candidates[index] else {
            return;
        };
        let path = usize::from(path);
        self.in_flight[path] = self.in_flight[path].saturating_sub(1);
        self.slow[path] = self.slow[path].saturating_sub(u8::from(is_slow));
    }

    fn position(&self, id: &NodeId) -> Option<usize> {
        let distance = self.target.distance(id);
        self.candidates.binary_search_by(|candidate| candidate.distance.cmp(&distance)).ok()
    }
}

#[cfg(test)]
mod tests;
