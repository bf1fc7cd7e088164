//! GET: ask the replicas, and believe what proves itself or what enough of them agree on.
//!
//! Two stages, of which an honest network needs the first:
//!
//! 1. *Searching*: a lookup by FIND_VALUE. It ends early with a value that proves itself, or with
//!    `quorum` votes and no dissent; otherwise it runs to its end, and without dissent what it
//!    found decides.
//! 2. *Electing*: there was dissent. Nodes that answered with a value named no neighbours, so the
//!    true k closest are found by FIND_NODE first. Then each of them that has not voted is asked.
//!    Most votes win.
//!
//! Only those may vote who should hold the value: the k closest that are known and have not failed,
//! no farther from the key than the size of the network explains. Anyone on the way can claim to
//! have a value, and honest nodes there, who have none, do not contradict; on a way of several hops
//! liars alone would be five soon. Nor can one path, once it has fallen to them, bring more than
//! one of the votes that end a search early.
//!
//! Where the nodes around the key are denser than the size of the network explains, some of them
//! probably chose their IDs. Then neither their agreement nor their silence is enough: the search
//! is widened by as many as are too many, to where the PUT has gone too, and everyone votes.
//!
//! Neither waits for those who are late once they could not change the outcome, though all of them
//! agreed on something else.
//!
//! A value that this node published itself is a floor: votes for older versions do not count,
//! so that a program always reads its own writes.

use std::collections::BTreeSet;

use bytes::Bytes;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::{Answer, Found, Next, Published};
use crate::density::SizeEstimate;
use crate::lookup::{Ask, Breadth, Lookup, State};
use crate::record::order::Rank;
use crate::vote::{Ballot, Vote, Winner};

/// How many times as far from the key as the k-th closest node is on average an early vote may come
/// from: the k-th closest is never as far, even if the size of the network is estimated at half
/// too much (three standard deviations of a first estimate).
const MAX_REACH: f64 = 2.5;

/// A search for a value.
#[derive(Clone, Debug)]
pub struct Get {
    key: Key,
    own: NodeId,
    quorum: usize,
    breadth: Breadth,
    size: Option<SizeEstimate>,
    widened: bool,
    floor: Option<Published>,
    ballot: Ballot,
    /// The k closest, once they are known: their votes decide.
    electors: Vec<NodeId>,
    proof: Option<Bytes>,
    /// Who returned the proof; `None` if this node published it.
    proved_by: Option<NodeId>,
    search: Lookup,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Searching,
    Electing(Box<Election>),
    Decided,
}

/// Finding the k closest, and asking for their votes.
#[derive(Clone, Debug)]
struct Election {
    lookup: Lookup,
    /// Who was asked for a vote.
    polled: BTreeSet<NodeId>,
    /// Those of them who have not answered, in time so far.
    asked: BTreeSet<NodeId>,
    /// Those who are late.
    late: BTreeSet<NodeId>,
}

/// Votes of those who may vote while the search goes on.
#[derive(Clone, Copy, Debug, Default)]
struct EarlyVotes {
    count: usize,
    /// Disjoint paths on which they came, each a bit.
    paths: u16,
    /// Whether this node's own vote, which came on none, is among them.
    own: bool,
}

impl Get {
    /// A search for the value of `key`. `floor` is what this node published under it, and
    /// `held` the record that it holds as a replica: its own vote.
    pub fn new(
        own: NodeId,
        search: Lookup,
        breadth: Breadth,
        quorum: usize,
        size: Option<SizeEstimate>,
        floor: Option<Published>,
        held: Option<Record>,
    ) -> Self {
        let key = search.target();
        let ballot = Ballot::on(key);
        let mut get = Self {
            key,
            own,
            quorum,
            breadth,
            size,
            widened: false,
            floor,
            ballot,
            electors: Vec::new(),
            proof: None,
            proved_by: None,
            search,
            stage: Stage::Searching,
        };
        if let Some(floor) = &get.floor
            && key.proves(&floor.value)
        {
            get.proof = Some(floor.value.clone());
        }
        if let Some(record) = held {
            get.count(own, record);
        }
        get
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        &self.search
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        loop {
            match &mut self.stage {
                Stage::Decided => return Next::Done,
                Stage::Searching => {
                    if self.proof.is_some() {
                        self.stage = Stage::Decided;
                    } else if self.has_quorum() {
                        let is_dense = self.widen_if_dense();
                        self.stage = if is_dense { self.elect() } else { Stage::Decided };
                    } else if self.ballot.has_dissent() {
                        self.widen_if_dense();
                        self.stage = self.elect();
                    } else if self.could_be_enough() {
                        return Next::Wait;
                    } else if let Some(ask) = self.next_ask() {
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    } else if !self.search.is_finished() && !self.is_decided_without_late() {
                        return Next::Wait;
                    } else if !self.widen_if_dense() {
                        self.stage = Stage::Decided;
                    }
                }
                Stage::Electing(election) => {
                    let Breadth { want, alpha, paths, .. } = self.breadth;
                    if let Some(ask) = election.lookup.next_ask() {
                        let body = Body::FindNode { target: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    if !election.lookup.is_settled() {
                        return Next::Wait;
                    }
                    if election.asked.len() < alpha.max(paths)
                        && let Some(node) = election.next_to_poll(want, &self.ballot)
                    {
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node, path: 0, body };
                    }
                    if !election.asked.is_empty() {
                        return Next::Wait;
                    }
                    let unheard = election.unheard(want);
                    let closest = election.lookup.closest_answered(want);
                    self.electors = electors(self.key, closest, &self.own, want);
                    if unheard > 0 && !self.is_beyond(unheard) {
                        return Next::Wait;
                    }
                    self.stage = Stage::Decided;
                }
            }
        }
    }

    /// An answer came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Electing(election) = &mut self.stage {
            election.asked.remove(from);
            election.late.remove(from);
        }
        match answer {
            Answer::Value(record) => {
                self.search.answered(from, &[]);
                self.count(*from, record);
            }
            Answer::Nodes(nodes) => {
                self.search.answered(from, &nodes);
                if let Stage::Electing(election) = &mut self.stage {
                    election.lookup.answered(from, &nodes);
                }
            }
            Answer::Stored | Answer::Delivered | Answer::Refused(_) | Answer::Failed => {
                self.search.failed(from);
                if let Stage::Electing(election) = &mut self.stage {
                    election.lookup.failed(from);
                }
            }
        }
    }

    /// A request is late.
    pub fn handle_late(&mut self, node: &NodeId) {
        self.search.late(node);
        if let Stage::Electing(election) = &mut self.stage {
            election.lookup.late(node);
            election.late.extend(election.asked.take(node));
        }
    }

    /// This node was found silent before.
    pub fn doubt(&mut self, node: &NodeId) {
        self.search.doubt(node);
        if let Stage::Electing(election) = &mut self.stage {
            election.lookup.doubt(node);
        }
    }

    /// What was found. Meaningful once [`Next::Done`] has come.
    pub fn found(&self) -> Found {
        if let Some(value) = &self.proof {
            let version = self.floor.as_ref().map(|floor| floor.version);
            return Found { value: Some(value.clone()), version, agreeing: 1, dissenting: 0 };
        }
        match (self.winner(), &self.floor) {
            (Some(winner), _) => Found {
                value: Some(winner.value),
                version: winner.version,
                agreeing: winner.agreeing,
                dissenting: winner.dissenting,
            },
            (None, Some(floor)) => Found {
                value: Some(floor.value.clone()),
                version: Some(floor.version),
                agreeing: 0,
                dissenting: 0,
            },
            (None, None) => Found::default(),
        }
    }

    /// Whether this node returned what was found.
    pub fn agrees(&self, node: &NodeId) -> bool {
        if self.proof.is_some() {
            return self.proved_by.as_ref() == Some(node);
        }
        let winner = self.ballot.winner();
        let mut votes = self.ballot.votes().iter();
        winner.is_some_and(|winner| {
            votes.any(|vote| vote.voter == *node && vote.value == winner.value)
        })
    }

    /// Nodes whose vote the others deny, and who cannot have missed an update.
    pub fn liars(&self) -> Vec<NodeId> {
        match self.winner() {
            Some(winner) if self.proof.is_none() && winner.agreeing > winner.dissenting => {
                self.ballot.liars(&winner).filter(|liar| *liar != self.own).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Widens the search, once, if the neighbourhood is too dense. Whether it did.
    fn widen_if_dense(&mut self) -> bool {
        let Some(size) = self.size.filter(|_| !self.widened) else { return false };
        let excess = size.excess(&self.search.distances());
        self.widened = excess > 0;
        if self.widened {
            self.breadth.want += excess;
            self.search.widen(self.breadth.want);
        }
        self.widened
    }

    fn winner(&self) -> Option<Winner> {
        self.ballot.among(|voter| self.electors.contains(voter)).winner()
    }

    /// Whether enough of those who should hold the value agree, and nobody dissents.
    fn has_quorum(&self) -> bool {
        let early = self.early_votes();
        !self.ballot.has_dissent() && self.is_quorum(early, early.count)
    }

    /// Whether nobody is left but those who are late, and all of them together could not outvote
    /// the others.
    fn is_decided_without_late(&self) -> bool {
        if !self.search.is_settled() {
            return false;
        }
        self.early_votes().count > unheard(&self.search, self.breadth.want)
    }

    /// Whether the winner is as many votes ahead as no `unheard` can make up for.
    fn is_beyond(&self, unheard: usize) -> bool {
        self.winner().is_some_and(|winner| winner.agreeing > winner.dissenting + unheard)
    }

    /// Whether the requests under way can complete the quorum: then no further one is sent. For each
    /// that is late there must be one to spare: where one is silent, others are.
    fn could_be_enough(&self) -> bool {
        let early = self.early_votes();
        let paths = early.paths | self.search.busy_paths();
        let in_flight = self.search.in_flight();
        let count = (early.count + in_flight).saturating_sub(self.search.late_ones());
        in_flight > 0 && self.is_quorum(EarlyVotes { paths, ..early }, count)
    }

    fn is_quorum(&self, early: EarlyVotes, count: usize) -> bool {
        let paths = early.paths.count_ones() as usize + usize::from(early.own);
        count >= self.quorum && paths >= self.quorum.min(self.breadth.paths)
    }

    /// The next to ask: on a path that has not brought a vote, where there is one.
    fn next_ask(&mut self) -> Option<Ask> {
        let fresh = !self.early_votes().paths;
        match self.search.next_ask_on(fresh) {
            Some(ask) => Some(ask),
            None => self.search.next_ask(),
        }
    }

    fn early_votes(&self) -> EarlyVotes {
        let mut early = EarlyVotes::default();
        if self.ballot.votes().is_empty() {
            return early;
        }
        let reach = self.size.map_or(1.0, |size| MAX_REACH * size.reach(self.breadth.want));
        let own = self.key.distance(&self.own);
        let mut nearer = 0;
        for candidate in self.search.usable().take(self.breadth.want) {
            if candidate.distance.as_fraction() > reach {
                break;
            }
            nearer += usize::from(candidate.distance < own);
            if self.ballot.has_voted(&candidate.node.id) {
                early.count += 1;
                early.paths |= candidate.asked_on.map_or(0, |path| 1 << path);
            }
        }
        if nearer < self.breadth.want
            && own.as_fraction() <= reach
            && self.ballot.has_voted(&self.own)
        {
            early.count += 1;
            early.own = true;
        }
        early
    }

    fn count(&mut self, voter: NodeId, record: Record) {
        if self.key.proves(&record.value) {
            self.proof = Some(record.value);
            self.proved_by = Some(voter);
            return;
        }
        let stale = self.floor.as_ref().is_some_and(|floor| {
            let rank = Rank::of(&self.key, &record.value, record.version.unwrap_or(0));
            record.value != floor.value && rank < floor.rank(&self.key)
        });
        if !stale {
            let Record { value, version, ttl, .. } = record;
            self.ballot.cast(Vote { voter, value, version, ttl });
        }
    }

    fn elect(&self) -> Stage {
        let seeds: Vec<NodeInfo> = self
            .search
            .usable()
            .map(|candidate| candidate.node)
            .take(2 * self.breadth.want)
            .collect();
        Stage::Electing(Box::new(Election {
            lookup: Lookup::new(self.key, self.own, self.breadth, &seeds),
            polled: BTreeSet::new(),
            asked: BTreeSet::new(),
            late: BTreeSet::new(),
        }))
    }
}

impl Election {
    /// One of the k closest who has not voted, nor was asked to.
    fn next_to_poll(&mut self, want: usize, ballot: &Ballot) -> Option<NodeInfo> {
        let is_open = |node: &NodeInfo| !self.polled.contains(&node.id);
        let next = self
            .lookup
            .closest_answered(want)
            .find(|node| is_open(node) && !ballot.has_voted(&node.id))?;
        self.polled.insert(next.id);
        self.asked.insert(next.id);
        Some(next)
    }

    /// How many may still have a vote, and are late.
    fn unheard(&self, want: usize) -> usize {
        if self.lookup.is_finished() {
            return self.late.len();
        }
        self.late.len() + unheard(&self.lookup, want)
    }
}

/// How many of the `want` closest have not answered, of those who have not failed.
fn unheard(lookup: &Lookup, want: usize) -> usize {
    let alive = lookup.candidates().iter().filter(|one| one.state != State::Failed);
    alive.take(want).filter(|one| one.state != State::Answered).count()
}

/// The `want` closest of these and this node.
fn electors(
    key: Key,
    closest: impl Iterator<Item = NodeInfo>,
    own: &NodeId,
    want: usize,
) -> Vec<NodeId> {
    let mut electors: Vec<NodeId> = closest.map(|node| node.id).collect();
    let place = electors.partition_point(|id| key.distance(id) < key.distance(own));
    electors.insert(place, *own);
    electors.truncate(want);
    electors
}

#[cfg(test)]
mod tests;
