//! The addresses of this node: bound, dialled from, and announced.
//!
//! The three differ behind address translation. Peers take the source address of a connection for
//! the node's listening address, so the node dials from the announced address where this machine
//! has it. Whether the machine has an address is tested by binding a UDP socket to it, which sends
//! nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

pub(crate) mod watch;

use tokio::net::TcpListener;
use voiddht_wire::PeerAddress;

use crate::settings::Settings;

/// The addresses of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Where it listens for peers.
    pub(crate) bound: SocketAddr,
    /// The address to dial from; `None` leaves the choice to the system.
    pub(crate) source: Option<IpAddr>,
    /// Where peers reach it; unspecified where peers use the address that they see.
    pub(crate) announced: PeerAddress,
    /// The address to dial from that this machine no longer has.
    pub(crate) lost: Option<IpAddr>,
}

/// The addresses of a node, shared by its tasks.
#[derive(Debug)]
pub(crate) struct OwnAddress {
    now: RwLock<Addresses>,
    /// Whether the node moves to another address of this machine when it loses this one.
    follows: bool,
    /// Whether headers announce no port.
    is_client: AtomicBool,
}

impl OwnAddress {
    pub(crate) fn new(addresses: Addresses, settings: &Settings) -> Self {
        Self {
            now: RwLock::new(addresses),
            follows: settings.follow_address,
            is_client: AtomicBool::new(settings.core.client),
        }
    }

    /// The addresses now.
    pub(crate) fn now(&self) -> Addresses {
        *self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node moves to another address by itself.
    pub(crate) fn follows(&self) -> bool {
        self.follows
    }

    /// The port that headers announce: none of a client.
    pub(crate) fn header_port(&self) -> u16 {
        match self.is_client.load(Ordering::Relaxed) {
            true => 0,
            false => self.now().announced.port(),
        }
    }

    /// Announces the port from now on, or does not.
    pub(crate) fn set_client(&self, is_client: bool) {
        self.is_client.store(is_client, Ordering::Relaxed);
    }

    fn set(&self, addresses: Addresses) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

/// Listens for peers as the settings say.
///
/// # Errors
/// The address and why it cannot be listened on.
pub(crate) async fn bind(
    settings: &Settings,
) -> Result<(TcpListener, Addresses), (SocketAddr, io::Error)> {
    let wanted = SocketAddr::new(settings.listen.unwrap_or(settings.host), settings.p2p_port);
    let listener = match TcpListener::bind(wanted).await {
        Err(error)
            if error.kind() == io::ErrorKind::AddrNotAvailable && may_be_translated(settings) =>
        {
            let all = SocketAddr::new(unspecified_like(settings.host), settings.p2p_port);
            tracing::info!(
                announced = %settings.host, bound = %all,
                "this machine does not have the announced address: bound to all addresses"
            );
            TcpListener::bind(all).await.map_err(|error| (all, error))?
        }
        bound => bound.map_err(|error| (wanted, error))?,
    };
    let bound = listener.local_addr().map_err(|error| (wanted, error))?;
    let announced_port = settings.announce_port.unwrap_or(bound.port());
    let addresses = Addresses {
        bound,
        source: source(bound.ip(), settings.host),
        announced: PeerAddress::new(settings.host, announced_port),
        lost: None,
    };
    Ok((listener, addresses))
}

/// Whether this machine has an address. Errors other than its absence say nothing about it.
pub(crate) fn has_address(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Whether the announced address may be one that only a router has: then the operator gave it, and
/// no other one to listen on.
fn may_be_translated(settings: &Settings) -> bool {
    settings.listen.is_none() && !settings.follow_address
}

/// The address from which this machine reaches a peer.
pub(crate) fn address_towards(peer: SocketAddr) -> Option<IpAddr> {
    // Connecting a UDP socket asks the routing table, and sends nothing.
    let socket = UdpSocket::bind((unspecified_like(peer.ip()), 0)).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The address to dial from: the bound one, or the announced one where the node listens on all
/// addresses. A host with several would otherwise be seen at another one.
fn source(bound: IpAddr, announced: IpAddr) -> Option<IpAddr> {
    if !bound.is_unspecified() {
        return Some(bound);
    }
    Some(announced).filter(|announced| !announced.is_unspecified() && has_address(*announced))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5737: an address that no machine has.
    const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_announced_address_that_only_a_router_has_is_not_bound() {
        let settings =
            Settings { host: FOREIGN, announce_port: Some(17402), ..Settings::loopback() };
        let (_listener, addresses) = bind(&settings).await.unwrap();
        assert!(addresses.bound.ip().is_unspecified());
        assert_eq!(addresses.announced, PeerAddress::new(FOREIGN, 17402));
        assert_eq!(addresses.source, None);
    }

    #[tokio::test]
    async fn an_address_to_listen_on_that_the_machine_lacks_is_an_error() {
        let wrong = Settings { listen: Some(FOREIGN), ..Settings::loopback() };
        let (at, error) = bind(&wrong).await.unwrap_err();
        assert_eq!((at.ip(), error.kind()), (FOREIGN, io::ErrorKind::AddrNotAvailable));
        let derived = Settings { host: FOREIGN, follow_address: true, ..Settings::loopback() };
        assert!(bind(&derived).await.is_err());
    }

    #[tokio::test]
    async fn a_node_dials_from_the_announced_address_where_the_machine_has_it() {
        let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let settings = Settings { listen: Some(all), ..Settings::loopback() };
        let (_listener, addresses) = bind(&settings).await.unwrap();
        assert_eq!((addresses.bound.ip(), addresses.source), (all, Some(LOOPBACK)));
        let everywhere = Settings { host: all, ..Settings::loopback() };
        let (_listener, addresses) = bind(&everywhere).await.unwrap();
        assert_eq!(addresses.source, None);
        assert_eq!(addresses.announced.port(), addresses.bound.port());
    }

    #[test]
    fn whether_the_machine_has_an_address_is_known() {
        assert!(has_address(LOOPBACK));
        assert!(!has_address(FOREIGN));
    }
}
