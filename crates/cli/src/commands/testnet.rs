//! `dht testnet`: a network of real nodes, values put and got through their module APIs, and what
//! that took.
//!
//! `network` starts and stops the nodes in this one process, `processes` as processes of their own;
//! `figures` is the table, `progress` what is seen while the
//! nodes join.

mod figures;
mod network;
mod processes;
mod progress;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{SeedableRng, TryRng};
use voiddht_node::http::{HttpServer, HttpSettings};
use voiddht_wire::limits::MAX_VALUE_BYTES;

use self::figures::Figures;
use self::network::{Network, Plan};
use self::processes::Processes;
use self::progress::Progress;
use super::progress::Progress as LoadProgress;
use super::workload::Workload;
use crate::arguments::values::{address, number, serving};
use crate::logging::{self, LogFormat, LogLevel};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::Paint;
use crate::paint::table::width_of_stdout;
use crate::process;
use crate::signals::StopSignals;

/// Start a network of nodes on this machine, and put and get values
///
/// Each node has its own sockets, certificate and TLS on loopback. Values are put through random
/// nodes' module APIs and each is got through another's; then a table tells how that went, and
/// the network stays for your own programs until Ctrl-C.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Nodes of the network
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = number::<usize>(1..=10_000))]
    nodes: usize,

    /// Values to put and get
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = number::<usize>(0..=1_000_000))]
    values: usize,

    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = number::<usize>(1..=MAX_VALUE_BYTES))]
    value_size: usize,

    /// End after the table, with status 1 if any value was missing or wrong
    #[arg(long)]
    exit: bool,

    /// How long to put, and then to get, with --at-once operations in flight; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = number::<u64>(0..=3600))]
    load_seconds: u64,

    /// Compare the ways of reading: plain values by vote, signed values latest and first, and
    /// content-addressed ones first, in turns of --load-seconds each
    #[arg(long, value_name = "ROUNDS", default_value_t = 0, value_parser = number::<usize>(0..=1000))]
    compare_reads: usize,

    /// Operations in flight under load
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = number::<usize>(1..=4096))]
    at_once: usize,

    /// Start every node as a dht_server process of its own, on a loopback address of its own
    #[arg(long)]
    processes: bool,

    /// The loopback address of all nodes
    #[arg(short = 'a', long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = loopback)]
    host_address: IpAddr,

    /// Port of the first node's module API; its port for peers is the next one, and so on
    ///
    /// Without it, the system chooses ports that are free.
    #[arg(long, value_name = "PORT", value_parser = number::<u16>(1..=u16::MAX))]
    base_port: Option<u16>,

    /// Where to serve a page that shows the whole network, and the metrics of all nodes
    ///
    /// A port alone is one on loopback.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = serving)]
    http: Option<SocketAddr>,

    /// Threads that the nodes are spread over [default: one for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = number::<usize>(1..=1024))]
    threads: Option<usize>,

    /// Repeats the random choices of another run: keys, values, and which nodes are asked
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>(0..=u64::MAX))]
    seed: Option<u64>,

    /// How much the nodes log, on standard error
    #[arg(
        short,
        long,
        env = "VOIDDHT_LOGLEVEL",
        value_name = "LEVEL",
        default_value = "warn",
        ignore_case = true
    )]
    loglevel: LogLevel,
}

const EXAMPLES: &str = "\
Examples:
  dht testnet
  dht testnet --nodes 64 --values 1000 --exit
  dht testnet --processes --nodes 100 --exit
  dht testnet --nodes 64 --load-seconds 2 --compare-reads 5 --exit
  dht testnet --http 9402         a page of the network at http://127.0.0.1:9402/
  dht testnet --base-port 7401    the first node where dht looks for one

Exit status:
  0  every value was stored, and found
  1  one was not, or the nodes did not join
  2  a wrong argument";

/// How long all nodes together may take to join, beyond which something is wrong.
const JOIN_DEADLINE: Duration = Duration::from_secs(180);
/// How long one operation may take before it counts as failed.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses that are shown to be tried.
const SHOWN_ADDRESSES: usize = 5;

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        logging::start(self.loglevel, LogFormat::Text);
        // The nodes share what there is, as soon as the first of them starts.
        process::raise_open_files();
        let mut signals = StopSignals::catch().map_err(Failure::failed)?;
        let progress = Progress::new(self.nodes, output);
        let network = tokio::select! {
            network = self.start(progress) => network?,
            signal = signals.next() => std::process::exit(signal.exit_status()),
        };
        let page = self.serve_page(&network, output).await?;
        let exit = tokio::select! {
            exit = self.exercise(&network, output) => exit?,
            signal = signals.next() => {
                // An exit drops nothing: processes and directories would stay.
                drop(page);
                network.stop();
                std::process::exit(signal.exit_status())
            }
        };
        if !self.exit {
            show_how_to_try(&network.apis(), page.as_ref().and_then(HttpServer::address), output)?;
            signals.next().await;
        }
        drop(page);
        network.stop();
        Ok(exit)
    }

    async fn start(&self, progress: Progress) -> Result<Started, Failure> {
        if self.processes {
            self.check_fits_processes()?;
            let starting = Processes::start(self.nodes, JOIN_DEADLINE, progress);
            return Ok(Started::Processes(starting.await?));
        }
        Ok(Started::Here(Network::start(self.plan()?, progress).await?))
    }

    /// What is said of nodes in this process means nothing for processes of their own.
    fn check_fits_processes(&self) -> Result<(), Failure> {
        let given = [
            ("--base-port", self.base_port.is_some()),
            ("--http", self.http.is_some()),
            ("--threads", self.threads.is_some()),
            ("--host-address", self.host_address != IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Failure::Usage(format!("{option} and --processes exclude each other")))
            }
            None => Ok(()),
        }
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let last = self.base_port.map_or(0, |base| usize::from(base) + 2 * self.nodes - 1);
        if last > usize::from(u16::MAX) {
            return Err(Failure::Usage(format!(
                "--base-port: {} nodes need two ports each, and the last would be {last}",
                self.nodes
            )));
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Plan {
            nodes: self.nodes,
            threads: self.threads.unwrap_or(processors).min(self.nodes),
            host: self.host_address,
            base_port: self.base_port,
            deadline: JOIN_DEADLINE,
        })
    }

    /// Serves the page, if it is wanted: from the start, so that the load can be watched.
    async fn serve_page(
        &self,
        network: &Started,
        output: &Output,
    ) -> Result<Option<HttpServer>, Failure> {
        let (Some(address), Started::Here(network)) = (self.http, network) else {
            return Ok(None);
        };
        let settings = HttpSettings { address: Some(address), ..HttpSettings::default() };
        let server = HttpServer::start(settings, network.watched()).await;
        let server = server.map_err(Failure::failed)?;
        if let Some(address) = server.address() {
            output.notice(format_args!("The network's page: http://{address}/"));
        }
        Ok(Some(server))
    }

    /// Puts and gets, and shows the table.
    async fn exercise(&self, network: &Started, output: &Output) -> Result<Exit, Failure> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => SysRng.try_next_u64().map_err(Failure::failed)?,
        };
        let apis = network.apis().into_iter().map(|api| vec![api]).collect();
        let random = ChaCha8Rng::seed_from_u64(seed);
        let progress = LoadProgress::new("testnet", output);
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
        let figures = Figures {
            seed,
            nodes: self.nodes,
            threads: network.threads(),
            joined_after: network.joined_after(),
            bytes_per_node: network.bytes_per_node(),
            value_bytes: self.value_size,
            loads,
        };
        output.line(figures.words(width_of_stdout(), Paint::of_stdout()))?;
        Ok(if figures.is_flawless() { Exit::Success } else { Exit::Negative })
    }
}

/// A network that has joined.
#[derive(Debug)]
enum Started {
    /// In this process.
    Here(Network),
    /// As processes of their own.
    Processes(Processes),
}

impl Started {
    fn apis(&self) -> Vec<SocketAddr> {
        match self {
            Self::Here(network) => network.apis(),
            Self::Processes(processes) => processes.apis(),
        }
    }

    /// Threads that the nodes share, if they do.
    fn threads(&self) -> Option<usize> {
        match self {
            Self::Here(network) => Some(network.threads()),
            Self::Processes(_) => None,
        }
    }

    fn joined_after(&self) -> Duration {
        match self {
            Self::Here(network) => network.joined_after(),
            Self::Processes(processes) => processes.joined_after(),
        }
    }

    fn bytes_per_node(&self) -> Option<u64> {
        match self {
            Self::Here(network) => network.bytes_per_node(),
            Self::Processes(processes) => processes.bytes_per_node(),
        }
    }

    fn stop(self) {
        match self {
            Self::Here(network) => network.stop(),
            // Dropped, they are killed.
            Self::Processes(processes) => drop(processes),
        }
    }
}

fn show_how_to_try(
    apis: &[SocketAddr],
    page: Option<SocketAddr>,
    output: &Output,
) -> Result<(), Failure> {
    let (first, last) = match apis {
        [first, .., last] => (first, last),
        [only] => (only, only),
        [] => return Ok(()),
    };
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
    ))?;
    match page {
        Some(page) => output.line(format_args!(
            "  dht explain --http {page} greeting\n  dht status --http {page}\nand in a browser:\n  \
             http://{page}/"
        ))?,
        None => output.line("With --http 9402, the network has a page to look at.")?,
    }
    output.line("\nCtrl-C ends the network.")
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let expected = || "must be a loopback address, like 127.0.0.1 or ::1".to_owned();
    address(text).ok().filter(IpAddr::is_loopback).ok_or_else(expected)
}
