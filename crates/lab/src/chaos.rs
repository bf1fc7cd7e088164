//! Chaos tests on a network of real `dht_server` processes on this machine.
//!
//! One file for each case. `trial` is a case in progress: its nodes are a [`Fleet`], `load` puts and
//! gets through their module APIs, `census` asks each node for its records; `report` is the table.

mod census;
mod churn;
mod load;
mod mass_kill;
mod partition;
mod report;
mod restart_all;
mod rolling_restart;
mod rotation;
mod trial;

use std::rc::Rc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{SeedableRng, TryRng};
use voiddht_cli::outcome::{Exit, Failure};
use voiddht_cli::output::Output;
use voiddht_cli::process;
use voiddht_cli::progress::Progress;
use voiddht_cli::signals::StopSignals;

use self::load::Load;
use self::report::Report;
use self::trial::{Options, Trial};
use crate::fleet::entries::Entries;
use crate::fleet::{Fleet, Manner};
use crate::namespaces;

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

const EXAMPLES: &str = "\
Examples:
  dht-lab chaos mass-kill
  dht-lab chaos churn --seconds 600 --nodes 64
  dht-lab chaos mass-kill --nodes 6 --values 50 --upkeep-interval 5 --untimed
  dht-lab chaos all

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
    /// The network is partitioned into two halves, and healed; needs root and iproute2
    Partition,
    /// A private network's secret is replaced, under load; takes some 20 minutes
    Rotation,
    /// All of these but the rotation, one after the other
    All,
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

    async fn run(self, trial: &mut Trial) -> Result<Report, Failure> {
        match self {
            Self::MassKill => mass_kill::run(trial).await,
            Self::RestartAll => restart_all::run(trial).await,
            Self::RollingRestart => rolling_restart::run(trial).await,
            Self::Churn => churn::run(trial).await,
            Self::Rotation => rotation::run(trial).await,
            Self::Partition | Self::All => partition::run(trial).await,
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
                output.complaint(format_args!("{}: the test ends, and its nodes", signal.name()));
                Ok(Exit::Negative)
            }
        }
    }

    async fn run_cases(self, output: &Output) -> Result<Exit, Failure> {
        process::raise_open_files();
        if let Some(parent) = self.options.directory.as_deref().filter(|parent| !parent.is_dir()) {
            let parent = parent.display();
            return Err(Failure::Usage(format!("{parent}: there is no such directory")));
        }
        let cases = match self.case {
            Case::All => &Case::EACH[..],
            ref one => std::slice::from_ref(one),
        };
        if cases.contains(&Case::Partition) {
            namespaces::check().map_err(Failure::Usage)?;
        }
        let seed = match self.options.seed {
            Some(seed) => seed,
            None => SysRng.try_next_u64().map_err(Failure::failed)?,
        };
        output.line(format_args!("seed {seed}\n"))?;
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
    let mut trial = Trial { options, fleet, load, random, progress };
    let ran = case.run(&mut trial).await;
    trial.progress.finish();
    match ran {
        Ok(mut report) if report.is_passed() => {
            report.end(started.elapsed(), None);
            Ok(report)
        }
        Ok(mut report) => {
            let first = trial.load.first_failure();
            let first = first.map(|first| format!("first failure: {first}; "));
            let kept = trial.fleet.keep();
            let hint = format!("{}logs and data: {}", first.unwrap_or_default(), kept.display());
            report.end(started.elapsed(), Some(hint));
            Ok(report)
        }
        Err(Failure::Failed(why)) => {
            let kept = trial.fleet.keep();
            Err(Failure::Failed(format!("{why}; logs and data: {}", kept.display())))
        }
        Err(other) => Err(other),
    }
}
