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

pub(crate) mod listen;
pub(crate) mod watch;

use voiddht_wire::PeerAddress;

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
    pub(crate) fn new(addresses: Addresses, follows: bool, is_client: bool) -> Self {
        Self { now: RwLock::new(addresses), follows, is_client: AtomicBool::new(is_client) }
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

/// Whether this machine has an address. Errors other than its absence say nothing about it.
pub(crate) fn has_address(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5737: an address that no machine has.
    const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn whether_the_machine_has_an_address_is_known() {
        assert!(has_address(LOOPBACK));
        assert!(!has_address(FOREIGN));
    }
}
