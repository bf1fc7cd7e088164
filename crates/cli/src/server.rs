//! The daemon `dht_server`: a node from its start to the signal that ends it.

pub mod args;
pub mod settings;

use std::ffi::OsString;

use clap::ArgMatches;
use tracing::{error, info, warn};
use voiddht_node::Node;

use crate::arguments::{self, Typed};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::signals::StopSignals;
use crate::{logging, process};

/// Runs the daemon with these arguments, the first of them its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let output = Output::of("dht_server");
    output.conclude(run(arguments))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<Exit, Failure> {
    let Typed::Arguments(typed, matches) = arguments::parse::<args::Arguments>(arguments)? else {
        return Ok(Exit::Success);
    };
    if typed.limits.die_with_parent {
        process::die_with_parent().map_err(Failure::failed)?;
    }
    logging::start(typed.logging.loglevel);
    if let Some(files) = process::raise_open_files() {
        tracing::debug!(files, "limit of open files");
    }
    // One thread: a request that changes threads waits longer for that than for everything else.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(serve(typed, &matches))
}

async fn serve(typed: args::Arguments, matches: &ArgMatches) -> Result<Exit, Failure> {
    // Caught first, so that from here on a signal means an orderly end.
    let mut signals = StopSignals::catch().map_err(Failure::failed)?;
    let settings = settings::resolve(typed, matches, |text| warn!("{text}")).await?;
    let node = Node::start(settings).await.map_err(Failure::failed)?;
    let first = signals.next().await;
    info!(signal = first.name(), "stopping");
    tokio::select! {
        () = node.shutdown() => {
            info!("stopped");
            Ok(Exit::Success)
        }
        second = signals.next() => {
            error!(signal = second.name(), "stopped at once");
            std::process::exit(second.exit_status())
        }
    }
}
