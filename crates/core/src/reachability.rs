//! Whether peers can dial this node, and at which public address they see it.
//!
//! Both are derived from existing messages:
//!
//! * A contact that is pinged dials the listening port back. If none of enough contacts has
//!   connected, and no other node has, this node cannot be dialled: it behaves as a client until
//!   one connects.
//! * A PING_REPLY contains the address that the PING came from. Three contacts of different
//!   prefixes that agree determine the node's public address. A single party would need three
//!   prefixes to forge it.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use voiddht_wire::{NodeId, PeerAddress};

use crate::diversity::{AddressPrefix, is_private, prefixes};
use crate::time::Moment;

/// Contacts that must have been asked without success before a node takes itself for unreachable.
pub const WITNESSES: usize = 3;
/// Address prefixes that these contacts must come from: those behind one firewall may not reach a
/// node that all others reach.
pub const WITNESS_PREFIXES: usize = 2;
/// Contacts of different prefixes that must agree on this node's public address.
pub const AGREEING_PREFIXES: usize = 3;
/// Sightings that are remembered, the latest of each prefix. 64 bytes each. A few more than must
/// agree: a change of the address is accepted as soon as the majority has seen it.
const MAX_SIGHTINGS: usize = 8;
/// Callers that are remembered, the latest of each address. 40 bytes each.
const MAX_CALLERS: usize = 16;

/// Whether peers can dial a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// Not enough contacts could be asked yet.
    #[default]
    Unknown,
    /// A peer dialled this node.
    Reachable,
    /// Enough contacts were asked, and none dialled.
    Unreachable,
}

/// What is known of the own reachability.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    verdict: Reach,
    round: Option<Round>,
    /// When the first contact entered the routing table.
    first_contact: Option<Moment>,
    /// Callers of the listening port, the latest last.
    callers: VecDeque<(IpAddr, Moment)>,
    /// How contacts see this node, each with the prefix of the contact, the latest last.
    sightings: VecDeque<(AddressPrefix, IpAddr)>,
}

/// Contacts that are being asked to dial back.
#[derive(Debug)]
struct Round {
    began: Moment,
    /// Those that answered the PING: no more than were pinged.
    answered: BTreeMap<NodeId, PeerAddress>,
}

impl Reachability {
    /// What is known.
    pub(crate) fn verdict(&self) -> Reach {
        self.verdict
    }

    /// A contact is in the routing table.
    pub(crate) fn note_first_contact(&mut self, now: Moment) {
        self.first_contact.get_or_insert(now);
    }

    /// When the first contact entered the routing table.
    pub(crate) fn first_contact(&self) -> Option<Moment> {
        self.first_contact
    }

    /// The public address at which contacts of enough prefixes see this node.
    pub(crate) fn public_address(&self) -> Option<IpAddr> {
        let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, seen) in &self.sightings {
            *votes.entry(*seen).or_default() += 1;
        }
        let (seen, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        (count >= AGREEING_PREFIXES && 2 * count > self.sightings.len()).then_some(seen)
    }

    /// A contact at an address says where this node's PING came from. What is said within one
    /// private network, or of a private address, says nothing of the public one.
    pub(crate) fn note_sighting(&mut self, contact: &PeerAddress, seen: &PeerAddress) {
        if is_private(contact) || is_private(seen) || seen.ip().is_unspecified() {
            return;
        }
        let Some(prefix) = widest_prefix(contact) else { return };
        self.sightings.retain(|(from, _)| *from != prefix);
        if self.sightings.len() >= MAX_SIGHTINGS {
            self.sightings.pop_front();
        }
        self.sightings.push_back((prefix, seen.ip()));
    }

    /// A client connected to the listening port from there.
    pub(crate) fn note_caller(&mut self, from: IpAddr, now: Moment) {
        self.callers.retain(|(known, _)| *known != from);
        if self.callers.len() >= MAX_CALLERS {
            self.callers.pop_front();
        }
        self.callers.push_back((from, now));
    }

    /// When a caller that `counts` admits last connected.
    pub(crate) fn last_caller(&self, counts: impl Fn(IpAddr) -> bool) -> Option<Moment> {
        let counted = self.callers.iter().rev().find(|(from, _)| counts(*from));
        counted.map(|(_, at)| *at)
    }

    /// Contacts are being asked from now on.
    pub(crate) fn begin_round(&mut self, now: Moment) {
        self.round = Some(Round { began: now, answered: BTreeMap::new() });
    }

    /// Whether contacts are being asked.
    pub(crate) fn is_asking(&self) -> bool {
        self.round.is_some()
    }

    /// A contact that was asked has answered: it can be talked to, and knows where to dial.
    pub(crate) fn note_answer(&mut self, contact: NodeId, at: PeerAddress) {
        if let Some(round) = &mut self.round {
            round.answered.insert(contact, at);
        }
    }

    /// Ends the round. Callers since it began, or so long before that a contact would not have
    /// come again, shows that the node can be dialled. The answer is the number of contacts asked in
    /// vain, where that is enough to take the node for unreachable.
    pub(crate) fn end_round(
        &mut self,
        allowance: Duration,
        counts: impl Fn(IpAddr) -> bool,
    ) -> Option<usize> {
        let round = self.round.take()?;
        if self.last_caller(counts).is_some_and(|at| at >= round.began.back(allowance)) {
            self.verdict = Reach::Reachable;
            return None;
        }
        let asked: Vec<_> = round.answered.values().copied().collect();
        let in_vain = enough_witnesses(&asked);
        if in_vain.is_some() {
            self.verdict = Reach::Unreachable;
        }
        in_vain
    }

    /// Sets the verdict after a peer dialled.
    pub(crate) fn set_reachable(&mut self) {
        self.verdict = Reach::Reachable;
        self.round = None;
    }

    /// Forgets everything: the node has another address.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// How many contacts confirm that the node cannot be dialled, if they are enough. Those in the
/// private network say less than public ones, and are not needed where there are enough of these.
fn enough_witnesses(asked: &[PeerAddress]) -> Option<usize> {
    let public: Vec<_> = asked.iter().copied().filter(|address| !is_private(address)).collect();
    [public.as_slice(), asked].into_iter().find_map(|witnesses| {
        let mut from: Vec<_> = witnesses.iter().filter_map(widest_prefix).collect();
        from.sort_unstable();
        from.dedup();
        let enough = witnesses.len() >= WITNESSES && from.len() >= WITNESS_PREFIXES;
        enough.then_some(witnesses.len())
    })
}

/// The range of addresses that one party is likely to hold: a /24, or a /48 of IPv6.
fn widest_prefix(address: &PeerAddress) -> Option<AddressPrefix> {
    prefixes(address).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> PeerAddress {
        PeerAddress::new(ip.parse().unwrap(), 7402)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn second(number: u64) -> Moment {
        Moment::from_micros(number * 1_000_000)
    }

    /// The verdict after a round in which these contacts answered and these callers came.
    fn check(contacts: &[&str], callers: &[(&str, u64)], expected: Reach) {
        let mut reachability = Reachability::default();
        reachability.begin_round(second(100));
        for (number, contact) in contacts.iter().enumerate() {
            reachability.note_answer(NodeId::from_bytes([number as u8; 32]), at(contact));
        }
        for (from, when) in callers {
            reachability.note_caller(ip(from), second(*when));
        }
        reachability.end_round(Duration::from_secs(60), |from| from != ip("10.0.0.9"));
        assert_eq!(reachability.verdict(), expected, "{contacts:?} {callers:?}");
        assert!(!reachability.is_asking());
    }

    #[test]
    fn three_contacts_of_two_prefixes_that_do_not_come_are_enough() {
        let three = ["192.0.2.1", "192.0.2.2", "198.51.100.1"];
        check(&three, &[], Reach::Unreachable);
        check(&three[..2], &[], Reach::Unknown);
        check(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], &[], Reach::Unknown);
        check(&["2001:db8::1", "2001:db8:0:5::1", "2001:db8::2"], &[], Reach::Unknown);
        check(&["2001:db8::1", "2001:db8:5::1", "2001:db8::2"], &[], Reach::Unreachable);
        check(&["10.0.0.1", "10.0.0.2", "10.0.1.1"], &[], Reach::Unreachable);
    }

    #[test]
    fn one_that_comes_is_enough_too() {
        let three = ["192.0.2.1", "192.0.2.2", "198.51.100.1"];
        check(&three, &[("192.0.2.1", 101)], Reach::Reachable);
        check(&three, &[("203.0.113.7", 50)], Reach::Reachable);
        // So long before the round, a contact would have come again.
        check(&three, &[("203.0.113.7", 39)], Reach::Unreachable);
        // A neighbour in the own private network.
        check(&three, &[("10.0.0.9", 101)], Reach::Unreachable);
    }

    #[test]
    fn three_prefixes_that_agree_name_the_public_address() {
        let mut reachability = Reachability::default();
        let mut see = |contact: &str, seen: &str| {
            reachability.note_sighting(&at(contact), &at(seen));
            reachability.public_address()
        };
        assert_eq!(see("192.0.2.1", "203.0.113.5"), None);
        assert_eq!(see("192.0.2.2", "203.0.113.5"), None, "the same prefix");
        assert_eq!(see("198.51.100.1", "203.0.113.5"), None);
        assert_eq!(see("10.0.0.1", "203.0.113.5"), None, "a private contact");
        assert_eq!(see("11.0.0.1", "10.0.0.5"), None, "a private address");
        assert_eq!(see("11.0.0.1", "203.0.113.5"), Some(ip("203.0.113.5")));
        // A malicious node changes nothing; a change that the majority sees does.
        assert_eq!(see("12.0.0.1", "203.0.113.6"), Some(ip("203.0.113.5")));
        assert_eq!(see("11.0.0.1", "203.0.113.6"), None, "two against two");
        assert_eq!(see("192.0.2.1", "203.0.113.6"), Some(ip("203.0.113.6")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut reachability = Reachability::default();
        for number in 0..=255 {
            reachability.note_caller([192, 0, 2, number].into(), second(1));
            let contact = PeerAddress::new([11, 0, number, 1].into(), 1);
            reachability.note_sighting(&contact, &at("203.0.113.5"));
        }
        assert_eq!(reachability.callers.len(), MAX_CALLERS);
        assert_eq!(reachability.sightings.len(), MAX_SIGHTINGS);
        reachability.forget();
        assert!(reachability.callers.is_empty() && reachability.sightings.is_empty());
    }
}
