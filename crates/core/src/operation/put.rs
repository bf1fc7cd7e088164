//! PUT: find the closest nodes, store on as many as were asked for, replace those that refuse
//! or stay silent by the next closest.
//!
//! The lookup has done enough once the few closest nodes have answered: each of them knows its
//! own neighbourhood, and together they name the k closest. The others prove by the STORE itself
//! that they are alive; asking them first would cost a second round of requests for nothing.
//!
//! Who is asked for its neighbours and lies so near that it is a replica in any case is given the
//! record in the same moment: both requests travel in one packet, and so do both answers.
//!
//! Those who are late are not waited for while there are others to take their places, nor, where
//! there are none, once as many have acknowledged: few that are late are silent, but where most are,
//! it is rather the way to them that is slow.
//!
//! Where the nodes around the key are denser than the size of the network explains, the record
//! goes to as many more as are too many; and no address prefix gets more than a few copies.
//!
//! A peer of the original network takes a record without a word. It is asked for the value right
//! after, and counts if it has it.
//!
//! A replica that refuses the record as older was given a version by a publisher whose clock is
//! ahead. A PUT means to replace: the replicas that refused are asked what they hold, and the record
//! is stored once more with the next version, if that is not from the future for this node's clock.
//! The tolerance is the one that replicas have: if it were less, a publisher ahead of the clock would
//! lock the key for the difference. A replica that turns out to hold these very bytes has stored them.
//!
//! The receipt is the number of nodes from which the value can be fetched. This node's own copy
//! counts only if others can fetch it here, and a PUT that more replicas refused in favour of another
//! value than confirmed has failed.

use std::collections::{BTreeMap, BTreeSet};

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Distance, NodeId};

use super::{Answer, Asked, Next};
use crate::density::SizeEstimate;
use crate::diversity::DiversityCounter;
use crate::lookup::Lookup;

/// How often a record is stored: once, and once more with a version that wins.
const MAX_ROUNDS: u8 = 2;

/// Which share of the replicas is given the record before the others are known: one in so many. A
/// third is near enough. Where 6 nodes lie on average there are 20 once in 200 000 times, so that
/// who lies there is one of the 20 closest.
const EARLY_SHARE: usize = 3;

/// A record on its way to its replicas.
#[derive(Clone, Debug)]
pub struct Put {
    record: Record,
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
    /// A node that was asked for its neighbours just now, and may be given the record too.
    asked_last: Option<NodeInfo>,
    /// Nodes that took the record without a word, and are to be asked for it.
    unconfirmed: Vec<NodeInfo>,
    /// Those that have been asked.
    checked: BTreeSet<NodeId>,
    /// Whether any node has answered anything.
    heard: bool,
    /// Whether a node that refused the record was found to hold another value.
    is_outranked: bool,
}

/// What a PUT has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Nodes from which the value can be fetched; 0 if the PUT has failed.
    pub stored: usize,
    /// Nodes that were sent the record and have not answered yet.
    pub outstanding: usize,
    /// Why it has failed, if it has.
    pub failure: Option<PutFailure>,
}

/// Why a PUT has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PutFailure {
    /// More nodes hold a value that wins than have stored this one.
    #[error(
        "superseded: {refused} nodes hold a newer value and {confirmed} stored this one; another \
         publisher was later, or its clock is ahead: read the value, and put again if it must be \
         replaced"
    )]
    Superseded {
        /// Nodes that refused the record.
        refused: usize,
        /// Nodes that stored it.
        confirmed: usize,
    },
    /// More nodes refused the version than have stored the record, and none was found to hold
    /// another value.
    #[error(
        "{refused} nodes refused its version and {confirmed} stored it: this node's clock is \
         probably ahead of theirs; correct it and put again"
    )]
    VersionRefused {
        /// Nodes that refused the record.
        refused: usize,
        /// Nodes that stored it.
        confirmed: usize,
    },
    /// No other node answered: this node is cut off.
    #[error(
        "none of the known nodes answered: this node cannot reach its network; try again later"
    )]
    Unreachable,
    /// Nodes answered, and none took the record.
    #[error("no node took it: they are busy, or their stores are full; try again later")]
    Refused,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Looking for the closest nodes.
    Locating,
    /// Storing, for the `round`th time.
    Storing { round: u8 },
    /// Asking those that refused the record in this round what they hold: whom next, and who has
    /// not answered.
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
    /// Refused, silent, or unreachable.
    Failed,
}

impl Placement {
    /// Whether no other node is needed in this one's place.
    fn holds_place(self) -> bool {
        matches!(self, Self::Pending | Self::Confirmed | Self::Superseded)
    }
}

impl Put {
    /// Stores `record` on the `replication` closest nodes that `lookup` finds; `own` is one of
    /// them where it is close enough. Its version is raised to `highest_version` at the most.
    pub fn new(
        record: Record,
        replication: usize,
        own: &NodeId,
        lookup: Lookup,
        size: Option<SizeEstimate>,
        highest_version: u64,
    ) -> Self {
        Self {
            own_distance: record.key.distance(own),
            record,
            replication: replication.max(1),
            sites: DiversityCounter::new(lookup.diversity()),
            lookup,
            size,
            stage: Stage::Locating,
            highest_version,
            local: Placement::Open,
            placements: BTreeMap::new(),
            asked_last: None,
            unconfirmed: Vec::new(),
            checked: BTreeSet::new(),
            heard: false,
            is_outranked: false,
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
        let failure = if refused > 0 && refused >= confirmed && self.is_outranked {
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
                        let body = Body::FindNode { target: self.record.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    // Who is late may be given the record all the same, and is not waited for.
                    if !self.lookup.is_settled() {
                        return Next::Wait;
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
                    if is_outbid || round == MAX_ROUNDS || !self.is_refused() {
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
            Asked::Store { .. } => self.place(from, answer),
            Asked::Find if self.checked.remove(from) => {
                let kept = matches!(&answer, Answer::Value(it) if it.value == self.record.value);
                self.place(from, if kept { Answer::Stored } else { Answer::Failed });
            }
            Asked::Find => self.handle_found(from, answer),
        }
    }

    fn handle_found(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Learning { asked, newest, .. } = &mut self.stage
            && asked.contains(from)
        {
            asked.retain(|one| one != from);
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

    /// A request is late.
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

    /// This node was found silent before.
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

    fn next_placement(&mut self) -> Next {
        if let Some(node) = self.unconfirmed.pop() {
            self.checked.insert(node.id);
            return Next::Ask { node, path: 0, body: Body::FindValue { key: self.record.key } };
        }
        let taken = self.count(Placement::holds_place);
        if taken < self.replication
            && let Some(next) = self.next_place()
        {
            return next;
        }
        let late = self.count(|placement| placement == Placement::Late);
        let waits_for_late = taken < self.replication && late > self.confirmed();
        let is_over = !waits_for_late && self.count(|it| it == Placement::Pending) == 0;
        if is_over { Next::Done } else { Next::Wait }
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
    fn place(&mut self, node: &NodeId, answer: Answer) {
        let Some(placement) = self.placements.get_mut(node) else { return };
        *placement = match answer {
            Answer::Stored => Placement::Confirmed,
            Answer::Refused(ErrorCode::NotAcceptable) => Placement::Superseded,
            _ => Placement::Failed,
        };
        if *placement == Placement::Failed
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
mod tests {
    use bytes::Bytes;
    use voiddht_wire::Key;

    use super::*;
    use crate::density::NetworkSize;
    use crate::diversity::DiversityLimits;
    use crate::lookup::Breadth;

    fn node(number: u8) -> NodeInfo {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(number)));
        NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
    }

    /// A PUT of version 100 to `replication` of the nodes 1 to `nodes`, located already.
    fn located(nodes: u8, replication: usize) -> Put {
        let seeds: Vec<NodeInfo> = (1..=nodes).map(node).collect();
        let own = NodeId::from_bytes([0xff; 32]);
        let breadth = Breadth { want: 1, alpha: 1, paths: 1, diversity: DiversityLimits::NONE };
        let lookup = Lookup::new(Key::default(), own, breadth, &seeds);
        let record = Record {
            key: Key::default(),
            value: Bytes::from_static(b"value"),
            ttl: 60,
            version: Some(100),
            maintenance: false,
        };
        let mut put = Put::new(record, replication, &own, lookup, None, 1000);
        let asked = asked(&mut put);
        assert_eq!(asked, [1], "the closest is asked for its neighbours");
        put.handle_answer(&node(1).id, FIND, Answer::Nodes(Vec::new()));
        put
    }

    /// A PUT to 18 nodes, in a network in which 6 are closer than node 3 on average.
    fn early() -> Put {
        let seeds: Vec<NodeInfo> = (1..=8).map(node).collect();
        let own = NodeId::from_bytes([0xff; 32]);
        let breadth = Breadth { want: 3, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
        let lookup = Lookup::new(Key::default(), own, breadth, &seeds);
        let mut size = NetworkSize::default();
        size.observe(&[Key::default().distance(&node(8).id); 20]);
        let record = located(1, 1).record;
        let mut put = Put::new(record, 18, &own, lookup, size.estimate(), 1000);
        assert_eq!(asked(&mut put), [1, 1, 2, 2, 3], "two are given the record too");
        put
    }

    #[test]
    fn who_is_near_enough_is_given_the_record_with_the_first_request() {
        let mut put = early();
        put.handle_answer(&node(1).id, STORE, Answer::Stored);
        put.handle_answer(&node(2).id, STORE, Answer::Failed);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, FIND, Answer::Nodes(Vec::new()));
        }
        assert_eq!(asked(&mut put), [3, 4, 5, 6, 7, 8], "nobody twice");
    }

    #[test]
    fn who_was_not_near_enough_after_all_takes_nobodys_place() {
        let closer = |number: u8| {
            let mut id = [0; 32];
            id[1] = number;
            NodeInfo { id: NodeId::from_bytes(id), ..node(number) }
        };
        let mut put = early();
        for number in 1..=3 {
            let named = Answer::Nodes((1..=20).map(closer).collect());
            put.handle_answer(&node(number).id, FIND, named);
        }
        let mut stored = BTreeSet::new();
        for _ in 0..20 {
            while let Next::Ask { node, body, .. } = put.next_step() {
                match body {
                    Body::Store(_) => drop(stored.insert(node.id)),
                    _ => put.handle_answer(&node.id, FIND, Answer::Nodes(Vec::new())),
                }
            }
        }
        let closest: BTreeSet<NodeId> = (1..=18).map(|number| closer(number).id).collect();
        assert!(stored.is_superset(&closest), "so dense, that there are more replicas: {stored:?}");
    }

    const FIND: Asked = Asked::Find;
    const STORE: Asked = Asked::Store { version: Some(100) };

    fn asked(put: &mut Put) -> Vec<u8> {
        let mut asked = Vec::new();
        while let Next::Ask { node, .. } = put.next_step() {
            asked.push(node.id.to_bytes()[0]);
        }
        asked
    }

    #[test]
    fn those_that_refuse_or_are_late_are_replaced_by_the_next_closest() {
        let mut put = located(8, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        put.handle_answer(&node(1).id, STORE, Answer::Stored);
        put.handle_answer(&node(2).id, STORE, Answer::Refused(ErrorCode::Busy));
        put.handle_late(&node(3).id, STORE);
        assert_eq!(asked(&mut put), [4, 5]);
        put.handle_answer(&node(4).id, STORE, Answer::Failed);
        assert_eq!(asked(&mut put), [6]);
        put.handle_answer(&node(5).id, STORE, Answer::Stored);
        put.handle_answer(&node(6).id, STORE, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 3);
        put.handle_answer(&node(3).id, STORE, Answer::Stored);
        assert_eq!(put.confirmed(), 4, "late is not lost");
    }

    #[test]
    fn it_ends_with_what_it_has_when_nobody_is_left() {
        let mut put = located(2, 20);
        assert_eq!(asked(&mut put), [1, 2]);
        assert!(matches!(put.next_step(), Next::Wait));
        put.handle_kept_locally(true);
        put.handle_answer(&node(1).id, STORE, Answer::Failed);
        put.handle_answer(&node(2).id, STORE, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 2);
    }

    /// A PUT in a network with fewer nodes than replicas waited for a silent one until it had failed.
    #[test]
    fn who_is_late_is_waited_for_only_while_few_have_acknowledged() {
        let mut put = located(4, 20);
        assert_eq!(asked(&mut put), [1, 2, 3, 4]);
        put.handle_kept_locally(false);
        put.handle_late(&node(1).id, STORE);
        put.handle_late(&node(2).id, STORE);
        put.handle_answer(&node(3).id, STORE, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Wait), "one is in time");
        put.handle_late(&node(4).id, STORE);
        assert!(matches!(put.next_step(), Next::Wait), "most are late: not they are slow");
        put.handle_answer(&node(4).id, STORE, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 2);
    }

    #[test]
    fn who_takes_the_record_without_a_word_counts_if_it_has_it() {
        let mut put = located(5, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Delivered);
        }
        assert_eq!(asked(&mut put), [3, 2, 1], "asked for it");
        assert!(matches!(put.next_step(), Next::Wait));
        assert_eq!(put.confirmed(), 0);
        let value = |value| Answer::Value(Record { value, ..located(1, 1).record.clone() });
        put.handle_answer(&node(1).id, FIND, value(Bytes::from_static(b"value")));
        put.handle_answer(&node(2).id, FIND, value(Bytes::from_static(b"wrong")));
        put.handle_answer(&node(3).id, FIND, Answer::Nodes(Vec::new()));
        assert_eq!(asked(&mut put), [4, 5], "in the place of those that have not kept it");
        put.handle_answer(&node(4).id, STORE, Answer::Stored);
        put.handle_answer(&node(5).id, STORE, Answer::Delivered);
        assert_eq!(asked(&mut put), [5]);
        put.handle_answer(&node(5).id, FIND, Answer::Failed);
        assert!(matches!(put.next_step(), Next::KeepLocally(_)), "nobody else is left");
        put.handle_kept_locally(false);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 2);
    }

    #[test]
    fn a_newer_version_is_learned_and_outbid_once() {
        let mut put = located(3, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
        }
        assert_eq!(asked(&mut put), [3, 2, 1], "asked for their version");
        let newer = |version| {
            let value = Bytes::from_static(b"newer");
            Answer::Value(Record { value, version: Some(version), ..located(1, 1).record.clone() })
        };
        put.handle_answer(&node(1).id, FIND, newer(500));
        put.handle_answer(&node(2).id, FIND, newer(700));
        // Beyond what any clock may be believed: no reason to follow it there.
        put.handle_answer(&node(3).id, FIND, newer(u64::MAX));
        assert_eq!(asked(&mut put), [1, 2, 3]);
        assert_eq!(put.record().version, Some(701));
        let second = Asked::Store { version: Some(701) };
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Stored);
            let refused = Answer::Refused(ErrorCode::NotAcceptable);
            put.handle_answer(&node(number).id, second, refused);
        }
        assert_eq!(asked(&mut put), [3, 2, 1], "asked what they hold");
        for number in 1..=3 {
            put.handle_answer(&node(number).id, FIND, newer(800));
        }
        assert!(matches!(put.next_step(), Next::Done), "but only once");
        let failure = Some(PutFailure::Superseded { refused: 3, confirmed: 0 });
        assert_eq!(put.receipt(true), Receipt { stored: 0, outstanding: 0, failure });
    }

    /// A PUT of a node whose clock was ahead was "stored on 1 node".
    #[test]
    fn a_version_that_all_refuse_and_none_has_a_newer_one_for_is_a_failure_of_the_clock() {
        let mut put = located(3, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
        }
        assert_eq!(asked(&mut put), [3, 2, 1]);
        put.handle_answer(&node(1).id, FIND, Answer::Nodes(Vec::new()));
        put.handle_answer(&node(2).id, FIND, Answer::Failed);
        put.handle_answer(&node(3).id, FIND, Answer::Nodes(Vec::new()));
        assert!(matches!(put.next_step(), Next::Done));
        let failure = Some(PutFailure::VersionRefused { refused: 3, confirmed: 0 });
        assert_eq!(put.receipt(true).failure, failure);
    }

    #[test]
    fn a_replica_that_refuses_and_holds_these_very_bytes_counts() {
        let mut put = located(3, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
        }
        assert_eq!(asked(&mut put), [3, 2, 1]);
        let same = || Answer::Value(located(1, 1).record.clone());
        put.handle_answer(&node(1).id, FIND, same());
        put.handle_answer(&node(2).id, FIND, same());
        put.handle_answer(&node(3).id, FIND, Answer::Failed);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.receipt(true), Receipt { stored: 2, outstanding: 0, failure: None });
    }

    /// "stored on 1 node", said a node that no other could reach.
    #[test]
    fn the_own_copy_counts_only_where_others_can_fetch_it() {
        let mut put = located(2, 20);
        assert_eq!(asked(&mut put), [1, 2]);
        put.handle_kept_locally(true);
        put.heard = false;
        put.handle_answer(&node(1).id, STORE, Answer::Failed);
        put.handle_late(&node(2).id, STORE);
        assert!(matches!(put.next_step(), Next::Done));
        let failure = Some(PutFailure::Unreachable);
        assert_eq!(put.receipt(false), Receipt { stored: 0, outstanding: 1, failure });
        assert_eq!(put.receipt(true), Receipt { stored: 1, outstanding: 1, failure: None });
        put.handle_answer(&node(2).id, STORE, Answer::Stored);
        assert_eq!(put.receipt(false), Receipt { stored: 1, outstanding: 0, failure: None });
    }

    /// A node that answers a FIND_NODE with the error by which a STORE is superseded was counted as
    /// holding something newer, and its acknowledgement, which came after, was not.
    #[test]
    fn an_error_about_one_request_is_not_about_another() {
        let mut put = located(3, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        let refused = Answer::Refused(ErrorCode::NotAcceptable);
        put.handle_answer(&node(2).id, FIND, refused);
        put.handle_late(&node(3).id, FIND);
        assert!(matches!(put.next_step(), Next::Wait));
        for number in 1..=3 {
            put.handle_answer(&node(number).id, STORE, Answer::Stored);
        }
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 3);
    }
}
