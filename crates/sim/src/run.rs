//! Runs a scenario: one world for each of its points, and the measurements.
//!
//! [`run_point`] executes the steps of one world; each kind of step has a file of its own, and adds
//! to the figures of a [`Row`]. Everything follows from the scenario and the seed: figures, series
//! and the trace hash are the same in every run. Only the cost of a run (wall time, memory) is not,
//! and is therefore no figure.

use std::time::{Duration, Instant};

use voiddht_core::config::ConfigError;

use crate::checker;
use crate::network::mix;
use crate::scenario::{Plan, Point, Scenario, Settings, Step};
use crate::world::{World, WorldConfig};

mod breakdown;
mod commands;
mod lives;
mod lookups;
mod population;
mod row;
mod stage;
mod statistics;
mod values;

pub use row::{Progress, Row};
use stage::Stage;

/// What came out of one world.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The values of its variables.
    pub settings: Settings,
    /// Which of several runs of the same point it was, from 0.
    pub repetition: u32,
    /// One for each round.
    pub rows: Vec<Row>,
    /// Distinguishes two runs: the same run has the same one.
    pub trace_hash: u64,
    /// Events that happened.
    pub events: u64,
    /// What the checkers found, in words; the first of them.
    pub violations: Vec<String>,
    /// Virtual time at the end.
    pub virtual_time: Duration,
    /// What it took. No two runs have the same.
    pub wall_time: Duration,
}

/// A promise of the scenario that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// Where.
    pub settings: Settings,
    /// What, in words.
    pub what: String,
}

impl Row {
    /// A figure by its name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Takes a figure; one of the same name that was taken before in this row is replaced.
    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        match self.figures.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.figures.push((name, value)),
        }
    }
}

/// The seed of one world: every point and repetition has its own, and the same in every
/// selection of points.
pub fn point_seed(seed: u64, point: &Point, repetition: u32) -> u64 {
    let mut state = mix(seed ^ mix(u64::from(repetition)));
    for byte in
        point.settings.iter().flat_map(|(name, value)| format!("{name}={value};").into_bytes())
    {
        state = mix(state ^ u64::from(byte));
    }
    state
}

/// Executes one world of a scenario, and tells how far it is.
///
/// # Errors
/// If the settings of the nodes contradict each other.
pub fn run_point(
    point: &Point,
    seed: u64,
    repetition: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Ran, ConfigError> {
    let began = Instant::now();
    let mut rounds = point.rounds.iter();
    let first = &point.rounds[0].scenario;
    let world = watched(first, point_seed(seed, point, repetition));
    let mut stage = Stage::new(world, progress);
    let mut rows = Vec::new();
    take_steps(&mut stage, &first.setup)?;
    for round in rounds.by_ref() {
        stage.row.settings = round.settings.clone();
        take_steps(&mut stage, &round.scenario.step)?;
        rows.push(std::mem::take(&mut stage.row));
    }
    let world = stage.world;
    let violations = world.violations().kept().iter();
    let violations = violations.map(ToString::to_string).collect();
    Ok(Ran {
        settings: point.settings.clone(),
        repetition,
        rows,
        trace_hash: world.trace_hash(),
        events: world.events(),
        violations,
        virtual_time: Duration::from_micros(world.now().as_micros()),
        wall_time: began.elapsed(),
    })
}

/// The rows of all runs, those of repetitions of the same world averaged.
pub fn mean_rows(ran: &[Ran]) -> Vec<Row> {
    let mut rows: Vec<(Row, f64)> = Vec::new();
    for row in ran.iter().flat_map(|run| &run.rows) {
        let Some((mean, count)) = rows.iter_mut().find(|(one, _)| one.settings == row.settings)
        else {
            rows.push((row.clone(), 1.0));
            continue;
        };
        for (name, value) in &row.figures {
            let before = mean.figure(name).unwrap_or(*value);
            mean.set(name.as_str(), (before * *count + value) / (*count + 1.0));
        }
        *count += 1.0;
    }
    rows.into_iter().map(|(row, _)| row).collect()
}

/// What does not hold of what a plan promises; and what the checkers found, for nothing that they
/// watch may ever be broken.
pub fn broken(plan: &Plan, ran: &[Ran]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for run in ran {
        for what in run.violations.iter().take(3) {
            broken.push(Broken { settings: run.settings.clone(), what: what.clone() });
        }
        for row in &run.rows {
            for promise in plan.promises.iter().filter(|promise| promise.is_about(&row.settings)) {
                let (name, bound) = (&promise.figure, promise.bound());
                let what = match row.figure(name) {
                    Some(value) if promise.is_kept_by(value) => continue,
                    Some(value) => format!("{name} is {value}, and should be {bound}"),
                    None => format!("{name} was not measured, and should be {bound}"),
                };
                broken.push(Broken { settings: row.settings.clone(), what });
            }
        }
    }
    broken
}

fn watched(scenario: &Scenario, seed: u64) -> World {
    let mut node = scenario.node.config();
    node.trace_steps = scenario.needs_steps();
    let checkers = checker::standard(&node);
    let mut world = World::new(WorldConfig { network: scenario.network.config(), node }, seed);
    for checker in checkers {
        world.watch(checker);
    }
    world
}

fn take_steps(stage: &mut Stage<'_>, steps: &[Step]) -> Result<(), ConfigError> {
    for step in steps {
        stage.progress.begin(step.name());
        match step {
            Step::Grow(grow) => stage.grow(grow)?,
            Step::Put(put) => stage.put(put),
            Step::Get(get) => stage.get(get),
            Step::Lookup(lookup) => stage.look_up(lookup),
            Step::Infiltrate(plan) => stage.infiltrate(plan)?,
            Step::Surround(plan) => stage.surround(plan)?,
            Step::Kill(kill) => stage.kill(kill),
            Step::Leave(leave) => stage.leave(leave),
            Step::Return(back) => stage.return_dead(back)?,
            Step::Split(split) => stage.split(split),
            Step::Cut(cut) => {
                let pairs = stage.world.some_pairs(cut.pairs);
                stage.world.cut(pairs);
            }
            Step::Heal {} => stage.world.heal(),
            Step::Wait(wait) => stage.wait(wait),
            Step::Live(live) => stage.live(live)?,
        }
    }
    Ok(())
}
