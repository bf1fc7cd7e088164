//! voiddht beside other distributed hash tables: the same work, measured by the same code, in one
//! run. See `README.md` for what the figures mean.
//!
//! `network` is what a system has to offer to be measured, `peers` holds one driver for each,
//! `measure` does the work, `rows` says what comes out, `report` prints it. Each system runs in a
//! process of its own, this program started again, one after the other: so none inherits the
//! memory, the threads or the dying connections of the one before it.

#![warn(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::todo, clippy::dbg_macro)]

mod floor;
mod measure;
mod network;
mod peers;
mod process;
mod progress;
mod report;
mod rows;
mod threads;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::report::{Report, System};
use crate::rows::Figures;

/// Measure voiddht beside other distributed hash tables
///
/// Starts a network of each on loopback, one after the other, and gives them the same work.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Arguments {
    /// Nodes of each network
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=512))]
    nodes: u16,

    /// The most values that are put, and got, one at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..))]
    values: u32,

    /// How long each measurement may take; the slow ones end before all values are through
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Whole runs; each figure is the median of them
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// Measure this system alone; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<System>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write the tables into this file too, as Markdown
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Measure this system in this process, and print its figures: how the program calls itself
    #[arg(long, value_name = "NAME", hide = true)]
    here: Option<System>,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release                                  all systems, some two minutes each
  cargo run --release -- --rounds 5 --write RESULTS.md the medians of five runs, into RESULTS.md
  cargo run --release -- --only voiddht --seconds 2    a quick look at one";

fn main() -> ExitCode {
    voiddht_allocator::give_back_freed_memory();
    let arguments = Arguments::parse();
    let done = match arguments.here {
        Some(system) => measure_here(system, &arguments),
        None => measure_all(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_here(system: System, arguments: &Arguments) -> Result<()> {
    process::raise_open_files();
    let plan = measure::Plan {
        nodes: usize::from(arguments.nodes),
        values: arguments.values as usize,
        seconds: arguments.seconds,
    };
    // The work comes from this thread; the nodes have others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(peers::measure_system(system, &plan))?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn measure_all(arguments: &Arguments) -> Result<()> {
    let mut report = Report::begin(arguments.nodes, arguments.seconds, arguments.rounds);
    let wanted: Vec<System> = match &arguments.only[..] {
        [] => System::value_variants().to_vec(),
        only => only.to_vec(),
    };
    let mut failed = Vec::new();
    for _ in 0..arguments.rounds {
        for &system in &wanted {
            if let Some(reason) = system.missing() {
                eprintln!("{}: skipped: {reason}", system.name());
                continue;
            }
            match in_own_process(system, arguments) {
                Ok(figures) => report.add(system, figures),
                Err(error) => {
                    eprintln!("{}: {error:#}", system.name());
                    failed.push(system.name());
                }
            }
        }
    }
    report.end();
    if arguments.json {
        println!("{}", report.json()?);
    } else {
        println!("{report}");
    }
    if let Some(file) = &arguments.write {
        std::fs::write(file, report.to_string())
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
}

fn in_own_process(system: System, arguments: &Arguments) -> Result<Figures> {
    let program = std::env::current_exe().context("where this program lies is not known")?;
    let output = Command::new(program)
        .args(["--here", system.name()])
        .args(["--nodes", &arguments.nodes.to_string()])
        .args(["--values", &arguments.values.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("it cannot be started")?;
    if !output.status.success() {
        bail!("it ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("its figures cannot be read")
}
