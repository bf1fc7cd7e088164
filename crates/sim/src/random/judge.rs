//! The expected result of a GET, and what excuses a failure.

use bytes::Bytes;
use voiddht_core::event::Outcome;
use voiddht_core::time::Moment;
use voiddht_wire::Key;

use crate::host::HostId;
use crate::world::World;

/// Everything that was put under one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Publication {
    /// What the last PUT that succeeded has stored, and what later ones may have.
    current: Vec<Bytes>,
    /// Whether one succeeded.
    stored: bool,
    /// When it ends.
    pub(super) ends: Moment,
}

impl Publication {
    pub(super) fn publish(&mut self, value: Bytes, stored: usize) {
        if stored > 0 {
            self.stored = true;
            self.current.clear();
        }
        self.current.push(value);
    }
}

/// Counts, and complaints.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    k: usize,
    pub(super) gets: u64,
    pub(super) unlucky: u64,
    pub(super) violations: Vec<String>,
}

/// The holders of a key, and their values.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    /// Honest ones of the k closest that hold what is current.
    right: usize,
    /// Hostile ones of the k closest.
    hostile: usize,
    /// Honest ones anywhere that hold what is current.
    anywhere: usize,
}

impl Judge {
    pub(super) fn new(k: usize) -> Self {
        Self { k, gets: 0, unlucky: 0, violations: Vec::new() }
    }

    pub(super) fn get(
        &mut self,
        world: &World,
        host: HostId,
        key: Key,
        published: &Publication,
        outcome: &Outcome,
    ) {
        if !published.stored || published.ends <= world.now() {
            return;
        }
        self.gets += 1;
        let Outcome::Get { value, report, .. } = outcome else {
            let what = format!("a GET of {key:?} at host {} ended as {outcome:?}", host.0);
            return self.violations.push(what);
        };
        if value.as_ref().is_some_and(|value| published.current.contains(value)) {
            return;
        }
        let holders = self.holders(world, &key, published);
        // Half of the replica set is malicious, or the nodes asked first were and no other was
        // asked.
        let outvoted = holders.hostile >= holders.right;
        let early = holders.hostile > 0 && value.is_some() && report.dissenting == 0;
        if holders.hostile > 0 && holders.anywhere > 0 && (outvoted || early) {
            self.unlucky += 1;
            return;
        }
        let got = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
        self.violations.push(format!(
            "at {:.1} s a GET of {key:?} at host {} brought {got:?}, and not {:?}: {holders:?}, {report:?}",
            world.now().as_micros() as f64 / 1e6,
            host.0,
            published.current
        ));
    }

    fn holders(&self, world: &World, key: &Key, published: &Publication) -> Holders {
        let mut nodes: Vec<_> =
            world.hosts().iter().filter_map(|it| Some((it.node()?, it.is_honest()))).collect();
        nodes.sort_unstable_by_key(|(node, _)| key.distance(&node.own().id));
        let mut holders = Holders::default();
        for (place, (node, honest)) in nodes.into_iter().enumerate() {
            let held = node.records().get(key, world.boot_now());
            let right =
                honest && held.is_some_and(|held| published.current.contains(held.value.bytes()));
            holders.anywhere += usize::from(right);
            if place < self.k {
                holders.right += usize::from(right);
                holders.hostile += usize::from(!honest);
            }
        }
        holders
    }
}
