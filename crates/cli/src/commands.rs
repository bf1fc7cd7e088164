//! The tool `dht`: one module for each command, with its options, its help and what it does.

mod drill;
mod get;
mod key;
mod node;
mod put;
mod testnet;

use std::ffi::OsString;
use std::future::Future;

use clap::{Parser, Subcommand};

use crate::arguments::{self, Typed};
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// What `dht` understands.
#[derive(Debug, Parser)]
#[command(
    name = "dht",
    version,
    about = "Put and get values of a voiddht network, start a test network, and drill one",
    after_help = EXIT_STATUS,
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
    Put(put::Arguments),
    Get(get::Arguments),
    Testnet(testnet::Arguments),
    Drill(drill::Arguments),
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done; for get: found
  1  not found, not stored, or a value was missing
  2  a wrong argument
  3  the node could not be reached, or did not answer";

/// Runs the tool with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht");
    output.conclude(run(arguments, &output))
}

fn run(arguments: impl IntoIterator<Item = OsString>, output: &Output) -> Result<Exit, Failure> {
    let Typed::Arguments(typed, _) = arguments::parse::<Arguments>(arguments)? else {
        return Ok(Exit::Success);
    };
    match typed.command {
        Command::Put(put) => {
            let resolved = put.resolve()?;
            on_a_runtime(resolved.run(output))
        }
        Command::Get(get) => on_a_runtime(get.run(output)),
        Command::Testnet(testnet) => on_a_runtime(testnet.run(output)),
        Command::Drill(drill) => on_a_runtime(drill.run(output)),
    }
}

/// One thread is all that a connection needs.
fn on_a_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(command)
}
