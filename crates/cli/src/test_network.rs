//! What `dht testnet` and the laboratory's networks of processes share: the options of the load, the
//! table of results, and the progress output while nodes join.

mod figures;
mod joining;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{SeedableRng, TryRng};
use voiddht_wire::limits::MAX_VALUE_BYTES;

use self::figures::Figures;
pub use self::figures::Joined;
pub use self::joining::Joining;
use crate::arguments::values::number;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::{Paint, width_of_stdout};
use crate::progress::Progress;
use crate::workload::Workload;

/// How long all nodes together may take to join, beyond which something is wrong.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(180);
/// How long one operation may take before it counts as failed.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses that are shown to be tried.
const SHOWN_ADDRESSES: usize = 5;

/// Options of the load on a test network.
#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    /// Values to put and get
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = number::<usize>(0..=1_000_000))]
    values: usize,

    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = number::<usize>(1..=MAX_VALUE_BYTES))]
    value_size: usize,

    /// Exit after the table, with status 1 if any value was missing or wrong
    #[arg(long)]
    exit: bool,

    /// How long to put, and then to get, with --at-once operations in flight; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = number::<u64>(0..=3600))]
    load_seconds: u64,

    /// Compare the ways of reading: plain values by vote, signed values latest and first, and
    /// content-addressed ones first, in turns of --load-seconds each
    #[arg(long, value_name = "ROUNDS", default_value_t = 0, value_parser = number::<usize>(0..=1000))]
    compare_reads: usize,

    /// Operations in flight under load
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = number::<usize>(1..=4096))]
    at_once: usize,

    /// Repeats the random choices of another run: keys, values, and which nodes are asked
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    seed: Option<u64>,
}

impl LoadOptions {
    /// Whether the program exits after the table, or runs until it is stopped.
    pub fn is_exit_wanted(&self) -> bool {
        self.exit
    }

    /// Puts and gets values, and shows the table.
    ///
    /// # Errors
    /// If a node cannot be reached, or standard output cannot be written.
    pub async fn run(&self, network: &Joined, output: &Output) -> Result<Exit, Failure> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => SysRng.try_next_u64().map_err(Failure::failed)?,
        };
        let apis = network.apis.iter().map(|api| vec![*api]).collect();
        let random = ChaCha8Rng::seed_from_u64(seed);
        let progress = Progress::new("testnet", output);
        let size = self.value_size;
        let mut workload =
            Workload::new(apis, size, 0, OPERATION_TIMEOUT, random, progress).await?;
        let mut loads = Vec::new();
        if self.values > 0 {
            loads.push(workload.put_one_at_a_time(self.values).await?);
            loads.push(workload.get_one_at_a_time().await?);
        }
        let lasts = Duration::from_secs(self.load_seconds);
        if self.load_seconds > 0 {
            loads.push(workload.put_at_once(self.at_once, lasts).await?);
            loads.push(workload.get_at_once(self.at_once, lasts).await?);
        }
        if self.compare_reads > 0 {
            loads.extend(workload.compare_reads(self.at_once, lasts, self.compare_reads).await?);
        }
        workload.finish();
        let figures = Figures { seed, network, value_bytes: size, loads };
        output.line(figures.words(width_of_stdout(), Paint::of_stdout()))?;
        Ok(if figures.is_flawless() { Exit::Success } else { Exit::Negative })
    }
}

/// Shows where the nodes serve local programs, and two commands that use them.
///
/// # Errors
/// If standard output cannot be written.
pub fn show_how_to_try(apis: &[SocketAddr], output: &Output) -> Result<(), Failure> {
    let (Some(first), Some(last)) = (apis.first(), apis.last()) else { return Ok(()) };
    output.line("\nModule APIs:")?;
    for api in apis.iter().take(SHOWN_ADDRESSES) {
        output.line(format_args!("  {api}"))?;
    }
    if apis.len() > SHOWN_ADDRESSES {
        output.line(format_args!("  … and {} more", apis.len() - SHOWN_ADDRESSES))?;
    }
    output.line(format_args!(
        "\nTry, in another terminal:\n  dht put --node {first} greeting hello\n  dht get --node \
         {last} greeting"
    ))
}
