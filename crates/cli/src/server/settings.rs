//! From what was typed to what the node runs with: positions and options brought together,
//! names resolved, relations checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use voiddht_core::configured::{ConfiguredPeer, PeerName};
use voiddht_core::quota::requests::{PEER_RATE, Rate};
use voiddht_core::record::RecordLimits;
use voiddht_identity::{PinLimits, Policy};
use voiddht_node::http::{CONTROL_SOCKET, ControlSocket};
use voiddht_node::resolver::RESOLVE_DEADLINE;
use voiddht_node::{Descriptors, Limits, Settings, StartError};

use super::args::{self, Arguments, Keeping, Network};
use super::check;
use crate::arguments::source::Sources;
use crate::arguments::values::{Host, HostPort};
use crate::outcome::Failure;
use crate::process;

/// Addresses that no machine has (RFC 5737, RFC 3849): the route to them is the default route.
const DOCUMENTATION_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DOCUMENTATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// What is left of the time for leaving after records were handed over, for goodbyes.
const GOODBYES: Duration = Duration::from_secs(1);

/// Whether the names of peers may be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As far as the settings depend on it.
    Resolve,
    /// No: the question must be answered where no name service is.
    Leave,
}

/// Whether the node's own address follows from the name of its first peer.
pub fn is_address_by_name(typed: &Arguments) -> bool {
    let (network, positions) = (&typed.network, &typed.positions);
    let is_given = network.host_address.or(positions.host_address_position).is_some();
    let first = positions.peer_address_position.as_ref().or(network.peer_address.as_ref());
    let first = first.or(network.peer.first().map(|peer| &peer.host));
    !is_given && network.listen.is_none() && matches!(first, Some(Host::Name(_)))
}

/// Settles everything. Names of peers are left to the node, which resolves them before each attempt
/// to join; here the first is resolved where the node's own address follows from it. If it cannot
/// be, `warn` is told.
///
/// # Errors
/// [`Failure::Usage`] for values that contradict each other.
pub async fn resolve(
    typed: Arguments,
    sources: &Sources,
    names: Names,
    warn: impl Fn(String),
) -> Result<Settings, Failure> {
    let Arguments { mut network, keeping, limits, .. } = place(typed, sources)?;
    let leave_deadline = Duration::from_secs(limits.leave_deadline);
    let core = voiddht_core::Config {
        client: network.client,
        dial_back_patience: Duration::from_secs(network.dial_back_patience),
        ..core_config(&keeping, &limits)
    };
    core.check().map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let known = known_peers(&mut network);
    let follow_address = network.host_address.is_none() && network.listen.is_none();
    let first = known.first().filter(|_| follow_address);
    let towards = match first {
        Some(first) => addresses_towards(first, names, warn).await,
        None => None,
    };
    let host = announced_address(&network, towards.as_ref());
    let ports = PeerPorts::of(&network, sources);
    let api_address = network.api_address.unwrap_or_else(|| loopback_like(host));
    let settings = Settings {
        host,
        listen: network.listen.map(|listen| listen.address),
        p2p_port: ports.bound,
        announce_port: ports.announced,
        follow_address,
        api: Some(SocketAddr::new(api_address, network.module_port)),
        peers: known.iter().filter_map(configured).collect(),
        policy: network.identity,
        network_secret: network.network_secret,
        key_exchange: network.key_exchange,
        key_kind: keeping.key_type,
        pins: PinLimits::default(),
        control: control_socket(keeping.data_dir.as_deref(), limits.die_with_parent),
        control_routes: None,
        data_dir: keeping.data_dir,
        // One node in a process.
        descriptors: Descriptors::of_process(),
        http: network.http,
        limits: Limits {
            connections: limits.max_connections,
            connections_per_address: limits.max_connections_per_address,
            private_addresses_exempt: !limits.count_private,
            handshakes: limits.max_handshakes,
            requests_per_peer: limits.max_requests_per_peer,
            api_connections: limits.max_api_connections,
            api_requests_per_connection: limits.max_api_requests,
            leave_deadline,
            ..Limits::default()
        },
        core,
        seed: None,
    };
    check::refuse_shared_ports(&check::listeners(&settings))?;
    refuse_private_tofu(&settings)?;
    Ok(settings)
}

/// Peers of the original network cannot prove that they have a secret.
fn refuse_private_tofu(settings: &Settings) -> Result<(), Failure> {
    match (settings.policy, &settings.network_secret) {
        (Policy::Tofu, Some(_)) => Err(Failure::Usage(StartError::PrivateTofu.to_string())),
        _ => Ok(()),
    }
}

/// Where its owner's tools find the node: in its data directory, else where this user's nodes
/// without one have theirs. Nodes that a program has started for itself are not for others.
fn control_socket(data_dir: Option<&Path>, is_programs_own: bool) -> Option<ControlSocket> {
    match data_dir {
        Some(directory) => Some(ControlSocket::At(directory.join(CONTROL_SOCKET))),
        None if is_programs_own => None,
        None => Some(ControlSocket::In(process::runtime_directory())),
    }
}

fn core_config(keeping: &Keeping, limits: &args::Limits) -> voiddht_core::Config {
    let mut core = voiddht_core::Config {
        leave_patience: Duration::from_secs(limits.leave_deadline).saturating_sub(GOODBYES),
        default_ttl: Duration::from_secs(keeping.default_ttl.into()),
        min_ttl: Duration::from_secs(keeping.min_ttl.into()),
        max_ttl: Duration::from_secs(keeping.max_ttl.into()),
        upkeep_interval: Duration::from_secs(keeping.upkeep_interval),
        refresh_interval: Duration::from_secs(keeping.refresh_interval),
        records: RecordLimits::of_size(limits.max_records, limits.max_stored << 20),
        ..voiddht_core::Config::default()
    };
    for rate in [&mut core.requests.per_peer, &mut core.requests.per_prefix] {
        // What may come at once, and what a prefix may send, keep their proportion.
        let scaled = |default: u32| {
            let scaled =
                u64::from(default) * u64::from(limits.max_peer_rate) / u64::from(PEER_RATE);
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        *rate = Rate { per_second: scaled(rate.per_second), burst: scaled(rate.burst) };
    }
    for diversity in
        [&mut core.diversity.bucket, &mut core.diversity.table, &mut core.diversity.lookup]
    {
        diversity.count_private = limits.count_private;
    }
    core.requests.count_private = limits.count_private;
    core.records.quota.count_private = limits.count_private;
    core
}

/// The ports for peers.
struct PeerPorts {
    /// Where the node listens.
    bound: u16,
    /// What it announces, where that is another one.
    announced: Option<u16>,
}

impl PeerPorts {
    /// `--listen` may name the bound port, and `--announce-port` the announced one; each that is
    /// missing is `--p2p-port`. A port that `--listen` alone names is announced too.
    fn of(network: &Network, sources: &Sources) -> Self {
        let listen = network.listen.and_then(|listen| listen.port);
        let has_p2p_port = sources.is_set("p2p_port") || sources.is_typed("p2p_port_position");
        let bound = listen.unwrap_or(network.p2p_port);
        let given = Some(network.p2p_port).filter(|_| has_p2p_port || listen.is_none());
        // Port 0, any that is free, cannot be announced before it is known.
        let announced = network.announce_port.or(given.filter(|port| *port != 0));
        Self { bound, announced: announced.filter(|announced| *announced != bound) }
    }
}

/// What was given, else the address to listen on, else that from which a peer is reached.
fn announced_address(network: &Network, peer: Option<&Vec<SocketAddr>>) -> IpAddr {
    let listen = network.listen.map(|listen| listen.address);
    network.host_address.or(listen).unwrap_or_else(|| host_towards(peer))
}

/// Puts what stands by position where its option is. Given both ways on the command line, it is
/// a mistake; a position wins over the environment and the file.
fn place(mut typed: Arguments, sources: &Sources) -> Result<Arguments, Failure> {
    let once = |id: &str, name: &str| match sources.is_typed(id) {
        true => Err(Failure::Usage(format!("{name} is given twice: by its name and by position"))),
        false => Ok(()),
    };
    let (positions, network) = (typed.positions.clone(), &mut typed.network);
    if let Some(address) = positions.host_address_position {
        once("host_address", "--host-address")?;
        network.host_address = Some(address);
    }
    if let Some(port) = positions.module_port_position {
        once("module_port", "--module-port")?;
        network.module_port = port;
    }
    if let Some(port) = positions.p2p_port_position {
        once("p2p_port", "--p2p-port")?;
        network.p2p_port = port;
    }
    if let Some(host) = positions.peer_address_position {
        once("peer_address", "--peer-address")?;
        network.peer_address = Some(host);
    }
    if let Some(port) = positions.peer_port_position {
        once("peer_port", "--peer-port")?;
        network.peer_port = port;
    }
    if network.peer_address.is_none() && sources.is_typed("peer_port") {
        let alone = "--peer-port is the port of --peer-address, which is missing";
        return Err(Failure::Usage(alone.to_owned()));
    }
    Ok(typed)
}

fn known_peers(network: &mut Network) -> Vec<HostPort> {
    let port = network.peer_port;
    let first = network.peer_address.take().map(|host| HostPort { host, port });
    let mut peers: Vec<_> = first.into_iter().chain(network.peer.drain(..)).collect();
    let mut seen = Vec::new();
    peers.retain(|peer| {
        let is_new = !seen.contains(peer);
        seen.extend(is_new.then(|| peer.clone()));
        is_new
    });
    peers
}

/// A peer as the node takes it. Every name that an option takes is short enough.
fn configured(peer: &HostPort) -> Option<ConfiguredPeer> {
    match &peer.host {
        Host::Address(address) => Some(SocketAddr::new(*address, peer.port).into()),
        Host::Name(_) => PeerName::new(&peer.to_string()).map(ConfiguredPeer::Name),
    }
}

/// Addresses the route to which tells this node's own: those of the first peer; where its name
/// cannot be resolved, any that lies beyond this machine's default route.
async fn addresses_towards(
    first: &HostPort,
    names: Names,
    warn: impl Fn(String),
) -> Option<Vec<SocketAddr>> {
    let beyond: [IpAddr; 2] = [DOCUMENTATION_V4.into(), DOCUMENTATION_V6.into()];
    let beyond = beyond.map(|address| SocketAddr::new(address, first.port)).to_vec();
    if names == Names::Leave && matches!(first.host, Host::Name(_)) {
        return Some(beyond);
    }
    let why = match tokio::time::timeout(RESOLVE_DEADLINE, first.resolve()).await {
        Ok(Ok(addresses)) => return Some(addresses),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the name service did not answer in time".to_owned(),
    };
    warn(format!(
        "the peer {first} cannot be resolved now: {why}; taking the address of the default route \
         for this node's own (--host-address chooses another)"
    ));
    Some(beyond)
}

/// The address from which this machine reaches a peer; without a peer, loopback.
fn host_towards(peer: Option<&Vec<SocketAddr>>) -> IpAddr {
    let route = peer.into_iter().flatten().find_map(|peer| {
        let unspecified: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket asks the routing table, and sends nothing.
        let socket = UdpSocket::bind((unspecified, 0)).ok()?;
        socket.connect(peer).ok()?;
        socket.local_addr().ok().map(|local| local.ip())
    });
    route.unwrap_or_else(default_loopback)
}

/// ::1 where the machine has it.
fn default_loopback() -> IpAddr {
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Ipv6Addr::LOCALHOST.into(),
        Err(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

/// The loopback address of the family of `host`: that address itself, where it is one, so that
/// nodes with different loopback addresses do not compete for one port.
fn loopback_like(host: IpAddr) -> IpAddr {
    match host {
        _ if host.is_loopback() => host,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests;
