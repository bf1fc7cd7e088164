//! Address diversity: how many nodes of one address prefix may be in a bucket, in the table, in a
//! lookup, in a replica set.
//!
//! IDs cost nothing, addresses do: an attacker with one IPv4 /24 or one IPv6 /48 must not fill a
//! bucket with nodes behind it (Sybil and eclipse attacks). Loopback and private addresses are
//! exempt by default: a test network, or one behind a router, is in a single prefix.
//!
//! [`DiversityCounter`] does not know what is being counted; its callers fill and query it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use voiddht_wire::PeerAddress;

/// Nodes of one /24 or /64 in a bucket. Ethereum's discovery (geth, `p2p/discover`) has the same
/// number for a /24.
pub const BUCKET_PER_SITE: usize = 2;
/// Nodes of one /24 or /64 in the whole table. The same source.
pub const TABLE_PER_SITE: usize = 10;
/// Nodes of one /24 or /64 among those that a lookup may end with, and in a replica set. Fewer
/// than the votes that end a GET early, so that one site can never decide alone.
pub const LOOKUP_PER_SITE: usize = 3;
/// A /48 is what one customer of a provider gets, and holds 65 536 /64s: it may have this many
/// times what one of them may. A guess.
pub const ORGANISATION_FACTOR: usize = 2;

/// A range of addresses that one party is likely to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressPrefix {
    /// The first bytes of the address, all but the prefix cleared. A node counts as many prefixes as it has
    /// contacts, so they are kept short.
    first: [u8; 8],
    /// Bits of the prefix: of IPv4 24, or 32 for a whole address; of IPv6 48 or 64.
    bits: u8,
}

impl AddressPrefix {
    fn v4(ip: Ipv4Addr, bits: u8) -> Self {
        Self::new(u64::from(ip.to_bits()) << u32::BITS, bits)
    }

    fn v6(ip: Ipv6Addr, bits: u8) -> Self {
        let [a, b, c, d, ..] = ip.segments().map(u64::from);
        Self::new(a << 48 | b << 32 | c << 16 | d, bits)
    }

    /// So many bits of the first 64 of an address.
    fn new(first: u64, bits: u8) -> Self {
        let mask = u64::MAX << (u64::BITS - u32::from(bits));
        Self { first: (first & mask).to_be_bytes(), bits }
    }

    /// One host: its IPv4 address, or its /64, within which it may choose any.
    pub fn host(address: &PeerAddress) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip, 32),
            IpAddr::V6(ip) => Self::v6(ip, 64),
        }
    }

    /// Its first address, and how many bits of it count.
    pub fn parts(&self) -> (IpAddr, u8) {
        let first = u64::from_be_bytes(self.first);
        let address = match u32::from(self.bits) {
            0..=u32::BITS => Ipv4Addr::from_bits((first >> u32::BITS) as u32).into(),
            _ => Ipv6Addr::from_bits(u128::from(first) << u64::BITS).into(),
        };
        (address, self.bits)
    }

    /// Whether this is the prefix of a whole organisation (/48) rather than of a site.
    fn is_organisation(&self) -> bool {
        self.bits == 48
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, bits) = self.parts();
        write!(f, "{address}/{bits}")
    }
}

/// The prefixes in which an address is counted: its /24, or its /64 and its /48.
pub fn prefixes(address: &PeerAddress) -> impl Iterator<Item = AddressPrefix> + use<> {
    let (site, organisation) = match address.ip() {
        IpAddr::V4(ip) => (AddressPrefix::v4(ip, 24), None),
        IpAddr::V6(ip) => (AddressPrefix::v6(ip, 64), Some(AddressPrefix::v6(ip, 48))),
    };
    std::iter::once(site).chain(organisation)
}

/// Whether an address means something only on its own machine or in its own local network:
/// loopback, private (RFC 1918, RFC 4193), link-local, or shared by a provider (RFC 6598).
pub fn is_private(address: &PeerAddress) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// How many may share a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiversityLimits {
    /// Nodes of one /24 or /64. [`usize::MAX`] is no limit.
    pub per_site: usize,
    /// Whether loopback and private addresses are counted too.
    pub count_private: bool,
}

impl DiversityLimits {
    /// No limit at all.
    pub const NONE: Self = Self { per_site: usize::MAX, count_private: false };
    /// The default limit of a bucket, [`BUCKET_PER_SITE`].
    pub const BUCKET: Self = Self { per_site: BUCKET_PER_SITE, count_private: false };
    /// The default limit of the routing table, [`TABLE_PER_SITE`].
    pub const TABLE: Self = Self { per_site: TABLE_PER_SITE, count_private: false };
    /// The default limit of a lookup, [`LOOKUP_PER_SITE`].
    pub const LOOKUP: Self = Self { per_site: LOOKUP_PER_SITE, count_private: false };

    /// The prefixes in which an address is counted; none if it is exempt.
    pub fn counted(&self, address: &PeerAddress) -> impl Iterator<Item = AddressPrefix> + use<> {
        let counts = self.per_site != usize::MAX && (self.count_private || !is_private(address));
        prefixes(address).filter(move |_| counts)
    }

    /// Whether a newcomer may join these members: for sets so small that counting them again is
    /// cheaper than keeping count.
    pub fn admits(
        &self,
        address: &PeerAddress,
        members: impl Iterator<Item = PeerAddress> + Clone,
    ) -> bool {
        self.counted(address).all(|prefix| {
            let alike = members.clone().filter(|member| prefixes(member).any(|it| it == prefix));
            alike.count() < self.limit(&prefix)
        })
    }

    /// How many may share this prefix.
    pub fn limit(&self, prefix: &AddressPrefix) -> usize {
        let factor = if prefix.is_organisation() { ORGANISATION_FACTOR } else { 1 };
        self.per_site.saturating_mul(factor)
    }
}

/// Counts the members of a set by prefix. No larger than twice the set; empty where all are
/// exempt.
#[derive(Clone, Debug)]
pub struct DiversityCounter {
    limits: DiversityLimits,
    counts: BTreeMap<AddressPrefix, u32>,
}

impl DiversityCounter {
    /// An empty set under these limits.
    pub fn new(limits: DiversityLimits) -> Self {
        Self { limits, counts: BTreeMap::new() }
    }

    /// The limits that it counts against.
    pub fn limits(&self) -> DiversityLimits {
        self.limits
    }

    /// Whether one more member at this address is within the limits.
    pub fn admits(&self, address: &PeerAddress) -> bool {
        self.limits.counted(address).all(|prefix| self.count(&prefix) < self.limits.limit(&prefix))
    }

    /// Counts a member if it is within the limits. Returns whether it is.
    pub fn add(&mut self, address: &PeerAddress) -> bool {
        let admits = self.admits(address);
        if admits {
            for prefix in self.limits.counted(address) {
                *self.counts.entry(prefix).or_default() += 1;
            }
        }
        admits
    }

    /// Takes a member that was added out of the count.
    pub fn remove(&mut self, address: &PeerAddress) {
        for prefix in self.limits.counted(address) {
            if let Some(count) = self.counts.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&prefix);
                }
            }
        }
    }

    fn count(&self, prefix: &AddressPrefix) -> usize {
        self.counts.get(prefix).map_or(0, |count| *count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> PeerAddress {
        PeerAddress::new(ip.parse().unwrap(), 7402)
    }

    fn check(limits: DiversityLimits, members: &[(&str, bool)]) {
        let mut counter = DiversityCounter::new(limits);
        let mut inside = Vec::new();
        for (ip, admitted) in members {
            assert_eq!(counter.admits(&at(ip)), *admitted, "{ip}");
            assert_eq!(limits.admits(&at(ip), inside.iter().copied()), *admitted, "{ip}");
            inside.extend(admitted.then(|| at(ip)));
            assert_eq!(counter.add(&at(ip)), *admitted, "{ip}");
        }
    }

    #[test]
    fn a_bucket_takes_two_of_a_24_whatever_their_ports() {
        check(
            DiversityLimits::BUCKET,
            &[
                ("203.0.113.1", true),
                ("203.0.113.255", true),
                ("203.0.113.1", false),
                ("203.0.112.1", true),
                ("::ffff:203.0.113.9", false),
            ],
        );
    }

    #[test]
    fn a_bucket_takes_two_of_a_64_and_four_of_a_48() {
        check(
            DiversityLimits::BUCKET,
            &[
                ("2a00:1:1:1::1", true),
                ("2a00:1:1:1::2", true),
                ("2a00:1:1:1:ffff::", false),
                ("2a00:1:1:2::1", true),
                ("2a00:1:1:3::1", true),
                ("2a00:1:1:4::1", false),
                ("2a00:1:2:4::1", true),
            ],
        );
    }

    #[test]
    fn private_addresses_are_exempt_unless_the_operator_counts_them() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.20.0.9",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fd00::1",
            "fe80::1",
        ];
        for ip in private {
            check(DiversityLimits::BUCKET, &[(ip, true), (ip, true), (ip, true), (ip, true)]);
            let counting = DiversityLimits { count_private: true, ..DiversityLimits::BUCKET };
            check(counting, &[(ip, true), (ip, true), (ip, false)]);
        }
        for ip in ["100.63.0.1", "100.128.0.1", "172.32.0.1", "2001:db8::1", "8.8.8.8"] {
            assert!(!is_private(&at(ip)), "{ip}");
        }
    }

    #[test]
    fn a_member_that_leaves_makes_room_and_leaves_no_trace() {
        let mut counter = DiversityCounter::new(DiversityLimits::BUCKET);
        let member = at("2a00:1:1:1::1");
        assert!(counter.add(&member) && counter.add(&member) && !counter.add(&member));
        counter.remove(&member);
        assert!(counter.add(&member));
        counter.remove(&member);
        counter.remove(&member);
        assert!(counter.counts.is_empty());
        counter.remove(&member);
    }

    #[test]
    fn prefixes_are_shown_as_operators_write_them() {
        let shown = |ip: &str| {
            let host = AddressPrefix::host(&at(ip));
            let all = std::iter::once(host).chain(prefixes(&at(ip)));
            all.map(|prefix| prefix.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(shown("203.0.113.7"), ["203.0.113.7/32", "203.0.113.0/24"]);
        let [host, site, organisation] = ["2a00:1:2:3::/64", "2a00:1:2:3::/64", "2a00:1:2::/48"];
        assert_eq!(shown("2a00:1:2:3:4::5"), [host, site, organisation]);
        assert_eq!(AddressPrefix::host(&at("203.0.113.7")).parts(), (at("203.0.113.7").ip(), 32));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut counter = DiversityCounter::new(DiversityLimits::NONE);
        assert!((0..1_000).all(|_| counter.add(&at("8.8.8.8"))));
        assert!(counter.counts.is_empty());
    }
}
