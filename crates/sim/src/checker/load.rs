//! Requests in flight and operations in progress stay within limits, at every step.

use voiddht_core::{Config, Node};

use super::observer::{Checker, Site, Violations};

/// Requests that a node has in flight for itself, at most: copies of upkeep (32), contacts that are
/// checked (64), suspects and lost ones that are asked again (64 every tenth of a second, each for
/// ten seconds without an answer), lookups of its own.
const OWN_REQUESTS: usize = 2048;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests in flight of a node without clients, at most.
    pub requests: usize,
    /// Requests in flight for each operation, at most.
    pub requests_per_operation: usize,
    /// Operations of one node in progress, at most.
    pub operations: usize,
}

impl Load {
    /// What nodes with these settings keep to.
    pub fn of(config: &Config) -> Self {
        Self {
            requests: OWN_REQUESTS,
            // Overdue ones are in flight beside those that took their place.
            requests_per_operation: voiddht_core::lookup::MAX_REQUESTS as usize + 8 * config.k,
            operations: config.max_operations,
        }
    }
}

impl Checker for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn stepped(&mut self, at: &Site, node: &Node, found: &mut Violations) {
        let (requests, operations) = node.load();
        let allowed = self.requests + operations * self.requests_per_operation;
        if requests > allowed || operations > self.operations {
            found.add(
                self.name(),
                at,
                format!(
                    "{requests} requests in flight, {operations} operations in progress; allowed are \
                     {allowed} and {}",
                    self.operations
                ),
            );
        }
    }
}
