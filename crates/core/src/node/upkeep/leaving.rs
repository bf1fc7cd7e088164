//! The end of a node: it hands over what it holds, says goodbye, and then answers.

use std::ops::Bound;

use voiddht_wire::Key;
use voiddht_wire::peer::{Body, NodeInfo};

use super::super::Node;
use super::super::schedule::Task;
use crate::event::{CommandId, Destination, Outcome};
use crate::request::Purpose;

/// Records looked at in one step.
const SLICE: usize = 256;

/// How far a leaving node is with its records.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Where it goes on; `None` if it is through, or not leaving.
    from: Option<Bound<Key>>,
}

impl Node {
    /// Hands over, says goodbye, and then answers.
    pub(in super::super) fn start_leave(&mut self, id: CommandId) {
        if self.leaving.is_some() {
            return self.answer(id, Outcome::Left { handed_over: 0 });
        }
        self.unpark();
        self.leaving = Some(id);
        self.upkeep.copies.clear();
        self.upkeep.copies.note_arrivals();
        self.upkeep.leaving.from = Some(Bound::Unbounded);
        self.schedule.set(Task::LeaveBy, self.now.mono + self.config.leave_patience);
        self.send_copies();
        self.leave_if_through();
    }

    /// Hands over the records from here on, without leaving: those of a node that others cannot dial.
    pub(in super::super) fn hand_over_from(&mut self, from: Bound<Key>) {
        self.upkeep.leaving.from = Some(from);
        self.send_copies();
    }

    /// Ends the leave if everything has been handed over.
    pub(super) fn leave_if_through(&mut self) {
        let is_through = self.upkeep.leaving.from.is_none() && self.upkeep.copies.is_idle();
        // Without the deadline the leave has ended: answers that come later change nothing.
        if is_through && self.schedule.is_set(Task::LeaveBy) {
            self.finish_leave();
        }
    }

    /// Says goodbye to all connected peers: a PING from a node that listens on port 0.
    pub(in super::super) fn finish_leave(&mut self) {
        let Some(id) = self.leaving else { return };
        self.upkeep.copies.clear();
        self.upkeep.leaving.from = None;
        self.schedule.cancel(Task::LeaveBy);
        let contacts: Vec<NodeInfo> = self
            .table
            .iter()
            .map(|contact| contact.info())
            .filter(|contact| self.connected.contains(&contact.id))
            .collect();
        for contact in contacts {
            self.request(Destination::from(contact), Body::Ping, Purpose::Farewell);
        }
        let handed_over = self.upkeep.copies.arrivals();
        self.answer(id, Outcome::Left { handed_over });
    }

    /// The next records of a leaving node: each goes to the node that takes this one's place among
    /// the k closest, and to the closest.
    pub(super) fn leave_more(&mut self) {
        while self.upkeep.copies.is_drained()
            && let Some(from) = self.upkeep.leaving.from.take()
        {
            let keys: Vec<Key> = self.records.keys_from(from).take(SLICE).collect();
            for key in &keys {
                let nodes = self.closest(key, self.config.k);
                let own = key.distance(&self.own.id);
                let successor = (nodes.len() == self.config.k)
                    .then(|| nodes[nodes.len() - 1])
                    .filter(|last| own < key.distance(&last.id));
                for node in nodes.first().copied().into_iter().chain(successor) {
                    self.upkeep.copies.enqueue(*key, node);
                }
            }
            self.upkeep.leaving.from = keys.last().map(|last| Bound::Excluded(*last));
        }
    }
}
