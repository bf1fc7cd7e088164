//! `dht drill`: chaos tests on a network of real `dht_server` processes on this machine.
//!
//! One file for each case. The nodes are a [`Fleet`]; `load` puts and gets through their module
//! APIs; `census` asks each node for its records; `report` is the table.

mod census;
mod churn;
mod load;
mod mass_kill;
mod namespaces;
mod partition;
mod report;
mod restart_all;
mod rolling_restart;
mod rotation;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{SeedableRng, TryRng};
use voiddht_core::config::K;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use self::load::{Load, Stored};
use self::report::{Report, seconds};
use super::fleet::entries::Entries;
use super::fleet::{Fleet, Manner};
use super::progress::Progress;
use crate::arguments::values::number;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::process as own_process;
use crate::signals::StopSignals;

/// What a machine that is busy with other things may need longer.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);
/// Operations in flight where a drill puts or gets many values.
const AT_ONCE: usize = 32;

/// Kill, restart, replace and partition real nodes, and check that no value is lost
///
/// Starts a network of dht_server processes on loopback, each with a data directory of its own in
/// a temporary directory, and injects faults. The table lists each guarantee and whether it
/// holds.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Fault to inject
    #[arg(value_name = "CASE")]
    case: Case,

    #[command(flatten)]
    options: Options,
}

/// Size of a chaos test.
#[derive(Clone, Debug, Args)]
struct Options {
    /// Nodes of the network [default: 32; 16 for rolling-restart and partition, 20 for rotation]
    #[arg(long, env = "VOIDDHT_DRILL_NODES", value_name = "NUMBER", value_parser = number::<usize>(2..=1000))]
    nodes: Option<usize>,

    /// Values that are put before the fault
    #[arg(long, env = "VOIDDHT_DRILL_VALUES", value_name = "NUMBER", default_value_t = 1000, value_parser = number::<usize>(1..=1_000_000))]
    values: usize,

    /// Bytes of each value
    #[arg(long, env = "VOIDDHT_DRILL_VALUE_SIZE", value_name = "BYTES", default_value_t = 100, value_parser = number::<usize>(1..=MAX_VALUE_BYTES))]
    value_size: usize,

    /// The nodes' upkeep interval: an hour in real networks, shorter here to bound the wait
    #[arg(long, env = "VOIDDHT_DRILL_UPKEEP_INTERVAL", value_name = "SECONDS", default_value_t = 60, value_parser = number::<u64>(1..=86_400))]
    upkeep_interval: u64,

    /// How long churn and a partition last, or a rotation waits for renewed connections
    /// [default: 180; 60 for partition, 630 for rotation]
    #[arg(long, env = "VOIDDHT_DRILL_SECONDS", value_name = "SECONDS", value_parser = number::<u64>(1..=86_400))]
    seconds: Option<u64>,

    /// Report times without judging them, and wait longer: for a busy machine
    #[arg(long, env = "VOIDDHT_DRILL_UNTIMED")]
    untimed: bool,

    /// Parent of the temporary directory, which is kept on a failure
    #[arg(long, env = "VOIDDHT_DRILL_DIRECTORY", value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Repeats the random choices of another run: keys, values, nodes to ask and to kill
    #[arg(long, env = "VOIDDHT_DRILL_SEED", value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    seed: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  dht drill mass-kill
  dht drill churn --seconds 600 --nodes 64
  dht drill mass-kill --nodes 6 --values 50 --upkeep-interval 5 --untimed
  dht drill all

Exit status:
  0  everything that was promised holds
  1  a value was lost, or another promise broken; the logs and data are kept";

/// The fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// Half of all nodes are killed at once
    MassKill,
    /// All nodes are killed amid PUTs, and started again; one database is damaged
    RestartAll,
    /// Every node in turn is stopped and started again, under load
    RollingRestart,
    /// A node is killed and another one started every two seconds, under load
    Churn,
    /// The network is partitioned into two halves, and healed
    Partition,
    /// A private network's secret is replaced, under load; takes some 20 minutes
    Rotation,
    /// All of these but the rotation, one after the other
    All,
}

/// One case in progress.
#[derive(Debug)]
struct Drill {
    options: Options,
    fleet: Fleet,
    load: Rc<Load>,
    random: ChaCha8Rng,
    progress: Progress,
}

impl Case {
    const EACH: [Self; 5] =
        [Self::MassKill, Self::RestartAll, Self::RollingRestart, Self::Churn, Self::Partition];

    fn name(self) -> &'static str {
        match self {
            Self::MassKill => "mass-kill",
            Self::RestartAll => "restart-all",
            Self::RollingRestart => "rolling-restart",
            Self::Churn => "churn",
            Self::Partition => "partition",
            Self::Rotation => "rotation",
            Self::All => "all",
        }
    }

    async fn run(self, drill: &mut Drill) -> Result<Report, Failure> {
        match self {
            Self::MassKill => mass_kill::run(drill).await,
            Self::RestartAll => restart_all::run(drill).await,
            Self::RollingRestart => rolling_restart::run(drill).await,
            Self::Churn => churn::run(drill).await,
            Self::Rotation => rotation::run(drill).await,
            Self::Partition | Self::All => partition::run(drill).await,
        }
    }
}

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let mut signals = StopSignals::catch().map_err(Failure::failed)?;
        tokio::select! {
            exit = self.run_cases(output) => exit,
            // The nodes are killed as their processes are dropped.
            signal = signals.next() => {
                output.complaint(format_args!("{}: the drill ends, and its nodes", signal.name()));
                Ok(Exit::Negative)
            }
        }
    }

    async fn run_cases(self, output: &Output) -> Result<Exit, Failure> {
        own_process::raise_open_files();
        if let Some(parent) = self.options.directory.as_deref().filter(|parent| !parent.is_dir()) {
            let parent = parent.display();
            return Err(Failure::Usage(format!("{parent}: there is no such directory")));
        }
        let seed = match self.options.seed {
            Some(seed) => seed,
            None => SysRng.try_next_u64().map_err(Failure::failed)?,
        };
        output.line(format_args!("seed {seed}\n"))?;
        let cases = match self.case {
            Case::All => &Case::EACH[..],
            ref one => std::slice::from_ref(one),
        };
        let mut reports = Vec::new();
        for case in cases {
            let report = run_case(*case, self.options.clone(), seed, output).await?;
            output.line(&report)?;
            reports.push(report);
        }
        if reports.len() > 1 {
            for report in &reports {
                output.line(report.summary())?;
            }
        }
        let passed = reports.iter().all(Report::is_passed);
        Ok(if passed { Exit::Success } else { Exit::Negative })
    }
}

async fn run_case(
    case: Case,
    options: Options,
    seed: u64,
    output: &Output,
) -> Result<Report, Failure> {
    let started = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let entries = Rc::new(Entries::new(ChaCha8Rng::from_rng(&mut random)));
    let load_random = ChaCha8Rng::from_rng(&mut random);
    let load = Load::new(Rc::clone(&entries), options.value_size, load_random);
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let manner = Manner { upkeep: Some(options.upkeep_interval), keeps_data: true };
    let secrets = (case == Case::Rotation).then(rotation::first_secrets);
    let fleet = Fleet::new(&parent, manner, entries)?.with_secrets(secrets);
    let progress = Progress::new(case.name(), output);
    let mut drill = Drill { options, fleet, load, random, progress };
    let ran = case.run(&mut drill).await;
    drill.progress.finish();
    match ran {
        Ok(mut report) if report.is_passed() => {
            report.end(started.elapsed(), None);
            Ok(report)
        }
        Ok(mut report) => {
            let first = drill.load.first_failure();
            let first = first.map(|first| format!("first failure: {first}; "));
            let kept = drill.fleet.keep();
            let hint = format!("{}logs and data: {}", first.unwrap_or_default(), kept.display());
            report.end(started.elapsed(), Some(hint));
            Ok(report)
        }
        Err(Failure::Failed(why)) => {
            let kept = drill.fleet.keep();
            Err(Failure::Failed(format!("{why}; logs and data: {}", kept.display())))
        }
        Err(other) => Err(other),
    }
}

impl Drill {
    fn nodes(&self, usual: usize) -> usize {
        self.options.nodes.unwrap_or(usual)
    }

    /// Starts a network on loopback.
    async fn found(&mut self, nodes: usize) -> Result<(), Failure> {
        self.progress.step("starting nodes", nodes);
        self.fleet.found(nodes, || self.progress.advance()).await
    }

    /// How long something may take that should be over within this.
    fn patience(&self, within: Duration) -> Duration {
        if self.options.untimed { within * 10 + BUSY_PATIENCE } else { within }
    }

    /// That something took no longer than this; where times are not judged, how long it took.
    fn promise_within(&self, report: &mut Report, what: &str, took: Duration, most: Duration) {
        match self.options.untimed {
            true => report.tell(what, seconds(took)),
            false => report.promise(what, seconds(took), took < most),
        }
    }

    /// Waits until each of these values lies on k nodes, or all that run, for one upkeep interval
    /// from `since` at most.
    async fn promise_replicas(
        &mut self,
        values: &[Stored],
        since: Instant,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let living = self.fleet.running();
        let (wanted, asked) = (K.min(living.len()), self.fleet.p2p_of(&living));
        let interval = Duration::from_secs(self.options.upkeep_interval);
        let patience = self.patience(interval);
        let pause = (interval / 20).clamp(Duration::from_millis(200), Duration::from_secs(2));
        self.progress.step(&format!("until every value lies on {wanted} nodes"), values.len());
        let (mut after, mut first) = (Duration::ZERO, None);
        let holders = loop {
            let holders = census::holders(&asked, values, &mut self.random).await?;
            let enough = holders.iter().filter(|count| **count >= wanted).count();
            self.progress.reach(enough);
            first.get_or_insert(enough);
            let is_over = after >= patience;
            after = since.elapsed();
            if enough == values.len() || is_over {
                break holders;
            }
            tokio::time::sleep(pause.min(patience.saturating_sub(after))).await;
        };
        report.tell("of these, at the first look", first.unwrap_or(0));
        let within = if self.options.untimed { patience } else { interval };
        let what = format!("on {wanted} nodes within {}", seconds(within));
        report.promise_held(&what, &holders, wanted);
        report.tell("after", seconds(after));
        Ok(())
    }

    /// Puts values, and makes sure that they were stored.
    async fn put_values(&mut self, values: usize) -> Result<(), Failure> {
        self.progress.step("putting values", values);
        let before = self.load.stored().len();
        self.load.put(values, AT_ONCE, &self.progress).await?;
        match self.load.stored().len() - before {
            stored if stored == values => Ok(()),
            stored => Err(Failure::Failed(format!("only {stored} of {values} values were stored"))),
        }
    }
}
