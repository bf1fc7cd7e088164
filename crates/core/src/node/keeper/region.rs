//! Kept values of one region, from the first that is due to the nodes that all of them go to.

use voiddht_wire::Key;
use voiddht_wire::peer::NodeInfo;

use crate::node::upkeep::shared_bits;

/// Keys near each other that are republished together.
#[derive(Debug, Default)]
pub(super) struct Region {
    pub(super) keys: Vec<Key>,
    pub(super) factor: f64,
    pub(super) to_check: Vec<Key>,
    pub(super) checking: usize,
    /// What is to be looked up, once everything is checked.
    pub(super) targets: Option<Vec<Key>>,
    pub(super) looking: usize,
    pub(super) nodes: Vec<NodeInfo>,
}

impl Region {
    /// Whether a read or a lookup is to be begun for it.
    pub(super) fn waits_for_lookup(&self) -> bool {
        match &self.targets {
            _ if !self.to_check.is_empty() => true,
            _ if self.checking > 0 => false,
            None => true,
            Some(targets) => !targets.is_empty(),
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.waits_for_lookup() || self.checking > 0 || self.looking > 0
    }
}

/// One key of each part of a region, about the middle of those in it. The keys are sorted.
pub(super) fn targets(keys: &[Key], depth: usize) -> Vec<Key> {
    let parts = keys.chunk_by(|one, other| shared_bits(one, other) >= depth);
    parts.map(|part| part[part.len() / 2]).collect()
}
