//! The routing table beside a naive list of everything that was inserted, under any sequence of
//! events.

mod common;

use std::collections::BTreeMap;

use common::{admitted, node};
use proptest::prelude::*;
use voiddht_core::routing::{Failure, Insertion, RoutingConfig, RoutingTable};
use voiddht_core::time::Moment;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

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

#[derive(Clone, Debug)]
enum Event {
    Insert(usize),
    HearOf(usize),
    Answer(usize),
    Fail(usize),
    Remove(usize),
    TakeCandidate(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<usize>().prop_map(Event::Insert),
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
    /// Whom the events are about; the own ID is among them.
    ids: Vec<NodeId>,
    events: Vec<Event>,
}

fn case() -> impl Strategy<Value = Case> {
    let config = (1..6usize, 1..5usize, 0..5usize)
        .prop_map(|(k, b, replacement_cache)| RoutingConfig { k, b, replacement_cache });
    let ids = prop::collection::vec((0..40usize, any::<[u8; 32]>()), 1..80);
    let events = prop::collection::vec(event(), 0..300);
    (any::<[u8; 32]>(), config, ids, events).prop_map(|(own, config, ids, events)| {
        let own = NodeId::from_bytes(own);
        let ids = ids.into_iter().map(|(shared, bytes)| near(own, shared, bytes));
        Case { own, config, ids: ids.chain([own]).collect(), events }
    })
}

/// The members as a list would keep them: when each was last seen, and whether it is a suspect.
#[derive(Default)]
struct Model {
    members: BTreeMap<NodeId, (u64, bool)>,
}

impl Model {
    fn apply(&mut self, table: &mut RoutingTable, case: &Case, event: &Event, tick: u64) {
        let now = Moment::from_micros(tick * 2_000_000);
        let pick = |index: &usize| case.ids[index % case.ids.len()];
        match event {
            Event::Insert(index) => self.insert(table, pick(index), tick, now),
            Event::HearOf(index) => table.remember_candidate(node(pick(index))),
            Event::Answer(index) => {
                let known = table.answered(&pick(index), None, now);
                let seen = self.members.get_mut(&pick(index)).map(|seen| *seen = (tick, false));
                assert_eq!(known, seen.is_some());
            }
            Event::Fail(index) => match table.failed(&pick(index), now) {
                Failure::Unknown => assert!(!self.members.contains_key(&pick(index))),
                Failure::Kept { candidate } => {
                    self.members.get_mut(&pick(index)).expect("a member").1 = true;
                    self.check_candidate(candidate);
                }
                Failure::Removed { info, candidate } => {
                    assert!(self.members.remove(&info.id).expect("a member").1);
                    self.check_candidate(candidate);
                }
            },
            Event::Remove(index) => {
                let removed = table.remove(&pick(index)).map(|info| info.id);
                assert_eq!(removed.is_some(), self.members.remove(&pick(index)).is_some());
            }
            Event::TakeCandidate(index) => {
                let candidate = table.candidate_for(&pick(index));
                self.check_candidate(candidate);
                assert!(candidate.is_none_or(|candidate| table.wants(&candidate)));
            }
        }
    }

    fn insert(&mut self, table: &mut RoutingTable, id: NodeId, tick: u64, now: Moment) {
        let wanted = table.wants(&node(id));
        let insertion = table.insert(admitted(id), now);
        let added = matches!(insertion, Insertion::Added | Insertion::Replaced { .. });
        assert_eq!(wanted, added, "wants() and insert() disagree: {insertion:?}");
        match insertion {
            Insertion::Added => assert!(self.members.insert(id, (tick, false)).is_none()),
            Insertion::Replaced { removed } => {
                assert!(self.members.remove(&removed.id).expect("a member").1);
                assert!(self.members.insert(id, (tick, false)).is_none());
            }
            Insertion::Updated => assert!(self.members.insert(id, (tick, false)).is_some()),
            Insertion::Cached => assert!(!self.members.contains_key(&id)),
            Insertion::Own => assert_eq!(id, *table.own()),
            Insertion::Moved { .. } => panic!("all have the same address"),
        }
    }

    fn check_candidate(&self, candidate: Option<NodeInfo>) {
        assert!(candidate.is_none_or(|candidate| !self.members.contains_key(&candidate.id)));
    }

    fn closest(&self, target: &Key, count: usize, with_suspects: bool) -> Vec<NodeInfo> {
        let members = self.members.iter().filter(|(_, (_, suspect))| with_suspects || !suspect);
        let mut nodes: Vec<_> = members.map(|(id, _)| node(*id)).collect();
        nodes.sort_by_key(|node| target.distance(&node.id));
        nodes.truncate(count);
        nodes
    }

    fn check(&self, table: &RoutingTable, case: &Case) {
        assert_eq!(table.len(), self.members.len());
        assert_eq!(table.iter().count(), self.members.len());
        assert!(table.get(&case.own).is_none());
        check_partition(table);
        for bucket in table.buckets() {
            assert!(bucket.contacts().len() <= case.config.k);
            assert!(bucket.candidates() <= case.config.replacement_cache);
            let seen: Vec<_> =
                bucket.contacts().iter().map(|contact| self.members[contact.id()]).collect();
            assert!(seen.is_sorted_by_key(|(tick, _)| tick), "not by time last seen: {seen:?}");
            for (contact, (_, suspect)) in bucket.contacts().iter().zip(seen) {
                assert!(bucket.range().contains(contact.id()));
                assert_eq!(contact.is_suspect(), suspect);
            }
        }
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
