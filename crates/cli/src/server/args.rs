//! What `dht_server` understands: every option once, with its name, its default and its help. Its
//! variable and its key in a configuration file come of the name. The first five also stand by
//! position, as the original's did.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Command, Parser};
use voiddht_core::quota::requests::PEER_RATE;
use voiddht_core::{config, record};
use voiddht_identity::{KeyExchange, KeyKind, Policy};
use voiddht_node::settings;

use crate::arguments::file::{Alias, FileSettings, Sets};
use crate::arguments::ini::{Ini, Mistake};
use crate::arguments::values::{
    Host, HostPort, Listen, address, choice, listen, listen_port, number, port, serving,
};
use crate::arguments::{Configuration, Program, SECTION};
use crate::logging::{LogFormat, LogLevel};

/// Port of the module API, as in the original.
pub const MODULE_PORT: u16 = 7401;
/// Port for peers, as in the original.
pub const P2P_PORT: u16 = 7402;

/// Keys that VoidPhone's modules have in their configuration files.
pub const ALIASES: &[Alias] = &[
    Alias { key: "api_address", sets: Sets::AddressAndPort("api-address", "module-port") },
    Alias { key: "p2p_address", sets: Sets::AddressAndPort("host-address", "p2p-port") },
    Alias { key: "listen_address", sets: Sets::AddressAndPort("host-address", "p2p-port") },
    Alias { key: "bootstrapper", sets: Sets::List("peer") },
    Alias { key: "bootstrap_address", sets: Sets::List("peer") },
];

/// Everything that was said, each value checked by itself.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "dht_server",
    version,
    about = "A node of a voiddht network: keeps its share of the values, and serves local programs",
    override_usage = "dht_server [OPTIONS] [HOST_ADDRESS [MODULE_PORT [P2P_PORT [PEER_ADDRESS [PEER_PORT]]]]]",
    after_help = EXAMPLES,
    mut_arg("config", |config| config.short('c'))
)]
pub struct Arguments {
    /// The first five options by position.
    #[command(flatten)]
    pub positions: Positions,
    /// Where the node listens and whom it knows.
    #[command(flatten)]
    pub network: Network,
    /// What it keeps.
    #[command(flatten)]
    pub keeping: Keeping,
    /// What it allows.
    #[command(flatten)]
    pub limits: Limits,
    /// What it says.
    #[command(flatten)]
    pub logging: Logging,
    /// Where else options are set.
    #[command(flatten)]
    pub configuration: Configuration,
    /// What else it can do.
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
      the same, where other machines reach it
  dht_server -a 203.0.113.1 --listen 0.0.0.0 --announce-port 17402
      behind a router that has this address and forwards port 17402 to port 7402 here
  dht_server -m 7403 -p 7404 -A ::1 -P 7402
      a second node on the same machine
  dht_server --peer one.example.org:7402 --peer [2001:db8::2]:7402 --data-dir /var/lib/voiddht
      a node that knows two others, and remembers who it is and what it keeps
  dht_server 192.0.2.1 7401 7402 192.0.2.9 7402
      the first five options by position
  dht_server -c /etc/voiddht.conf --check
      what it would run with, and where each value comes from

Every option is also an environment variable and a key of the file that --config names. The
command line wins over the environment, that over the file, and that over the default.

Exit status:
  0  stopped by SIGTERM or SIGINT; a second signal ends it at once
  1  it could not start: a port is in use, a data directory is damaged, in use or cannot be
     written; for --health: not well
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

/// Where the node listens and whom it knows.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// The address at which peers reach this node
    ///
    /// Without it, the address from which this machine reaches the node's first peer, and the next
    /// one when the machine loses that; without a peer too, the loopback address, and no other
    /// machine can join. It may be an address that only a router has, as with 1:1 NAT: then the
    /// node listens on all addresses of this machine. 0.0.0.0 and ::, for containers, announce
    /// none: peers use the address that they see.
    #[arg(short = 'a', long, value_name = "ADDRESS", value_parser = address)]
    pub host_address: Option<IpAddr>,

    /// Where to listen for peers, if not at --host-address and --p2p-port
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = listen)]
    pub listen: Option<Listen>,

    /// The port on which local programs are served (the module API)
    #[arg(short = 'm', long, value_name = "PORT", default_value_t = MODULE_PORT, value_parser = listen_port)]
    pub module_port: u16,

    /// The port at which peers reach this node, and where it listens unless --listen names another
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = P2P_PORT, value_parser = listen_port)]
    pub p2p_port: u16,

    /// The port at which peers reach this node, where it is not --p2p-port
    ///
    /// For a port that a router or a container engine maps: `docker run -p 17402:7402` needs
    /// --announce-port 17402.
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub announce_port: Option<u16>,

    /// Be a client: put and get, hold nothing for others, and be in nobody's routing table
    ///
    /// For a machine that no peer can dial. A node that finds this out by itself behaves the same
    /// until one can.
    #[arg(long)]
    pub client: bool,

    /// How long contacts have to dial the node back before it takes itself for a client
    #[arg(long, value_name = "SECONDS", default_value_t = config::DIAL_BACK_PATIENCE.as_secs(), value_parser = number::<u64>(1..=3600))]
    pub dial_back_patience: u64,

    /// A peer that is known, by name or address; its port is --peer-port
    #[arg(short = 'A', long, value_name = "HOST")]
    pub peer_address: Option<Host>,

    /// The port of --peer-address
    #[arg(short = 'P', long, value_name = "PORT", default_value_t = P2P_PORT, value_parser = port)]
    pub peer_port: u16,

    /// A peer that is known; any number of them, tried side by side
    ///
    /// May be repeated, or take several with commas between them. One that answers is enough.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', action = ArgAction::Append)]
    pub peer: Vec<HostPort>,

    /// Where local programs are served, with the port of --module-port
    ///
    /// Without it, the loopback address: whoever reaches the module API may put and get, so it is
    /// never open to other machines unasked.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub api_address: Option<IpAddr>,

    /// Where to serve a page that shows the node, metrics for Prometheus, and its health
    ///
    /// A port alone is one on loopback. Nothing is served without it. Whoever reaches it sees whom
    /// the node knows and which keys it holds, and can change nothing.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = serving)]
    pub http: Option<SocketAddr>,

    /// What a node ID stands on: the same in all nodes of a network
    ///
    /// self-certifying: an ID is the hash of the node's key, and can be neither chosen nor taken.
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

    /// Accepted for the original's sake: certificates are always verified
    #[arg(short = 'v', long = "verify_certificates", alias = "verify-certificates")]
    pub verify_certificates: bool,
}

/// What the node keeps, and for how long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Keeping")]
pub struct Keeping {
    /// Where to keep identity, contacts and values; without it, they end with the process
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The kind of key to make, where there is none in the data directory yet
    #[arg(long, value_name = "KIND", default_value_t = KeyKind::default(), value_parser = choice::<KeyKind>(KEY_KINDS))]
    pub key_type: KeyKind,

    /// The life of a value whose publisher names none
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(config::DEFAULT_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub default_ttl: u16,

    /// The shortest life: a shorter one that a local program asks for is raised to it
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = number::<u16>(1..=u16::MAX))]
    pub min_ttl: u16,

    /// The longest life: a longer one is cut to it
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(config::MAX_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub max_ttl: u16,

    /// How often to make sure that every value lies on enough nodes
    #[arg(long, value_name = "SECONDS", default_value_t = config::UPKEEP_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub upkeep_interval: u64,

    /// How long a part of the routing table may be quiet before it is refreshed
    #[arg(long, value_name = "SECONDS", default_value_t = config::REFRESH_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub refresh_interval: u64,
}

/// What the node allows. At a limit, it refuses; nothing queues without a bound.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections with peers; the limit of open files lowers it
    #[arg(long, value_name = "NUMBER", default_value_t = settings::CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections: usize,

    /// Connections from one public IPv4 address or IPv6 /64
    #[arg(long, value_name = "NUMBER", default_value_t = settings::CONNECTIONS_PER_ADDRESS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections_per_address: usize,

    /// Accepted connections whose handshake is under way
    #[arg(long, value_name = "NUMBER", default_value_t = settings::HANDSHAKES, value_parser = number::<usize>(1..=65_536))]
    pub max_handshakes: usize,

    /// Requests to or from one peer that are unanswered
    #[arg(long, value_name = "NUMBER", default_value_t = settings::REQUESTS_PER_PEER, value_parser = number::<usize>(1..=65_536))]
    pub max_requests_per_peer: usize,

    /// Connections of local programs
    #[arg(long, value_name = "NUMBER", default_value_t = settings::API_CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_api_connections: usize,

    /// Requests of one local program's connection that are unanswered
    #[arg(long, value_name = "NUMBER", default_value_t = settings::API_REQUESTS_PER_CONNECTION, value_parser = number::<usize>(1..=65_536))]
    pub max_api_requests: usize,

    /// Requests of one peer in a second, in the long run; of one /24 or /64, four times as many
    #[arg(long, value_name = "NUMBER", default_value_t = PEER_RATE, value_parser = number::<u32>(1..=1_000_000))]
    pub max_peer_rate: u32,

    /// Values held for the network, at most
    #[arg(long, value_name = "NUMBER", default_value_t = record::MAX_RECORDS, value_parser = number::<usize>(1..=1 << 30))]
    pub max_records: usize,

    /// Memory that these values may take
    #[arg(long, value_name = "MIB", default_value_t = record::MAX_BYTES >> 20, value_parser = number::<usize>(1..=1 << 20))]
    pub max_stored: usize,

    /// Count loopback and private addresses too, where addresses are counted
    ///
    /// Without it they are exempt from all limits per address, since the nodes of a test network
    /// share one. For a network within private addresses whose users are not all trusted.
    #[arg(long)]
    pub count_private: bool,

    /// How long handing over values and saying goodbye may take at the end
    #[arg(long, value_name = "SECONDS", default_value_t = settings::LEAVE_DEADLINE.as_secs(), value_parser = number::<u64>(0..=3600))]
    pub leave_deadline: u64,

    /// End at once when the process ends that started this one
    ///
    /// For programs that start nodes and must not leave any behind, however they end themselves.
    #[arg(long)]
    pub die_with_parent: bool,
}

/// What the node says.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct Logging {
    /// How much to log, on standard error; coloured on a terminal unless NO_COLOR is set
    #[arg(short, long, value_name = "LEVEL", default_value = "info", ignore_case = true)]
    pub loglevel: LogLevel,

    /// How log lines are written: as text for people, or as one JSON object each
    #[arg(long, value_name = "FORMAT", default_value = "text", ignore_case = true)]
    pub log_format: LogFormat,
}

/// What the program does instead of running a node.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Questions")]
pub struct Questions {
    /// Say what the node would run with and where each value comes from, and end
    ///
    /// What it prints is a configuration file that says the same.
    #[arg(long)]
    pub check: bool,

    /// Ask the node that runs with these options whether it answers, and end: with 0 if it does
    ///
    /// It is asked for a key that nobody has. For the health check of a container.
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
