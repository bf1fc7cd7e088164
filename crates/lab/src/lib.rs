//! The laboratory: the program `dht-lab`, which tries networks of real `dht_server` processes on this
//! machine. It is built with the others, and not installed.
//!
//! * [`chaos`]: faults, and what must hold under them.
//! * [`testnet`]: a network of processes that stays, under load.
//! * [`fleet`]: the processes.
//! * [`namespaces`]: machines on a link that can be cut.
//!
//! Arguments, output, load and progress are those of `dht`, from `voiddht_cli`.

mod chaos;
mod fleet;
mod namespaces;
mod testnet;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use voiddht_cli::arguments::file::FileSettings;
use voiddht_cli::arguments::ini::{Ini, Mistake};
use voiddht_cli::arguments::{self, Program, Typed};
use voiddht_cli::outcome::{Exit, Failure};
use voiddht_cli::output::Output;

/// What `dht-lab` understands.
#[derive(Debug, Parser)]
#[command(
    name = "dht-lab",
    version,
    about = "Try networks of real dht_server processes on this machine, under load and faults",
    after_help = EXAMPLES,
    propagate_version = true,
    arg_required_else_help = false,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Chaos(chaos::Arguments),
    Testnet(testnet::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  dht-lab chaos mass-kill         half of all nodes die; no value may be lost
  dht-lab testnet --nodes 100     a hundred processes to experiment with

The nodes are the dht_server beside this program.";

impl Program for Arguments {
    /// None: the program has no option that names a file.
    fn file_settings(file: &Ini, _command: &clap::Command) -> Result<FileSettings, Mistake> {
        Ok(FileSettings::none(&file.path))
    }
}

/// Runs the program with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht-lab");
    output.conclude(run(arguments, &output))
}

fn run(arguments: impl IntoIterator<Item = OsString>, output: &Output) -> Result<Exit, Failure> {
    let Typed::Arguments(typed, _) = arguments::parse::<Arguments>(arguments)? else {
        return Ok(Exit::Success);
    };
    // One thread: the kernel ends the nodes with the thread that has started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(async {
        match typed.command {
            Command::Chaos(chaos) => chaos.run(output).await,
            Command::Testnet(testnet) => testnet.run(output).await,
        }
    })
}
