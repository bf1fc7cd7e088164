//! PUT: find the closest nodes, store on as many as were asked for, replace those that refuse
//! or stay silent by the next closest.
//!
//! The lookup has done enough once the few closest nodes have answered: each of them knows its
//! own neighbourhood, and together they name the k closest. The others prove by the STORE itself
//! that they are alive; asking them first would cost a second round of requests for nothing.
//!
//! Where the nodes around the key are denser than the size of the network explains, the record
//! goes to as many more as are too many; and no address prefix gets more than a few copies.
//!
//! A replica that refuses because it has a newer version was told one by a publisher whose clock
//! is ahead. Whoever puts last means to replace: the version is learned from those replicas, and
//! the record is stored once more with the next one, if no clock that may be believed is passed.

use std::collections::BTreeMap;

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Distance, NodeId};

use super::{Answer, Next};
use crate::density::SizeEstimate;
use crate::diversity::DiversityCounter;
use crate::lookup::Lookup;

/// Replicas that are asked for the version that they would not give up.
const MAX_TEACHERS: usize = 5;

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
}

#[derive(Clone, Debug)]
enum Stage {
    /// Looking for the closest nodes.
    Locating,
    /// Storing. `again` is whether this is the second time.
    Storing { again: bool },
    /// Asking those who have a newer version for it: whom next, and who has not answered.
    Learning { open: Vec<NodeInfo>, asked: Vec<NodeId>, newest: u64 },
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
    /// The node has a newer version: it holds its place, and does not count.
    Superseded,
    /// Refused, silent, or unreachable.
    Failed,
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

    /// On how many nodes the record lies, this one included.
    pub fn confirmed(&self) -> usize {
        self.count(|placement| placement == Placement::Confirmed)
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        loop {
            match &mut self.stage {
                Stage::Locating => {
                    if let Some(ask) = self.lookup.next_ask() {
                        let body = Body::FindNode { target: self.record.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    if !self.lookup.is_finished() {
                        return Next::Wait;
                    }
                    if let Some(size) = self.size {
                        let excess = size.excess(&self.lookup.distances());
                        self.replication += excess.min(self.replication);
                    }
                    self.stage = Stage::Storing { again: false };
                }
                Stage::Storing { again } => {
                    let again = *again;
                    match self.next_placement() {
                        Next::Done if !again && self.is_superseded() => self.learn(),
                        next => return next,
                    }
                }
                Stage::Learning { open, asked, newest } => {
                    if let Some(node) = open.pop() {
                        asked.push(node.id);
                        let body = Body::FindValue { key: self.record.key };
                        return Next::Ask { node, path: 0, body };
                    }
                    if !asked.is_empty() {
                        return Next::Wait;
                    }
                    let newest = *newest;
                    if self.record.version.is_none_or(|version| version > newest) {
                        return Next::Done;
                    }
                    self.record.version = Some(newest + 1);
                    self.placements.clear();
                    self.sites = DiversityCounter::new(self.lookup.diversity());
                    self.local = Placement::Open;
                    self.stage = Stage::Storing { again: true };
                }
            }
        }
    }

    /// An answer to a FIND_NODE or a STORE came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Learning { asked, newest, .. } = &mut self.stage {
            asked.retain(|one| one != from);
            if let Answer::Value(Record { version: Some(version), .. }) = answer
                && version < self.highest_version
            {
                *newest = version.max(*newest);
            }
            return;
        }
        match answer {
            Answer::Nodes(nodes) => {
                self.lookup.answered(from, &nodes);
            }
            Answer::Stored => self.place(from, Placement::Confirmed),
            Answer::Refused(ErrorCode::NotAcceptable) if self.placements.contains_key(from) => {
                self.place(from, Placement::Superseded);
            }
            Answer::Refused(_) | Answer::Failed | Answer::Value(_) => {
                if self.placements.contains_key(from) {
                    self.place(from, Placement::Failed);
                } else {
                    self.lookup.failed(from);
                }
            }
        }
    }

    /// A request is late.
    pub fn handle_late(&mut self, node: &NodeId) {
        match self.placements.get_mut(node) {
            Some(placement) if *placement == Placement::Pending => *placement = Placement::Late,
            Some(_) => {}
            None => self.lookup.late(node),
        }
    }

    /// This node kept the record, or could not.
    pub fn handle_kept_locally(&mut self, kept: bool) {
        self.local = if kept { Placement::Confirmed } else { Placement::Failed };
    }

    /// Whether more nodes have something newer than took the record.
    fn is_superseded(&self) -> bool {
        self.count(|placement| placement == Placement::Superseded) > self.confirmed()
    }

    fn learn(&mut self) {
        let superseded = |id: &NodeId| self.placements.get(id) == Some(&Placement::Superseded);
        let open: Vec<NodeInfo> = self
            .lookup
            .usable()
            .map(|candidate| candidate.node)
            .filter(|node| superseded(&node.id))
            .take(MAX_TEACHERS)
            .collect();
        self.stage = Stage::Learning { open, asked: Vec::new(), newest: 0 };
    }

    fn next_placement(&mut self) -> Next {
        let taken = self.count(|placement| {
            matches!(placement, Placement::Pending | Placement::Confirmed | Placement::Superseded)
        });
        if taken < self.replication
            && let Some(next) = self.next_place()
        {
            return next;
        }
        let waiting = self.count(|placement| placement == Placement::Pending)
            + if taken < self.replication {
                self.count(|placement| placement == Placement::Late)
            } else {
                0
            };
        if waiting == 0 { Next::Done } else { Next::Wait }
    }

    /// The closest node that was not tried, this one among them.
    fn next_place(&mut self) -> Option<Next> {
        let node = self
            .lookup
            .usable()
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
        self.sites.add(&node.address);
        self.placements.insert(node.id, Placement::Pending);
        Some(self.store(node))
    }

    fn store(&self, node: NodeInfo) -> Next {
        Next::Ask { node, path: 0, body: Body::Store(self.record.clone()) }
    }

    fn place(&mut self, node: &NodeId, outcome: Placement) {
        if let Some(placement) = self.placements.get_mut(node)
            && (matches!(placement, Placement::Pending | Placement::Late)
                // A FIND_NODE to the same node may fail before its STORE is answered.
                || (*placement == Placement::Failed && outcome == Placement::Confirmed))
        {
            *placement = outcome;
            if outcome == Placement::Failed
                && let Some(node) = self.lookup.candidate(node)
            {
                self.sites.remove(&node.node.address);
            }
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
        put.handle_answer(&node(1).id, Answer::Nodes(Vec::new()));
        put
    }

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
        put.handle_answer(&node(1).id, Answer::Stored);
        put.handle_answer(&node(2).id, Answer::Refused(ErrorCode::Busy));
        put.handle_late(&node(3).id);
        assert_eq!(asked(&mut put), [4, 5]);
        put.handle_answer(&node(4).id, Answer::Failed);
        assert_eq!(asked(&mut put), [6]);
        put.handle_answer(&node(5).id, Answer::Stored);
        put.handle_answer(&node(6).id, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 3);
        put.handle_answer(&node(3).id, Answer::Stored);
        assert_eq!(put.confirmed(), 4, "late is not lost");
    }

    #[test]
    fn it_ends_with_what_it_has_when_nobody_is_left() {
        let mut put = located(2, 20);
        assert_eq!(asked(&mut put), [1, 2]);
        assert!(matches!(put.next_step(), Next::Wait));
        put.handle_kept_locally(true);
        put.handle_answer(&node(1).id, Answer::Failed);
        put.handle_answer(&node(2).id, Answer::Stored);
        assert!(matches!(put.next_step(), Next::Done));
        assert_eq!(put.confirmed(), 2);
    }

    #[test]
    fn a_newer_version_is_learned_and_passed_once() {
        let mut put = located(3, 3);
        assert_eq!(asked(&mut put), [1, 2, 3]);
        for number in 1..=3 {
            put.handle_answer(&node(number).id, Answer::Refused(ErrorCode::NotAcceptable));
        }
        assert_eq!(asked(&mut put), [3, 2, 1], "asked for their version");
        let newer = |version| {
            Answer::Value(Record { version: Some(version), ..located(1, 1).record.clone() })
        };
        put.handle_answer(&node(1).id, newer(500));
        put.handle_answer(&node(2).id, newer(700));
        // Beyond what any clock may be believed: no reason to follow it there.
        put.handle_answer(&node(3).id, newer(u64::MAX));
        assert_eq!(asked(&mut put), [1, 2, 3]);
        assert_eq!(put.record().version, Some(701));
        for number in 1..=3 {
            put.handle_answer(&node(number).id, Answer::Refused(ErrorCode::NotAcceptable));
        }
        assert!(matches!(put.next_step(), Next::Done), "but only once");
        assert_eq!(put.confirmed(), 0);
    }
}
