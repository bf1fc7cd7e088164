//! What `dht_server` understands: every option once, with its name, its variable, its default and
//! its help. The first five also stand by position, as the original's did.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};
use voiddht_core::config;
use voiddht_identity::{KeyKind, Policy};
use voiddht_node::settings;

use crate::arguments::values::{Host, HostPort, address, choice, listen_port, number, port};
use crate::logging::LogLevel;

/// Port of the module API, as in the original.
pub const MODULE_PORT: u16 = 7401;
/// Port for peers, as in the original.
pub const P2P_PORT: u16 = 7402;

/// Everything that was typed or set in the environment, each value checked by itself.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "dht_server",
    version,
    about = "A node of a voiddht network: keeps its share of the values, and serves local programs",
    override_usage = "dht_server [OPTIONS] [HOST_ADDRESS [MODULE_PORT [P2P_PORT [PEER_ADDRESS [PEER_PORT]]]]]",
    after_help = EXAMPLES
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
}

const EXAMPLES: &str = "\
Examples:
  dht_server
      the first node of a network, on this machine alone
  dht_server -a 192.0.2.1
      the same, where other machines reach it
  dht_server -m 7403 -p 7404 -A ::1 -P 7402
      a second node on the same machine
  dht_server --peer one.example.org:7402 --peer [2001:db8::2]:7402 --data-dir /var/lib/voiddht
      a node that knows two others, and remembers who it is and what it keeps
  dht_server 192.0.2.1 7401 7402 192.0.2.9 7402
      the first five options by position

Every option is also an environment variable; the command line wins.

Exit status:
  0  stopped by SIGTERM or SIGINT; a second signal ends it at once
  1  it could not start, for example because a port is in use
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
    /// Where peers reach this node, and where it listens for them
    ///
    /// Without it, the address from which this machine reaches the node's first peer; without a
    /// peer too, the loopback address, and no other machine can join.
    #[arg(short = 'a', long, env = "VOIDDHT_HOST_ADDRESS", value_name = "ADDRESS", value_parser = address)]
    pub host_address: Option<IpAddr>,

    /// The port on which local programs are served (the module API)
    #[arg(short = 'm', long, env = "VOIDDHT_MODULE_PORT", value_name = "PORT", default_value_t = MODULE_PORT, value_parser = listen_port)]
    pub module_port: u16,

    /// The port on which peers are served
    #[arg(short = 'p', long, env = "VOIDDHT_P2P_PORT", value_name = "PORT", default_value_t = P2P_PORT, value_parser = listen_port)]
    pub p2p_port: u16,

    /// A peer that is known, by name or address; its port is --peer-port
    #[arg(short = 'A', long, env = "VOIDDHT_PEER_ADDRESS", value_name = "HOST")]
    pub peer_address: Option<Host>,

    /// The port of --peer-address
    #[arg(short = 'P', long, env = "VOIDDHT_PEER_PORT", value_name = "PORT", default_value_t = P2P_PORT, value_parser = port)]
    pub peer_port: u16,

    /// A peer that is known; any number of them, tried side by side
    ///
    /// May be repeated, or take several with commas between them. One that answers is enough.
    #[arg(long, env = "VOIDDHT_PEER", value_name = "HOST:PORT", value_delimiter = ',', action = ArgAction::Append)]
    pub peer: Vec<HostPort>,

    /// Where local programs are served, with the port of --module-port
    ///
    /// Without it, the loopback address: whoever reaches the module API may put and get, so it is
    /// never open to other machines unasked.
    #[arg(long, env = "VOIDDHT_API_ADDRESS", value_name = "ADDRESS", value_parser = address)]
    pub api_address: Option<IpAddr>,

    /// What a node ID stands on: the same in all nodes of a network
    ///
    /// self-certifying: an ID is the hash of the node's key, and can be neither chosen nor taken.
    /// tofu: IDs are random and trusted on first use; peers of the original network may join.
    #[arg(long, env = "VOIDDHT_IDENTITY", value_name = "POLICY", default_value_t = Policy::default(), value_parser = choice::<Policy>(POLICIES))]
    pub identity: Policy,

    /// Accepted for the original's sake: certificates are always verified
    #[arg(
        short = 'v',
        long = "verify_certificates",
        alias = "verify-certificates",
        env = "VOIDDHT_VERIFY_CERTIFICATES"
    )]
    pub verify_certificates: bool,
}

/// What the node keeps, and for how long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Keeping")]
pub struct Keeping {
    /// Where to keep identity, contacts and values; without it, they end with the process
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The kind of key to make, where there is none in the data directory yet
    #[arg(long, env = "VOIDDHT_KEY_TYPE", value_name = "KIND", default_value_t = KeyKind::default(), value_parser = choice::<KeyKind>(KEY_KINDS))]
    pub key_type: KeyKind,

    /// The life of a value whose publisher names none
    #[arg(long, env = "VOIDDHT_DEFAULT_TTL", value_name = "SECONDS", default_value_t = seconds(config::DEFAULT_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub default_ttl: u16,

    /// The shortest life: a shorter one that a local program asks for is raised to it
    #[arg(long, env = "VOIDDHT_MIN_TTL", value_name = "SECONDS", default_value_t = 1, value_parser = number::<u16>(1..=u16::MAX))]
    pub min_ttl: u16,

    /// The longest life: a longer one is cut to it
    #[arg(long, env = "VOIDDHT_MAX_TTL", value_name = "SECONDS", default_value_t = seconds(config::MAX_TTL), value_parser = number::<u16>(1..=u16::MAX))]
    pub max_ttl: u16,

    /// How often to make sure that every value lies on enough nodes
    #[arg(long, env = "VOIDDHT_UPKEEP_INTERVAL", value_name = "SECONDS", default_value_t = config::UPKEEP_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub upkeep_interval: u64,

    /// How long a part of the routing table may be quiet before it is refreshed
    #[arg(long, env = "VOIDDHT_REFRESH_INTERVAL", value_name = "SECONDS", default_value_t = config::REFRESH_INTERVAL.as_secs(), value_parser = number::<u64>(1..=86_400))]
    pub refresh_interval: u64,
}

/// What the node allows. At a limit, it refuses; nothing queues without a bound.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections with peers; the limit of open files lowers it
    #[arg(long, env = "VOIDDHT_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = settings::CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections: usize,

    /// Connections from one public IPv4 address or IPv6 /64
    #[arg(long, env = "VOIDDHT_MAX_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER", default_value_t = settings::CONNECTIONS_PER_ADDRESS, value_parser = number::<usize>(1..=65_536))]
    pub max_connections_per_address: usize,

    /// Accepted connections whose handshake is under way
    #[arg(long, env = "VOIDDHT_MAX_HANDSHAKES", value_name = "NUMBER", default_value_t = settings::HANDSHAKES, value_parser = number::<usize>(1..=65_536))]
    pub max_handshakes: usize,

    /// Requests to or from one peer that are unanswered
    #[arg(long, env = "VOIDDHT_MAX_REQUESTS_PER_PEER", value_name = "NUMBER", default_value_t = settings::REQUESTS_PER_PEER, value_parser = number::<usize>(1..=65_536))]
    pub max_requests_per_peer: usize,

    /// Connections of local programs
    #[arg(long, env = "VOIDDHT_MAX_API_CONNECTIONS", value_name = "NUMBER", default_value_t = settings::API_CONNECTIONS, value_parser = number::<usize>(1..=65_536))]
    pub max_api_connections: usize,

    /// Requests of one local program's connection that are unanswered
    #[arg(long, env = "VOIDDHT_MAX_API_REQUESTS", value_name = "NUMBER", default_value_t = settings::API_REQUESTS_PER_CONNECTION, value_parser = number::<usize>(1..=65_536))]
    pub max_api_requests: usize,

    /// How long handing over values and saying goodbye may take at the end
    #[arg(long, env = "VOIDDHT_LEAVE_DEADLINE", value_name = "SECONDS", default_value_t = settings::LEAVE_DEADLINE.as_secs(), value_parser = number::<u64>(0..=3600))]
    pub leave_deadline: u64,

    /// End at once when the process ends that started this one
    ///
    /// For programs that start nodes and must not leave any behind, however they end themselves.
    #[arg(long, env = "VOIDDHT_DIE_WITH_PARENT")]
    pub die_with_parent: bool,
}

/// What the node says.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct Logging {
    /// How much to log, on standard error; coloured on a terminal unless NO_COLOR is set
    #[arg(
        short,
        long,
        env = "VOIDDHT_LOGLEVEL",
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true
    )]
    pub loglevel: LogLevel,
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_option_has_a_variable_of_its_own_name() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for option in command.get_opts() {
            let name = option.get_long().unwrap();
            let variable = format!("VOIDDHT_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(option.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            assert!(option.get_help().is_some(), "{name}");
        }
    }

    #[test]
    fn every_choice_is_offered() {
        assert_eq!(POLICIES, Policy::ALL.map(|policy| policy.to_string()));
        assert_eq!(KEY_KINDS, KeyKind::ALL.map(|kind| kind.to_string()));
    }
}
