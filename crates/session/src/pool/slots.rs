//! Connection slots of the pool, and which connection is closed when none is free.
//!
//! Decides only: no socket, clock or map of connections. The pool passes in what it holds.
//!
//! Inbound connections are chosen by others, so they never take the slots that this node needs for
//! its own dials. Among themselves they share max-min fairly by address group: when all slots are
//! taken, a newcomer displaces a connection of the group that holds the most. Where no group holds
//! more than the newcomer's would, an authenticated newcomer still displaces a connection that has
//! served its purpose, of its own group or of one that is larger: no group grows at the expense of
//! one that is smaller or as large.

use std::net::IpAddr;

use voiddht_core::diversity::{is_private, prefixes};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::PeerAddress;

/// Connections with one authenticated peer. Two, because dials may cross each other; one that
/// opens a third has its oldest closed.
pub(super) const CONNECTIONS_PER_PEER: usize = 2;
/// The part of a pool's slots that only dials of this node may take: a quarter. A guess: a lookup
/// has at most a dozen requests in flight, and 256 of 1 024 slots serve twenty of them.
pub(super) const DIAL_SHARE: usize = 4;
/// The part of its limit by which a pool may exceed it for a while: a quarter. To refuse a
/// connection after its handshake costs the peer that handshake and its request.
pub(super) const OVERSHOOT: usize = 4;
/// The part of its limit that clients without a certificate may hold: a quarter. They have no ID
/// under which they could be counted.
pub(super) const UNAUTHENTICATED_SHARE: usize = 4;

/// The slots that are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occupied {
    /// Connections that peers opened.
    pub(super) inbound: usize,
    /// Those of them whose peer showed no certificate.
    pub(super) unauthenticated: usize,
    /// Connections that this node dialled, and its dials in progress.
    pub(super) outbound: usize,
}

impl Occupied {
    pub(super) fn total(&self) -> usize {
        self.inbound + self.outbound
    }
}

/// What a slot is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A dial of this node.
    Dial,
    /// A connection that a peer from this address has opened.
    Inbound(PeerAddress),
    /// Likewise, and the peer is authenticated.
    Authenticated(PeerAddress),
    /// Nothing: the pool returns to its limit.
    Nothing,
}

/// A connection that may have to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) id: ConnectionId,
    pub(super) remote: PeerAddress,
    pub(super) inbound: bool,
    /// Whether nothing is in flight on it, and it has had the time to be used.
    pub(super) is_idle: bool,
    /// Whether nothing is in flight on it, and it has been used.
    pub(super) is_spare: bool,
    pub(super) last_used: Moment,
}

/// The limits on connections of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    pub(super) limit: usize,
}

impl Slots {
    /// Slots that only dials may take.
    fn reserved(self) -> usize {
        self.limit / DIAL_SHARE
    }

    /// Connections and dials that there may be for a while.
    fn most(self) -> usize {
        self.limit.saturating_add(self.limit / OVERSHOOT)
    }

    /// Whether there is a free slot.
    pub(super) fn has_room(self, occupied: Occupied, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Dial => occupied.total() < self.limit || occupied.outbound < self.reserved(),
            Wanted::Inbound(_) | Wanted::Authenticated(_) => {
                let most = self.most();
                occupied.inbound < most - self.reserved().min(most) && occupied.total() < most
            }
            Wanted::Nothing => occupied.total() <= self.limit,
        }
    }

    /// Whether one more client without a certificate may connect.
    pub(super) fn admits_unauthenticated(self, occupied: Occupied) -> bool {
        occupied.unauthenticated < (self.limit / UNAUTHENTICATED_SHARE).max(1)
    }

    /// The connection that gives its slot up, if any has to and may.
    ///
    /// The longest idle one. What others want does not take idle connections of this node's own
    /// within the reserved slots. If none is idle, a newcomer displaces the least recently used
    /// one of the address group that holds the most; or else, if it is authenticated, the least
    /// recently used spare one.
    pub(super) fn victim<'a>(
        self,
        occupied: Occupied,
        wanted: Wanted,
        held: impl Iterator<Item = Held> + Clone + 'a,
    ) -> Option<ConnectionId> {
        let own_are_safe = wanted != Wanted::Dial && occupied.outbound <= self.reserved();
        let idle = held.clone().filter(|one| one.is_idle && (one.inbound || !own_are_safe));
        oldest(idle).or_else(|| match wanted {
            Wanted::Inbound(from) => of_largest_group(Group::of(&from), held),
            Wanted::Authenticated(from) => {
                let newcomer = Group::of(&from);
                of_largest_group(newcomer, held.clone()).or_else(|| spare(newcomer, held))
            }
            Wanted::Dial | Wanted::Nothing => None,
        })
    }
}

fn oldest(held: impl Iterator<Item = Held>) -> Option<ConnectionId> {
    held.min_by_key(|one| (one.last_used, one.id)).map(|one| one.id)
}

/// The least recently used spare inbound connection of the newcomer's group, or of one that holds
/// more.
fn spare(newcomer: Group, held: impl Iterator<Item = Held> + Clone) -> Option<ConnectionId> {
    let inbound = held.filter(|one| one.inbound);
    let mut groups: Vec<Group> = inbound.clone().map(|one| Group::of(&one.remote)).collect();
    groups.sort_unstable();
    let size = |group: Group| {
        let first = groups.partition_point(|other| *other < group);
        groups[first..].iter().take_while(|other| **other == group).count()
    };
    let own = size(newcomer);
    oldest(inbound.filter(|one| {
        let group = Group::of(&one.remote);
        one.is_spare && (group == newcomer || size(group) > own)
    }))
}

/// The least recently used inbound connection of the group that holds the most, if that is at
/// least two more than the newcomer's holds: otherwise the newcomer would be the next to go.
fn of_largest_group(
    newcomer: Group,
    held: impl Iterator<Item = Held> + Clone,
) -> Option<ConnectionId> {
    let inbound = held.filter(|one| one.inbound);
    let mut groups: Vec<Group> = inbound.clone().map(|one| Group::of(&one.remote)).collect();
    groups.sort_unstable();
    let own = groups.iter().filter(|group| **group == newcomer).count();
    let runs = groups.chunk_by(|one, next| one == next);
    let largest = runs.max_by_key(|run| run.len()).filter(|run| run.len() >= own + 2)?[0];
    oldest(inbound.filter(|one| Group::of(&one.remote) == largest))
}

/// Addresses that one party is likely to hold: a /24 of IPv4, a /48 of IPv6, and within local
/// networks a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Host(IpAddr),
    Prefix(voiddht_core::diversity::AddressPrefix),
}

impl Group {
    fn of(address: &PeerAddress) -> Self {
        let widest = prefixes(address).last().filter(|_| !is_private(address));
        widest.map_or(Self::Host(address.ip()), Self::Prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: Slots = Slots { limit: 8 };

    fn at(ip: &str) -> PeerAddress {
        PeerAddress::new(ip.parse().unwrap(), 7402)
    }

    fn held(id: u64, ip: &str, inbound: bool, is_idle: bool) -> Held {
        let last_used = Moment::from_micros(id);
        Held {
            id: ConnectionId(id),
            remote: at(ip),
            inbound,
            is_idle,
            is_spare: is_idle,
            last_used,
        }
    }

    /// One that was used a moment ago, and on which nothing is in flight.
    fn spare(id: u64, ip: &str) -> Held {
        Held { is_spare: true, ..held(id, ip, true, false) }
    }

    fn victim(occupied: Occupied, wanted: Wanted, all: &[Held]) -> Option<u64> {
        SLOTS.victim(occupied, wanted, all.iter().copied()).map(|id| id.0)
    }

    #[test]
    fn inbound_connections_leave_a_quarter_to_dials() {
        let full = Occupied { inbound: 8, outbound: 0, unauthenticated: 0 };
        assert!(!SLOTS.has_room(full, Wanted::Inbound(at("192.0.2.1"))));
        assert!(SLOTS.has_room(full, Wanted::Dial));
        let with_dials = Occupied { outbound: 2, ..full };
        assert!(!SLOTS.has_room(with_dials, Wanted::Dial), "no more than the limit and a quarter");
        let own = Occupied { inbound: 0, outbound: 8, unauthenticated: 0 };
        assert!(!SLOTS.has_room(own, Wanted::Dial));
        assert!(SLOTS.has_room(own, Wanted::Inbound(at("192.0.2.1"))));
    }

    /// As many identities as they like, each of which dials once; what they hold is idle, or busy for
    /// good.
    #[test]
    fn newcomers_of_one_prefix_take_one_slot_of_others_whatever_they_do() {
        let prefixes = 5;
        for is_spare in [false, true] {
            let honest = |number: u64| spare(number, &format!("198.51.{number}.1"));
            let mut held: Vec<Held> = (0..60).map(honest).collect();
            let full = Occupied { inbound: held.len(), outbound: 20, unauthenticated: 0 };
            for dial in 0..1000 {
                let remote = format!("203.0.{}.{}", dial % prefixes, dial / prefixes % 250);
                let wanted = Wanted::Authenticated(at(&remote));
                let slots = Slots { limit: 64 };
                assert!(!slots.has_room(full, wanted), "it is full all the time");
                let Some(victim) = slots.victim(full, wanted, held.iter().copied()) else {
                    continue;
                };
                held.retain(|one| one.id != victim);
                held.push(Held { is_spare, ..spare(100 + dial, &remote) });
            }
            let honest = held.iter().filter(|one| one.id.0 < 100).count() as u64;
            assert_eq!(honest, 60 - prefixes, "one slot for each prefix; idle: {is_spare}");
        }
    }

    #[test]
    fn the_bounds_hold_for_every_limit() {
        for limit in 0..200 {
            let slots = Slots { limit };
            let mut occupied = Occupied::default();
            while slots.has_room(occupied, Wanted::Inbound(at("192.0.2.1"))) {
                occupied.inbound += 1;
            }
            while slots.has_room(occupied, Wanted::Dial) {
                occupied.outbound += 1;
            }
            assert_eq!(occupied.outbound, limit / DIAL_SHARE, "limit {limit}");
            assert!(occupied.total() <= limit + limit / OVERSHOOT, "limit {limit}");
        }
    }

    #[test]
    fn clients_without_a_certificate_hold_a_quarter() {
        let some = |unauthenticated| Occupied { inbound: 2, unauthenticated, outbound: 0 };
        assert!(SLOTS.admits_unauthenticated(some(1)));
        assert!(!SLOTS.admits_unauthenticated(some(2)));
        assert!(Slots { limit: 1 }.admits_unauthenticated(some(0)));
    }

    #[test]
    fn the_longest_idle_goes_first() {
        let all = [
            held(1, "192.0.2.1", true, false),
            held(2, "192.0.2.2", false, true),
            held(3, "192.0.2.3", true, true),
        ];
        let many = Occupied { inbound: 2, outbound: 6, unauthenticated: 0 };
        assert_eq!(victim(many, Wanted::Dial, &all), Some(2));
        assert_eq!(victim(many, Wanted::Nothing, &all), Some(2));
        let few = Occupied { inbound: 2, outbound: 2, unauthenticated: 0 };
        let inbound = Wanted::Inbound(at("198.51.100.1"));
        assert_eq!(victim(few, inbound, &all), Some(3), "reserved slots are not for others");
        assert_eq!(victim(few, Wanted::Nothing, &all), Some(3));
        assert_eq!(victim(few, Wanted::Dial, &all), Some(2));
    }

    #[test]
    fn when_none_is_idle_the_largest_group_gives_way() {
        let busy = |id, ip| held(id, ip, true, false);
        let all = [
            busy(1, "192.0.2.1"),
            busy(2, "2001:db8:1:1::1"),
            busy(3, "2001:db8:1:2::1"),
            busy(4, "2001:db8:1:3::1"),
            held(5, "2001:db8:1:4::1", false, false),
        ];
        let occupied = Occupied { inbound: 4, outbound: 1, unauthenticated: 0 };
        let from = |ip| Wanted::Inbound(at(ip));
        assert_eq!(victim(occupied, from("198.51.100.1"), &all), Some(2), "three of one /48");
        assert_eq!(victim(occupied, from("192.0.2.9"), &all), Some(2), "one more of a /24");
        assert_eq!(victim(occupied, from("2001:db8:1:9::1"), &all), None, "it is the largest");
        assert_eq!(victim(occupied, Wanted::Dial, &all), None, "only others displace each other");
        assert_eq!(victim(occupied, from("198.51.100.1"), &all[..2]), None, "all hold as many");
    }

    #[test]
    fn in_a_local_network_each_address_is_a_group() {
        let busy = |id, ip| held(id, ip, true, false);
        let all = [busy(1, "10.0.0.1"), busy(2, "10.0.0.1"), busy(3, "10.0.0.2")];
        let occupied = Occupied { inbound: 3, outbound: 0, unauthenticated: 0 };
        assert_eq!(victim(occupied, Wanted::Inbound(at("10.0.0.3")), &all), Some(1));
        assert_eq!(victim(occupied, Wanted::Inbound(at("10.0.0.2")), &all), None);
    }

    #[test]
    fn an_authenticated_newcomer_displaces_a_spare_connection_of_no_smaller_group() {
        let all = [
            held(1, "192.0.2.1", true, false),
            spare(2, "192.0.2.2"),
            spare(3, "198.51.100.1"),
            spare(4, "203.0.113.1"),
        ];
        let occupied = Occupied { inbound: 4, outbound: 0, unauthenticated: 0 };
        let from = |ip| Wanted::Authenticated(at(ip));
        assert_eq!(victim(occupied, from("198.51.100.2"), &all), Some(2), "of a larger group");
        assert_eq!(victim(occupied, from("198.51.100.2"), &all[2..]), Some(3), "of its own group");
        assert_eq!(victim(occupied, from("192.0.2.3"), &all), Some(2), "of its own group");
        let others = [all[0], held(2, "192.0.2.2", true, false), all[2], all[3]];
        assert_eq!(victim(occupied, from("192.0.2.3"), &others), None, "not of a smaller one");
        assert_eq!(victim(occupied, from("233.252.0.1"), &all[2..]), Some(3));
        let stranger = Wanted::Inbound(at("233.252.0.1"));
        assert_eq!(victim(occupied, stranger, &all[2..]), None, "not authenticated");
        assert_eq!(victim(occupied, Wanted::Dial, &all), None, "not for own dials");
    }

    /// Every node of a test network has the same address.
    #[test]
    fn nodes_of_one_host_displace_each_other() {
        let all = [spare(2, "127.0.0.1"), held(1, "127.0.0.1", true, false), spare(3, "127.0.0.1")];
        let occupied = Occupied { inbound: 3, outbound: 0, unauthenticated: 0 };
        assert_eq!(victim(occupied, Wanted::Authenticated(at("127.0.0.1")), &all), Some(2));
        assert_eq!(victim(occupied, Wanted::Authenticated(at("127.0.0.1")), &all[1..2]), None);
    }
}
