//! Each node's share of the files that the process may have open.
//!
//! A socket is a file, and a process without free descriptors can neither dial nor accept. So nodes
//! divide a budget among them, and each keeps its pool under its share: a node that starts later finds
//! descriptors, because the earlier ones close idle connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// Files of the process that belong to no node: standard streams, logs, the runtime's own.
const RESERVED_FILES: usize = 128;
/// The part of a node's files that its pool may hold in the long run: half. For a while it holds a quarter
/// more, and the rest is for its listeners, its database, module API connections, probes, and
/// connections that are being made or closed: while many nodes join, those are as many.
const POOL_PART: usize = 2;
/// Below this a node is not much of a node, whatever the limit says.
const LEAST_SHARE: usize = 8;

/// A budget of open files that nodes share. Clones are the same budget.
///
/// Nodes with budgets of their own do not know of each other: several in one process need one that they
/// share, or more connections than the process may have files ([`crate::limits::CONNECTIONS`] each).
#[derive(Clone, Debug)]
pub struct Descriptors(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    files: usize,
    /// Nodes that there will be.
    expected: usize,
    nodes: AtomicUsize,
}

impl Descriptors {
    /// As many files as this process may have open now (`RLIMIT_NOFILE`), less 128 for everything
    /// else.
    pub fn of_process() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        Self::new(files.saturating_sub(RESERVED_FILES))
    }

    /// A budget of `files` open files, for programs that need many for something else. Each node takes at
    /// least 8 for connections with peers, also where the budget is smaller.
    pub fn new(files: usize) -> Self {
        Self(Arc::new(Budget { files, expected: 0, nodes: AtomicUsize::new(0) }))
    }

    /// This budget, divided by so many nodes from the start: without that the first ones take what there
    /// is, and close connections as others come. To be called before a node has a share.
    #[must_use]
    pub fn for_nodes(self, nodes: usize) -> Self {
        let running = AtomicUsize::new(self.nodes());
        Self(Arc::new(Budget { files: self.0.files, expected: nodes, nodes: running }))
    }

    /// Nodes that run on this budget now.
    pub fn nodes(&self) -> usize {
        self.0.nodes.load(Ordering::Relaxed)
    }
}

impl Default for Descriptors {
    fn default() -> Self {
        Self::of_process()
    }
}

/// One node's claim; dropped with the node.
#[derive(Debug)]
pub(crate) struct Share(Descriptors);

impl Share {
    pub(crate) fn claim(descriptors: &Descriptors) -> Self {
        descriptors.0.nodes.fetch_add(1, Ordering::Relaxed);
        Self(descriptors.clone())
    }

    /// Sockets that this node may hold now.
    pub(crate) fn sockets(&self) -> usize {
        share_of(self.0.0.files, self.0.nodes().max(self.0.0.expected))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.0.nodes.fetch_sub(1, Ordering::Relaxed);
    }
}

fn share_of(files: usize, nodes: usize) -> usize {
    (files / nodes.max(1) / POOL_PART).max(LEAST_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_divided_among_its_nodes() {
        let budget = Descriptors::new(1024);
        let first = Share::claim(&budget);
        assert_eq!(first.sockets(), 512);
        let second = Share::claim(&budget.clone());
        assert_eq!((first.sockets(), second.sockets(), budget.nodes()), (256, 256, 2));
        drop(second);
        assert_eq!((first.sockets(), budget.nodes()), (512, 1));
        let other = Share::claim(&Descriptors::new(0));
        assert_eq!((other.sockets(), first.sockets()), (LEAST_SHARE, 512), "another budget");
        let all = Descriptors::new(1024).for_nodes(8);
        assert_eq!(Share::claim(&all).sockets(), 64, "as if the others were there");
    }
}
