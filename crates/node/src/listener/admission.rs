//! Which connections the peer port accepts, and which handshake goes when there are too many.
//!
//! Decides only: no socket, and the time is passed in. Three bounds, each counted by its own name:
//!
//! * connections from one address, that is one IPv4 address or one /64 of IPv6, and twice as many
//!   from one /48: a /48 contains 65 536 /64s;
//! * handshakes from one address in a second: a ClientHello costs this node some 160 µs of
//!   processor time, and a recorded one can be sent again and again;
//! * handshakes in progress. When all slots are taken, the oldest handshake whose ClientHello has not
//!   arrived makes room, so that silent connections do not keep new nodes out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use voiddht_core::diversity::ORGANISATION_FACTOR;
use voiddht_core::time::Moment;

use crate::counters::Limit;

/// Handshakes from one public address in a second, in the long run. A guess: a node that joins
/// needs one with each of the others.
pub(super) const HANDSHAKES_PER_SECOND: u32 = 16;
/// Handshakes from one public address that may come in a burst.
pub(super) const HANDSHAKE_BURST: u32 = 64;
/// As [`HANDSHAKES_PER_SECOND`], from one loopback or private address, which all nodes of a test
/// network share. 2 % of one core where all are recorded ClientHellos.
pub(super) const PRIVATE_HANDSHAKES_PER_SECOND: u32 = 128;
/// As [`HANDSHAKE_BURST`], from one loopback or private address: a test network of a thousand nodes
/// that start together.
pub(super) const PRIVATE_HANDSHAKE_BURST: u32 = 1024;
/// How long a handshake may be without a ClientHello before it makes room for another: a round trip
/// on any path, which is what an honest client needs.
pub(super) const HELLO_PATIENCE: Duration = Duration::from_secs(1);
/// Addresses whose handshakes are counted. An entry lasts until its burst is available again, some
/// seconds. 48 bytes each; beyond that, all others share one entry.
pub(super) const MAX_COUNTED_ADDRESSES: usize = 4096;

/// The bounds that an operator may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmissionLimits {
    /// Handshakes in progress.
    pub(super) handshakes: usize,
    /// Connections from one address.
    pub(super) per_address: usize,
    /// Whether loopback and private addresses may exceed `per_address`.
    pub(super) private_exempt: bool,
}

/// Names a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HandshakeId(u64);

/// Whether another connection can be accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is a slot, or a handshake that makes room.
    Now,
    /// Not before this moment, unless a handshake ends.
    At(Moment),
    /// Only when a handshake ends.
    Later,
}

/// A connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) id: HandshakeId,
    /// The handshake that has to end for it.
    pub(super) displaced: Option<HandshakeId>,
}

#[derive(Debug)]
struct Handshake {
    since: Moment,
    /// Whether its ClientHello has arrived.
    has_hello: bool,
}

/// A token bucket: what was left at some moment.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Moment,
}

/// Open connections and handshakes, counted by address and prefix.
#[derive(Debug)]
pub(super) struct Admission {
    limits: AdmissionLimits,
    next: u64,
    /// In the order in which they began.
    handshakes: BTreeMap<HandshakeId, Handshake>,
    /// Connections by address and prefix, the handshakes among them.
    connections: BTreeMap<(IpAddr, u8), usize>,
    buckets: BTreeMap<IpAddr, Bucket>,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            next: 0,
            handshakes: BTreeMap::new(),
            connections: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// Whether the next connection would find a slot.
    pub(super) fn room(&self, now: Moment) -> Room {
        if self.handshakes.len() < self.limits.handshakes {
            return Room::Now;
        }
        let Some((_, oldest)) = self.oldest_silent() else { return Room::Later };
        let due = oldest.since + HELLO_PATIENCE;
        if due <= now { Room::Now } else { Room::At(due) }
    }

    /// A connection has come from this address. `Err`: the limit for which it is to be closed.
    pub(super) fn arrive(&mut self, now: Moment, address: IpAddr) -> Result<Admitted, Limit> {
        let exempt = self.limits.private_exempt && is_private(address);
        let is_full = |(key, factor): (_, usize)| {
            self.connections
                .get(&key)
                .is_some_and(|count| *count >= self.limits.per_address * factor)
        };
        if !exempt && counted(address).any(is_full) {
            return Err(Limit::ConnectionsPerAddress);
        }
        if self.room(now) != Room::Now {
            return Err(Limit::Handshakes);
        }
        if !self.take_token(now, address) {
            return Err(Limit::HandshakesPerAddress);
        }
        let is_full = self.handshakes.len() >= self.limits.handshakes;
        let displaced = self.oldest_silent().map(|(id, _)| id).filter(|_| is_full);
        if let Some(displaced) = displaced {
            self.handshakes.remove(&displaced);
        }
        for (key, _) in counted(address) {
            *self.connections.entry(key).or_default() += 1;
        }
        let id = HandshakeId(self.next);
        self.next += 1;
        self.handshakes.insert(id, Handshake { since: now, has_hello: false });
        Ok(Admitted { id, displaced })
    }

    /// A ClientHello has arrived: this handshake is not displaced any more.
    pub(super) fn hello(&mut self, id: HandshakeId) {
        if let Some(handshake) = self.handshakes.get_mut(&id) {
            handshake.has_hello = true;
        }
    }

    /// A handshake is over, in whatever way.
    pub(super) fn over(&mut self, id: HandshakeId) {
        self.handshakes.remove(&id);
    }

    /// A connection from this address has ended.
    pub(super) fn left(&mut self, address: IpAddr) {
        for (key, _) in counted(address) {
            if let Some(count) = self.connections.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.connections.remove(&key);
                }
            }
        }
    }

    fn oldest_silent(&self) -> Option<(HandshakeId, &Handshake)> {
        let silent = self.handshakes.iter().find(|(_, handshake)| !handshake.has_hello);
        silent.map(|(id, handshake)| (*id, handshake))
    }

    /// Takes one of the handshakes that this address may make now.
    fn take_token(&mut self, now: Moment, address: IpAddr) -> bool {
        let (rate, burst) = if is_private(address) {
            (PRIVATE_HANDSHAKES_PER_SECOND, PRIVATE_HANDSHAKE_BURST)
        } else {
            (HANDSHAKES_PER_SECOND, HANDSHAKE_BURST)
        };
        let key = self.bucket_key(now, site(address));
        let full = Bucket { tokens: burst.into(), at: now };
        let bucket = self.buckets.entry(key).or_insert(full);
        let gained = now.since(bucket.at).as_secs_f64() * f64::from(rate);
        *bucket = Bucket { tokens: (bucket.tokens + gained).min(burst.into()), at: now };
        let has_token = bucket.tokens >= 1.0;
        if has_token {
            bucket.tokens -= 1.0;
        }
        has_token
    }

    /// Under which address the handshakes of this one are counted.
    fn bucket_key(&mut self, now: Moment, site: IpAddr) -> IpAddr {
        if self.buckets.len() >= MAX_COUNTED_ADDRESSES && !self.buckets.contains_key(&site) {
            // Full again: what is forgotten of them is nothing.
            let refill = f64::from(HANDSHAKE_BURST) / f64::from(HANDSHAKES_PER_SECOND);
            let refill = Duration::from_secs_f64(refill);
            self.buckets.retain(|key, bucket| is_private(*key) || now.since(bucket.at) < refill);
            if self.buckets.len() >= MAX_COUNTED_ADDRESSES {
                return IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        site
    }
}

/// Where a connection is counted, and how many times the limit of one address holds there: its
/// IPv4 address, or its /64 and its /48.
fn counted(address: IpAddr) -> impl Iterator<Item = ((IpAddr, u8), usize)> {
    let organisation = match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(((prefix(v6, 48), 48), ORGANISATION_FACTOR)),
    };
    std::iter::once(((site(address), 64), 1)).chain(organisation)
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host can have whole.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => prefix(v6, 64),
    }
}

fn prefix(address: Ipv6Addr, bits: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits))))
}

fn is_private(address: IpAddr) -> bool {
    voiddht_core::diversity::is_private(&voiddht_wire::PeerAddress::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Moment {
        Moment::from_micros(1_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admission(handshakes: usize, per_address: usize) -> Admission {
        Admission::new(AdmissionLimits { handshakes, per_address, private_exempt: true })
    }

    fn id(admission: &mut Admission, now: Moment, address: &str) -> HandshakeId {
        admission.arrive(now, ip(address)).unwrap().id
    }

    #[test]
    fn an_address_has_as_many_connections_as_its_limit() {
        let mut admission = admission(100, 2);
        for address in ["2001:db8::1", "2001:db8::ffff:2"] {
            admission.arrive(start(), ip(address)).unwrap();
        }
        let refused = Err(Limit::ConnectionsPerAddress);
        assert_eq!(admission.arrive(start(), ip("2001:db8::3")), refused, "a /64 is one address");
        for address in ["2001:db8:0:1::1", "2001:db8:0:2::1"] {
            admission.arrive(start(), ip(address)).unwrap();
        }
        assert_eq!(
            admission.arrive(start(), ip("2001:db8:0:3::1")),
            refused,
            "a /48 has two shares"
        );
        admission.arrive(start(), ip("2001:db8:1::1")).unwrap();
        admission.left(ip("2001:db8::1"));
        admission.arrive(start(), ip("2001:db8:0:3::1")).unwrap();
        for address in ["2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:2::1"] {
            admission.left(ip(address));
        }
        admission.left(ip("2001:db8:0:3::1"));
        admission.left(ip("2001:db8:1::1"));
        assert!(admission.connections.is_empty(), "nothing is left behind");
    }

    #[test]
    fn local_addresses_are_exempt_from_the_limit_of_connections() {
        let mut admission = admission(100, 1);
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "100.64.0.1"] {
            admission.arrive(start(), ip(address)).unwrap();
            admission.arrive(start(), ip(address)).unwrap();
        }
        admission.limits.private_exempt = false;
        assert_eq!(admission.arrive(start(), ip("::1")), Err(Limit::ConnectionsPerAddress));
    }

    #[test]
    fn when_full_the_oldest_silent_handshake_makes_room() {
        let mut admission = admission(3, 10);
        let first = id(&mut admission, start(), "192.0.2.1");
        let second = id(&mut admission, start(), "192.0.2.2");
        id(&mut admission, start(), "192.0.2.3");
        admission.hello(first);
        assert_eq!(admission.room(start()), Room::At(start() + HELLO_PATIENCE));
        assert_eq!(admission.arrive(start(), ip("192.0.2.4")), Err(Limit::Handshakes));
        let later = start() + HELLO_PATIENCE;
        assert_eq!(admission.room(later), Room::Now);
        let admitted = admission.arrive(later, ip("192.0.2.4")).unwrap();
        assert_eq!(admitted.displaced, Some(second), "the oldest without a ClientHello");
        admission.hello(second);
        admission.over(second);
        assert_eq!(admission.handshakes.len(), 3, "one that was displaced changes nothing");
    }

    #[test]
    fn handshakes_in_progress_are_not_displaced() {
        let mut admission = admission(1, 10);
        let only = id(&mut admission, start(), "192.0.2.1");
        admission.hello(only);
        let later = start() + HELLO_PATIENCE * 10;
        assert_eq!(admission.room(later), Room::Later);
        assert_eq!(admission.arrive(later, ip("192.0.2.2")), Err(Limit::Handshakes));
        admission.over(only);
        assert_eq!(admission.arrive(later, ip("192.0.2.2")).unwrap().displaced, None);
    }

    fn admitted_of(admission: &mut Admission, now: Moment, address: &str, tries: u32) -> u32 {
        let address = ip(address);
        let arrivals = (0..tries).filter(|_| match admission.arrive(now, address) {
            Ok(Admitted { id, .. }) => {
                admission.over(id);
                admission.left(address);
                true
            }
            Err(limit) => {
                assert_eq!(limit, Limit::HandshakesPerAddress);
                false
            }
        });
        arrivals.count() as u32
    }

    #[test]
    fn handshakes_of_one_address_are_limited_in_time() {
        let mut admission = admission(10, 10);
        for (address, rate, burst) in [
            ("192.0.2.1", HANDSHAKES_PER_SECOND, HANDSHAKE_BURST),
            ("127.0.0.1", PRIVATE_HANDSHAKES_PER_SECOND, PRIVATE_HANDSHAKE_BURST),
        ] {
            assert_eq!(admitted_of(&mut admission, start(), address, 5000), burst, "{address}");
            let later = start() + Duration::from_secs(1);
            assert_eq!(admitted_of(&mut admission, later, address, 5000), rate, "{address}");
        }
        assert_eq!(admitted_of(&mut admission, start(), "192.0.2.2", 1), 1, "others are not hurt");
    }

    #[test]
    fn counted_addresses_are_bounded() {
        let mut admission = admission(10, 10);
        for number in 0..2 * MAX_COUNTED_ADDRESSES as u32 {
            let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
            if let Ok(Admitted { id, .. }) = admission.arrive(start(), address) {
                admission.over(id);
                admission.left(address);
            }
        }
        assert!(admission.buckets.len() <= MAX_COUNTED_ADDRESSES + 1);
        let later = start() + Duration::from_secs(60);
        assert_eq!(admitted_of(&mut admission, later, "192.0.2.7", 1), 1);
        assert!(admission.buckets.len() <= 2, "{}", admission.buckets.len());
    }
}
