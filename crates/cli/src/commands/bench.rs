//! `dht bench`: a load on the module API of running nodes.

use std::time::Duration;

use clap::{ArgAction, Args};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{SeedableRng, TryRng};
use serde_json::json;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use crate::arguments::values::{HostPort, module_api, number};
use crate::connection::pretty;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::{Paint, width_of_stdout};
use crate::progress::Progress;
use crate::workload::Workload;
use crate::workload::measured::{Load, table};

/// Put and get through running nodes, and measure how long that takes
///
/// Puts random values under random keys, first one at a time, then many concurrently, and gets them
/// again, each through another node than it was put through where several are given. The values
/// expire with their TTL; until then they use storage of the network.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Module API of a node to ask; may be repeated, or list several separated by commas
    #[arg(
        short,
        long,
        env = "VOIDDHT_NODE",
        value_name = "HOST:PORT",
        default_value = "localhost:7401",
        value_delimiter = ',',
        value_parser = module_api,
        action = ArgAction::Append
    )]
    node: Vec<HostPort>,

    /// Values to put and get one at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = number::<usize>(1..=1_000_000))]
    values: usize,

    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = number::<usize>(1..=MAX_VALUE_BYTES))]
    value_size: usize,

    /// TTL of each value
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = number::<u16>(1..=u16::MAX))]
    ttl: u16,

    /// How long to put, and then to get, with --at-once operations in flight; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = number::<u64>(0..=3600))]
    load_seconds: u64,

    /// Operations in flight under load
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = number::<usize>(1..=4096))]
    at_once: usize,

    /// Timeout of one operation, beyond which it counts as failed
    #[arg(long, env = "VOIDDHT_TIMEOUT", value_name = "SECONDS", default_value = "60", value_parser = number::<u64>(1..=86_400))]
    timeout: u64,

    /// Repeats the random choices of another run: keys, values, and which node is asked
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    seed: Option<u64>,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dht bench
  dht bench --node 192.0.2.1:7401 --node 192.0.2.2:7401 --at-once 256
  dht bench --load-seconds 0 --values 1000 --json | jq '.loads[].latency_ms.p99'

Exit status:
  0  every value was stored, and found as it was put
  1  one was not
  2  a wrong argument
  3  a node could not be reached, or its connection ended";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => SysRng.try_next_u64().map_err(Failure::failed)?,
        };
        let mut apis = Vec::new();
        for node in &self.node {
            let addresses = node.resolve().await.map_err(|error| {
                Failure::Unreachable(format!("{node}: the name cannot be resolved: {error}"))
            })?;
            apis.push(addresses);
        }
        let progress = Progress::new("bench", output);
        let random = ChaCha8Rng::seed_from_u64(seed);
        let timeout = Duration::from_secs(self.timeout);
        let workload =
            Workload::new(apis, self.value_size, self.ttl, timeout, random, progress).await?;
        let loads = self.measure(workload).await?;
        if self.json {
            let loads: Vec<_> = loads.iter().map(Load::json).collect();
            let Self { value_size, at_once, .. } = self;
            output.line(pretty(&json!({
                "seed": seed, "value_bytes": value_size, "at_once": at_once, "loads": loads,
            })))?;
        } else {
            let nodes: Vec<_> = self.node.iter().map(ToString::to_string).collect();
            output.line(format_args!(
                "{}; values of {} bytes, seed {seed}\n\n{}",
                nodes.join(", "),
                self.value_size,
                table(&loads, width_of_stdout(), Paint::of_stdout())
            ))?;
        }
        let flawless = loads.iter().all(|load| load.checked.is_flawless());
        Ok(if flawless { Exit::Success } else { Exit::Negative })
    }

    async fn measure(&self, mut workload: Workload) -> Result<Vec<Load>, Failure> {
        let mut loads = vec![workload.put_one_at_a_time(self.values).await?];
        loads.push(workload.get_one_at_a_time().await?);
        let lasts = Duration::from_secs(self.load_seconds);
        if self.load_seconds > 0 {
            loads.push(workload.put_at_once(self.at_once, lasts).await?);
            loads.push(workload.get_at_once(self.at_once, lasts).await?);
        }
        workload.finish();
        Ok(loads)
    }
}
