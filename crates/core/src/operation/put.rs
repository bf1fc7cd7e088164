//! PUT: find the closest nodes, store on as many as were asked for, replace those that refuse
//! or stay silent by the next closest.
//!
//! The lookup has done enough once the few closest nodes have answered: each of them knows its
//! own neighbourhood, and together they name the k closest. The others prove by the STORE itself
//! that they are alive; asking them first would cost a second round of requests for nothing.

use std::collections::BTreeMap;

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Distance, NodeId};

use super::{Answer, Next};
use crate::lookup::Lookup;

/// A record on its way to its replicas.
#[derive(Clone, Debug)]
pub struct Put {
    record: Record,
    replication: usize,
    own_distance: Distance,
    lookup: Lookup,
    locating: bool,
    local: Placement,
    placements: BTreeMap<NodeId, Placement>,
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
    /// them where it is close enough.
    pub fn new(record: Record, replication: usize, own: &NodeId, lookup: Lookup) -> Self {
        Self {
            own_distance: record.key.distance(own),
            record,
            replication: replication.max(1),
            lookup,
            locating: true,
            local: Placement::Open,
            placements: BTreeMap::new(),
        }
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// On how many nodes the record lies, this one included.
    pub fn confirmed(&self) -> usize {
        self.count(|placement| placement == Placement::Confirmed)
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        if self.locating {
            if let Some(ask) = self.lookup.next_ask() {
                let body = Body::FindNode { target: self.record.key };
                return Next::Ask { node: ask.node, path: ask.path, body };
            }
            if !self.lookup.is_finished() {
                return Next::Wait;
            }
            self.locating = false;
        }
        self.next_placement()
    }

    /// An answer to a FIND_NODE or a STORE came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
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
            .find(|candidate| !self.placements.contains_key(&candidate.node.id))
            .map(|candidate| (candidate.distance, candidate.node));
        if self.local == Placement::Open
            && node.is_none_or(|(distance, _)| self.own_distance < distance)
        {
            self.local = Placement::Pending;
            return Some(Next::KeepLocally(self.record.clone()));
        }
        let (_, node) = node?;
        self.placements.insert(node.id, Placement::Pending);
        Some(self.store(node))
    }

    fn store(&self, node: NodeInfo) -> Next {
        Next::Ask { node, path: 0, body: Body::Store(self.record.clone()) }
    }

    fn place(&mut self, node: &NodeId, outcome: Placement) {
        if let Some(placement) = self.placements.get_mut(node)
            && matches!(placement, Placement::Pending | Placement::Late)
        {
            *placement = outcome;
        }
    }

    fn count(&self, which: impl Fn(Placement) -> bool) -> usize {
        let remote = self.placements.values().filter(|placement| which(**placement)).count();
        remote + usize::from(which(self.local))
    }
}
