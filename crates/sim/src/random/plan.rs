//! The plan of a seed: the size of a network, its settings, faults, adversaries and workload.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use voiddht_core::Config;
use voiddht_wire::Key;

use crate::adversary::{Infiltration, Kind, Placement};
use crate::host::DiskOptions;
use crate::network::{Latency, NetworkConfig, mix};
use crate::world::WorldConfig;

/// How probable it may be that faults and adversaries together take all replicas of a value: of
/// some million values that are put in a year of runs, none is lost by chance.
const CHANCE_OF_LOSS: f64 = 1e-9;
/// Adversaries with ground IDs around the first key: with more, they may have it.
const MAX_GROUND: usize = 8;
/// The greatest share of pairs that are cut apart: with more, too few of a replica set may be left.
const MAX_PAIRS: f64 = 0.1;
/// The greatest share of hostile nodes.
const MAX_HOSTILE: f64 = 0.2;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing does.
    Nothing,
    /// This share of the honest nodes is killed at once; with disks, they come back.
    Killed(f64),
    /// This share of the machines is gone.
    Silent(f64),
    /// This share of the nodes takes its leave, one after the other.
    Leaving(f64),
    /// The network falls into two halves for some minutes.
    Partition,
    /// This share of all pairs of nodes do not reach each other for some minutes.
    Pairs(f64),
    /// So many nodes die, and others come, one after the other.
    Churn(u32),
    /// So many machines are lost, one after the other; each node comes back with its ID and another
    /// key, at another address.
    Reinstalled(u32),
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// From which everything follows.
    pub seed: u64,
    /// Honest nodes at the beginning.
    pub nodes: usize,
    /// Nodes that join at the same moment.
    pub at_once: usize,
    /// The network, and every node's settings.
    pub config: WorldConfig,
    /// What data directories do, if there are any.
    pub disk: Option<DiskOptions>,
    /// By how many milliseconds half of the clocks are wrong.
    pub clock_skew: i64,
    /// Values.
    pub values: u64,
    /// Share of the values that are self-verifying.
    pub proving: f64,
    /// How long values live: beyond the end of the scenario.
    pub ttl: Duration,
    /// What goes wrong.
    pub fault: Fault,
    /// The hostile nodes.
    pub adversaries: Option<Infiltration>,
    /// Whether they are there before values are put.
    pub hostile_first: bool,
}

impl Plan {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(mix(seed ^ 0x5eed));
        // As many networks of ten to thirty nodes as of thirty to ninety.
        let nodes = (10.0 * 9f64.powf(random.random())) as usize;
        let adversaries = random.random_bool(0.6).then(|| adversaries(nodes, &mut random));
        // The share of hostile nodes that matters: those with ground IDs are after one key.
        let hostile = adversaries.map_or(0.0, |plan| match plan.placement {
            Placement::Share(share) => share,
            Placement::New { count } => count as f64 / (count + nodes) as f64,
            Placement::Ground { .. } | Placement::Around { .. } => 0.4,
        });
        let mut config = config(adversaries.is_some(), nodes, &mut random);
        let fault = fault(config.node.k.min(nodes), hostile, &mut random);
        // Without certificates no node can be told from one that has its ID.
        config.network.certificates = matches!(fault, Fault::Reinstalled(_)) || random.random();
        Self {
            seed,
            nodes,
            at_once: [1, 4, nodes][random.random_range(0..3)],
            fault,
            config,
            disk: random.random_bool(0.5).then(|| DiskOptions {
                commit: Duration::from_millis(random.random_range(0..=20)),
                failing: [0.0, 0.01][random.random_range(0..2)],
            }),
            clock_skew: random.random_range(-60_000..=60_000),
            values: random.random_range(5..=20),
            proving: [0.0, 0.5, 1.0][random.random_range(0..3)],
            ttl: Duration::from_secs(2 * 3600),
            adversaries,
            hostile_first: random.random(),
        }
    }

    /// The key of a value.
    pub fn key(&self, number: u64) -> Key {
        if self.proves(number) {
            return Key::of_value(&self.value(number, 0));
        }
        Key::of_value(format!("key {number} of {}", self.seed).as_bytes())
    }

    /// A value, and what it becomes later.
    pub fn value(&self, number: u64, edition: u32) -> Bytes {
        Bytes::from(format!("value {number}.{edition} of {}", self.seed))
    }

    /// Whether a value is content-addressed.
    pub fn proves(&self, number: u64) -> bool {
        (number as f64 + 0.5) / self.values as f64 <= self.proving
    }

    /// The share of the honest of the k closest nodes that must hold a value at the end.
    pub fn least_overlap(&self) -> f64 {
        if self.adversaries.is_some() { 0.6 } else { 0.9 }
    }
}

fn config(hostile: bool, nodes: usize, random: &mut ChaCha8Rng) -> WorldConfig {
    // With fewer replicas, adversaries may happen to have all.
    let k = if hostile || nodes < 20 { 20 } else { [12, 16, 20][random.random_range(0..3)] };
    let latency = match random.random_range(0..3) {
        0 => Latency::Constant(Duration::from_millis(random.random_range(1..=50))),
        1 => Latency::Uniform(Duration::from_millis(1), Duration::from_millis(150)),
        _ => Latency::LogNormal { median: Duration::from_millis(40), sigma: 0.5 },
    };
    WorldConfig {
        network: NetworkConfig {
            latency,
            loss: [0.0, 0.0, 0.02][random.random_range(0..3)],
            connections: [1024, 40, 16][random.random_range(0..3)],
            ..NetworkConfig::default()
        },
        node: Config {
            k,
            replication: k,
            upkeep_interval: Duration::from_secs(300),
            refresh_interval: Duration::from_secs(300),
            ..Config::default()
        },
    }
}

fn fault(k: usize, hostile: f64, random: &mut ChaCha8Rng) -> Fault {
    // A replica is lost if it was on a hostile node, or its node dies.
    let least_left = 1.0 - CHANCE_OF_LOSS.powf(1.0 / k as f64);
    let most = (1.0 - least_left / (1.0 - hostile)).clamp(0.0, 0.5);
    let share = most * random.random::<f64>();
    match random.random_range(0..8) {
        0 => Fault::Nothing,
        1 => Fault::Killed(share),
        2 => Fault::Silent(share),
        3 => Fault::Leaving(share),
        4 => Fault::Partition,
        5 => Fault::Pairs(MAX_PAIRS * random.random::<f64>()),
        6 => Fault::Reinstalled(random.random_range(1..=3)),
        _ => Fault::Churn(random.random_range(1..=5)),
    }
}

fn adversaries(nodes: usize, random: &mut ChaCha8Rng) -> Infiltration {
    let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
    // What a flood leaves behind keeps all nodes busy, and the run long.
    let most = if kind == Kind::Flooding { MAX_HOSTILE / 8.0 } else { MAX_HOSTILE };
    let share = most * random.random::<f64>();
    let count = 1 + (nodes as f64 * share) as usize;
    // Where they are after the first key, it is filled in once it is known.
    let placement = match random.random_range(0..4) {
        0 => Placement::New { count },
        1 => Placement::Ground { point: Key::default(), count: count.min(MAX_GROUND), among: 0 },
        _ => Placement::Share(share),
    };
    let sites = random.random_bool(0.5).then(|| random.random_range(1..=4));
    Infiltration { sites, ..Infiltration::new(kind, placement) }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, values, .. } = self;
        write!(f, "{nodes} nodes, k = {}, {values} values, ", self.config.node.k)?;
        match self.fault {
            Fault::Nothing => write!(f, "no fault")?,
            Fault::Killed(share) => write!(f, "{:.0} % killed", share * 100.0)?,
            Fault::Silent(share) => write!(f, "{:.0} % fall silent", share * 100.0)?,
            Fault::Leaving(share) => write!(f, "{:.0} % leave", share * 100.0)?,
            Fault::Partition => write!(f, "a partition")?,
            Fault::Pairs(share) => write!(f, "{:.0} % of pairs cut apart", share * 100.0)?,
            Fault::Churn(turns) => write!(f, "{turns} die and others come")?,
            Fault::Reinstalled(turns) => write!(f, "{turns} come back with another key")?,
        }
        let Some(Infiltration { kind, placement, sites, .. }) = self.adversaries else {
            return Ok(());
        };
        match placement {
            Placement::Share(share) => write!(f, ", {:.0} % {kind}", share * 100.0)?,
            Placement::New { count } => write!(f, ", {count} new {kind}")?,
            Placement::Ground { count, .. } => write!(f, ", {count} {kind} with ground IDs")?,
            Placement::Around { count, .. } => write!(f, ", {count} {kind} around a key")?,
        }
        match sites {
            Some(sites) => write!(f, " behind {sites} /24"),
            None => Ok(()),
        }
    }
}
