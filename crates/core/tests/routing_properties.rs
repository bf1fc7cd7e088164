//! The routing table beside a naive list of everything that was inserted, under any sequence of
//! events.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use voiddht_core::contact::AdmittedContact;
use voiddht_core::diversity::{AddressPrefix, DiversityLimits, prefixes};
use voiddht_core::routing::{Failure, Insertion, RoutingConfig, RoutingTable};
use voiddht_core::time::Moment;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

/// Events between two comparisons of everything.
const CHECK_EVERY: usize = 32;
/// Points to which the closest are compared each time, the own ID among them.
const TARGETS: usize = 6;

/// An ID that shares about `shared` bits with the own one, so that tables grow deep.
fn near(own: NodeId, shared: usize, bytes: [u8; 32]) -> NodeId {
    let mut id = NodeId::from_bytes(bytes);
    for index in 0..shared {
        id = id.with_bit(index, own.bit(index));
    }
    id
}

/// Where a node listens, `moved` or not: half of them at private addresses, the others in a few
/// public prefixes.
fn at(id: NodeId, moved: bool) -> NodeInfo {
    let [.., site, private] = id.to_bytes();
    let ip = match private % 4 {
        0 | 1 => IpAddr::from([127, 0, 0, 1 + u8::from(moved)]),
        2 => IpAddr::from([198, 51, site % 4 + u8::from(moved), 1]),
        _ => {
            let subnet = (site % 5 + u8::from(moved)).into();
            IpAddr::from([0x2a00, 1, (site % 3).into(), subnet, 0, 0, 0, 1])
        }
    };
    NodeInfo { address: PeerAddress::new(ip, 7402), id }
}

#[derive(Clone, Debug)]
enum Event {
    Insert(usize),
    Move(usize),
    HearOf(usize),
    Answer(usize),
    Fail(usize),
    Remove(usize),
    TakeCandidate(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<usize>().prop_map(Event::Insert),
        1 => any::<usize>().prop_map(Event::Move),
        2 => any::<usize>().prop_map(Event::HearOf),
        2 => any::<usize>().prop_map(Event::Answer),
        3 => any::<usize>().prop_map(Event::Fail),
        1 => any::<usize>().prop_map(Event::Remove),
        1 => any::<usize>().prop_map(Event::TakeCandidate),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    own: NodeId,
    config: RoutingConfig,
    /// The nodes that the events are about; the own ID is among them.
    ids: Vec<NodeId>,
    events: Vec<Event>,
}

fn case() -> impl Strategy<Value = Case> {
    let limits = |sites| DiversityLimits { per_site: sites, ..DiversityLimits::BUCKET };
    let config = (1..6usize, 1..5usize, 0..5usize, 1..5usize, 1..9usize).prop_map(
        move |(k, b, replacement_cache, per_bucket, per_table)| RoutingConfig {
            k,
            b,
            replacement_cache,
            per_bucket: limits(per_bucket),
            per_table: limits(per_table),
        },
    );
    let ids = prop::collection::vec((0..40usize, any::<[u8; 32]>()), 1..80);
    let events = prop::collection::vec(event(), 0..300);
    (any::<[u8; 32]>(), config, ids, events).prop_map(|(own, config, ids, events)| {
        let own = NodeId::from_bytes(own);
        let ids = ids.into_iter().map(|(shared, bytes)| near(own, shared, bytes));
        Case { own, config, ids: ids.chain([own]).collect(), events }
    })
}

/// A member as a list would keep it.
#[derive(Clone, Copy, Debug)]
struct Member {
    last_seen: u64,
    suspect: bool,
    address: PeerAddress,
}

#[derive(Default)]
struct Model {
    members: BTreeMap<NodeId, Member>,
}

impl Model {
    fn apply(&mut self, table: &mut RoutingTable, case: &Case, event: &Event, tick: u64) {
        let now = Moment::from_micros(tick * 2_000_000);
        let pick = |index: &usize| case.ids[index % case.ids.len()];
        match event {
            Event::Insert(index) => self.insert(table, at(pick(index), false), tick, now),
            Event::Move(index) => self.insert(table, at(pick(index), true), tick, now),
            Event::HearOf(index) => table.remember_candidate(at(pick(index), false)),
            Event::Answer(index) => {
                let known = table.answered(&pick(index), None, now);
                let seen = self.members.get_mut(&pick(index)).map(|member| {
                    (member.last_seen, member.suspect) = (tick, false);
                });
                assert_eq!(known, seen.is_some());
            }
            Event::Fail(index) => match table.failed(&pick(index), now) {
                Failure::Unknown => assert!(!self.members.contains_key(&pick(index))),
                Failure::Kept { candidate } => {
                    self.members.get_mut(&pick(index)).expect("a member").suspect = true;
                    self.check_candidate(candidate);
                }
                Failure::Removed { info, candidate } => {
                    assert!(self.removed(info).suspect);
                    self.check_candidate(candidate);
                }
            },
            Event::Remove(index) => {
                let removed = table.remove(&pick(index));
                assert_eq!(removed.is_some(), self.members.contains_key(&pick(index)));
                removed.map(|info| self.removed(info));
            }
            Event::TakeCandidate(index) => {
                let candidate = table.candidate_for(&pick(index));
                self.check_candidate(candidate);
                assert!(candidate.is_none_or(|candidate| table.wants(&candidate)));
            }
        }
    }

    fn insert(&mut self, table: &mut RoutingTable, info: NodeInfo, tick: u64, now: Moment) {
        let wanted = table.wants(&info);
        let admitted = AdmittedContact::probed(info, true).expect("the address can be dialled");
        let insertion = table.insert(admitted, now);
        let added = matches!(insertion, Insertion::Added | Insertion::Replaced { .. });
        assert_eq!(wanted, added, "wants() and insert() disagree: {insertion:?}");
        if let Insertion::TooAlike { .. } = insertion {
            self.check_too_alike(table, info);
        }
        let member = Member { last_seen: tick, suspect: false, address: info.address };
        let former = match insertion {
            Insertion::Own => return assert_eq!(info.id, *table.own()),
            Insertion::Cached | Insertion::TooAlike { removed: None } => {
                return assert!(!self.members.contains_key(&info.id));
            }
            Insertion::TooAlike { removed: Some(removed) } => {
                assert_eq!(removed.id, info.id);
                self.removed(removed);
                return;
            }
            Insertion::Added => None,
            Insertion::Replaced { removed } => {
                assert!(self.removed(removed).suspect);
                None
            }
            Insertion::Updated => Some(info.address),
            Insertion::Moved { from } => Some(from),
        };
        assert_eq!(self.members.insert(info.id, member).map(|member| member.address), former);
    }

    /// Others fill a prefix of this node, in its bucket or in the table.
    fn check_too_alike(&self, table: &RoutingTable, info: NodeInfo) {
        let range = table.bucket_of(&info.id).range();
        let is_full = |prefix: &AddressPrefix| {
            let alike = self.members.iter().filter(|(id, member)| {
                **id != info.id && prefixes(&member.address).any(|it| it == *prefix)
            });
            let in_bucket = alike.clone().filter(|(id, _)| range.contains(id)).count();
            in_bucket >= table.config().per_bucket.limit(prefix)
                || alike.count() >= table.config().per_table.limit(prefix)
        };
        assert!(prefixes(&info.address).any(|prefix| is_full(&prefix)), "there is room");
    }

    fn removed(&mut self, info: NodeInfo) -> Member {
        let member = self.members.remove(&info.id).expect("who was removed was a member");
        assert_eq!(member.address, info.address);
        member
    }

    fn check_candidate(&self, candidate: Option<NodeInfo>) {
        assert!(candidate.is_none_or(|candidate| !self.members.contains_key(&candidate.id)));
    }

    fn closest(&self, target: &Key, count: usize, with_suspects: bool) -> Vec<NodeInfo> {
        let members = self.members.iter().filter(|(_, it)| with_suspects || !it.suspect);
        let mut nodes: Vec<_> =
            members.map(|(id, member)| NodeInfo { address: member.address, id: *id }).collect();
        nodes.sort_by_key(|node| target.distance(&node.id));
        nodes.truncate(count);
        nodes
    }

    fn check(&self, table: &RoutingTable, case: &Case) {
        assert_eq!(table.len(), self.members.len());
        assert_eq!(table.iter().count(), self.members.len());
        assert!(table.get(&case.own).is_none());
        if table.has_place_for_all() {
            let mut table = table.clone();
            for id in case.ids.iter().filter(|id| **id != case.own) {
                let admitted = AdmittedContact::probed(at(*id, false), true).expect("dialable");
                table.insert(admitted, Moment::default());
                assert!(table.get(id).is_some() || !table.has_place_for_all());
            }
        }
        check_partition(table);
        for bucket in table.buckets() {
            assert!(bucket.contacts().len() <= case.config.k);
            assert!(bucket.candidates() <= case.config.replacement_cache);
            let members: Vec<_> =
                bucket.contacts().iter().map(|contact| self.members[contact.id()]).collect();
            assert!(members.is_sorted_by_key(|member| member.last_seen), "{members:?}");
            for (contact, member) in bucket.contacts().iter().zip(&members) {
                assert!(bucket.range().contains(contact.id()));
                assert_eq!(contact.is_suspect(), member.suspect);
                assert_eq!(contact.address(), member.address);
            }
            check_diversity(members.iter(), &case.config.per_bucket);
        }
        check_diversity(self.members.values(), &case.config.per_table);
        let mut found = Vec::new();
        for target in case.ids.iter().rev().take(TARGETS).map(NodeId::as_key) {
            for count in [0, 1, 7, usize::MAX] {
                table.closest(&target, count, &mut found);
                assert_eq!(found, self.closest(&target, count, true));
                table.closest_responsive(&target, count, &mut found);
                assert_eq!(found, self.closest(&target, count, false));
            }
        }
    }
}

fn check_diversity<'a>(members: impl Iterator<Item = &'a Member>, limits: &DiversityLimits) {
    let mut counts = BTreeMap::new();
    for prefix in members.flat_map(|member| prefixes(&member.address)) {
        *counts.entry(prefix).or_insert(0) += 1;
    }
    let private = PeerAddress::new([127, 0, 0, 1].into(), 1);
    for (prefix, count) in counts {
        let exempt = prefixes(&private).any(|it| it == prefix);
        assert!(exempt || count <= limits.limit(&prefix), "{count} in {prefix:?}");
    }
}

/// Each range begins where the one before it ends, from the first point to the last.
fn check_partition(table: &RoutingTable) {
    let mut covered = 0.0;
    let mut next = [0u8; 32];
    for range in table.buckets().map(|bucket| bucket.range()) {
        assert_eq!(range.prefix().to_bytes(), next, "a gap or an overlap");
        covered += 0.5f64.powi(range.depth() as i32);
        add_bit(&mut next, range.depth());
    }
    assert_eq!(covered, 1.0);
    assert_eq!(next, [0; 32], "the last range ends where the space does");
}

/// Adds the size of a range of this depth, modulo the size of the space.
fn add_bit(number: &mut [u8; 32], depth: usize) {
    let Some(index) = depth.checked_sub(1) else { return };
    let mut carry = 1u16 << (7 - index % 8);
    for byte in number[..=index / 8].iter_mut().rev() {
        let sum = u16::from(*byte) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_naive_list(case in case()) {
        let mut table = RoutingTable::new(case.own, case.config);
        let mut model = Model::default();
        for (tick, event) in case.events.iter().enumerate() {
            model.apply(&mut table, &case, event, tick as u64);
            if tick % CHECK_EVERY == 0 {
                model.check(&table, &case);
            }
        }
        model.check(&table, &case);
    }
}
