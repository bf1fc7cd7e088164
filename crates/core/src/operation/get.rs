//! GET: query the replicas, and return a self-verifying value or the one that enough of them agree
//! on.
//!
//! Three states, of which an honest network needs the first and the last:
//!
//! 1. *Searching*: a lookup by FIND_VALUE. It ends early with a self-verifying value, or with
//!    `quorum` votes and no dissent. Otherwise it runs to its end, and without dissent the votes
//!    found decide.
//! 2. *Electing* ([`election`]): the replicas disagree, or there are so many more nodes around the key than
//!    chance explains that too few others are left. The complete neighbourhood is found and votes.
//! 3. *Decided*.
//!
//! Only nodes that should hold the value may vote: the k closest that are known and have not
//! failed, no farther from the key than the network size explains. Any node on the path can claim
//! to have a value, and honest nodes there, which have none, do not contradict it; on a path of
//! several hops there would soon be five malicious nodes. And one path, once under their control,
//! brings only one of the votes that end a search early.
//!
//! An attacker can grind IDs closer to a key than those of all honest nodes. Three rules defend
//! against that:
//!
//! - All nodes that certainly should hold the value are equivalent, so they are queried in random
//!   order: an attacker does not control the first five.
//! - Nodes beyond the number that the network size explains ([`crate::density::crowds::Crowds`]) have
//!   together as many votes as nodes are expected there.
//! - A search ends with fewer votes than an election only if three fifths of them remain when they are
//!   weighted as in one: the five nodes that are queried first may all be ground IDs, and yet be too few
//!   to be noticed.
//! - Neither their agreement nor their lack of answers is enough. Where there are more nodes than chance
//!   explains, a search ends early only by twice a quorum of others, as if those were not there. The
//!   election looks past them, as the PUT did.
//!
//! No state waits for overdue answers that could not change the outcome even if they all agreed on
//! another value, and a search for none once twice a quorum agree.
//!
//! Read-your-writes: votes that lose to a value that this node itself published do not count.
//!
//! A valid envelope voids every vote for a plain value, and the highest envelope returned wins. The
//! reader chooses how many nodes are asked for a newer one ([`ReadMode`]). An invalid envelope
//! counts as no answer.

use voiddht_wire::api::Freshness;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Distance, Key, NodeId};

use super::{Answer, Found, Next, Published};
use crate::density::crowds::{Crowds, Strictness};
use crate::lookup::{Ask, Candidate, Lookup, State};
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::vote::{Ballot, FULL_WEIGHT, Vote, Winner};

mod election;
mod policy;

use election::Election;
use policy::EarlyVotes;
pub use policy::{ReadMode, ReadPolicy};

/// How many times as far from the key as the k-th closest node is on average an early vote may come
/// from: the k-th closest is never as far, even if the size of the network is estimated at half
/// too much (three standard deviations of a first estimate).
const MAX_REACH: f64 = 2.5;

/// Stale holders that a GET brings up to date.
const MAX_REPAIRS: usize = 3;

/// A search for a value.
#[derive(Clone, Debug)]
pub struct Get {
    key: Key,
    own: NodeId,
    policy: ReadPolicy,
    floor: Option<Published>,
    ballot: Ballot,
    /// The nodes whose votes decide, and what each counts; empty unless there was an election.
    electorate: Vec<(NodeId, u32)>,
    proof: Option<Proof>,
    /// Values of the key whose class was checked before.
    known: Vec<VerifiedValue>,
    search: Lookup,
    stage: Stage,
}

/// A self-verifying value, and the node that returned it; `None` if this node published it.
#[derive(Clone, Debug)]
struct Proof {
    value: VerifiedValue,
    from: Option<NodeId>,
    /// Seconds that it still lives, as that node says.
    ttl: Option<u16>,
}

#[derive(Clone, Debug)]
enum Stage {
    Searching,
    Electing(Box<Election>),
    Decided,
}

impl Get {
    /// A search for the value of `key`. `floor` is what this node published under it, and
    /// `held` the record that it holds as a replica: its own vote.
    pub fn new(
        own: NodeId,
        search: Lookup,
        policy: ReadPolicy,
        floor: Option<Published>,
        held: Option<Record>,
    ) -> Self {
        Self::knowing(Vec::new(), own, search, policy, floor, held)
    }

    /// As [`Self::new`], with values of the key that were verified before: their signatures are not
    /// checked again.
    pub fn knowing(
        known: Vec<VerifiedValue>,
        own: NodeId,
        mut search: Lookup,
        policy: ReadPolicy,
        floor: Option<Published>,
        held: Option<Record>,
    ) -> Self {
        let key = search.target();
        search.draw_lots(policy.lots());
        let is_hash = |floor: &&Published| floor.value.class() == Class::ContentAddressed;
        let proof = floor.as_ref().filter(is_hash);
        let proof = proof.map(|floor| Proof { value: floor.value.clone(), ttl: None, from: None });
        let mut get = Self {
            key,
            own,
            policy,
            floor,
            ballot: Ballot::default(),
            electorate: Vec::new(),
            proof,
            known,
            search,
            stage: Stage::Searching,
        };
        if let Some(record) = held {
            get.count(own, record);
        }
        get
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        match &self.stage {
            Stage::Electing(election) => &election.lookup,
            Stage::Searching | Stage::Decided => &self.search,
        }
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        loop {
            let next = match self.stage {
                _ if self.proof.is_some() => return Next::Done,
                Stage::Searching => self.search_step(),
                Stage::Electing(_) => self.election_step(),
                Stage::Decided => return Next::Done,
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// A step of the search; `None` if it has ended.
    fn search_step(&mut self) -> Option<Next> {
        if self.ballot.is_signed() && self.policy.mode.freshness == Freshness::First {
            return self.decide();
        }
        if self.ballot.has_dissent() {
            return self.elect();
        }
        if self.has_quorum() {
            // Around a crowded key, ground IDs may be among the few that were queried: all replicas vote,
            // unless twice as many agree that are in no crowd.
            let crowds = self.crowds();
            if self.needs_all_replicas() || !self.could_do_without(&crowds) {
                return self.elect();
            }
            let is_enough = self.is_enough_without(&crowds, self.early_votes(without(&crowds)));
            if is_enough && self.is_enough_outside(&self.suspected_crowds()) {
                return self.decide();
            }
        }
        if self.could_be_enough() {
            return Some(Next::Wait);
        }
        if let Some(ask) = self.next_ask() {
            let body = Body::FindValue { key: self.key };
            return Some(Next::Ask { node: ask.node, path: ask.path, body });
        }
        if !self.search.is_finished() && !self.is_decided_without_late() {
            return Some(Next::Wait);
        }
        if !self.crowds().is_empty() || self.needs_everyone() {
            return self.elect();
        }
        self.decide()
    }

    /// A step of the election; `None` if it has ended.
    fn election_step(&mut self) -> Option<Next> {
        let Stage::Electing(election) = &mut self.stage else { return None };
        if let Some(next) = election.next_step(&self.ballot) {
            return Some(next);
        }
        self.electorate = election.electorate(&self.ballot);
        let outstanding = election.outstanding(&self.ballot);
        let undecided = election.undecided(&self.ballot);
        if outstanding > 0 && !self.is_beyond(outstanding.saturating_add(undecided)) {
            return Some(Next::Wait);
        }
        self.decide()
    }

    fn elect(&mut self) -> Option<Next> {
        let election = Election::new(&self.search, self.own, &self.policy, &self.ballot);
        self.stage = Stage::Electing(Box::new(election));
        None
    }

    fn decide(&mut self) -> Option<Next> {
        if let Stage::Electing(election) = std::mem::replace(&mut self.stage, Stage::Decided) {
            self.search = election.lookup;
        }
        None
    }

    /// These are contacts of this node closest to the key, nearest first: what
    /// [`Next::MoreContacts`] asks for.
    pub fn add_contacts(&mut self, contacts: &[NodeInfo]) {
        if let Stage::Electing(election) = &mut self.stage {
            election.lookup.add_seeds(contacts);
        }
    }

    /// An answer came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Electing(election) = &mut self.stage {
            election.handle_answer(from, &answer);
        } else {
            match &answer {
                Answer::Value(_) => self.search.answered(from, &[]),
                Answer::Nodes(nodes) => self.search.answered(from, nodes),
                Answer::Refused(_) => self.search.refused(from),
                Answer::Alive | Answer::Stored | Answer::Delivered | Answer::Failed => {
                    self.search.failed(from)
                }
            };
        }
        if let Answer::Value(record) = answer {
            self.count(*from, record);
        }
    }

    /// A request is overdue.
    pub fn handle_late(&mut self, node: &NodeId) {
        match &mut self.stage {
            Stage::Electing(election) => election.handle_late(node),
            Stage::Searching | Stage::Decided => self.search.late(node),
        }
    }

    /// A request takes longer than usual.
    pub fn handle_slow(&mut self, node: &NodeId) {
        match &mut self.stage {
            Stage::Electing(election) => election.lookup.slow(node),
            Stage::Searching | Stage::Decided => self.search.slow(node),
        }
    }

    /// This node was found unresponsive before.
    pub fn doubt(&mut self, node: &NodeId) {
        match &mut self.stage {
            Stage::Electing(election) => election.lookup.doubt(node),
            Stage::Searching | Stage::Decided => self.search.doubt(node),
        }
    }

    /// What was found. Meaningful once [`Next::Done`] has come.
    pub fn found(&self) -> Found {
        if let Some(proof) = &self.proof {
            let version = self.floor.as_ref().map(|floor| floor.version);
            let value = Some(proof.value.clone());
            return Found { value, version, agreeing: 1, dissenting: 0 };
        }
        match (self.winner(), self.floor.as_ref().filter(|floor| self.may_count(&floor.value))) {
            (Some(winner), _) => Found {
                value: Some(winner.value),
                version: winner.version,
                agreeing: winner.agreeing,
                dissenting: winner.dissenting,
            },
            (None, Some(floor)) => Found {
                value: Some(floor.value.clone()),
                version: Some(floor.version),
                ..Found::default()
            },
            (None, None) => Found::default(),
        }
    }

    /// Seconds that the value found still lives: the most that a replica that returned it says.
    pub fn ttl_left(&self, found: &Found) -> Option<u16> {
        let value = found.value.as_ref()?;
        let votes = self.ballot.votes().iter().filter(|vote| vote.value == *value);
        let proof = self.proof.as_ref().and_then(|proof| proof.ttl);
        votes.map(|vote| vote.ttl).chain(proof).max()
    }

    /// The nodes that returned what was found.
    pub fn agreeing(&self, found: &Found) -> Vec<NodeId> {
        if let Some(proof) = &self.proof {
            return proof.from.into_iter().collect();
        }
        let votes = self.ballot.votes().iter();
        let agree = votes.filter(|vote| found.value.as_ref() == Some(&vote.value));
        agree.map(|vote| vote.voter).collect()
    }

    /// Nodes that returned an older envelope than was found, or something else in its place, and the
    /// record that repairs them: with the smallest TTL and version that its holders name, so that a
    /// repair neither lengthens its TTL nor outbids its publisher. None where only original
    /// peers named it, which know no version.
    pub fn repair(&self) -> Option<(Record, Vec<NodeInfo>)> {
        let winner = self.winner().filter(|_| self.ballot.is_signed() && self.proof.is_none())?;
        let votes = self.ballot.votes().iter().filter(|vote| vote.value == winner.value);
        let version = votes.filter_map(|vote| vote.version).min()?;
        let stale = self.ballot.stale(&winner).filter(|id| *id != self.own);
        let node = |id: NodeId| Some(self.lookup().candidate(&id)?.node);
        let nodes: Vec<NodeInfo> = stale.filter_map(node).take(MAX_REPAIRS).collect();
        let record = Record {
            key: self.key,
            value: winner.value.bytes().clone(),
            ttl: winner.ttl,
            version: Some(version),
            maintenance: true,
        };
        (!nodes.is_empty() && winner.ttl > 0).then_some((record, nodes))
    }

    /// Nodes whose vote the others deny, and that cannot have missed an update.
    pub fn liars(&self) -> Vec<NodeId> {
        match self.winner() {
            Some(winner) if self.proof.is_none() && winner.agreeing > winner.dissenting => {
                self.ballot.liars(&winner).filter(|liar| *liar != self.own).collect()
            }
            _ => Vec::new(),
        }
    }

    fn winner(&self) -> Option<Winner> {
        let weight = |voter: &NodeId| {
            let elector = self.electorate.iter().find(|(elector, _)| elector == voter);
            elector.map(|(_, weight)| *weight)
        };
        self.ballot.among(weight).winner()
    }

    /// The nodes around the key that are too many, as far as the search has found any.
    fn crowds(&self) -> Crowds {
        let Some(size) = self.policy.size else { return Crowds::default() };
        size.crowds(&self.search.distances(), Strictness::CALM)
    }

    /// Whether enough of the nodes that should hold the value agree, and none dissents.
    fn has_quorum(&self) -> bool {
        !self.ballot.has_dissent() && self.policy.is_enough(self.early_votes(in_full))
    }

    /// Whether all outstanding answers are overdue, and together could not outvote the others, or twice as
    /// many agree as end a search on all paths: all nodes of one path may be unresponsive.
    fn is_decided_without_late(&self) -> bool {
        if !self.search.is_settled() || self.needs_everyone() || self.policy.mode.proved_only {
            return false;
        }
        let unheard = unheard(&self.search, self.policy.breadth.want) as u32;
        let (all, twice) = (self.early_votes(in_full).weight, 2 * self.policy.quorum_weight());
        let outside = || self.early_votes(less(&self.suspected_crowds())).weight;
        all > unheard.saturating_mul(FULL_WEIGHT)
            || all >= twice && outside().saturating_add(self.policy.spared()) >= twice
    }

    /// Whether one more answer could change the outcome, however many agree: the highest envelope wins,
    /// and one node may have it.
    fn needs_everyone(&self) -> bool {
        let is_first = self.policy.mode.freshness == Freshness::First;
        self.needs_all_replicas() || (self.ballot.is_signed() && !is_first)
    }

    /// Whether the reader asks for the vote of every replica.
    fn needs_all_replicas(&self) -> bool {
        self.policy.mode.freshness == Freshness::Thorough
    }

    /// Whether the winner is further ahead than so much weight can make up for.
    fn is_beyond(&self, outstanding: u32) -> bool {
        if self.needs_everyone() || self.policy.mode.proved_only {
            return false;
        }
        let is_ahead = |winner: Winner| winner.weight > winner.against.saturating_add(outstanding);
        self.winner().is_some_and(is_ahead)
    }

    /// Crowds as an election would see them: some of them are there by chance.
    fn suspected_crowds(&self) -> Crowds {
        let Some(size) = self.policy.size else { return Crowds::default() };
        size.crowds(&self.search.distances(), Strictness::SUSPICIOUS)
    }

    /// Whether enough nodes outside of these crowds have voted, or may yet be heard.
    fn could_do_without(&self, crowds: &Crowds) -> bool {
        let mut votes = self.early_votes(without(crowds));
        for candidate in self.near_enough() {
            let may_vote = matches!(candidate.state, State::Heard | State::Asked);
            if may_vote && !crowds.contains(&candidate.distance) {
                votes.weight += FULL_WEIGHT;
                votes.paths |= candidate.told_on();
            }
        }
        self.is_enough_without(crowds, votes)
    }

    /// Whether these votes from outside of the crowds end the search, as if those in them did not count.
    /// Twice a quorum: where there is one crowd, a few ground IDs may lie beside it, of a key near this one.
    fn is_enough_without(&self, crowds: &Crowds, votes: EarlyVotes) -> bool {
        let twice = 2 * self.policy.quorum_weight();
        crowds.is_empty() || (self.policy.is_enough(votes) && votes.weight >= twice)
    }

    /// Whether the votes end the search if those of these crowds count less. Some votes are spared.
    fn is_enough_outside(&self, crowds: &Crowds) -> bool {
        if crowds.is_empty() {
            return true;
        }
        let early = self.early_votes(less(crowds));
        let weight = early.weight.saturating_add(self.policy.spared());
        self.policy.is_enough(EarlyVotes { weight, ..early })
    }

    /// Whether the requests that are in time can complete the quorum: then no further one is sent. For
    /// each that is overdue there must be one to spare: where one is unresponsive, others are.
    fn could_be_enough(&self) -> bool {
        let in_time = self.search.in_time() as u32;
        if in_time == 0 {
            return false;
        }
        let with_in_time = |early: EarlyVotes, spared: u32| {
            let paths = early.paths | self.search.busy_paths();
            let weight = early.weight.saturating_add(in_time.saturating_mul(FULL_WEIGHT));
            let weight = weight.saturating_add(spared);
            let late = (self.search.late_ones() as u32).saturating_mul(FULL_WEIGHT);
            EarlyVotes { weight: weight.saturating_sub(late), paths, ..early }
        };
        if !self.policy.is_enough(with_in_time(self.early_votes(in_full), 0)) {
            return false;
        }
        if self.ballot.votes().len() < self.policy.quorum {
            return true;
        }
        let crowds = self.crowds();
        let outside = with_in_time(self.early_votes(without(&crowds)), 0);
        let suspected = self.early_votes(less(&self.suspected_crowds()));
        self.is_enough_without(&crowds, outside)
            && self.policy.is_enough(with_in_time(suspected, self.policy.spared()))
    }

    /// The next to ask: on a path that has not brought a vote, where there is one.
    fn next_ask(&mut self) -> Option<Ask> {
        let votes = match self.ballot.votes().len() < self.policy.quorum {
            true => self.early_votes(in_full),
            false => self.early_votes(without(&self.crowds())),
        };
        let fresh = !votes.paths;
        match self.search.next_ask_on(fresh) {
            Some(ask) => Some(ask),
            None => self.search.next_ask(),
        }
    }

    /// The votes that may end the search, with what each counts at its distance from the key.
    fn early_votes(&self, weight: impl Fn(&Distance) -> u32) -> EarlyVotes {
        let mut early = EarlyVotes::default();
        if self.ballot.votes().is_empty() {
            return early;
        }
        let own = self.key.distance(&self.own);
        let mut nearer = 0;
        for candidate in self.near_enough() {
            nearer += usize::from(candidate.distance < own);
            let weight = weight(&candidate.distance);
            if weight > 0 && self.ballot.counts(&candidate.node.id) {
                early.weight += weight;
                early.paths |= candidate.asked_on.map_or(0, |path| 1 << path);
            }
        }
        let is_replica = nearer < self.policy.breadth.want && own.as_fraction() <= self.reach();
        let own_weight = weight(&own);
        if is_replica && own_weight > 0 && self.ballot.counts(&self.own) {
            early.weight += own_weight;
            early.own = true;
        }
        early
    }

    /// The nodes whose early votes count, nearest first.
    fn near_enough(&self) -> impl Iterator<Item = &Candidate> {
        let reach = self.reach();
        let closest = self.search.usable().take(self.policy.breadth.want);
        closest.take_while(move |candidate| candidate.distance.as_fraction() <= reach)
    }

    /// How far from the key they may be, as a share of the space.
    fn reach(&self) -> f64 {
        self.policy.size.map_or(1.0, |size| MAX_REACH * size.reach(self.policy.breadth.want))
    }

    fn count(&mut self, voter: NodeId, record: Record) {
        let Record { value, version, ttl, .. } = record;
        let known = self.ballot.known(&value).or_else(|| self.known_before(&value)).cloned();
        let checked = known
            .map_or_else(|| VerifiedValue::check(&self.key, &value, self.policy.began).ok(), Some);
        let Some(value) = checked.filter(|value| self.may_count(value)) else {
            // An envelope that does not hold, or a value that needs a vote: no answer.
            return self.ballot.void(voter);
        };
        if value.class() == Class::ContentAddressed {
            self.proof = Some(Proof { value, ttl: Some(ttl), from: Some(voter) });
            return;
        }
        let is_stale = self.floor.as_ref().is_some_and(|floor| {
            value != floor.value && value.rank(version.unwrap_or(0)) < floor.rank()
        });
        if is_stale {
            self.ballot.void(voter);
        } else {
            self.ballot.cast(Vote { voter, value, version, ttl });
        }
    }

    /// The value with these bytes, if it was verified before and has not expired since.
    fn known_before(&self, value: &bytes::Bytes) -> Option<&VerifiedValue> {
        let known = self.known.iter().find(|known| known.bytes() == value)?;
        (!known.has_expired(self.policy.began)).then_some(known)
    }

    /// Whether the reader accepts such a value.
    pub fn may_count(&self, value: &VerifiedValue) -> bool {
        match value.class() {
            Class::Plain => !self.policy.mode.proved_only,
            Class::Signed(precedence) => precedence >= self.policy.mode.least,
            Class::ContentAddressed => true,
        }
    }
}

/// Every vote counts.
fn in_full(_: &Distance) -> u32 {
    FULL_WEIGHT
}

/// Votes of these crowds count less.
fn less(crowds: &Crowds) -> impl Fn(&Distance) -> u32 {
    |distance| crowds.weight(distance)
}

/// Votes of these crowds do not count.
fn without(crowds: &Crowds) -> impl Fn(&Distance) -> u32 {
    |distance| if crowds.contains(distance) { 0 } else { FULL_WEIGHT }
}

/// How many of the `want` closest have not answered, of those that have not failed.
fn unheard(lookup: &Lookup, want: usize) -> usize {
    let alive = lookup.candidates().iter().filter(|one| one.state != State::Failed);
    alive.take(want).filter(|one| one.state != State::Answered).count()
}

#[cfg(test)]
mod tests;
