//! The end of a node: it hands over what it holds, says goodbye, and then answers.

use std::ops::Bound;

use voiddht_wire::Key;

use super::copies::Copies;
use crate::node::context::Context;
use crate::record::RecordStore;

/// Records looked at in one step.
const SLICE: usize = 256;

/// How far a node is with its records that hands them all over: because it leaves, or because others
/// cannot dial it.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    /// Where it goes on; `None` if it is through, or hands nothing over.
    from: Option<Bound<Key>>,
}

impl HandOver {
    /// Begins with the first record.
    pub(super) fn start(&mut self) {
        self.from = Some(Bound::Unbounded);
    }

    /// Hands over no more.
    pub(super) fn stop(&mut self) {
        self.from = None;
    }

    /// Whether no record is left to be looked at.
    pub(super) fn is_through(&self) -> bool {
        self.from.is_none()
    }

    /// Queues the next records, once none waits: each goes to the node that takes this one's place among
    /// the k closest, and to the closest.
    pub(super) fn refill(&mut self, cx: &Context, records: &RecordStore, copies: &mut Copies) {
        while copies.is_drained()
            && let Some(from) = self.from.take()
        {
            let keys: Vec<Key> = records.keys_from(from).take(SLICE).collect();
            for key in &keys {
                let nodes = cx.closest(key, cx.config.k);
                let own = key.distance(&cx.own.id);
                let successor = (nodes.len() == cx.config.k)
                    .then(|| nodes[nodes.len() - 1])
                    .filter(|last| own < key.distance(&last.id));
                for node in nodes.first().copied().into_iter().chain(successor) {
                    copies.enqueue(*key, node);
                }
            }
            self.from = keys.last().map(|last| Bound::Excluded(*last));
        }
    }
}
