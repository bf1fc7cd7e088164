//! The election of a GET: finds the complete neighbourhood of the key, and asks it for its votes.
//!
//! Nodes that answered the search with a value named no neighbours, so they are asked for them by
//! FIND_NODE; nodes that answered with nodes have no value, and need not be asked again. Each node
//! close enough to have a vote is asked for it at the same time. Both questions go to as many nodes
//! in parallel as a replica set has, so that an election takes two or three round trips rather than one
//! for every few nodes; it asks the same nodes, on the same disjoint paths. The neighbourhood is
//! evaluated again once it is complete: as many nodes as are too many vote in addition.
//!
//! An attacker that surrounds the key with more IDs than an answer can name hides the honest nodes
//! behind them. So the table's own contacts around the key are queried too, four times as many as
//! at first, and nodes are asked for their neighbours at points beside the key, where few of those
//! IDs are among the closest.

use std::collections::BTreeMap;

use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId};

use super::policy::ReadPolicy;
use crate::config::K;
use crate::density::CONTACTS;
use crate::density::crowds::{Crowds, Strictness};
use crate::lookup::{Candidate, Lookup, MAX_CANDIDATES, State};
use crate::operation::{Answer, Next};
use crate::vote::{Ballot, FULL_WEIGHT};

/// What the neighbourhood is judged by: the replicas contradict each other. All of it: the crowds of several
/// keys close to each other are many nodes.
const SUSPICIOUS: Strictness = Strictness { searched: MAX_CANDIDATES, ..Strictness::SUSPICIOUS };
/// Nodes asked for their neighbours concurrently: a replica set.
const LOCATED_IN_FLIGHT: usize = K;
/// Votes requested concurrently: a replica set. Each may bring a value of 64 KiB, 1.25 MiB in all.
const POLLS_IN_FLIGHT: usize = K;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Election {
    pub(super) lookup: Lookup,
    key: Key,
    own: NodeId,
    policy: ReadPolicy,
    /// How many of the closest vote.
    want: usize,
    crowds: Crowds,
    has_contacts: bool,
    /// A node that was just asked for its neighbours, and may be asked for its vote too.
    asked_last: Option<NodeInfo>,
    /// Nodes that were asked for their vote, or need not be.
    polls: BTreeMap<NodeId, Poll>,
    /// FIND_NODE requests that were sent.
    located: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    Pending,
    Late,
    Done,
}

impl Election {
    /// An election among what this search has found.
    pub(super) fn new(search: &Lookup, own: NodeId, policy: &ReadPolicy, ballot: &Ballot) -> Self {
        let mut lookup = search.clone();
        lookup.draw_lots(None);
        lookup.hasten(LOCATED_IN_FLIGHT);
        let asked = search.candidates().iter().filter_map(|candidate| {
            let poll = match candidate.state {
                State::Asked => Poll::Pending,
                State::Late => Poll::Late,
                State::Answered if !ballot.has_voted(&candidate.node.id) => Poll::Done,
                State::Answered | State::Heard | State::Failed => return None,
            };
            Some((candidate.node.id, poll))
        });
        let polls: BTreeMap<NodeId, Poll> = asked.collect();
        let key = search.target();
        let crowds = policy.size.map(|size| size.crowds(&search.distances(), SUSPICIOUS));
        let crowds = crowds.unwrap_or_default();
        lookup.ask_again(|id| {
            // The referrals of its members do not matter once they have voted.
            let is_crowd = crowds.contains(&key.distance(id));
            polls.get(id) != Some(&Poll::Done) && !(is_crowd && ballot.has_voted(id))
        });
        let mut election = Self {
            lookup,
            key,
            own,
            policy: *policy,
            want: policy.breadth.want,
            crowds,
            has_contacts: false,
            asked_last: None,
            polls,
            located: 0,
        };
        election.judge();
        election
    }

    /// What to do next; `None` once the whole electorate was asked, and only votes that are
    /// outstanding can change the outcome.
    pub(super) fn next_step(&mut self, ballot: &Ballot) -> Option<Next> {
        if !std::mem::replace(&mut self.has_contacts, true) {
            return Some(Next::MoreContacts(CONTACTS * self.policy.breadth.want));
        }
        loop {
            if let Some(next) = self.poll_asked_last(ballot) {
                return Some(next);
            }
            if let Some(ask) = self.lookup.next_ask() {
                self.asked_last = Some(ask.node);
                let body = Body::FindNode { target: self.next_target() };
                return Some(Next::Ask { node: ask.node, path: ask.path, body });
            }
            if let Some(node) = self.next_to_poll(ballot) {
                return Some(self.poll(node));
            }
            if !self.lookup.is_settled() || self.has_unpolled(ballot) {
                return Some(Next::Wait);
            }
            if !self.judge() {
                return None;
            }
        }
    }

    /// Judges the neighbourhood as it is known now. Whether more nodes vote than before.
    fn judge(&mut self) -> bool {
        let Some(size) = self.policy.size else { return false };
        let distances = self.lookup.distances();
        self.crowds = size.crowds(&distances, SUSPICIOUS);
        let excess = size.excess_at(&distances, SUSPICIOUS.significance);
        let want = self.policy.breadth.want + excess;
        let is_wider = want > self.want;
        self.want = self.want.max(want);
        self.lookup.widen(self.want);
        is_wider
    }

    /// The point for whose neighbours the next node is asked: the key, or, around a crowd, one of
    /// several beside it in turn.
    fn next_target(&mut self) -> Key {
        let turn = self.located;
        self.located += 1;
        let Some(size) = self.policy.size else { return self.key };
        size.point_beside(self.key, &self.crowds, self.want, turn)
    }

    /// Asks the node that was just asked for its neighbours for its vote as well.
    fn poll_asked_last(&mut self, ballot: &Ballot) -> Option<Next> {
        let node = self.asked_last.take()?;
        let reach = self.policy.size.map_or(1.0, |size| size.reach(self.want));
        let is_near = self.key.distance(&node.id).as_fraction() <= reach;
        let is_open = is_near && self.is_open(&node.id, ballot) && self.may_poll();
        is_open.then(|| self.poll(node))
    }

    /// The closest node of the electorate that has not voted, nor was asked to.
    fn next_to_poll(&self, ballot: &Ballot) -> Option<NodeInfo> {
        if !self.may_poll() {
            return None;
        }
        let mut closest = self.lookup.closest_answered(self.want);
        closest.find(|node| self.is_open(&node.id, ballot))
    }

    fn has_unpolled(&self, ballot: &Ballot) -> bool {
        let mut closest = self.lookup.closest_answered(self.want);
        closest.any(|node| self.is_open(&node.id, ballot))
    }

    fn is_open(&self, id: &NodeId, ballot: &Ballot) -> bool {
        !self.polls.contains_key(id) && !ballot.has_voted(id)
    }

    fn may_poll(&self) -> bool {
        self.polls.values().filter(|poll| **poll == Poll::Pending).count() < POLLS_IN_FLIGHT
    }

    fn poll(&mut self, node: NodeInfo) -> Next {
        self.polls.insert(node.id, Poll::Pending);
        Next::Ask { node, path: 0, body: Body::FindValue { key: self.key } }
    }

    /// An answer came. A node may have been asked for its neighbours and for its vote, and either
    /// answer may name nodes: the first that does is taken for its neighbours.
    pub(super) fn handle_answer(&mut self, from: &NodeId, answer: &Answer) {
        let was_located = match answer {
            Answer::Value(_) => false,
            Answer::Nodes(nodes) => self.lookup.answered(from, nodes),
            Answer::Refused(_) => self.lookup.refused(from),
            Answer::Alive | Answer::Stored | Answer::Delivered | Answer::Failed => {
                self.lookup.failed(from)
            }
        };
        if !was_located && let Some(poll) = self.polls.get_mut(from) {
            *poll = Poll::Done;
        }
    }

    /// A request is overdue.
    pub(super) fn handle_late(&mut self, node: &NodeId) {
        let is_located = self.lookup.candidate(node).is_some_and(|it| it.state == State::Asked);
        self.lookup.late(node);
        if !is_located
            && let Some(poll) = self.polls.get_mut(node)
            && *poll == Poll::Pending
        {
            *poll = Poll::Late;
        }
    }

    /// What the votes that are outstanding could count.
    pub(super) fn outstanding(&self, ballot: &Ballot) -> u32 {
        let polled = self.polls.iter().filter(|(_, poll)| **poll != Poll::Done);
        let weights = polled.map(|(id, _)| self.weight(id));
        // Nodes that were not found may vote as well.
        let alive = self.lookup.candidates().iter().filter(|one| one.state != State::Failed);
        let is_unheard =
            |one: &&Candidate| one.state != State::Answered && self.is_open(&one.node.id, ballot);
        let unheard = match self.lookup.is_finished() {
            true => 0,
            false => alive.take(self.want).filter(is_unheard).count(),
        };
        weights.sum::<u32>().saturating_add((unheard as u32).saturating_mul(FULL_WEIGHT))
    }

    /// The nodes whose votes decide, and what each counts: of those that answered and this node, the `want`
    /// closest, and more where crowds take a third of the votes of a replica set: IDs ground to be as many as could
    /// turn the vote mostly do, chance seldom does.
    ///
    /// Nodes beyond a replica set hold the value only if its publisher also saw that the neighbourhood is too
    /// dense, and then most of them do. Where they do not, and the reader alone suspects a crowd, a
    /// malicious one among them would have a vote that no honest one opposes: so only as many of them
    /// count, from the nearest on, as half of have voted.
    pub(super) fn electorate(&self, ballot: &Ballot) -> Vec<(NodeId, u32)> {
        let mut electors = self.neighbourhood(ballot);
        let replicas = self.policy.breadth.want.min(electors.len());
        let weight: u32 = electors[..replicas].iter().map(|(_, weight)| weight).sum();
        if 3 * weight >= 2 * self.replica_set() {
            electors.truncate(replicas);
            return electors;
        }
        let (mut total, mut voted, mut end) = (0, 0, replicas);
        for (place, (id, weight)) in electors.iter().enumerate().skip(replicas) {
            total += weight;
            voted += if ballot.has_voted(id) { *weight } else { 0 };
            if 2 * voted >= total {
                end = place + 1;
            }
        }
        electors.truncate(end);
        electors
    }

    /// The nodes around the key that have answered, and this node, as far as the electorate may reach.
    fn neighbourhood(&self, ballot: &Ballot) -> Vec<(NodeId, u32)> {
        let usable = self.lookup.usable().filter(|candidate| {
            candidate.state == State::Answered || ballot.has_voted(&candidate.node.id)
        });
        let mut ids: Vec<NodeId> = usable.map(|it| it.node.id).collect();
        let own = self.key.distance(&self.own);
        let place = ids.partition_point(|id| self.key.distance(id) < own);
        ids.insert(place, self.own);
        let enough = self.replica_set();
        let mut total: u32 = 0;
        let electors = ids.into_iter().map(|id| (id, self.weight(&id))).enumerate();
        let within = electors.take_while(|(place, (_, weight))| {
            let is_within = *place < self.want || total < enough;
            total = total.saturating_add(*weight);
            is_within
        });
        within.map(|(_, elector)| elector).collect()
    }

    /// What the votes count that one more answer could bring in, or take out: see [`Self::electorate`].
    pub(super) fn undecided(&self, ballot: &Ballot) -> u32 {
        let beyond = self.neighbourhood(ballot).into_iter().skip(self.policy.breadth.want);
        let votes = beyond.filter(|(id, _)| ballot.counts(id));
        votes.fold(0, |sum: u32, (_, weight)| sum.saturating_add(weight))
    }

    /// What the votes of a replica set count where nothing is too dense.
    fn replica_set(&self) -> u32 {
        self.policy.breadth.want as u32 * FULL_WEIGHT
    }

    fn weight(&self, id: &NodeId) -> u32 {
        self.crowds.weight(&self.key.distance(id))
    }
}
