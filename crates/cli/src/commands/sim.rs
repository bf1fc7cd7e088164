//! `dht sim`: runs a scenario in the simulator; prints a table, plots, and the result of its
//! assertions.
//!
//! `choice` finds the scenario, `execution` runs its worlds on threads, `progress` is the progress
//! output, `table` the results, `picture` and `drawing` the plots.

mod choice;
mod drawing;
mod execution;
mod picture;
mod progress;
mod random;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use rand::TryRng;
use rand::rngs::SysRng;
use voiddht_sim::run::{self, Broken, Ran};
use voiddht_sim::scenario::{Plan, Setting, Settings};

use self::choice::Chosen;
use self::table::words;
use crate::arguments::values::number;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::Paint;
use crate::process;

/// Seeds that are drawn lie below this: they are typed again by people.
const DRAWN_SEEDS: u64 = 1_000_000_000;

/// Random scenarios, where neither their number nor a seed is given.
const RANDOM_SCENARIOS: u64 = 200;

/// Simulate a large network, with faults and attackers, in one process
///
/// A scenario file defines the network, its events, what is measured, and what is asserted. Those
/// that come with the program have names; --list shows them. Time is virtual, and runs are
/// deterministic: the same seed gives the same run, message by message.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A name of --list, a file of your own, "figures" for all that have plots, or "random"
    #[arg(value_name = "SCENARIO", required_unless_present = "list")]
    scenario: Option<String>,

    /// Show the scenarios that come with the program
    #[arg(long)]
    list: bool,

    /// Repeats another run exactly
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    seed: Option<u64>,

    /// Scenarios of "random", each drawn from a seed of its own, from --seed on [default: 1 with
    /// --seed, else 200]
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(1..=1_000_000))]
    seeds: Option<u64>,

    /// Runs only the worlds in which these variables have these values
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = assignment)]
    only: Vec<(String, Setting)>,

    /// Directory for plots (SVG and PNG) and figures (CSV)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Worlds that run at the same time [default: one for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = number::<usize>(1..=1024))]
    threads: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  dht sim --list
  dht sim mass-kill
  dht sim mass-kill --only dead=0.8 --seed 7
  dht sim figures --out docs/figures
  dht sim random --seeds 200
  dht sim my-scenario.toml --out .

Exit status:
  0  everything that the scenario promises holds
  1  a promise is broken; the output says how to see it again
  2  a wrong argument, or a file that is no scenario";

impl Arguments {
    pub(super) fn run(self, output: &Output) -> Result<Exit, Failure> {
        if self.list {
            output.line(choice::list(Paint::of_stdout()))?;
            return Ok(Exit::Success);
        }
        if let Some(folder) = self.out.as_deref().filter(|folder| !folder.is_dir()) {
            let folder = folder.display();
            return Err(Failure::Usage(format!("{folder}: there is no such directory")));
        }
        if self.scenario.as_deref() == Some(random::NAME) {
            return self.run_random(output);
        }
        if self.seeds.is_some() {
            return Err(Failure::Usage("--seeds is for random alone".to_owned()));
        }
        let mut chosen = choice::choose(self.scenario.as_deref().unwrap_or_default())?;
        for one in &mut chosen {
            self.select(&mut one.plan)?;
        }
        let seed = self.seed()?;
        output.line(format_args!("seed {seed}"))?;
        let mut exit = Exit::Success;
        for one in &chosen {
            let broken = self.run_one(one, seed, output)?;
            if !broken.is_empty() {
                exit = Exit::Negative;
            }
        }
        Ok(exit)
    }

    fn seed(&self) -> Result<u64, Failure> {
        match self.seed {
            Some(seed) => Ok(seed),
            None => Ok(SysRng.try_next_u64().map_err(Failure::failed)? % DRAWN_SEEDS),
        }
    }

    fn run_random(&self, output: &Output) -> Result<Exit, Failure> {
        let usual = if self.seed.is_some() { 1 } else { RANDOM_SCENARIOS };
        let (seed, count) = (self.seed()?, self.seeds.unwrap_or(usual));
        output.line(match count {
            1 => format!("seed {seed}"),
            _ => format!("seeds {seed} to {}", seed.saturating_add(count - 1)),
        })?;
        random::run(seed, count, self.threads, output)
    }

    fn select(&self, plan: &mut Plan) -> Result<(), Failure> {
        let wanted: Settings = self.only.iter().cloned().collect();
        plan.keep_only(&wanted);
        if plan.points.is_empty() {
            let name = &plan.name;
            return Err(Failure::Usage(format!("{name} has no world with {}", words(&wanted))));
        }
        Ok(())
    }

    fn run_one(&self, chosen: &Chosen, seed: u64, output: &Output) -> Result<Vec<Broken>, Failure> {
        let plan = &chosen.plan;
        output.line(format_args!("\n{}: {}\n", plan.name, plan.about))?;
        let began = Instant::now();
        let ran = execution::run(plan, seed, self.threads, output)?;
        let rows = run::mean_rows(&ran);
        output.line(table::of(plan, &rows))?;
        for row in &rows {
            let traffic = table::of_traffic(row);
            if !traffic.is_empty() {
                output.line(format_args!("{}\n\n{traffic}", words(&row.settings)))?;
            }
        }
        output.line(cost(&ran, began))?;
        let broken = run::broken(plan, &ran);
        for one in &broken {
            output.line(complaint(one, chosen, seed))?;
        }
        if let Some(folder) = &self.out {
            for file in picture::write_all(plan, &rows, folder)? {
                output.line(format_args!("  {}", file.display()))?;
            }
        }
        Ok(broken)
    }
}

/// What the runs took, and how they are distinguished.
fn cost(ran: &[Ran], began: Instant) -> String {
    let events: u64 = ran.iter().map(|run| run.events).sum();
    let busy: f64 = ran.iter().map(|run| run.wall_time.as_secs_f64()).sum();
    let virtual_time: f64 = ran.iter().map(|run| run.virtual_time.as_secs_f64()).sum();
    let trace = ran.iter().fold(0, |trace: u64, run| trace.rotate_left(7) ^ run.trace_hash);
    let memory = match process::peak_resident_bytes() {
        Ok(bytes) => format!(", at most {:.2} GiB of memory", bytes as f64 / f64::from(1 << 30)),
        Err(_) => String::new(),
    };
    let each = busy * 1e6 / events.max(1) as f64;
    format!(
        "  {:.1} h of virtual time, {events} events of {each:.2} µs, in {:.1} s{memory}\n  \
         trace {trace:016x}",
        virtual_time / 3600.0,
        began.elapsed().as_secs_f64(),
    )
}

fn complaint(broken: &Broken, chosen: &Chosen, seed: u64) -> String {
    let mut command = format!("dht sim {} --seed {seed}", chosen.argument);
    let varied = broken.settings.iter().filter(|(name, _)| chosen.plan.varies(name));
    let varied: Settings = varied.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !varied.is_empty() {
        command += &format!(" --only {}", words(&varied));
    }
    let place = match broken.settings.is_empty() {
        true => String::new(),
        false => format!(" with {}", words(&broken.settings)),
    };
    format!("  BROKEN{place}: {}\n    again: {command}", broken.what)
}

fn assignment(text: &str) -> Result<(String, Setting), &'static str> {
    let (name, value) = text.trim().split_once('=').ok_or("must be NAME=VALUE, like dead=0.8")?;
    Ok((name.to_owned(), Setting::parse(value)))
}
