//! What the Kademlia paper (Maymounkov and Mazières, 2002) says of the routing table: one test per
//! claim, with its section.

mod common;

use std::time::Duration;

use common::{admitted, node};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use voiddht_core::contact::{FAILURE_SPACING, MAX_FAILURES_IN_A_ROW};
use voiddht_core::routing::{Failure, Insertion, RoutingConfig, RoutingTable};
use voiddht_core::time::Moment;
use voiddht_wire::NodeId;

const K: usize = 20;

/// An ID whose first 16 bits are `prefix` and whose last 16 are `n`.
fn id(prefix: u16, n: u16) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&prefix.to_be_bytes());
    bytes[30..].copy_from_slice(&n.to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn at(seconds: u64) -> Moment {
    Moment::default() + Duration::from_secs(seconds)
}

/// The table of node 0: its own half of the space are the IDs that begin with a 0 bit.
fn table(b: usize) -> RoutingTable {
    RoutingTable::new(NodeId::default(), RoutingConfig { b, ..RoutingConfig::default() })
}

/// A table with b = 1 and a bucket of k responsive contacts, `id(0x8000, 1)` least recently seen.
fn with_full_far_bucket() -> RoutingTable {
    let mut table = table(1);
    // Full once before, so that the far half is a bucket of its own.
    fill(&mut table, 0x4000);
    fill(&mut table, 0x8000);
    assert_eq!(table.bucket_of(&id(0x8000, 1)).contacts().len(), K);
    table
}

fn fill(table: &mut RoutingTable, prefix: u16) {
    for n in 1..=K as u16 {
        assert_eq!(table.insert(admitted(id(prefix, n)), at(n.into())), Insertion::Added);
    }
}

fn order(table: &RoutingTable, of: NodeId) -> Vec<NodeId> {
    table.bucket_of(&of).contacts().iter().map(|contact| *contact.id()).collect()
}

fn random_id(random: &mut impl Rng) -> NodeId {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    NodeId::from_bytes(bytes)
}

#[test]
fn section_2_1_xor_is_a_metric_that_is_symmetric_and_unidirectional() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..1_000 {
        let [x, y, z] = [(); 3].map(|()| random_id(&mut random));
        assert_eq!(x.distance(&x), Default::default());
        assert_eq!(x.distance(&y), y.distance(&x));
        let (direct, detour) = (x.distance(&z), (x.distance(&y), y.distance(&z)));
        assert!(direct.as_fraction() <= detour.0.as_fraction() + detour.1.as_fraction());
        // Unidirectional: no other point lies at the same distance.
        assert_ne!(x.distance(&y), x.distance(&z));
    }
}

#[test]
fn section_2_2_a_bucket_is_sorted_by_time_last_seen() {
    let mut table = with_full_far_bucket();
    let far = id(0x8000, 1);
    let before = order(&table, far);
    assert_eq!(before, (1..=K as u16).map(|n| id(0x8000, n)).collect::<Vec<_>>());

    assert!(table.answered(&before[0], None, at(100)));
    assert_eq!(table.insert(admitted(before[5]), at(101)), Insertion::Updated);

    let after = order(&table, far);
    assert_eq!(after[K - 2..], [before[0], before[5]]);
    assert_eq!(after[..K - 2], [&before[1..5], &before[6..]].concat());
}

#[test]
fn section_2_2_live_contacts_never_leave_for_new_ones() {
    let mut table = with_full_far_bucket();
    let before = order(&table, id(0x8000, 1));
    // A flood of new nodes cannot flush the routing state.
    for n in 1_000..2_000 {
        assert!(!table.wants(&node(id(0x8000, n))));
        assert_eq!(table.insert(admitted(id(0x8000, n)), at(1_000)), Insertion::Cached);
    }
    assert_eq!(order(&table, id(0x8000, 1)), before);
}

#[test]
fn section_2_2_a_contact_that_does_not_respond_makes_room_for_one_that_does() {
    let mut table = with_full_far_bucket();
    let (silent, newcomer) = (id(0x8000, 1), id(0x8000, 100));
    assert_eq!(table.failed(&silent, at(50)), Failure::Kept { candidate: None });
    assert!(table.wants(&node(newcomer)));
    assert_eq!(
        table.insert(admitted(newcomer), at(51)),
        Insertion::Replaced { removed: node(silent) }
    );
    assert!(table.get(&silent).is_none());
    assert_eq!(order(&table, newcomer).last(), Some(&newcomer));
}

#[test]
fn section_2_3_buckets_without_a_lookup_for_an_hour_are_refreshed_at_a_random_id_in_their_range() {
    let mut table = with_full_far_bucket();
    let hour = 3600;
    let ranges: Vec<_> = table.buckets().map(|bucket| bucket.range()).collect();
    assert_eq!(table.buckets_unvisited_since(at(0)).collect::<Vec<_>>(), ranges);

    let mut random = ChaCha8Rng::seed_from_u64(2);
    for range in &ranges {
        for _ in 0..100 {
            let target = range.random_target(&mut random);
            assert!(range.contains(&NodeId::from_bytes(target.to_bytes())));
        }
        table.mark_looked_up(&range.random_target(&mut random), at(hour));
    }
    assert_eq!(table.buckets_unvisited_since(at(hour)).count(), 0);
    table.mark_looked_up(&ranges[0].prefix(), at(hour + 1));
    assert_eq!(table.buckets_unvisited_since(at(hour + 1)).collect::<Vec<_>>(), ranges[1..]);
}

#[test]
fn section_2_4_the_tree_begins_as_one_bucket_that_covers_the_whole_space() {
    let table = table(1);
    let ranges: Vec<_> = table.buckets().map(|bucket| bucket.range()).collect();
    assert_eq!(ranges.len(), 1);
    assert_eq!(ranges[0].depth(), 0);
}

#[test]
fn section_2_4_only_the_bucket_that_covers_the_own_id_is_split() {
    let mut table = with_full_far_bucket();
    let depths = |table: &RoutingTable| -> Vec<usize> {
        table.buckets().map(|bucket| bucket.range().depth()).collect()
    };
    assert_eq!(depths(&table), [1, 1]);
    table.insert(admitted(id(0xffff, 0)), at(100));
    assert_eq!(depths(&table), [1, 1], "the far half is full, and was split");
    // The own half, full too, is split until the newcomer has a place.
    assert_eq!(table.insert(admitted(id(0x0001, 0)), at(100)), Insertion::Added);
    assert_eq!(depths(&table), [2, 2, 1]);
}

#[test]
fn section_2_4_the_neighbourhood_of_the_own_id_is_known_completely() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let own = random_id(&mut random);
    let mut table = RoutingTable::new(own, RoutingConfig { b: 1, ..RoutingConfig::default() });
    let mut nodes: Vec<_> = (0..5_000).map(|_| node(random_id(&mut random))).collect();
    for node in &nodes {
        table.insert(admitted(node.id), at(1));
    }
    nodes.sort_by_key(|node| own.distance(&node.id));
    let mut found = Vec::new();
    table.closest(&own.as_key(), K, &mut found);
    assert_eq!(found, nodes[..K]);
}

#[test]
fn section_4_1_the_replacement_cache_gives_the_most_recently_seen_first() {
    let mut table = with_full_far_bucket();
    for n in [100, 101, 102] {
        assert_eq!(table.insert(admitted(id(0x8000, n)), at(60)), Insertion::Cached);
    }
    assert_eq!(table.insert(admitted(id(0x8000, 100)), at(61)), Insertion::Cached);
    let candidate = Some(node(id(0x8000, 100)));
    assert_eq!(table.failed(&id(0x8000, 1), at(62)), Failure::Kept { candidate });
    assert_eq!(table.candidate_for(&id(0x8000, 1)), Some(node(id(0x8000, 102))));
}

#[test]
fn section_4_1_a_contact_that_goes_on_failing_asks_for_two_candidates() {
    let mut table = with_full_far_bucket();
    for n in 100..110 {
        table.insert(admitted(id(0x8000, n)), at(60));
    }
    let (silent, mut now, mut candidates) = (id(0x8000, 1), at(100), Vec::new());
    for failure in 1..=MAX_FAILURES_IN_A_ROW {
        match table.failed(&silent, now) {
            Failure::Kept { candidate: Some(_) } => candidates.push(failure),
            Failure::Removed { candidate: Some(_), .. } => candidates.push(failure),
            _ => {}
        }
        now = now + FAILURE_SPACING;
    }
    assert_eq!(candidates, [1, MAX_FAILURES_IN_A_ROW]);
}

#[test]
fn section_4_1_a_stale_contact_keeps_its_place_until_there_is_another() {
    let mut table = with_full_far_bucket();
    let silent = id(0x8000, 1);
    let mut now = at(100);
    for _ in 1..MAX_FAILURES_IN_A_ROW {
        assert_eq!(table.failed(&silent, now), Failure::Kept { candidate: None });
        assert!(table.is_suspect(&silent));
        now = now + FAILURE_SPACING;
    }
    let removed = Failure::Removed { info: node(silent), candidate: None };
    assert_eq!(table.failed(&silent, now), removed);
    assert_eq!(table.failed(&silent, now), Failure::Unknown);
}

#[test]
fn section_4_2_with_b_above_one_each_bucket_far_away_is_split_b_bits_deep() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut table = RoutingTable::new(NodeId::default(), RoutingConfig::default());
    for _ in 0..20_000 {
        table.insert(admitted(random_id(&mut random)), at(1));
    }
    for bucket in table.buckets().filter(|bucket| bucket.contacts().len() == K) {
        assert!(bucket.range().depth() >= 5, "{:?}", bucket.range());
    }
    // All 2^5 subtrees of the first step are distinguished: a lookup gains 5 bits there.
    let mut found = Vec::new();
    for subtree in 0..32u16 {
        let target = id(subtree << 11, 0);
        table.closest(&target.as_key(), K, &mut found);
        assert!(found.iter().all(|near| near.id.distance(&target).leading_zeros() >= 5));
    }
}
