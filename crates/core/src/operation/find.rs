//! Finding the nodes closest to a point: a lookup by FIND_NODE, and nothing else.

use voiddht_wire::NodeId;
use voiddht_wire::peer::{Body, NodeInfo};

use super::{Answer, Next};
use crate::lookup::Lookup;

/// A search for the closest nodes.
#[derive(Clone, Debug)]
pub struct Find {
    lookup: Lookup,
}

impl Find {
    /// Runs this lookup.
    pub fn new(lookup: Lookup) -> Self {
        Self { lookup }
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// The closest nodes that answered, nearest first.
    pub fn found(&self, count: usize) -> Vec<NodeInfo> {
        self.lookup.closest_answered(count).collect()
    }

    /// The closest nodes that were heard of and have not failed, nearest first.
    pub fn heard_of(&self, count: usize) -> Vec<NodeInfo> {
        self.lookup.usable().map(|candidate| candidate.node).take(count).collect()
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        if let Some(ask) = self.lookup.next_ask() {
            let body = Body::FindNode { target: self.lookup.target() };
            return Next::Ask { node: ask.node, path: ask.path, body };
        }
        if self.lookup.is_finished() { Next::Done } else { Next::Wait }
    }

    /// An answer came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        match answer {
            Answer::Nodes(nodes) => {
                self.lookup.answered(from, &nodes);
            }
            Answer::Refused(_) => {
                self.lookup.refused(from);
            }
            _ => {
                self.lookup.failed(from);
            }
        }
    }

    /// This node was found unresponsive before.
    pub fn doubt(&mut self, node: &NodeId) {
        self.lookup.doubt(node);
    }

    /// A request is overdue.
    pub fn handle_late(&mut self, node: &NodeId) {
        self.lookup.late(node);
    }
}
