//! Replica sets against the true k closest, as seen with full knowledge of the world.

use std::collections::BTreeMap;

use voiddht_core::Node;
use voiddht_core::event::{Command, CommandId, Outcome};
use voiddht_core::operation::Receipt;
use voiddht_core::time::BootTime;
use voiddht_session::Output;
use voiddht_wire::{Key, Publication};

use super::observer::{Checker, Site, Survey, Violations};

/// The present holders of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Nodes among the k closest that run: fewer than k in a smaller network.
    pub wanted: usize,
    /// Honest ones of them that hold a record of the key.
    pub held: usize,
    /// Hostile ones of them.
    pub hostile: usize,
    /// Honest nodes that hold one, the k closest included.
    pub anywhere: usize,
}

impl Replicas {
    /// Looks at one key. Takes time in proportion to the size of the world.
    pub fn of(all: &Survey<'_>, key: &Key, k: usize) -> Self {
        let now = all.boot_now();
        let mut nodes: Vec<(&Node, bool)> =
            all.hosts.iter().filter_map(|it| Some((it.node()?, it.is_honest()))).collect();
        let holds = |node: &Node| node.records().get(key, now).is_some();
        let anywhere = nodes.iter().filter(|(node, honest)| *honest && holds(node)).count();
        if nodes.len() > k {
            nodes.select_nth_unstable_by_key(k - 1, |(node, _)| key.distance(&node.own().id));
            nodes.truncate(k);
        }
        let held = nodes.iter().filter(|(node, honest)| *honest && holds(node)).count();
        let hostile = nodes.iter().filter(|(_, honest)| !honest).count();
        Self { wanted: nodes.len(), held, hostile, anywhere }
    }

    /// The share of the honest ones of the k closest that hold it; 1 where there are none.
    pub fn overlap(&self) -> f64 {
        let honest = self.wanted - self.hostile;
        if honest == 0 { 1.0 } else { self.held as f64 / honest as f64 }
    }
}

/// Watches that what a PUT has stored is held, and where it belongs once things are quiet.
#[derive(Debug)]
pub struct ReplicaSets {
    /// The k of the world's nodes.
    pub k: usize,
    /// The least mean [overlap](Replicas::overlap) that a survey may find, 0 to 1.
    pub least_overlap: f64,
    under_way: BTreeMap<CommandId, (Key, BootTime)>,
    stored: BTreeMap<Key, BootTime>,
}

impl ReplicaSets {
    /// Of a world of this k.
    pub fn new(k: usize, least_overlap: f64) -> Self {
        Self { k, least_overlap, under_way: BTreeMap::new(), stored: BTreeMap::new() }
    }
}

impl Checker for ReplicaSets {
    fn name(&self) -> &'static str {
        "replica sets"
    }

    fn commanded(&mut self, at: &Site, id: CommandId, command: &Command) {
        if let Command::Put(Publication { key, ttl: Some(ttl), .. }) = command {
            self.under_way.insert(id, (*key, at.now.boot + *ttl));
        }
    }

    fn put_out(&mut self, _at: &Site, output: &Output, _found: &mut Violations) {
        if let Output::Answer { id, outcome } = output
            && let Some((key, ends)) = self.under_way.remove(id)
            && matches!(outcome, Outcome::Put { receipt: Receipt { stored: 1.., .. }, .. })
        {
            // A shorter TTL than that of an earlier publication may be the one that counts.
            let place = self.stored.entry(key).or_insert(ends);
            *place = ends.min(*place);
        }
    }

    fn surveyed(&mut self, all: &Survey<'_>, found: &mut Violations) {
        self.stored.retain(|_, ends| *ends > all.boot_now());
        let mut overlaps = 0.0;
        for key in self.stored.keys() {
            let replicas = Replicas::of(all, key, self.k);
            overlaps += replicas.overlap();
            if replicas.anywhere == 0 {
                let what = format!("no honest node holds {key:?} any more: {replicas:?}");
                found.add(self.name(), &all.nowhere(), what);
            }
        }
        let mean = overlaps / self.stored.len().max(1) as f64;
        if !self.stored.is_empty() && mean < self.least_overlap {
            let what = format!(
                "{mean:.3} of the honest nodes among the k closest hold their records, {} must",
                self.least_overlap
            );
            found.add(self.name(), &all.nowhere(), what);
        }
    }
}
