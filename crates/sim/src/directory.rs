//! The directory: the whole network in one sorted list, to compare results of lookups with.

use voiddht_core::Node;
use voiddht_wire::{Key, NodeId};

use crate::host::HostId;
use crate::world::World;

/// Below this many, sorting is quicker than dividing further.
const SMALL: usize = 32;

/// All nodes that ran when it was made.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Sorted by ID.
    nodes: Vec<(NodeId, HostId)>,
}

impl Directory {
    /// Every host whose node runs, adversaries among them.
    pub fn of(world: &World) -> Self {
        let running = world.hosts().iter().enumerate().filter(|(_, host)| host.node().is_some());
        let mut nodes: Vec<_> =
            running.map(|(index, host)| (host.info().id, HostId(index as u32))).collect();
        nodes.sort_unstable();
        Self { nodes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The `count` closest to a point, closest first.
    pub fn closest(&self, target: &Key, count: usize) -> Vec<(NodeId, HostId)> {
        let mut found = Vec::with_capacity(count + SMALL);
        collect(&self.nodes, 0, target, count, &mut found);
        found.truncate(count);
        found
    }

    /// How many of the `k` closest to a key hold a record of it.
    pub fn replicas(&self, world: &World, key: &Key, k: usize) -> usize {
        let now = world.boot_now();
        let holds = |node: &Node| node.records().get(key, now).is_some();
        let closest = self.closest(key, k).into_iter();
        closest.filter(|(_, host)| world.host(*host).node().is_some_and(holds)).count()
    }
}

/// Appends the nodes of a slice, in which all IDs share `depth` bits, closest first, until there
/// are `count`: everything in the half in which the target lies is closer than the other half.
fn collect(
    nodes: &[(NodeId, HostId)],
    depth: usize,
    target: &Key,
    count: usize,
    found: &mut Vec<(NodeId, HostId)>,
) {
    if found.len() >= count || nodes.is_empty() {
        return;
    }
    if nodes.len() <= SMALL {
        let start = found.len();
        found.extend_from_slice(nodes);
        found[start..].sort_unstable_by_key(|(id, _)| target.distance(id));
        return;
    }
    let middle = nodes.partition_point(|(id, _)| !id.bit(depth));
    let (zeros, ones) = nodes.split_at(middle);
    let (near, far) = if target.bit(depth) { (ones, zeros) } else { (zeros, ones) };
    collect(near, depth + 1, target, count, found);
    collect(far, depth + 1, target, count, found);
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_closest_are_those_that_sorting_all_would_give() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for size in [0, 1, 20, 33, 500] {
            let mut nodes: Vec<_> =
                (0..size).map(|host| (NodeId::from_bytes(random.random()), HostId(host))).collect();
            nodes.sort_unstable();
            let directory = Directory { nodes: nodes.clone() };
            for _ in 0..50 {
                let target = Key::from_bytes(random.random());
                let count = random.random_range(1..40);
                nodes.sort_unstable_by_key(|(id, _)| target.distance(id));
                let wanted = &nodes[..count.min(nodes.len())];
                assert_eq!(directory.closest(&target, count), wanted);
            }
        }
    }
}
