//! `dht testnet`: a network of real nodes in this process; values are put and got through their
//! module APIs and timed. `network` starts and stops the nodes.

mod network;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use voiddht_node::http::{HttpServer, HttpSettings};

use self::network::{Network, Plan};
use crate::arguments::values::{address, number, serving};
use crate::logging::{self, LogFormat, LogLevel};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::process;
use crate::signals::StopSignals;
use crate::test_network::{JOIN_DEADLINE, Joining, LoadOptions, show_how_to_try};

/// Start a network of nodes on this machine, and put and get values
///
/// Each node has its own sockets, certificate and TLS on loopback. Values are put through random
/// nodes' module APIs and each is got through another's; a table has the results, and the network
/// stays for your own programs until Ctrl-C.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Nodes of the network
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = number::<usize>(1..=10_000))]
    nodes: usize,

    #[command(flatten)]
    load: LoadOptions,

    /// The loopback address of all nodes
    #[arg(short = 'a', long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = loopback)]
    host_address: IpAddr,

    /// Port of the first node's module API; its port for peers is the next one, and so on
    ///
    /// By default the system chooses free ports.
    #[arg(long, value_name = "PORT", value_parser = number::<u16>(1..=u16::MAX))]
    base_port: Option<u16>,

    /// Address of a dashboard for the whole network, with the metrics of all nodes
    ///
    /// A port alone is one on loopback.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = serving)]
    http: Option<SocketAddr>,

    /// Threads for the nodes [default: one for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = number::<usize>(1..=1024))]
    threads: Option<usize>,

    /// Log level of the nodes, on standard error
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
  dht testnet --nodes 64 --load-seconds 2 --compare-reads 5 --exit
  dht testnet --http 9402         a dashboard of the network at http://127.0.0.1:9402/
  dht testnet --base-port 7401    the first node where dht looks for one

Exit status:
  0  every value was stored, and found
  1  one was not, or the nodes did not join
  2  a wrong argument";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        logging::start(self.loglevel, LogFormat::Text);
        // The nodes share what there is, as soon as the first of them starts.
        process::raise_open_files();
        let mut signals = StopSignals::catch().map_err(Failure::failed)?;
        let joining = Network::start(self.plan()?, Joining::new(self.nodes, output));
        let network = tokio::select! {
            network = joining => network?,
            signal = signals.next() => std::process::exit(signal.exit_status()),
        };
        let page = self.serve_page(&network, output).await?;
        let joined = network.joined();
        let exit = tokio::select! {
            exit = self.load.run(&joined, output) => exit?,
            signal = signals.next() => std::process::exit(signal.exit_status()),
        };
        if !self.load.is_exit_wanted() {
            show_how_to_try(&joined.apis, output)?;
            show_page(page.as_ref().and_then(HttpServer::address), output)?;
            signals.next().await;
        }
        drop(page);
        network.stop();
        Ok(exit)
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

    /// Serves the dashboard, if it is wanted: from the start, so that the load can be watched.
    async fn serve_page(
        &self,
        network: &Network,
        output: &Output,
    ) -> Result<Option<HttpServer>, Failure> {
        let Some(address) = self.http else { return Ok(None) };
        let settings = HttpSettings { address: Some(address), ..HttpSettings::default() };
        let server = HttpServer::start(settings, network.watched()).await;
        let server = server.map_err(Failure::failed)?;
        if let Some(address) = server.address() {
            output.notice(format_args!("Dashboard: http://{address}/"));
        }
        Ok(Some(server))
    }
}

fn show_page(page: Option<SocketAddr>, output: &Output) -> Result<(), Failure> {
    match page {
        Some(page) => output.line(format_args!(
            "  dht explain --http {page} greeting\n  dht status --http {page}\nand in a browser:\n  \
             http://{page}/"
        ))?,
        None => output.line("--http 9402 adds a dashboard.")?,
    }
    output.line("\nCtrl-C ends the network.")
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let expected = || "must be a loopback address, like 127.0.0.1 or ::1".to_owned();
    address(text).ok().filter(IpAddr::is_loopback).ok_or_else(expected)
}
