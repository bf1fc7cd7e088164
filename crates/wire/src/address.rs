//! The address of a peer: an IPv6 address (IPv4 mapped into ::ffff:0:0/96) and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of an address with its port on the wire.
pub const ADDRESS_BYTES: usize = 18;

/// A TCP endpoint in the 18 bytes that the wire gives it. IPv4 and its mapped form are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    ip: [u8; 16],
    port: u16,
}

impl PeerAddress {
    /// An address from its parts; IPv4 is mapped.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        let v6 = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { ip: v6.octets(), port }
    }

    /// Reads 16 bytes of address and 2 of port.
    pub fn from_bytes(bytes: &[u8; ADDRESS_BYTES]) -> Self {
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[..16]);
        Self { ip, port: u16::from_be_bytes([bytes[16], bytes[17]]) }
    }

    /// The 18 bytes as they stand on the wire.
    pub fn to_bytes(self) -> [u8; ADDRESS_BYTES] {
        let mut bytes = [0; ADDRESS_BYTES];
        bytes[..16].copy_from_slice(&self.ip);
        bytes[16..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }

    /// The IP address, an IPv4 one unmapped.
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }

    /// The TCP port; 0 means that no node listens there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host, another port.
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// What the operating system dials.
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }

    /// Whether a connection could be opened to it: a port, and one host's address.
    pub fn is_dialable(&self) -> bool {
        let ip = self.ip();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        self.port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_plain_ipv4_are_one_address() {
        let plain: SocketAddr = "127.0.0.1:7402".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:7402".parse().unwrap();
        assert_eq!(PeerAddress::from(plain), PeerAddress::from(mapped));
        let address = PeerAddress::from(mapped);
        assert_eq!(address.socket_addr(), plain);
        assert_eq!(PeerAddress::from_bytes(&address.to_bytes()), address);
    }

    #[test]
    fn nobody_listens_on_port_zero_or_everywhere() {
        for (text, dialable) in [
            ("[::1]:1", true),
            ("127.0.0.1:0", false),
            ("0.0.0.0:7402", false),
            ("[::]:7402", false),
            ("[ff02::1]:7402", false),
            ("255.255.255.255:7402", false),
        ] {
            let address = PeerAddress::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(address.is_dialable(), dialable, "{text}");
        }
    }
}
