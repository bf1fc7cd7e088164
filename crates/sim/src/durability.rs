//! Faults that lost, locked or kept a value too long: each as a small run with figures.
//!
//! `examples/values.rs` prints them, `tests/values.rs` asserts them, and `docs/durability.md` has
//! the figures before the fixes.

use std::time::Duration;

use voiddht_core::Config;
use voiddht_core::config::ConfigError;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::operation::{PutFailure, Receipt};
use voiddht_wire::id::ID_BITS;
use voiddht_wire::{Key, Publication};

use crate::checker::Replicas;
use crate::growth::Growth;
use crate::host::{DiskOptions, HostId, HostOptions};
use crate::network::{Latency, NetworkConfig};
use crate::world::{Death, World, WorldConfig};

/// Events after which a run that should be quiet is given up.
const MAX_EVENTS: u64 = 4_000_000;

/// A content-addressed value, published for an hour and then by another node for a second.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// Nodes of which none left.
    pub nodes: usize,
    /// Nodes that hold it 2.5 s after the second publication.
    pub holders: usize,
}

/// A key that a node with a fast clock has published, and that another one then publishes.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// What the honest PUT came to.
    pub receipt: Receipt,
    /// GETs of all nodes after it that returned its value.
    pub right: usize,
    /// GETs of all nodes after it.
    pub gets: usize,
    /// Whether the node with the fast clock holds the key, with a version that no other accepts: its own
    /// clock says that it is right.
    pub fast_node_holds: bool,
}

/// A value of 20 s, of which a replica was suspended from second 5 to second 40.
#[derive(Clone, Copy, Debug)]
pub struct Suspended {
    /// Nodes that hold it a second after the machine was resumed.
    pub holders: usize,
    /// GETs of all nodes that returned it then.
    pub found: usize,
    /// Nodes that hold it one upkeep interval later, or the TTL later if that is sooner.
    pub later: usize,
}

/// Events in five seconds of a network whose nodes disagree on which record wins.
#[derive(Clone, Copy, Debug)]
pub struct Disagreeing {
    /// The most in any five seconds of an upkeep interval, or [`MAX_EVENTS`].
    pub most_events: u64,
}

/// What receipts said.
#[derive(Clone, Copy, Debug)]
pub struct Receipts {
    /// Of a node whose network has just gone silent.
    pub cut_off: Receipt,
    /// Of a network of four, the disks of two of which take three seconds.
    pub busy_disks: Receipt,
}

struct Stage {
    world: World,
}

impl Stage {
    fn of(nodes: usize, node: Config, seed: u64) -> Result<Self, ConfigError> {
        Self::in_world(nodes, WorldConfig { node, ..WorldConfig::default() }, seed)
    }

    fn in_world(nodes: usize, config: WorldConfig, seed: u64) -> Result<Self, ConfigError> {
        let mut world = World::new(config, seed);
        world.grow(nodes, Growth::default())?;
        world.pass(Duration::from_secs(30));
        Ok(Self { world })
    }

    fn put(&mut self, at: u32, key: Key, value: &'static str, ttl: u64) -> Receipt {
        let publication = Publication::new(key, value).ttl(Duration::from_secs(ttl));
        let command = Command::Put(publication);
        match self.world.run_commands(vec![(HostId(at), command)], 1).pop().flatten() {
            Some(Outcome::Put { receipt, .. }) => receipt,
            _ => Receipt { stored: 0, outstanding: 0, failure: Some(PutFailure::Refused) },
        }
    }

    /// How many of all nodes get this value.
    fn right(&mut self, key: Key, value: &str) -> usize {
        let hosts: Vec<HostId> = self.world.honest().map(|(host, _)| host).collect();
        let commands = hosts.into_iter().map(|host| (host, Command::Get { key })).collect();
        let outcomes = self.world.run_commands(commands, 8);
        let is_right = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Get { value: Some(got), .. }) if got == value);
        outcomes.iter().filter(|outcome| is_right(outcome)).count()
    }

    fn holds(&self, host: HostId, key: &Key) -> bool {
        let node = self.world.host(host).node();
        node.is_some_and(|node| node.records().get(key, self.world.boot_now()).is_some())
    }

    fn holders(&self, key: &Key) -> usize {
        Replicas::of(&self.world.view(), key, self.world.hosts().len()).anywhere
    }
}

fn plain_key(number: u64) -> Key {
    Key::of_value(format!("the key {number} is no hash of its value").as_bytes())
}

/// See [`Renewed`].
///
/// # Errors
/// None: the settings are defaults.
pub fn renewed_by_a_stranger(seed: u64) -> Result<Renewed, ConfigError> {
    let mut stage = Stage::of(5, Config::default(), seed)?;
    let key = Key::of_value(b"content");
    stage.put(0, key, "content", 3600);
    stage.put(1, key, "content", 1);
    stage.world.pass(Duration::from_millis(2500));
    Ok(Renewed { nodes: 5, holders: stage.holders(&key) })
}

/// See [`Locked`]: the fast clock is ahead by so much.
///
/// # Errors
/// None: the settings are defaults.
pub fn locked_by_a_fast_clock(ahead: Duration, seed: u64) -> Result<Locked, ConfigError> {
    let mut stage = Stage::of(30, Config::default(), seed)?;
    let skew = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
    stage.world.set_clock(HostId(3), skew);
    stage.put(3, plain_key(0), "of the fast clock", 3600);
    let fast_node_holds = stage.holds(HostId(3), &plain_key(0));
    let receipt = stage.put(4, plain_key(0), "of the right clock", 3600);
    let (right, gets) = (stage.right(plain_key(0), "of the right clock"), 30);
    Ok(Locked { receipt, right, gets, fast_node_holds })
}

/// The same key, published by a node whose clock was two hours ahead, with a TTL of 5 s, and again
/// by the same node 10 s later, its clock corrected.
///
/// # Errors
/// None: the settings are defaults.
pub fn published_while_the_clock_was_wrong(seed: u64) -> Result<Locked, ConfigError> {
    let mut stage = Stage::of(30, Config::default(), seed)?;
    stage.world.set_clock(HostId(3), 2 * 3_600_000);
    stage.put(3, plain_key(0), "two hours ahead", 5);
    stage.world.pass(Duration::from_secs(10));
    stage.world.set_clock(HostId(3), 0);
    let receipt = stage.put(3, plain_key(0), "corrected", 3600);
    let (right, gets) = (stage.right(plain_key(0), "corrected"), 30);
    Ok(Locked { receipt, right, gets, fast_node_holds: false })
}

/// See [`Suspended`].
///
/// # Errors
/// None: the settings do not contradict each other.
pub fn suspended_past_the_deadline(seed: u64) -> Result<Suspended, ConfigError> {
    let node = Config { upkeep_interval: Duration::from_secs(10), ..Config::default() };
    let mut stage = Stage::of(30, node, seed)?;
    stage.put(0, plain_key(0), "short", 20);
    stage.world.pass(Duration::from_secs(5));
    let holder = (0..30).map(HostId).find(|host| stage.holds(*host, &plain_key(0)));
    let sleeper = holder.unwrap_or(HostId(0));
    stage.world.suspend(sleeper);
    stage.world.pass(Duration::from_secs(35));
    stage.world.resume(sleeper);
    stage.world.pass(Duration::from_secs(1));
    let holders = stage.holders(&plain_key(0));
    let found = stage.right(plain_key(0), "short");
    stage.world.pass(Duration::from_secs(7));
    Ok(Suspended { holders, found, later: stage.holders(&plain_key(0)) })
}

/// See [`Disagreeing`]: one clock of five is an hour ahead, and both sides publish 20 keys.
///
/// # Errors
/// None: the settings do not contradict each other.
pub fn disagreeing_clocks(seed: u64) -> Result<Disagreeing, ConfigError> {
    let interval = Duration::from_secs(120);
    let node = Config { upkeep_interval: interval, ..Config::default() };
    // As on one machine.
    let latency = Latency::Constant(Duration::from_micros(100));
    let network = NetworkConfig { latency, ..NetworkConfig::default() };
    let mut stage = Stage::in_world(5, WorldConfig { network, node }, seed)?;
    stage.world.set_clock(HostId(3), 3_600_000);
    // Closest to the node whose clock is ahead: it renews all of them together, to all others.
    let id = stage.world.host(HostId(3)).info().id;
    for bit in 0..20 {
        let key = id.as_key().with_bit(ID_BITS - 1 - bit, !id.bit(ID_BITS - 1 - bit));
        stage.put(3, key, "ahead", 3600);
        stage.put(1, key, "right", 3600);
    }
    let ends = stage.world.now() + interval;
    let mut most_events = 0;
    while stage.world.now() < ends && most_events < MAX_EVENTS {
        let (began, until) = (stage.world.events(), stage.world.now() + Duration::from_secs(5));
        while stage.world.next_event_at().is_some_and(|at| at <= until)
            && stage.world.events() - began < MAX_EVENTS
        {
            stage.world.step();
        }
        most_events = most_events.max(stage.world.events() - began);
        if most_events < MAX_EVENTS {
            stage.world.run_until(until);
        }
    }
    Ok(Disagreeing { most_events })
}

/// See [`Receipts`].
///
/// # Errors
/// None: the settings are defaults.
pub fn receipts(seed: u64) -> Result<Receipts, ConfigError> {
    let mut stage = Stage::of(5, Config::default(), seed)?;
    for host in 1..5 {
        stage.world.kill(HostId(host), Death::Silent);
    }
    let cut_off = stage.put(0, plain_key(0), "value", 3600);
    let mut world = World::new(WorldConfig::default(), seed);
    for commit in [Duration::ZERO, Duration::from_secs(3)] {
        let disk = Some(DiskOptions { commit, failing: 0.0 });
        let options = HostOptions { disk, ..HostOptions::default() };
        world.grow(2, Growth { options, ..Growth::default() })?;
    }
    world.pass(Duration::from_secs(30));
    let mut stage = Stage { world };
    let busy_disks = stage.put(0, plain_key(0), "value", 3600);
    Ok(Receipts { cut_off, busy_disks })
}
