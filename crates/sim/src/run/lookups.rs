//! Lookups of random points, and the nodes that they reach.
//!
//! Two ways of telling whether a lookup reached an honest one of the s closest nodes, as the
//! experiment of S/Kademlia (section 5, figure 4) asks:
//!
//! - `reached`: among the nodes that the lookup came back with there is one. That is what the
//!   lookup is worth in practice: a node that does not answer, or lies, costs a request, and
//!   the path goes on with the nodes it heard of before.
//! - `disjoint`: as the paper counts. An adversary *kills the path* that asks it: whatever the
//!   path asks later counts for nothing. One honest sibling must be asked on a path that met no
//!   adversary before.

use rand::RngExt;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::report::Report;
use voiddht_wire::{Key, NodeId};

use super::stage::Stage;
use super::statistics::{Operations, share};
use crate::directory::Directory;
use crate::scenario::Lookup;

impl Stage<'_> {
    pub(super) fn look_up(&mut self, lookup: &Lookup) {
        let directory = Directory::of(&self.world);
        let mut left = lookup.lookups;
        let mut operations = Operations::default();
        let (mut closest, mut reached, mut disjoint) = (0, 0, 0);
        self.run_commands(
            lookup.lookups,
            lookup.at_once,
            |stage| {
                left = left.checked_sub(1)?;
                let host = stage.any()?;
                let target = Key::from_bytes(stage.world.random().random());
                Some((host, Command::Lookup { target }, (host, target)))
            },
            |stage, (host, target), outcome| {
                let Some(Outcome::Lookup { nodes, report }) = outcome else { return };
                operations.add(&report);
                let own = stage.world.host(host).info().id;
                let count = lookup.siblings.unwrap_or(1);
                // A node does not find itself.
                let true_closest = directory.closest(&target, count + 1).into_iter();
                let true_closest: Vec<_> =
                    true_closest.filter(|(id, _)| *id != own).take(count).collect();
                let first = true_closest.first().map(|(id, _)| *id);
                closest += u64::from(nodes.first().map(|node| node.id) == first);
                let honest: Vec<NodeId> = true_closest
                    .into_iter()
                    .filter(|(_, host)| stage.world.host(*host).is_honest())
                    .map(|(id, _)| id)
                    .collect();
                reached += u64::from(nodes.iter().any(|node| honest.contains(&node.id)));
                let is_honest = |id: &NodeId| stage.world.is_honest(id);
                disjoint += u64::from(reaches_undisturbed(&report, &honest, is_honest));
            },
        );
        let row = &mut self.row;
        row.set("hops", operations.hops.mean());
        row.set("hops-p99", operations.hops.percentile(0.99));
        row.set("lookup-requests", operations.requests.mean());
        operations.tell_times(row, "lookup");
        row.set("closest", share(closest, lookup.lookups));
        if lookup.siblings.is_some() {
            row.set("reached", share(reached, lookup.lookups));
            row.set("disjoint", share(disjoint, lookup.lookups));
        }
    }
}

/// Whether a path asked an honest sibling before it asked any adversary.
fn reaches_undisturbed(
    report: &Report,
    siblings: &[NodeId],
    is_honest: impl Fn(&NodeId) -> bool,
) -> bool {
    let mut dead = 0u64;
    for step in &report.steps {
        let path = 1 << (u32::from(step.path) % u64::BITS);
        if dead & path != 0 {
            continue;
        }
        if siblings.contains(&step.node.id) {
            return true;
        }
        if !is_honest(&step.node.id) {
            dead |= path;
        }
    }
    false
}
