//! The arguments of `dht_server`: every option once, with its name, its default and its help. Its
//! environment variable and its key in a configuration file are derived from the name. The first
//! five may also be given by position, as in the original.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Command, Parser};
use voiddht_core::quota::requests::PEER_RATE;
use voiddht_core::{config, record};
use voiddht_gateway::Origin;
use voiddht_identity::{KeyExchange, KeyKind, Policy};
use voiddht_node::settings;

use crate::arguments::file::{Alias, FileSettings, Sets};
use crate::arguments::ini::{Ini, Mistake};
use crate::arguments::ports::{MODULE_PORT, P2P_PORT};
use crate::arguments::values::{
    Host, HostPort, Listen, address, choice, listen, listen_port, number, port, serving,
};
use crate::arguments::{Configuration, Program, SECTION};
use crate::logging::{LogFormat, LogLevel};

/// Keys that VoidPhone's modules have in their configuration files.
pub const ALIASES: &[Alias] = &[
    Alias { key: "api_address", sets: Sets::AddressAndPort("api-address", "module-port") },
    Alias { key: "p2p_address", sets: Sets::AddressAndPort("host-address", "p2p-port") },
    Alias { key: "listen_address", sets: Sets::AddressAndPort("host-address", "p2p-port") },
    Alias { key: "bootstrapper", sets: Sets::List("peer") },
    Alias { key: "bootstrap_address", sets: Sets::List("peer") },
];

/// All options as given, each value checked by itself.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "dht_server",
    version,
    about = "A node of a voiddht network: stores its share of the values and serves local programs",
    override_usage = "dht_server [OPTIONS] [HOST_ADDRESS [MODULE_PORT [P2P_PORT [PEER_ADDRESS [PEER_PORT]]]]]",
    after_help = EXAMPLES,
    mut_arg("config", |config| config.short('c'))
)]
pub struct Arguments {
    /// The first five options by position.
    #[command(flatten)]
    pub positions: Positions,
    /// Where the node listens, and its configured peers.
    #[command(flatten)]
    pub network: Network,
    /// The HTTP gateway.
    #[command(flatten)]
    pub gateway: Gateway,
    /// Storage.
    #[command(flatten)]
    pub keeping: Keeping,
    /// Limits.
    #[command(flatten)]
    pub limits: Limits,
    /// Logging.
    #[command(flatten)]
    pub logging: Logging,
    /// Where else options are set.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Actions other than running a node.
    #[command(flatten)]
    pub questions: Questions,
}

impl Program for Arguments {
    fn file_settings(file: &Ini, command: &Command) -> Result<FileSettings, Mistake> {
        let settings = FileSettings::of_section(file, SECTION, command, ALIASES)?;
        FileSettings::refuse_foreign(file, SECTION)?;
        Ok(settings)
    }
}

const EXAMPLES: &str = "\
Examples:
  dht_server
      the first node of a network, on this machine alone
  dht_server -a 192.0.2.1
      the same, reachable by other machines
  dht_server -a 203.0.113.1 --listen 0.0.0.0 --announce-port 17402
      behind a router that has this address and forwards port 17402 to port 7402 here
  dht_server -m 7403 -p 7404 -A ::1 -P 7402
      a second node on the same machine
  dht_server --peer one.example.org:7402 --peer [2001:db8::2]:7402 --data-dir /var/lib/voiddht
      a node with two peers that keeps its identity and values across restarts
  dht_server 192.0.2.1 7401 7402 192.0.2.9 7402
      the first five options by position
  dht_server -c /etc/voiddht.conf --check
      prints the effective settings, and where each value comes from

Every option is also an environment variable and a key of the file that --config names. The
command line takes precedence over the environment, then the file, then the default.

Exit status:
  0  stopped by SIGTERM or SIGINT; a second signal ends it at once
  1  it could not start: a port is in use, a data directory is damaged, in use or cannot be
     written; for --health: unhealthy
  2  a wrong argument";

/// The first five options by position, as the original understood them.
#[derive(Clone, Debug, Args)]
pub struct Positions {
    /// The same as --host-address
    #[arg(value_name = "HOST_ADDRESS", value_parser = address)]
    pub host_address_position: Option<IpAddr>,
    /// The same as --module-port
    #[arg(value_name = "MODULE_PORT", value_parser = listen_port)]
    pub module_port_position: Option<u16>,
    /// The same as --p2p-port
    #[arg(value_name = "P2P_PORT", value_parser = listen_port)]
    pub p2p_port_position: Option<u16>,
    /// The same as --peer-address
    #[arg(value_name = "PEER_ADDRESS")]
    pub peer_address_position: Option<Host>,
    /// The same as --peer-port
    #[arg(value_name = "PEER_PORT", value_parser = port)]
    pub peer_port_position: Option<u16>,
}

/// Where the node listens, and its configured peers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Address at which peers reach this node
    ///
    /// By default the address from which this machine reaches the node's first peer; the node
    /// follows the machine to another address. Without peers it is the loopback address, and other
    /// machines cannot join. It may be an address that only a router has, as with 1:1 NAT: then the
    /// node listens on all addresses of this machine. 0.0.0.0 and ::, for containers, announce
    /// none: peers use the address that they see.
    #[arg(short = 'a', long, value_name = "ADDRESS", value_parser = address)]
    pub host_address: Option<IpAddr>,

    /// Address to listen on for peers, if not --host-address and --p2p-port
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = listen)]
    pub listen: Option<Listen>,

    /// Port of the module API, for local programs
    #[arg(short = 'm', long, value_name = "PORT", default_value_t = MODULE_PORT, value_parser = listen_port)]
    pub module_port: u16,

    /// Port for peers; also the listening port, unless --listen has another
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = P2P_PORT, value_parser = listen_port)]
    pub p2p_port: u16,

    /// Port at which peers reach this node, if not --p2p-port
    ///
    /// For a port that a router or a container engine maps: `docker run -p 17402:7402` needs
    /// --announce-port 17402.
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub announce_port: Option<u16>,

    /// Be a client: put and get, hold nothing for others, and stay out of routing tables
    ///
    /// For a machine that peers cannot dial. A node that detects this by itself behaves the same
    /// until they can.
    #[arg(long)]
    pub client: bool,

    /// Time for contacts to dial the node back before it becomes a client
    #[arg(long, value_name = "SECONDS", default_value_t = config::DIAL_BACK_PATIENCE.as_secs(), value_parser = number::<u64>(1..=3600))]
    pub dial_back_patience: u64,

    /// A peer to join through, by name or address; its port is --peer-port
    #[arg(short = 'A', long, value_name = "HOST")]
    pub peer_address: Option<Host>,

    /// Port of --peer-address
    #[arg(short = 'P', long, value_name = "PORT", default_value_t = P2P_PORT, value_parser = port)]
    pub peer_port: u16,

    /// Peers to join through, tried concurrently
    ///
    /// May be repeated, or list several separated by commas. One that answers is enough.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', action = ArgAction::Append)]
    pub peer: Vec<HostPort>,

    /// Address of the module API, with the port of --module-port
    ///
    /// By default the loopback address: every program that reaches the module API may put and get,
    /// so it is never open to other machines by default.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub api_address: Option<IpAddr>,

    /// Address of the HTTP server: dashboard, metrics for Prometheus, health checks
    ///
    /// A port alone is one on loopback. Not served by default. Clients see the node's contacts and
    /// the keys of its records, and can change nothing.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = serving)]
    pub http: Option<SocketAddr>,

    /// Identity policy, the same on all nodes of a network
    ///
    /// self-certifying: an ID is the hash of the node's key, and can be neither chosen nor taken over.
    /// tofu: IDs are random and trusted on first use; peers of the original network may join.
    #[arg(long, value_name = "POLICY", default_value_t = Policy::default(), value_parser = choice::<Policy>(POLICIES))]
    pub identity: Policy,

    /// The file with the secrets of a private network: only nodes with one of them join
    ///
    /// Made by `dht network new`. Mode 0600; one secret of 64 hexadecimal digits a line, at most 8: the
    /// first is used, all are accepted. SIGHUP reads the file again. Not with --identity tofu.
    #[arg(long, value_name = "FILE")]
    pub network_secret: Option<PathBuf>,

    /// The key exchange groups of TLS with peers, the preferred one first
    ///
    /// Without it, x25519mlkem768,x25519,p256 in a private network and x25519,p256 in a public one.
    /// The first protects what is recorded today against a quantum computer, and adds 2 KiB to a
    /// handshake.
    #[arg(long, value_name = "GROUPS")]
    pub key_exchange: Option<KeyExchange>,

    /// Accepted for compatibility with the original: certificates are always verified
    #[arg(short = 'v', long = "verify_certificates", alias = "verify-certificates")]
    pub verify_certificates: bool,
}

/// Where the HTTP gateway listens, and which clients may use it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Gateway")]
pub struct Gateway {
    /// Where to serve the HTTP gateway, by which programs put and get values
    ///
    /// A port alone is one on loopback. Without it, the gateway is on the control socket alone. Off
    /// loopback it needs --gateway-token or --gateway-public. TLS: by a reverse proxy.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = serving)]
    pub gateway: Option<SocketAddr>,

    /// A file with the token that requests to the gateway must bear; its mode must be 0600
    ///
    /// Required on loopback too, once it is given: a reverse proxy makes loopback reachable. At least
    /// 16 characters, as `openssl rand -hex 32` makes them.
    #[arg(long, value_name = "FILE")]
    pub gateway_token: Option<PathBuf>,

    /// Let everyone read through the gateway; writing needs the token, and is refused without one
    #[arg(long)]
    pub gateway_public: bool,

    /// An origin whose pages may use the gateway; any number of them
    ///
    /// May be repeated, or take several with commas between them. Without it, browsers let no page of
    /// another site use the gateway, but for its pkarr relay, which serves all.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', action = ArgAction::Append)]
    pub gateway_origin: Vec<Origin>,
}

/// What the node stores, and for how long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Storage")]
pub struct Keeping {
    /// Directory for identity, contacts and values; without it they are lost when the process ends
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Kind of key to generate, if the data directory has none yet
    #[arg(long, value_name = "KIND", default_value_t = KeyKind::default(), value_parser = choice::<KeyKind>(KEY_KINDS))]
    pub key_type: KeyKind,

    /// TTL of values that are put without one
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(config::DEFAULT_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub default_ttl: u16,

    /// Minimum TTL: shorter ones of local programs are raised to it
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = number::<u16>(1..=u16::MAX))]
    pub min_ttl: u16,

    /// Maximum TTL: longer ones are cut to it
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(config::MAX_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub max_ttl: u16,

    /// Interval at which values are checked and replicated again (renewal)
    #[arg(long, value_name = "SECONDS", default_value_t = config::UPKEEP_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub upkeep_interval: u64,

    /// Time after which a bucket without lookups is refreshed
    #[arg(long, value_name = "SECONDS", default_value_t = config::REFRESH_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub refresh_interval: u64,
}

/// Limits. Beyond a limit the node refuses; every queue is bounded.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections with peers; lowered by the limit of open files
    #[arg(long, value_name = "NUMBER", default_value_t = settings::CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections: usize,

    /// Connections from one public IPv4 address or IPv6 /64
    #[arg(long, value_name = "NUMBER", default_value_t = settings::CONNECTIONS_PER_ADDRESS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections_per_address: usize,

    /// Accepted connections whose handshake is in progress
    #[arg(long, value_name = "NUMBER", default_value_t = settings::HANDSHAKES, value_parser = number::<usize>(1..=65_536))]
    pub max_handshakes: usize,

    /// Outstanding requests to or from one peer
    #[arg(long, value_name = "NUMBER", default_value_t = settings::REQUESTS_PER_PEER, value_parser = number::<usize>(1..=65_536))]
    pub max_requests_per_peer: usize,

    /// Connections of local programs
    #[arg(long, value_name = "NUMBER", default_value_t = settings::API_CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_api_connections: usize,

    /// Outstanding requests of one module API connection
    #[arg(long, value_name = "NUMBER", default_value_t = settings::API_REQUESTS_PER_CONNECTION, value_parser = number::<usize>(1..=65_536))]
    pub max_api_requests: usize,

    /// Sustained requests of one peer per second; four times as many of one /24 or /64
    #[arg(long, value_name = "NUMBER", default_value_t = PEER_RATE, value_parser = number::<u32>(1..=1_000_000))]
    pub max_peer_rate: u32,

    /// Maximum number of stored values
    #[arg(long, value_name = "NUMBER", default_value_t = record::MAX_RECORDS, value_parser = number::<usize>(1..=1 << 30))]
    pub max_records: usize,

    /// Maximum memory of stored values
    #[arg(long, value_name = "MIB", default_value_t = record::MAX_BYTES >> 20, value_parser = number::<usize>(1..=1 << 20))]
    pub max_stored: usize,

    /// Apply limits per address to loopback and private addresses, too
    ///
    /// By default they are exempt, since the nodes of a test network share one. For a network within
    /// private addresses whose users are not all trusted.
    #[arg(long)]
    pub count_private: bool,

    /// Time limit for handing over values and leaving the network at the end
    #[arg(long, value_name = "SECONDS", default_value_t = settings::LEAVE_DEADLINE.as_secs(), value_parser = number::<u64>(0..=3600))]
    pub leave_deadline: u64,

    /// End at once when the parent process ends
    ///
    /// For programs that start nodes and must not leave any behind, even if they are killed.
    #[arg(long)]
    pub die_with_parent: bool,
}

/// Logging.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct Logging {
    /// Log level, on standard error; coloured on a terminal unless NO_COLOR is set
    #[arg(short, long, value_name = "LEVEL", default_value = "info", ignore_case = true)]
    pub loglevel: LogLevel,

    /// Log format: text, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text", ignore_case = true)]
    pub log_format: LogFormat,
}

/// Actions other than running a node.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Actions")]
pub struct Questions {
    /// Print the effective settings and where each value comes from, and exit
    ///
    /// The output is a configuration file with the same settings.
    #[arg(long)]
    pub check: bool,

    /// Check that the node with these options answers a GET, and exit: with 0 if it does
    ///
    /// The GET is for a key that no node holds. For container health checks.
    #[arg(long, conflicts_with = "check")]
    pub health: bool,
}

/// The names of the policies, for help and completion.
const POLICIES: &[&str] = &["self-certifying", "tofu"];
/// The names of the kinds of key, for help and completion.
const KEY_KINDS: &[&str] = &["ed25519", "p256", "rsa2048"];

fn seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_offered() {
        assert_eq!(POLICIES, Policy::ALL.map(|policy| policy.to_string()));
        assert_eq!(KEY_KINDS, KeyKind::ALL.map(|kind| kind.to_string()));
    }
}
