//! Experiments with adversaries: success and cost of PUTs and GETs of honest nodes.
//!
//! A [`Trial`] is one world: it grows, adversaries join before or after values are put, and honest
//! nodes get the values. Its result is a [`Score`]. An experiment is many trials, and gives
//! [`Row`]s: points of curves, ready to be plotted. `docs/adversaries.md` shows them.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_core::Config;
use voiddht_core::config::{ConfigError, Diversity};
use voiddht_core::event::{Command, Outcome};
use voiddht_wire::{Key, Publication};

use crate::adversary::{Infiltration, Kind, Placement};
use crate::checker::{self, Replicas};
use crate::growth::Growth;
use crate::host::{HostId, HostOptions};
use crate::network::mix;
use crate::world::{World, WorldConfig};

/// How long values live: none ends within a trial.
const TTL: Duration = Duration::from_secs(12 * 3600);
/// Operations in flight.
const AT_ONCE: usize = 8;

/// A point of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which curve.
    pub name: String,
    /// What was varied.
    pub x: f64,
    /// What came of it.
    pub y: f64,
}

/// Nodes as they are shipped, or with every defence against hostile neighbours taken away: one
/// path, the first value believed, no limit by address, no widening.
pub fn config(defended: bool) -> Config {
    let shipped = Config::default();
    if defended {
        return shipped;
    }
    Config {
        disjoint_paths: 1,
        vote_quorum: 1,
        widen_dense: false,
        diversity: Diversity::NONE,
        ..shipped
    }
}

/// One world with adversaries.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Honest nodes at the beginning.
    pub nodes: usize,
    /// Whether their tables are filled without a message, rather than by joining: for networks of
    /// which joining takes too long.
    pub warm: bool,
    /// Every node's settings.
    pub config: Config,
    /// Adversaries that join, once for the whole world.
    pub everywhere: Option<Infiltration>,
    /// Adversaries that join around each key.
    pub around: Option<Around>,
    /// Whether values are put before the adversaries come, rather than after.
    pub put_first: bool,
    /// How long adversaries have to make themselves known, in virtual time.
    pub settle: Duration,
    /// Values, each under a key of its own.
    pub values: u64,
    /// Whether each is content-addressed.
    pub proving: bool,
    /// GETs of each value, each at a random honest node.
    pub gets: u64,
    /// Of everything.
    pub seed: u64,
}

/// Adversaries around each key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around {
    /// New nodes with ground IDs.
    Ground {
        /// What they are.
        kind: Kind,
        /// How many for each key.
        count: usize,
        /// Among how many honest nodes: see [`Placement::Ground`]; 0 is closer than any.
        among: usize,
        /// Behind how many /24s; `None` gives each one of its own.
        sites: Option<usize>,
    },
    /// `count` of the `among` nodes closest to the key turn hostile.
    Turned {
        /// What they are.
        kind: Kind,
        /// How many for each key.
        count: usize,
        /// Among how many.
        among: usize,
    },
}

impl Around {
    fn infiltration(&self, point: Key) -> Infiltration {
        match *self {
            Self::Ground { kind, count, among, sites } => {
                let placement = Placement::Ground { point, count, among };
                Infiltration { sites, ..Infiltration::new(kind, placement) }
            }
            Self::Turned { kind, count, among } => {
                Infiltration::new(kind, Placement::Around { point, count, among })
            }
        }
    }
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            nodes: 200,
            warm: false,
            config: Config::default(),
            everywhere: None,
            around: None,
            put_first: true,
            settle: Duration::from_secs(60),
            values: 50,
            proving: false,
            gets: 4,
            seed: 0,
        }
    }
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// PUTs.
    pub puts: u64,
    /// PUTs of which an honest node holds the value afterwards.
    pub kept: u64,
    /// GETs.
    pub gets: u64,
    /// GETs that returned the value.
    pub right: u64,
    /// GETs that returned another.
    pub wrong: u64,
    /// Requests of all GETs.
    pub get_requests: u64,
    /// Virtual time that all GETs took, in seconds.
    pub get_seconds: f64,
    /// Requests of all PUTs.
    pub put_requests: u64,
    /// Virtual time that all PUTs took, in seconds.
    pub put_seconds: f64,
    /// Violations of what the checkers watch; a banned honest node is one.
    pub violations: u64,
    /// Adversaries at the end.
    pub adversaries: u64,
}

impl Score {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            puts: self.puts + other.puts,
            kept: self.kept + other.kept,
            gets: self.gets + other.gets,
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            get_requests: self.get_requests + other.get_requests,
            get_seconds: self.get_seconds + other.get_seconds,
            put_requests: self.put_requests + other.put_requests,
            put_seconds: self.put_seconds + other.put_seconds,
            violations: self.violations + other.violations,
            adversaries: self.adversaries + other.adversaries,
        }
    }

    /// The share of GETs that returned the value.
    pub fn get_success(&self) -> f64 {
        self.right as f64 / self.gets.max(1) as f64
    }

    /// The share of PUTs of which an honest node holds the value.
    pub fn put_success(&self) -> f64 {
        self.kept as f64 / self.puts.max(1) as f64
    }
}

impl Trial {
    /// Runs it.
    ///
    /// # Errors
    /// If the settings of the nodes contradict each other.
    pub fn run(&self) -> Result<Score, ConfigError> {
        Ok(self.play()?.1)
    }

    /// Runs it, and hands out the world as it is then.
    ///
    /// # Errors
    /// If the settings of the nodes contradict each other.
    pub fn play(&self) -> Result<(World, Score), ConfigError> {
        let config = WorldConfig { node: self.config.clone(), ..WorldConfig::default() };
        let mut world = World::new(config, self.seed);
        for checker in checker::standard(&self.config) {
            world.watch(checker);
        }
        if self.warm {
            world.grow_warm(self.nodes, HostOptions::default(), &mut |_| {})?;
        } else {
            let at_once = (self.nodes / 50).max(1);
            world.grow(self.nodes, Growth { at_once, ..Growth::default() })?;
        }
        world.pass(Duration::from_secs(30));
        let mut score = Score::default();
        if self.put_first {
            self.put(&mut world, &mut score);
        }
        self.infiltrate(&mut world)?;
        world.pass(self.settle);
        if !self.put_first {
            self.put(&mut world, &mut score);
        }
        self.judge_puts(&world, &mut score);
        self.get(&mut world, &mut score);
        score.violations = world.violations().count();
        score.adversaries = world.cabal().members().len() as u64;
        Ok((world, score))
    }

    fn value(&self, number: u64) -> (Key, Bytes) {
        let value = Bytes::from(format!("value {number} of {}", self.seed));
        let name = format!("key {number} of {}", self.seed);
        let key = Key::of_value(if self.proving { &value } else { name.as_bytes() });
        (key, value)
    }

    fn infiltrate(&self, world: &mut World) -> Result<(), ConfigError> {
        if let Some(plan) = &self.everywhere {
            world.infiltrate(plan)?;
        }
        for number in 0..self.values {
            if let Some(around) = &self.around {
                world.infiltrate(&around.infiltration(self.value(number).0))?;
            }
        }
        Ok(())
    }

    fn put(&self, world: &mut World, score: &mut Score) {
        let commands = (0..self.values).map(|number| {
            let (key, value) = self.value(number);
            let command = Command::Put(Publication::new(key, value).ttl(TTL));
            (any_honest(world), command)
        });
        let commands = commands.collect();
        for outcome in world.run_commands(commands, AT_ONCE).into_iter().flatten() {
            score.puts += 1;
            if let Outcome::Put { report, .. } = outcome {
                score.put_requests += u64::from(report.asked);
                score.put_seconds += report.took.as_secs_f64();
            }
        }
    }

    fn judge_puts(&self, world: &World, score: &mut Score) {
        for number in 0..self.values {
            let replicas = Replicas::of(&world.view(), &self.value(number).0, self.config.k);
            score.kept += u64::from(replicas.anywhere > 0);
        }
    }

    fn get(&self, world: &mut World, score: &mut Score) {
        let wanted: Vec<u64> = (0..self.gets).flat_map(|_| 0..self.values).collect();
        let commands = wanted
            .iter()
            .map(|number| (any_honest(world), Command::Get { key: self.value(*number).0 }))
            .collect();
        for (outcome, number) in world.run_commands(commands, AT_ONCE).into_iter().zip(wanted) {
            score.gets += 1;
            if let Some(Outcome::Get { value, report, .. }) = outcome {
                score.get_requests += u64::from(report.asked);
                score.get_seconds += report.took.as_secs_f64();
                let right = value.as_ref() == Some(&self.value(number).1);
                score.right += u64::from(right);
                score.wrong += u64::from(value.is_some() && !right);
            }
        }
    }
}

fn any_honest(world: &mut World) -> HostId {
    let honest: Vec<HostId> = world.honest().map(|(host, _)| host).collect();
    honest[world.random().random_range(0..honest.len())]
}

/// The neighbourhood of a key taken by ground IDs: their kind, their number, and how it is
/// measured.
#[derive(Clone, Debug)]
pub struct GroundIds {
    /// What the Sybils are.
    pub kind: Kind,
    /// Honest nodes.
    pub nodes: usize,
    /// Sybils around one key: the points of the curves.
    pub sybils: Vec<usize>,
    /// Behind how many /24s those of one key are; `None` gives each one of its own.
    pub sites: Option<usize>,
    /// Whether values are put before they come.
    pub put_first: bool,
    /// Worlds for each point.
    pub worlds: u64,
    /// Keys in each world.
    pub keys: u64,
    /// GETs of each.
    pub gets: u64,
    /// Of everything.
    pub seed: u64,
}

impl GroundIds {
    /// Runs the experiment with the defences on and off: GET and PUT success, 0 to 1, against the
    /// number of Sybils. `progress` hears how many worlds are done, of how many.
    ///
    /// # Errors
    /// If the settings of the nodes contradict each other.
    pub fn run(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Vec<Row>, ConfigError> {
        let of = 2 * self.sybils.len() * self.worlds as usize;
        let mut done = 0;
        let mut rows = Vec::new();
        for defended in [false, true] {
            let defences = if defended { "defences on" } else { "defences off" };
            for count in &self.sybils {
                let mut score = Score::default();
                for world in 0..self.worlds {
                    score = score.plus(self.trial(defended, *count, world).run()?);
                    done += 1;
                    progress(done, of);
                }
                let x = *count as f64;
                rows.push(Row { name: format!("GET, {defences}"), x, y: score.get_success() });
                rows.push(Row { name: format!("PUT, {defences}"), x, y: score.put_success() });
            }
        }
        Ok(rows)
    }

    fn trial(&self, defended: bool, count: usize, world: u64) -> Trial {
        let (kind, sites) = (self.kind, self.sites);
        Trial {
            nodes: self.nodes,
            config: config(defended),
            around: Some(Around::Ground { kind, count, among: 0, sites }),
            put_first: self.put_first,
            values: self.keys,
            gets: self.gets,
            seed: mix(self.seed ^ mix(world)),
            ..Trial::default()
        }
    }
}
