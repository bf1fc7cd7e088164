//! The rules of the store, its limits, and its books under any sequence of events.

use bytes::Bytes;
use proptest::prelude::*;
use voiddht_wire::PeerAddress;

use super::*;
use crate::label::Limit;
use crate::quota::{Charge, Owner};
use crate::time::{Moment, WallTime};

const WALL: u64 = 1_700_000_000_000;

fn now(seconds: u64) -> Now {
    let mono = Moment::default() + Duration::from_secs(seconds);
    Now::never_suspended(mono, WallTime::from_millis(WALL + seconds * 1_000))
}

/// The keys in the order of their distance from the node 0.
fn key(n: u8) -> Key {
    Key::from_bytes([n; 32])
}

fn offer(key: Key, value: &[u8], version: u64, expires: u64) -> Offer {
    let value = Bytes::copy_from_slice(value);
    Offer { key, value, version, expires: now(expires).boot, maintenance: false }
}

fn store_of(max_records: usize, max_bytes: usize) -> RecordStore {
    RecordStore::new(NodeId::default(), RecordLimits::of_size(max_records, max_bytes))
}

/// Offers one after the other to an empty store at second 0, and checks what becomes of each.
fn check(offers: &[(Offer, Result<bool, Refusal>)]) -> RecordStore {
    let mut store = store_of(100, 1 << 20);
    for (offer, expected) in offers {
        let got = store.offer(offer.clone(), now(0)).map(|accepted| accepted.changed);
        assert_eq!(got, *expected, "{offer:?}");
    }
    store
}

fn held(store: &RecordStore, key: &Key) -> Option<(Vec<u8>, u64)> {
    store.get(key, now(0).boot).map(|record| (record.value.bytes().to_vec(), record.version))
}

#[test]
fn a_higher_version_replaces_a_lower_one_never_the_other_way_round() {
    let store = check(&[
        (offer(key(1), b"one", 1, 60), Ok(true)),
        (offer(key(1), b"two", 2, 60), Ok(true)),
        (offer(key(1), b"one", 1, 60), Err(Refusal::Older)),
        (offer(key(1), b"two", 1, 60), Err(Refusal::Older)),
        (offer(key(1), b"two", 3, 60), Ok(true)),
    ]);
    assert_eq!(held(&store, &key(1)), Some((b"two".to_vec(), 3)));
}

#[test]
fn no_copy_of_the_same_version_changes_when_a_record_expires() {
    for maintenance in [false, true] {
        for expires in [1, 600] {
            let again = Offer { maintenance, ..offer(key(1), b"value", 1, expires) };
            let store = check(&[(offer(key(1), b"value", 1, 60), Ok(true)), (again, Ok(false))]);
            assert_eq!(store.get(&key(1), now(0).boot).unwrap().expires, now(60).boot);
        }
    }
}

#[test]
fn a_new_publication_has_a_life_of_its_own_shorter_or_longer() {
    for expires in [1, 600] {
        let mut store = check(&[
            (offer(key(1), b"value", 1, 60), Ok(true)),
            (offer(key(1), b"value", 2, expires), Ok(true)),
        ]);
        assert_eq!(store.next_expiry(), Some(now(expires).boot));
        assert_eq!(store.expire(now(expires).boot), [key(1)]);
    }
}

#[test]
fn a_tie_goes_to_the_same_value_at_every_replica() {
    let (low, high) =
        if Key::of_value(b"a") < Key::of_value(b"b") { (b"a", b"b") } else { (b"b", b"a") };
    let low_first =
        check(&[(offer(key(1), low, 1, 60), Ok(true)), (offer(key(1), high, 1, 60), Ok(true))]);
    let high_first = check(&[
        (offer(key(1), high, 1, 60), Ok(true)),
        (offer(key(1), low, 1, 60), Err(Refusal::Outranked)),
    ]);
    assert_eq!(held(&low_first, &key(1)), held(&high_first, &key(1)));
}

#[test]
fn a_content_addressed_value_yields_to_no_version() {
    let proved = Key::of_value(b"proof");
    check(&[
        (offer(proved, b"proof", 5, 60), Ok(true)),
        (offer(proved, b"forged", 4, 60), Err(Refusal::Outproved)),
        (offer(proved, b"forged", 5, 60), Err(Refusal::Outproved)),
        (offer(proved, b"forged", 6, 60), Err(Refusal::Outproved)),
        (offer(proved, b"proof", 6, 60), Ok(true)),
    ]);
    for version in [4, 5, 6] {
        let store = check(&[
            (offer(proved, b"forged", 5, 60), Ok(true)),
            (offer(proved, b"proof", version, 60), Ok(true)),
        ]);
        assert_eq!(held(&store, &proved), Some((b"proof".to_vec(), version)));
    }
}

/// A stranger deleted content-addressed values by publishing the same bytes with a TTL of one second
/// and a higher version, and kept their publisher from renewing them by a version minutes ahead.
#[test]
fn the_same_content_addressed_bytes_only_ever_move_the_deadline_back_whatever_their_version() {
    let proved = Key::of_value(b"proof");
    let after = |offers: &[(Offer, Result<bool, Refusal>)]| {
        let store = check(offers);
        let record = store.get(&proved, now(0).boot).unwrap();
        assert_eq!(store.next_expiry(), Some(record.expires), "the index agrees");
        (record.expires, record.version)
    };
    let first = || (offer(proved, b"proof", 5, 60), Ok(true));
    let shorter = (offer(proved, b"proof", 9, 1), Ok(true));
    assert_eq!(after(&[first(), shorter]), (now(60).boot, 9));
    let longer = (offer(proved, b"proof", 3, 600), Ok(true));
    assert_eq!(after(&[first(), longer]), (now(600).boot, 5));
    let future = (offer(proved, b"proof", u64::MAX, 600), Err(Refusal::FutureVersion));
    assert_eq!(after(&[first(), future]), (now(60).boot, 5));
    for (version, changed, kept) in [(3, false, 5), (9, true, 9), (u64::MAX, false, 5)] {
        let copy = Offer { maintenance: true, ..offer(proved, b"proof", version, 600) };
        assert_eq!(after(&[first(), (copy, Ok(changed))]), (now(60).boot, kept), "a copy");
    }
}

#[test]
fn a_renewed_record_stays_on_the_bill_it_is_on() {
    let mut store = store_of(8, 1 << 20);
    let proved = Key::of_value(b"proof");
    store.offer_from(by(1), offer(proved, b"proof", 1, 60), now(0)).unwrap();
    store.offer_from(by(2), offer(proved, b"proof", 2, 600), now(0)).unwrap();
    assert_eq!((store.usage_of(&peer(1)).records), 1);
    assert_eq!((store.usage_of(&peer(2)).records), 0);
}

/// A node whose clock had been two hours ahead kept what it had taken then, and refused every
/// publication until its clock had caught up.
#[test]
fn a_record_from_the_future_yields_to_what_the_clock_accepts() {
    let ahead = Now { wall: WallTime::from_millis(WALL + 7_200_000), ..now(0) };
    let mut store = store_of(100, 1 << 20);
    store.offer(offer(key(1), b"ahead", WALL + 7_200_000, 60), ahead).unwrap();
    let again = offer(key(1), b"ahead", WALL + 7_200_000, 60);
    assert!(!store.offer(again, now(0)).unwrap().changed, "it is what is held");
    assert!(store.offer(offer(key(1), b"today", WALL, 60), now(0)).unwrap().changed);
    assert_eq!(held(&store, &key(1)), Some((b"today".to_vec(), WALL)));
}

#[test]
fn versions_from_the_future_are_refused() {
    let tolerated = WALL + FUTURE_VERSION_TOLERANCE.as_millis() as u64;
    check(&[
        (offer(key(1), b"value", tolerated + 1, 60), Err(Refusal::FutureVersion)),
        (offer(key(1), b"value", u64::MAX, 60), Err(Refusal::FutureVersion)),
        (offer(key(1), b"value", tolerated, 60), Ok(true)),
    ]);
}

#[test]
fn an_expired_record_is_not_found_and_stands_in_nobodys_way() {
    let mut store = check(&[
        (offer(key(1), b"dead", 9, 0), Err(Refusal::Expired)),
        (offer(key(1), b"value", 9, 10), Ok(true)),
    ]);
    assert!(store.get(&key(1), now(9).boot).is_some());
    assert!(store.get(&key(1), now(10).boot).is_none());
    assert!(store.offer(offer(key(1), b"older", 8, 20), now(10)).unwrap().changed);
    assert_eq!(store.expire(now(10).boot), []);
    assert_eq!(store.expire(now(99).boot), [key(1)]);
    assert_eq!((store.len(), store.bytes(), store.next_expiry()), (0, 0, None));
}

#[test]
fn records_expire_in_order_and_only_when_due() {
    let mut store = store_of(100, 1 << 20);
    for n in [3, 1, 2] {
        store.offer(offer(key(n), b"value", 1, n.into()), now(0)).unwrap();
    }
    assert_eq!(store.next_expiry(), Some(now(1).boot));
    assert_eq!(store.expire(now(0).boot), []);
    assert_eq!(store.expire(now(2).boot), [key(1), key(2)]);
    assert_eq!(store.next_expiry(), Some(now(3).boot));
}

#[test]
fn at_a_limit_cached_records_go_first_those_farthest_away_before_the_others() {
    let mut store = store_of(3, 1 << 20);
    for n in [2, 3, 4] {
        store.offer(offer(key(n), b"value", 1, 60), now(0)).unwrap();
    }
    let full = Err(Refusal::Full { limit: Limit::MaxRecords });
    assert_eq!(store.offer(offer(key(1), b"value", 1, 60), now(0)), full);
    store.mark_cached(&key(2), true);
    store.mark_cached(&key(3), true);
    store.mark_cached(&key(9), true);
    let evicted = |n| Ok(Accepted { changed: true, evicted: vec![key(n)], gave_way: None });
    assert_eq!(store.offer(offer(key(1), b"value", 1, 60), now(0)), evicted(3));
    store.mark_cached(&key(2), false);
    assert_eq!(store.offer(offer(key(5), b"value", 1, 60), now(0)), full);
    store.mark_cached(&key(2), true);
    assert_eq!(store.offer(offer(key(5), b"value", 1, 60), now(0)), evicted(2));
    assert_eq!(store.keys_from(Bound::Unbounded).collect::<Vec<_>>(), [1, 4, 5].map(key));
}

#[test]
fn bytes_are_counted_with_their_overhead_and_a_refusal_changes_nothing() {
    let one = RECORD_OVERHEAD_BYTES + 100;
    let mut store = store_of(100, 2 * one);
    store.offer(offer(key(1), &[7; 100], 1, 60), now(0)).unwrap();
    store.offer(offer(key(2), &[7; 100], 1, 60), now(0)).unwrap();
    assert_eq!(store.bytes(), 2 * one);
    let full = Err(Refusal::Full { limit: Limit::MaxBytes });
    assert_eq!(store.offer(offer(key(3), b"x", 1, 60), now(0)), full);
    // A larger version of a held record is no exception, and does not evict itself.
    store.mark_cached(&key(2), true);
    store.mark_cached(&key(1), true);
    let too_large = offer(key(2), &[7; 2_000], 2, 60);
    assert_eq!(store.offer(too_large, now(0)), full);
    assert_eq!((store.len(), store.bytes()), (2, 2 * one));
    let grown = offer(key(2), &[7; 101], 2, 60);
    assert_eq!(store.offer(grown, now(0)).unwrap().evicted, [key(1)]);
    assert!(store.get(&key(2), now(0).boot).unwrap().is_cached());
    assert_eq!(store.bytes(), one + 1);
}

#[test]
fn a_value_does_not_keep_the_buffer_alive_that_it_came_in() {
    let mut store = store_of(100, 1 << 20);
    let buffer = Bytes::from(vec![7; 65_000]);
    let value = buffer.slice(..5);
    store.offer(Offer { value, ..offer(key(1), b"", 1, 60) }, now(0)).unwrap();
    assert!(buffer.is_unique(), "the store shares the buffer");
}

#[test]
fn keys_come_in_their_order_from_any_point() {
    let mut store = store_of(100, 1 << 20);
    for n in [5, 1, 3] {
        store.offer(offer(key(n), b"value", 1, 60), now(0)).unwrap();
    }
    let from = |bound| store.keys_from(bound).collect::<Vec<_>>();
    assert_eq!(from(Bound::Unbounded), [1, 3, 5].map(key));
    assert_eq!(from(Bound::Included(key(3))), [3, 5].map(key));
    assert_eq!(from(Bound::Excluded(key(3))), [key(5)]);
}

fn peer(n: u8) -> NodeId {
    NodeId::from_bytes([n; 32])
}

fn bill_at(n: u8, ip: [u8; 4], charge: Charge) -> Bill {
    let address = PeerAddress::new(ip.into(), 7402);
    Bill { account: Account { owner: Owner::Node(peer(n)), address }, charge }
}

/// A publication by this peer.
fn by(n: u8) -> Bill {
    bill_at(n, [203, 0, n, 1], Charge::Publication)
}

/// A copy by this peer.
fn copied_by(n: u8) -> Bill {
    bill_at(n, [203, 0, n, 1], Charge::Copy)
}

#[test]
fn what_a_peer_stores_is_charged_to_it_until_it_goes() {
    let mut store = store_of(8, 1 << 20);
    let value = |n| offer(key(n), b"value", 1, 60);
    for n in [1, 2] {
        store.offer_from(by(1), value(n), now(0)).unwrap();
    }
    let full = Err(Refusal::Full { limit: Limit::RecordsPerPeer });
    assert_eq!(store.offer_from(by(1), value(3), now(0)), full);
    // Others, and this node's own users, are not concerned.
    store.offer_from(by(2), value(3), now(0)).unwrap();
    store.offer(value(4), now(0)).unwrap();
    // A peer that publishes a newer version is charged from then on.
    store.offer_from(by(2), offer(key(1), b"newer", 2, 60), now(0)).unwrap();
    assert_eq!(store.usage_of(&peer(1)).records, 1);
    assert_eq!(store.usage_of(&peer(2)).records, 2);
    store.expire(now(60).boot);
    assert_eq!(store.usage_of(&peer(2)), Usage::default());
}

#[test]
fn the_very_value_that_is_held_stays_where_it_is_charged() {
    for owner in [None, Some(by(1)), Some(copied_by(1))] {
        let mut store = store_of(8, 1 << 20);
        let first = offer(key(1), b"value", 1, 60);
        match owner {
            Some(bill) => store.offer_from(bill, first, now(0)).unwrap(),
            None => store.offer(first, now(0)).unwrap(),
        };
        for (again, version) in [(by(2), 2), (copied_by(2), 3), (copied_by(2), 3)] {
            store.offer_from(again, offer(key(1), b"value", version, 60), now(0)).unwrap();
            let held = store.get(&key(1), now(0).boot).unwrap();
            assert_eq!(store.bill_of(held), owner);
        }
    }
}

/// A store of 16 records: 4 of this node's own users, and of each of these peers so many.
fn full_store(peers: &[(u8, u8)]) -> RecordStore {
    let mut store = store_of(16, 1 << 20);
    for n in 0..4 {
        store.offer(offer(key(200 + n), b"own", 1, 60), now(0)).unwrap();
    }
    for (peer, count) in peers {
        for n in 0..*count {
            let offer = offer(key(16 * peer + n), b"value", 1, 60);
            store.offer_from(by(*peer), offer, now(0)).unwrap();
        }
    }
    assert_eq!(store.len(), 16);
    store
}

fn records_of(store: &RecordStore, peers: &[u8]) -> Vec<usize> {
    peers.iter().map(|n| store.usage_of(&peer(*n)).records).collect()
}

#[test]
fn when_the_store_is_full_the_largest_account_gives_way_and_own_publications_never_do() {
    // Five peers fill the store with all that their quotas allow, beside two small ones.
    let mut store = store_of(16, 1 << 20);
    store.offer(offer(key(200), b"own", 1, 60), now(0)).unwrap();
    for n in [1, 2] {
        store.offer_from(by(n), offer(key(n), b"value", 1, 60), now(0)).unwrap();
    }
    let mut flooded = Vec::new();
    for n in 20..80 {
        let flooder = 11 + n % 5;
        if store.offer_from(by(flooder), offer(key(n), b"flood", 1, 60), now(0)).is_ok() {
            flooded.push(n);
        }
    }
    assert_eq!((store.len(), flooded.len()), (16, 13));
    // A small account still finds room, and takes it from a large one.
    let accepted = store.offer_from(by(1), offer(key(3), b"value", 1, 60), now(0)).unwrap();
    let (gave_way, used) = accepted.gave_way.unwrap();
    assert!(accepted.evicted.len() == 1 && flooded.contains(&accepted.evicted[0].to_bytes()[0]));
    assert!(used.records >= 3 && gave_way.owner != by(1).account.owner, "{gave_way:?}");
    // A flooder does not.
    let full = Err(Refusal::Full { limit: Limit::MaxRecords });
    for flooder in 11..16 {
        let offered = store.offer_from(by(flooder), offer(key(99), b"flood", 1, 60), now(0));
        assert!(offered == full || offered == Err(Refusal::Full { limit: Limit::RecordsPerPeer }));
    }
    for n in [1, 2, 3, 200] {
        assert!(store.get(&key(n), now(0).boot).is_some(), "{n} is lost");
    }
}

#[test]
fn accounts_of_one_size_do_not_evict_each_other_in_turn() {
    let peers = [2, 3, 4, 5];
    let mut store = full_store(&[(2, 4), (3, 4), (4, 2), (5, 2)]);
    let before = records_of(&store, &peers);
    for round in 0..20 {
        for n in peers {
            let _refused = store.offer_from(by(n), offer(key(100 + round), b"more", 1, 60), now(0));
        }
    }
    let after = records_of(&store, &peers);
    assert!(after.iter().min() >= before.iter().min(), "{before:?} became {after:?}");
}

#[test]
fn cached_records_of_larger_accounts_go_before_any_that_are_this_nodes_to_hold() {
    let mut store = full_store(&[(2, 3), (3, 3), (4, 4), (5, 2)]);
    store.mark_cached(&key(3 * 16 + 1), true);
    store.mark_cached(&key(200), true);
    let evicted = store.offer_from(by(1), offer(key(1), b"value", 1, 60), now(0)).unwrap().evicted;
    assert_eq!(evicted, [key(3 * 16 + 1)]);
    let evicted = store.offer_from(by(1), offer(key(2), b"value", 1, 60), now(0)).unwrap().evicted;
    assert_eq!(evicted, [key(4 * 16 + 3)], "of the largest, the farthest");
}

#[test]
fn a_busy_holder_is_not_the_largest_account_for_what_it_copies() {
    let mut store = store_of(16, 1 << 20);
    for n in 0..12 {
        store.offer_from(copied_by(1), offer(key(n), b"copy", 1, 60), now(0)).unwrap();
    }
    for n in 12..16 {
        store.offer_from(by(2), offer(key(n), b"flood", 1, 60), now(0)).unwrap();
    }
    for n in 20..22 {
        let taken = store.offer_from(by(n), offer(key(n), b"value", 1, 60), now(0)).unwrap();
        assert_eq!(taken.gave_way.map(|(account, _)| account), Some(by(2).account));
    }
    assert_eq!(records_of(&store, &[1, 2]), [12, 2]);
}

#[derive(Clone, Debug)]
enum Event {
    Offer { n: u8, len: usize, version: u64, ttl: u64, peer: Option<u8> },
    Mark { n: u8, cached: bool },
    Remove { n: u8 },
    Pass { seconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let offer = (0..12u8, 1..400usize, 0..4u64, 0..20u64, prop::option::of(0..3u8))
        .prop_map(|(n, len, version, ttl, peer)| Event::Offer { n, len, version, ttl, peer });
    prop_oneof![
        6 => offer,
        2 => (0..12u8, any::<bool>()).prop_map(|(n, cached)| Event::Mark { n, cached }),
        1 => (0..12u8).prop_map(|n| Event::Remove { n }),
        1 => (1..8u64).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

fn check_books(store: &RecordStore) {
    assert!(store.len() <= store.limits.max_records && store.bytes() <= store.limits.max_bytes);
    assert_eq!(store.bytes(), store.records.values().map(Record::cost).sum::<usize>());
    let expiries = store.records.iter().map(|(key, record)| (record.expires, *key)).collect();
    assert_eq!(store.expiries, expiries);
    let places = store.records.iter().map(|(key, record)| place::place(&store.own, key, record));
    assert_eq!(store.places, places.collect());
    for n in 0..3 {
        let is_charged = |held: &&Record| store.bill_of(held).is_some_and(|bill| bill == by(n));
        let on_bill = store.records.values().filter(is_charged);
        let usage = on_bill.fold(Usage::default(), |usage, record| Usage {
            records: usage.records + 1,
            bytes: usage.bytes + record.cost(),
        });
        assert_eq!(store.usage_of(&peer(n)), usage);
        assert!(usage.records <= store.limits.quota.per_peer.records);
        assert!(usage.bytes <= store.limits.quota.per_peer.bytes);
    }
}

proptest! {
    #[test]
    fn the_books_are_right_after_any_events(events in prop::collection::vec(event(), 0..200)) {
        let mut store = store_of(8, 6 * RECORD_OVERHEAD_BYTES);
        let mut at = 0;
        for event in events {
            match event {
                Event::Offer { n, len, version, ttl, peer } => {
                    let offer = offer(key(n), &vec![n; len], version, at + ttl);
                    let before = store.records.get(&key(n)).map(|held| (held.version, held.expires));
                    let taken = match peer {
                        Some(n) => store.offer_from(by(n), offer, now(at)),
                        None => store.offer(offer, now(at)),
                    };
                    let after = store.records.get(&key(n)).map(|held| (held.version, held.expires));
                    match taken {
                        Ok(accepted) if accepted.changed => prop_assert_eq!(after.unwrap().0, version),
                        _ => prop_assert_eq!(before, after),
                    }
                }
                Event::Mark { n, cached } => store.mark_cached(&key(n), cached),
                Event::Remove { n } => {
                    store.remove(&key(n));
                }
                Event::Pass { seconds } => {
                    at += seconds;
                    store.expire(now(at).boot);
                    prop_assert!(store.next_expiry().is_none_or(|next| next > now(at).boot));
                }
            }
            check_books(&store);
        }
    }

    #[test]
    fn replicas_that_saw_the_same_offers_hold_the_same(
        offers in prop::collection::vec((0..4u8, 0..3u64), 1..12),
        order in any::<u64>(),
    ) {
        // The value 0 proves itself under the key.
        let key = Key::of_value(&[0]);
        let mut shuffled = offers.clone();
        shuffled.sort_by_key(|(value, version)| (u64::from(*value) * 4 + version + 1).wrapping_mul(order | 1));
        let final_of = |offers: &[(u8, u64)]| {
            let mut store = store_of(8, 1 << 20);
            for (value, version) in offers {
                let _refused_or_not = store.offer(offer(key, &[*value], *version, 60), now(0));
            }
            held(&store, &key)
        };
        prop_assert_eq!(final_of(&offers), final_of(&shuffled));
    }
}
