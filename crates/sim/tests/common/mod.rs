//! What the tests of a whole network share.

#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_core::event::{Command, CommandId, Outcome};
use voiddht_core::report::Report;
use voiddht_sim::{Growth, HostId, World, WorldConfig, checker};
use voiddht_wire::{Key, Publication};

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world with all checkers, whose nodes have joined.
pub(crate) fn joined(count: usize, seed: u64) -> World {
    joined_with(WorldConfig::default(), count, seed)
}

pub(crate) fn joined_with(config: WorldConfig, count: usize, seed: u64) -> World {
    let mut world = watched(config, seed);
    let grown = world.grow(count, Growth::default()).expect("the world takes this many");
    assert_eq!(grown.joined, count, "seed {seed}");
    world
}

pub(crate) fn watched(config: WorldConfig, seed: u64) -> World {
    let checkers = checker::standard(&config.node);
    let mut world = World::new(config, seed);
    for checker in checkers {
        world.watch(checker);
    }
    world
}

/// Nothing that the checkers watch was broken, and no honest node was blamed for anything.
pub(crate) fn assert_clean(world: &World) {
    let violations = world.violations();
    assert_eq!(violations.count(), 0, "{:#?}", violations.kept());
    assert!(world.tally().misbehaviour.is_empty(), "{:?}", world.tally().misbehaviour);
}

pub(crate) fn live(world: &World) -> Vec<HostId> {
    world.honest().map(|(host, _)| host).collect()
}

pub(crate) fn any(world: &mut World) -> HostId {
    let live = live(world);
    live[world.random().random_range(0..live.len())]
}

/// A key that is not its value's hash.
pub(crate) fn key(number: u64) -> Key {
    Key::of_value(format!("key {number}").as_bytes())
}

pub(crate) fn value(number: u64) -> Bytes {
    Bytes::from(format!("value {number}"))
}

pub(crate) fn put(key: Key, value: Bytes, ttl: u64) -> Command {
    Command::Put(Publication::new(key, value).ttl(Duration::from_secs(ttl)))
}

/// Gives many commands, `at_once` in progress at any time, and returns how each ended.
pub(crate) fn run_all(
    world: &mut World,
    commands: Vec<(HostId, Command)>,
    at_once: usize,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    outcomes.resize_with(commands.len(), || None);
    let mut open: BTreeMap<CommandId, usize> = BTreeMap::new();
    let mut waiting = commands.into_iter().enumerate();
    loop {
        while open.len() < at_once
            && let Some((number, (host, command))) = waiting.next()
        {
            open.insert(world.command(host, command).expect("the node runs"), number);
        }
        if open.is_empty() {
            return outcomes.into_iter().map(|one| one.expect("all have ended")).collect();
        }
        let end = world.now() + PATIENCE;
        let ended = world.run_until_ended(end).expect("commands end");
        if let Some(number) = open.remove(&ended.id) {
            outcomes[number] = Some(ended.outcome);
        }
    }
}

pub(crate) fn run_one(world: &mut World, host: HostId, command: Command) -> Outcome {
    run_all(world, vec![(host, command)], 1).remove(0)
}

/// PUTs values number `numbers`, each at some node, and asserts that each has `at_least` replicas.
pub(crate) fn put_all(world: &mut World, numbers: std::ops::Range<u64>, ttl: u64, at_least: usize) {
    let commands =
        numbers.map(|number| (any(world), put(key(number), value(number), ttl))).collect();
    for (number, outcome) in run_all(world, commands, 16).into_iter().enumerate() {
        match outcome {
            Outcome::Put { receipt, report } => {
                let stored = receipt.stored;
                assert!(stored >= at_least, "value {number} lies on {stored} nodes: {report:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// How GETs went.
#[derive(Debug, Default)]
pub(crate) struct Gets {
    pub(crate) found: usize,
    pub(crate) missing: Vec<(HostId, u64)>,
    pub(crate) reports: Vec<Report>,
}

impl Gets {
    pub(crate) fn slowest(&self) -> Duration {
        self.reports.iter().map(|report| report.took).max().unwrap_or_default()
    }

    pub(crate) fn mean_asked(&self) -> f64 {
        let asked: u32 = self.reports.iter().map(|report| report.asked).sum();
        f64::from(asked) / self.reports.len().max(1) as f64
    }
}

/// GETs each of these values at each of these nodes.
pub(crate) fn get_all(world: &mut World, wanted: Vec<(HostId, u64)>) -> Gets {
    let commands =
        wanted.iter().map(|(host, number)| (*host, Command::Get { key: key(*number) })).collect();
    let mut gets = Gets::default();
    for (outcome, (host, number)) in run_all(world, commands, 16).into_iter().zip(wanted) {
        let Outcome::Get { value: got, report, .. } = outcome else { panic!("{outcome:?}") };
        if got == Some(value(number)) {
            gets.found += 1;
        } else {
            gets.missing.push((host, number));
        }
        gets.reports.push(report);
    }
    gets
}

/// Every value in `numbers` at one random node each.
pub(crate) fn get_each(world: &mut World, numbers: std::ops::Range<u64>) -> Gets {
    let wanted = numbers.map(|number| (any(world), number)).collect();
    get_all(world, wanted)
}
