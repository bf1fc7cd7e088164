//! PUT: find the closest nodes, store on as many as requested, and replace those that refuse or do
//! not respond by the next closest.
//!
//! The lookup ends once the few closest nodes have answered: each knows its neighbourhood, and
//! together they name the k closest. The STOREs themselves show whether the others are alive;
//! querying them first would cost a second round of requests.
//!
//! A node that the lookup queries and that is near enough to be a replica in any case receives the
//! record at the same time: both requests travel in one packet, and so do both answers.
//!
//! A PUT does not wait for overdue replicas while other nodes can replace them. Without others, it
//! ends once as many replicas have acknowledged as are overdue: a few overdue ones are
//! unresponsive, but if most are, the network path is slow. Those that it has missed are sent the
//! record after its end ([`Put::missed`]).
//!
//! Where the nodes around the key are denser than the network size explains, the record goes to as
//! many more as are too many; and no address prefix gets more than a few copies.
//!
//! A peer of the original network does not confirm a STORE. It is asked for the value right after,
//! and counts if it returns it.
//!
//! A replica that refuses the record as older has a version of a publisher whose clock is ahead. A
//! PUT is meant to replace it: the replicas that refused are asked for their version, and the
//! record is stored once more with the next one, unless that is from the future for this node's
//! clock. The tolerance is the same as that of replicas: with a smaller one, a publisher whose
//! clock is ahead would lock the key for the difference. A replica that turns out to hold these
//! very bytes has stored them.
//!
//! A self-verifying value wins or loses whatever its version: the replicas that refused it (at most
//! five) are asked for their value. A value that outranks it has superseded it; a replica with any
//! other value has failed and is replaced.
//!
//! The receipt is the number of nodes from which the value can be fetched. This node's own copy
//! counts only if others can fetch it here. A PUT fails if more replicas refused it in favour of
//! another value than confirmed it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Distance, Key, NodeId};

use super::{Answer, Asked, Next};
use crate::density::crowds::{Crowds, Strictness};
use crate::density::{CONTACTS, SizeEstimate};
use crate::diversity::DiversityCounter;
use crate::lookup::{Lookup, State};
use crate::record::order::{Class, Rank};
use crate::record::value::VerifiedValue;
use crate::time::WallTime;

mod receipt;

pub use receipt::{Missed, PutFailure, Receipt};

/// How often a record is stored: once, and once more with a version that wins.
const MAX_ROUNDS: u8 = 2;

/// Replicas that are asked what they hold after they refused a self-verifying value.
const MAX_FOLLOW_UPS: usize = 5;

/// Which share of the replicas is given the record before the others are known: one in so many. A
/// third is near enough. Where 6 nodes lie on average there are 20 once in 200 000 times, so that
/// a node there is one of the 20 closest.
const EARLY_SHARE: usize = 3;

/// A record on its way to its replicas.
#[derive(Clone, Debug)]
pub struct Put {
    record: Record,
    class: Class,
    /// This node's clock when the PUT began: what replicas hold is verified by it.
    began: WallTime,
    replication: usize,
    own_distance: Distance,
    lookup: Lookup,
    size: Option<SizeEstimate>,
    sites: DiversityCounter,
    stage: Stage,
    /// The highest version that replicas accept by this node's clock.
    highest_version: u64,
    local: Placement,
    placements: BTreeMap<NodeId, Placement>,
    /// The nodes around the key that are too many, once they were noticed.
    crowds: Crowds,
    /// FIND_NODE requests that were sent.
    located: usize,
    /// A node that was asked for its neighbours just now, and may be given the record too.
    asked_last: Option<NodeInfo>,
    /// Probable replicas that were to be connected to, no more of them than replicas.
    connecting: BTreeSet<NodeId>,
    /// Nodes that took the record without a word, and are to be asked for it.
    unconfirmed: Vec<NodeInfo>,
    /// Those that have been asked.
    checked: BTreeSet<NodeId>,
    /// Whether any node has answered anything.
    heard: bool,
    /// Whether a node that refused the record was found to hold another value.
    is_outranked: bool,
    /// The self-verifying value that outranks this one, once a node was found to hold it.
    rival: Option<VerifiedValue>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Looking for the closest nodes.
    Locating,
    /// Storing, for the `round`th time.
    Storing { round: u8 },
    /// Asking those that refused the record in this round what they hold: those to ask next, and
    /// those that have not answered.
    Learning { round: u8, open: Vec<NodeInfo>, asked: Vec<NodeId>, newest: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Not tried.
    Open,
    /// Asked, in time so far: it holds one of the places.
    Pending,
    /// Asked, and late: its place is given to another, but its answer counts.
    Late,
    /// The node keeps the record.
    Confirmed,
    /// The node refused the record's version: it holds its place, and does not count.
    Superseded,
    /// Silent, unreachable or busy: another has its place, and it may be reached later.
    Missed,
    /// The node will not keep the record.
    Failed,
}

impl Placement {
    /// What an answer to a STORE says.
    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Stored => Self::Confirmed,
            // The others would refuse this version too.
            Answer::Refused(ErrorCode::NotAcceptable | ErrorCode::FutureVersion) => {
                Self::Superseded
            }
            Answer::Failed | Answer::Refused(ErrorCode::Busy) => Self::Missed,
            Answer::Refused(_)
            | Answer::Alive
            | Answer::Nodes(_)
            | Answer::Value(_)
            | Answer::Delivered => Self::Failed,
        }
    }

    /// Whether no other node is needed in this one's place.
    fn holds_place(self) -> bool {
        matches!(self, Self::Pending | Self::Confirmed | Self::Superseded)
    }
}

impl Put {
    /// Stores `record` on the `replication` closest nodes that `lookup` finds; `own` is one of
    /// them where it is close enough. Its version is raised to `highest_version` at the most.
    /// `began` is this node's clock.
    pub fn new(
        (record, class): (Record, Class),
        replication: usize,
        own: &NodeId,
        lookup: Lookup,
        size: Option<SizeEstimate>,
        (began, highest_version): (WallTime, u64),
    ) -> Self {
        Self {
            own_distance: record.key.distance(own),
            record,
            class,
            began,
            replication: replication.max(1),
            sites: DiversityCounter::new(lookup.diversity()),
            lookup,
            size,
            stage: Stage::Locating,
            highest_version,
            local: Placement::Open,
            placements: BTreeMap::new(),
            crowds: Crowds::default(),
            located: 0,
            asked_last: None,
            connecting: BTreeSet::new(),
            unconfirmed: Vec::new(),
            checked: BTreeSet::new(),
            heard: false,
            is_outranked: false,
            rival: None,
        }
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// The record as it was stored last.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What makes its value the value of its key.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How many nodes have stored the record, this one included.
    pub fn confirmed(&self) -> usize {
        self.count(|placement| placement == Placement::Confirmed)
    }

    /// Whether any other node has answered anything.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// What has been achieved. `own_counts`: whether others can fetch from this node.
    pub fn receipt(&self, own_counts: bool) -> Receipt {
        let own = self.local == Placement::Confirmed && !own_counts;
        let confirmed = self.confirmed() - usize::from(own);
        let refused = self.count(|placement| placement == Placement::Superseded);
        let outstanding =
            self.count(|placement| matches!(placement, Placement::Pending | Placement::Late));
        // Readers that count as many votes for either return what outranks this one.
        let wins = self.class.is_self_verifying() || refused >= confirmed;
        let failure = if refused > 0 && wins && self.is_outranked {
            Some(PutFailure::Superseded { refused, confirmed })
        } else if refused > confirmed {
            Some(PutFailure::VersionRefused { refused, confirmed })
        } else if confirmed > 0 {
            None
        } else if self.heard {
            Some(PutFailure::Refused)
        } else {
            Some(PutFailure::Unreachable)
        };
        let stored = if failure.is_none() { confirmed } else { 0 };
        Receipt { stored, outstanding, failure }
    }

    /// The replicas that have not answered or were busy, nearest first, if the record was stored
    /// elsewhere; at most as many as it was to be stored on.
    pub fn missed(&self) -> Vec<Missed> {
        if self.receipt(true).failure.is_some() {
            return Vec::new();
        }
        let missed = |(id, placement): (&NodeId, &Placement)| {
            let is_awaited = *placement == Placement::Late;
            let is_missed = is_awaited || *placement == Placement::Missed;
            let candidate = self.lookup.candidate(id).filter(|_| is_missed)?;
            Some(Missed { node: candidate.node, is_awaited })
        };
        let mut missed: Vec<_> = self.placements.iter().filter_map(missed).collect();
        missed.sort_unstable_by_key(|missed| self.record.key.distance(&missed.node.id));
        missed.truncate(self.replication);
        missed
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        loop {
            match &mut self.stage {
                Stage::Locating => {
                    if let Some(node) = self.asked_last.take()
                        && self.is_surely_replica(&node)
                    {
                        return self.place_at(node);
                    }
                    if let Some(ask) = self.lookup.next_ask() {
                        self.asked_last = Some(ask.node);
                        let body = Body::FindNode { target: self.next_target() };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    // An overdue node may be given the record all the same, and is not waited for.
                    if !self.lookup.is_settled() {
                        return self.next_to_connect().map_or(Next::Wait, Next::Connect);
                    }
                    if self.finds_crowd() {
                        return Next::MoreContacts(CONTACTS * self.replication);
                    }
                    if let Some(size) = self.size {
                        self.replication += size.excess(&self.lookup.distances());
                    }
                    self.stage = Stage::Storing { round: 1 };
                }
                Stage::Storing { round } => {
                    let round = *round;
                    match self.next_placement() {
                        Next::Done if round <= MAX_ROUNDS && self.is_refused() => {
                            self.learn(round);
                        }
                        next => return next,
                    }
                }
                Stage::Learning { round, open, asked, newest } => {
                    if let Some(node) = open.pop() {
                        asked.push(node.id);
                        let body = Body::FindValue { key: self.record.key };
                        return Next::Ask { node, path: 0, body };
                    }
                    if !asked.is_empty() {
                        return Next::Wait;
                    }
                    let (round, newest) = (*round, *newest);
                    let is_outbid = self.record.version.is_none_or(|version| version > newest);
                    if self.class.is_self_verifying()
                        || is_outbid
                        || round == MAX_ROUNDS
                        || !self.is_refused()
                    {
                        // Nothing more can be done: what was learned is for the receipt.
                        self.stage = Stage::Storing { round: MAX_ROUNDS + 1 };
                        continue;
                    }
                    self.store_again(newest + 1, round + 1);
                }
            }
        }
    }

    /// An answer came to what this node was asked for.
    pub fn handle_answer(&mut self, from: &NodeId, asked: Asked, answer: Answer) {
        self.heard |= !matches!(answer, Answer::Failed | Answer::Delivered);
        match asked {
            // Of the version before: it says nothing of this one.
            Asked::Store { version } if version != self.record.version => {}
            Asked::Store { .. } if matches!(answer, Answer::Delivered) => {
                let node = self.lookup.candidate(from).map(|candidate| candidate.node);
                self.unconfirmed.extend(node);
            }
            Asked::Store { .. } => self.place(from, Placement::of(&answer)),
            Asked::Find if self.checked.remove(from) => {
                let kept = matches!(&answer, Answer::Value(it) if it.value == self.record.value);
                self.place(from, if kept { Placement::Confirmed } else { Placement::Failed });
            }
            Asked::Find => self.handle_found(from, answer),
        }
    }

    /// Whether there are more nodes around the key than chance explains, which was not noticed before.
    /// Then the neighbourhood is looked for past them.
    fn finds_crowd(&mut self) -> bool {
        let Some(size) = self.size.filter(|_| self.crowds.is_empty()) else { return false };
        let distances = self.lookup.distances();
        self.crowds = size.crowds(&distances, Strictness::CALM);
        if !self.crowds.is_empty() {
            self.lookup.widen(self.replication + size.excess(&distances));
        }
        !self.crowds.is_empty()
    }

    /// The point for whose neighbours the next node is asked.
    fn next_target(&mut self) -> Key {
        let turn = self.located;
        self.located += 1;
        let Some(size) = self.size else { return self.record.key };
        size.point_beside(self.record.key, &self.crowds, self.lookup.wanted(), turn)
    }

    /// These are contacts of this node closest to the key, nearest first: what
    /// [`Next::MoreContacts`] asks for.
    pub fn add_contacts(&mut self, contacts: &[NodeInfo]) {
        self.lookup.add_seeds(contacts);
    }

    fn handle_found(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Learning { asked, newest, .. } = &mut self.stage
            && asked.contains(from)
        {
            asked.retain(|one| one != from);
            if self.class.is_self_verifying() {
                self.handle_rival(from, &answer);
                return;
            }
            let Answer::Value(held) = answer else { return };
            if held.value == self.record.value {
                self.placements.insert(*from, Placement::Confirmed);
                return;
            }
            self.is_outranked = true;
            if let Some(version) = held.version.filter(|version| *version < self.highest_version) {
                *newest = version.max(*newest);
            }
            return;
        }
        match answer {
            Answer::Nodes(nodes) => self.lookup.answered(from, &nodes),
            _ => self.lookup.failed(from),
        };
    }

    /// What a node holds that refused this self-verifying value.
    fn handle_rival(&mut self, from: &NodeId, answer: &Answer) {
        let rival = match answer {
            Answer::Value(held) if held.value == self.record.value => {
                self.placements.insert(*from, Placement::Confirmed);
                return;
            }
            Answer::Value(held) => self.verified_rival(&held.value),
            _ => None,
        };
        let own = Rank::new(self.class, &self.record.value, 0);
        if rival.as_ref().is_some_and(|rival| rival.rank(0) > own) {
            self.is_outranked = true;
            self.rival = rival;
        } else {
            self.placements.insert(*from, Placement::Failed);
        }
    }

    /// A value of the key that another node holds. Several nodes hold the same one: it is verified once.
    fn verified_rival(&self, value: &Bytes) -> Option<VerifiedValue> {
        let known = self.rival.as_ref().filter(|rival| rival.bytes() == value);
        let check = || VerifiedValue::check(&self.record.key, value, self.began).ok();
        known.cloned().or_else(check)
    }

    /// A request is overdue.
    pub fn handle_late(&mut self, node: &NodeId, asked: Asked) {
        match asked {
            Asked::Find if !self.checked.contains(node) => self.lookup.late(node),
            Asked::Store { version } if version != self.record.version => {}
            Asked::Find | Asked::Store { .. } => {
                if let Some(placement) = self.placements.get_mut(node)
                    && *placement == Placement::Pending
                {
                    *placement = Placement::Late;
                }
            }
        }
    }

    /// This node was found unresponsive before.
    pub fn doubt(&mut self, node: &NodeId) {
        self.lookup.doubt(node);
    }

    /// This node kept the record, or could not.
    pub fn handle_kept_locally(&mut self, kept: bool) {
        self.local = if kept { Placement::Confirmed } else { Placement::Failed };
    }

    /// Whether a node refused the record's version. One is enough: upkeep would bring what it holds
    /// to all others.
    fn is_refused(&self) -> bool {
        self.count(|placement| placement == Placement::Superseded) > 0
    }

    fn learn(&mut self, round: u8) {
        let superseded = |id: &NodeId| self.placements.get(id) == Some(&Placement::Superseded);
        let open: Vec<NodeInfo> = self
            .lookup
            .usable()
            .map(|candidate| candidate.node)
            .filter(|node| superseded(&node.id))
            .take(if self.class.is_self_verifying() { MAX_FOLLOW_UPS } else { usize::MAX })
            .collect();
        self.stage = Stage::Learning { round, open, asked: Vec::new(), newest: 0 };
    }

    /// Stores the record once more, with this version.
    fn store_again(&mut self, version: u64, round: u8) {
        self.record.version = Some(version);
        self.placements.clear();
        self.unconfirmed.clear();
        self.checked.clear();
        self.sites = DiversityCounter::new(self.lookup.diversity());
        self.local = Placement::Open;
        self.is_outranked = false;
        self.stage = Stage::Storing { round };
    }

    /// A probable replica, as far as the network's size and what was heard so far say: a handshake
    /// takes two round trips, as long as the rest of the lookup.
    fn next_to_connect(&mut self) -> Option<NodeInfo> {
        if self.connecting.len() >= self.replication {
            return None;
        }
        let reach = self.size?.reach(self.replication);
        let mut near = self.lookup.usable().take_while(|one| one.distance.as_fraction() <= reach);
        let new = near.find(|one| {
            one.state == State::Heard
                && !self.connecting.contains(&one.node.id)
                && !self.placements.contains_key(&one.node.id)
                && self.sites.admits(&one.node.address)
        });
        let node = new?.node;
        self.connecting.insert(node.id);
        Some(node)
    }

    fn next_placement(&mut self) -> Next {
        if let Some(node) = self.unconfirmed.pop() {
            self.checked.insert(node.id);
            return Next::Ask { node, path: 0, body: Body::FindValue { key: self.record.key } };
        }
        // One pass: this runs after each of the replicas' answers.
        let (mut taken, mut pending) = (0, 0);
        for placement in self.placements.values().chain([&self.local]) {
            taken += usize::from(placement.holds_place());
            pending += usize::from(*placement == Placement::Pending);
        }
        if taken < self.replication
            && let Some(next) = self.next_place()
        {
            return next;
        }
        let late = || self.count(|placement| placement == Placement::Late);
        let waits_for_late = taken < self.replication && late() > self.confirmed();
        if !waits_for_late && pending == 0 { Next::Done } else { Next::Wait }
    }

    /// The closest node that was not tried, this one among them.
    fn next_place(&mut self) -> Option<Next> {
        let node = self
            .lookup
            .usable()
            .chain(self.lookup.doubtful())
            .find(|candidate| {
                !self.placements.contains_key(&candidate.node.id)
                    && self.sites.admits(&candidate.node.address)
            })
            .map(|candidate| (candidate.distance, candidate.node));
        if self.local == Placement::Open
            && node.is_none_or(|(distance, _)| self.own_distance < distance)
        {
            self.local = Placement::Pending;
            return Some(Next::KeepLocally(self.record.clone()));
        }
        let (_, node) = node?;
        Some(self.place_at(node))
    }

    fn place_at(&mut self, node: NodeInfo) -> Next {
        self.sites.add(&node.address);
        self.placements.insert(node.id, Placement::Pending);
        Next::Ask { node, path: 0, body: Body::Store(self.record.clone()) }
    }

    /// Whether a node lies so near that it will be among the closest whomever the others name. Where
    /// it is not, there are more replicas, since the neighbourhood is too dense.
    fn is_surely_replica(&self, node: &NodeInfo) -> bool {
        let most = self.replication / EARLY_SHARE;
        let distance = self.record.key.distance(&node.id).as_fraction();
        self.placements.len() < most
            && self.size.is_some_and(|size| distance <= size.reach(most))
            && !self.placements.contains_key(&node.id)
            && self.sites.admits(&node.address)
    }

    /// What became of the record at a node that was asked to keep it.
    fn place(&mut self, node: &NodeId, became: Placement) {
        let Some(placement) = self.placements.get_mut(node) else { return };
        *placement = became;
        if matches!(became, Placement::Missed | Placement::Failed)
            && let Some(node) = self.lookup.candidate(node)
        {
            self.sites.remove(&node.node.address);
        }
    }

    fn count(&self, which: impl Fn(Placement) -> bool) -> usize {
        let remote = self.placements.values().filter(|placement| which(**placement)).count();
        remote + usize::from(which(self.local))
    }
}

#[cfg(test)]
mod tests;
