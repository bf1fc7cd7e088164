//! Requests in flight and operations under way stay within limits, at every step.

use voiddht_core::Node;

use super::{Checker, Site, Violations};

/// See the [module](self).
#[derive(Debug)]
pub struct Load {
    /// Requests of one node in flight, at most.
    pub requests: usize,
    /// Operations of one node under way, at most.
    pub operations: usize,
}

impl Checker for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn stepped(&mut self, at: &Site, node: &Node, found: &mut Violations) {
        let (requests, operations) = node.load();
        if requests > self.requests || operations > self.operations {
            found.add(
                self.name(),
                at,
                format!(
                    "{requests} requests in flight, {operations} operations under way; allowed are \
                     {} and {}",
                    self.requests, self.operations
                ),
            );
        }
    }
}
