//! A test network whose nodes are processes of their own: what a node costs where it does not share
//! its process, and whether many of them get along on one machine.

use std::rc::Rc;
use std::time::Instant;

use clap::Args;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_cli::arguments::values::number;
use voiddht_cli::outcome::{Exit, Failure};
use voiddht_cli::output::Output;
use voiddht_cli::process;
use voiddht_cli::signals::StopSignals;
use voiddht_cli::test_network::{JOIN_DEADLINE, Joined, Joining, LoadOptions, show_how_to_try};

use crate::fleet::entries::Entries;
use crate::fleet::{Fleet, Manner};

/// Start a network of dht_server processes, and put and get values
///
/// As dht testnet, with a process and a loopback address of its own for each node: a table has the
/// results, and the network stays for your own programs until Ctrl-C.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Nodes of the network
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = number::<usize>(1..=10_000))]
    nodes: usize,

    #[command(flatten)]
    load: LoadOptions,
}

const EXAMPLES: &str = "\
Examples:
  dht-lab testnet
  dht-lab testnet --nodes 100 --exit

Exit status:
  0  every value was stored, and found
  1  one was not, or the nodes did not join
  2  a wrong argument";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        process::raise_open_files();
        let mut signals = StopSignals::catch().map_err(Failure::failed)?;
        let network = tokio::select! {
            network = self.start(Joining::new(self.nodes, output)) => network?,
            signal = signals.next() => std::process::exit(signal.exit_status()),
        };
        let (fleet, joined) = network;
        let exit = tokio::select! {
            exit = self.load.run(&joined, output) => exit?,
            signal = signals.next() => {
                // An exit drops nothing: processes and directories would stay.
                drop(fleet);
                std::process::exit(signal.exit_status())
            }
        };
        if !self.load.is_exit_wanted() {
            show_how_to_try(&joined.apis, output)?;
            output.line("\nCtrl-C ends the network.")?;
            signals.next().await;
        }
        Ok(exit)
    }

    /// Starts the nodes, a few at a time, and waits until the last has joined.
    async fn start(&self, progress: Joining) -> Result<(Fleet, Joined), Failure> {
        // The load has connections of its own: these make no choice, so their seed does not matter.
        let entries = Rc::new(Entries::new(ChaCha8Rng::seed_from_u64(0)));
        let manner = Manner { upkeep: None, keeps_data: false };
        let mut fleet = Fleet::new(&std::env::temp_dir(), manner, entries)?;
        let started = Instant::now();
        let joining = fleet.found(self.nodes, || progress.advance());
        match tokio::time::timeout(JOIN_DEADLINE, joining).await {
            Ok(joined) => joined?,
            Err(_) => return Err(progress.late(JOIN_DEADLINE)),
        }
        let after = started.elapsed();
        progress.finish();
        let apis = fleet.running().into_iter().map(|number| fleet.api_of(number)).collect();
        // Of the largest: what the nodes share is counted in equal parts.
        let bytes_per_node = fleet.bytes().ok().and_then(|bytes| bytes.into_iter().max());
        Ok((fleet, Joined { apis, threads: None, after, bytes_per_node }))
    }
}
