//! Scopes of addresses, and which peers may have this node dial them.
//!
//! A peer names other nodes by address, and this node then dials them. A peer on the Internet could
//! so have it connect to loopback, to the local network behind it, or to other services than
//! voiddht, and learn from the time that a lookup takes whether a port there is open. Therefore:
//!
//! * An address is accepted from a peer only if it reaches at least as far as the peer's own: an
//!   address of the local network only from a peer in a local network, loopback only from this
//!   machine.
//! * A peer with a global address names no well-known port (below 1024, RFC 6335).
//!
//! Networks on one machine, in one local network, or in containers keep to these rules by
//! themselves: all their nodes are in one scope. Peers that an operator configured are exempt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use voiddht_wire::PeerAddress;

/// Ports below this one belong to well-known services (RFC 6335, system ports).
pub const FIRST_UNRESERVED_PORT: u16 = 1024;

/// How far an address reaches, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine alone.
    Loopback,
    /// One link (RFC 3927, RFC 4291).
    LinkLocal,
    /// One site (RFC 1918, RFC 4193, and the deprecated site-local fec0::/10).
    Private,
    /// The customers of one provider (RFC 6598).
    Shared,
    /// Everywhere.
    Global,
}

impl Scope {
    /// The scope of an address. One that embeds an IPv4 address, by which a translator reaches that
    /// (NAT64, 6to4), has the scope of what it embeds.
    pub fn of(address: &PeerAddress) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [first, second, ..] = ip.octets();
        // The whole of 0.0.0.0/8 means this host.
        if ip.is_loopback() || first == 0 {
            Self::Loopback
        } else if ip.is_link_local() {
            Self::LinkLocal
        } else if ip.is_private() {
            Self::Private
        } else if first == 100 && second & 0xc0 == 64 {
            Self::Shared
        } else {
            Self::Global
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let segments = ip.segments();
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_unicast_link_local() {
            Self::LinkLocal
        } else if ip.is_unique_local() || segments[0] & 0xffc0 == 0xfec0 {
            Self::Private
        } else {
            embedded_v4(&segments).map_or(Self::Global, Self::of_v4)
        }
    }
}

/// The IPv4 address in a NAT64 (64:ff9b::/96, 64:ff9b:1::/48), 6to4 (2002::/16) or IPv4-compatible
/// (::/96) address.
fn embedded_v4(segments: &[u16; 8]) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match *segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Whether a peer at `peer` may have this node dial `named`: another node's address or its own.
pub fn may_name(peer: &PeerAddress, named: &PeerAddress) -> bool {
    let scope = Scope::of(peer);
    let reserved = scope == Scope::Global && named.port() < FIRST_UNRESERVED_PORT;
    scope <= Scope::of(named) && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str, port: u16) -> PeerAddress {
        PeerAddress::new(ip.parse().unwrap(), port)
    }

    #[test]
    fn addresses_have_their_registered_scope() {
        for (scope, addresses) in [
            (
                Scope::Loopback,
                &["127.0.0.1", "127.9.9.9", "0.0.0.1", "::1", "::ffff:127.0.0.1"][..],
            ),
            (Scope::LinkLocal, &["169.254.169.254", "fe80::1"]),
            (Scope::Private, &["10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1", "fec0::1"]),
            (Scope::Shared, &["100.64.0.1", "100.127.255.254"]),
            (
                Scope::Global,
                &["8.8.8.8", "100.128.0.1", "172.32.0.1", "2a00::1", "2002:808:808::1"],
            ),
        ] {
            for address in addresses {
                assert_eq!(Scope::of(&at(address, 1)), scope, "{address}");
            }
        }
    }

    #[test]
    fn what_a_translator_reaches_has_the_scope_of_its_target() {
        for (address, scope) in [
            ("64:ff9b::10.0.0.1", Scope::Private),
            ("64:ff9b::7f00:1", Scope::Loopback),
            ("64:ff9b:1:2:3:4:a00:1", Scope::Private),
            ("64:ff9b::8.8.8.8", Scope::Global),
            ("2002:c0a8:101::1", Scope::Private),
            ("::192.168.0.1", Scope::Private),
        ] {
            assert_eq!(Scope::of(&at(address, 1)), scope, "{address}");
        }
    }

    #[test]
    fn only_a_peer_in_the_same_or_a_narrower_scope_names_an_address() {
        let order = ["127.0.0.1", "169.254.1.1", "10.0.0.1", "100.64.0.1", "8.8.8.8"];
        for (inner, peer) in order.iter().enumerate() {
            for (outer, named) in order.iter().enumerate() {
                let may = may_name(&at(peer, 50_000), &at(named, 7402));
                assert_eq!(may, inner <= outer, "{peer} names {named}");
            }
        }
        assert!(may_name(&at("192.168.0.7", 1), &at("10.1.2.3", 7402)), "one site, many networks");
    }

    #[test]
    fn only_local_peers_name_well_known_ports() {
        for port in [1, 22, 443, 1023] {
            assert!(!may_name(&at("8.8.8.8", 50_000), &at("9.9.9.9", port)));
            assert!(may_name(&at("10.0.0.1", 50_000), &at("9.9.9.9", port)));
        }
        assert!(may_name(&at("8.8.8.8", 50_000), &at("9.9.9.9", 1024)));
    }
}
