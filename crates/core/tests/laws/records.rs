//! A record store that is offered anything, beside a naive one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use voiddht_core::peer::Peer;
use voiddht_core::quota::{Account, Charge, Owner};
use voiddht_core::record::{Bill, Offer, RECORD_OVERHEAD_BYTES, RecordLimits, RecordStore};
use voiddht_core::time::{BootTime, Moment, Now, WallTime};
use voiddht_signed::{Draft, Name, Salt, SigningKey};
use voiddht_wire::Key;

use super::source::{self, Source};

/// The clock of the node: all versions offered are near it.
const WALL: u64 = 1_000_000;

struct Held {
    value: Bytes,
    version: u64,
    expires: BootTime,
    bill: Option<Bill>,
}

fn now(mono: Moment) -> Now {
    Now::never_suspended(mono, WallTime::from_millis(WALL))
}

/// Keys; two of them are the hash of a value.
fn key(choice: u8) -> Key {
    match choice % 8 {
        0 | 1 => Key::of_value(&value(choice % 8)),
        other => Key::of_value(&[other; 9]),
    }
}

fn value(choice: u8) -> Bytes {
    Bytes::from(vec![choice % 8; 1 + 37 * usize::from(choice % 8)])
}

fn offer(source: &mut Source<'_>, mono: Moment) -> Offer {
    let seconds = source.one_of(&[60, 0, 1, 5, 600]);
    let far = source.one_of(&[0, 0, 0, 0, 0, 0, 0, u64::MAX / 2]);
    Offer {
        key: key(source.byte()),
        value: value(source.byte()),
        version: WALL + u64::from(source.byte() % 4) + far,
        expires: now(mono).boot + Duration::from_secs(seconds),
        maintenance: source.flag(),
    }
}

/// Sums and indexes agree with what is held; limits and quotas hold; a refusal changes nothing;
/// what is taken is held as it was offered, or renews what is held; versions go back only for a
/// content-addressed value.
pub(crate) fn records(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (records, room) = (source.one_of(&[1000, 1, 4]), source.one_of(&[1 << 20, 700, 3000]));
    let limits = RecordLimits::of_size(records, room);
    let mut store = RecordStore::new(source::own(), limits);
    let mut held: BTreeMap<Key, Held> = BTreeMap::new();
    let mut mono = Moment::from_micros(1);
    while !source.is_empty() {
        match source.byte() % 8 {
            0 => {
                mono = mono + Duration::from_secs(source.one_of(&[1, 0, 4, 60]));
                for key in store.expire(now(mono).boot) {
                    let record = held.remove(&key).expect("drops what was not held");
                    assert!(record.expires <= now(mono).boot, "drops what has not expired");
                }
                assert!(
                    held.values().all(|record| record.expires > now(mono).boot),
                    "keeps what expired"
                );
            }
            1 => store.mark_cached(&key(source.byte()), source.flag()),
            2 => {
                let key = key(source.byte());
                assert_eq!(store.remove(&key), held.remove(&key).is_some());
            }
            _ => take(&mut store, &mut held, &mut source, mono),
        }
        check(&store, &held, mono, limits);
    }
}

fn take(
    store: &mut RecordStore,
    held: &mut BTreeMap<Key, Held>,
    source: &mut Source<'_>,
    mono: Moment,
) {
    let bill = source.flag().then(|| {
        let node = source::node(source.byte() % 4);
        let account = Account::from(&Peer::danger_assume_proved(node.id, node.address));
        let charge = if source.flag() { Charge::Copy } else { Charge::Publication };
        Bill { account, charge }
    });
    let offer = offer(source, mono);
    let Offer { key, value, version, expires, maintenance } = offer.clone();
    let billed = bill;
    let taken = match bill {
        Some(bill) => store.offer_from(bill, offer, now(mono)),
        None => store.offer(offer, now(mono)),
    };
    let Ok(accepted) = taken else { return };
    for evicted in accepted.evicted {
        assert!(evicted != key && held.remove(&evicted).is_some(), "evicts what is not held");
    }
    let renewed = held
        .get_mut(&key)
        .filter(|old| old.expires > now(mono).boot && old.value == value && key.proves(&value));
    if let Some(same) = renewed {
        let before = (same.version, same.expires);
        if version < u64::MAX / 2 {
            same.version = same.version.max(version);
        }
        if !maintenance {
            same.expires = same.expires.max(expires);
        }
        assert_eq!(accepted.changed, before != (same.version, same.expires));
        return;
    }
    if !accepted.changed {
        let same = held.get(&key).expect("nothing changed: it was held");
        assert_eq!((&same.value, same.version), (&value, version));
        return;
    }
    if let Some(old) = held.get(&key).filter(|old| old.expires > now(mono).boot) {
        assert!(version >= old.version || key.proves(&value), "a version went back");
        assert!(!key.proves(&old.value) || old.value == value, "what proves itself was replaced");
    }
    // The same bytes stay where they are charged, unless this node's own users publish them.
    let same = held.get(&key).filter(|old| old.value == value && billed.is_some());
    let bill = same.map_or(billed, |old| old.bill);
    held.insert(key, Held { value, version, expires, bill });
}

fn check(store: &RecordStore, held: &BTreeMap<Key, Held>, mono: Moment, limits: RecordLimits) {
    assert!(store.len() <= limits.max_records && store.bytes() <= limits.max_bytes);
    let cost = |record: &Held| record.value.len() + RECORD_OVERHEAD_BYTES;
    assert_eq!(store.bytes(), held.values().map(cost).sum::<usize>());
    assert!(store.keys_from(Bound::Unbounded).eq(held.keys().copied()));
    assert_eq!(store.next_expiry(), held.values().map(|record| record.expires).min());
    for (key, record) in held {
        let found = store
            .get(key, now(mono).boot)
            .map(|found| (found.value.bytes(), found.version, found.expires));
        let expected = (&record.value, record.version, record.expires);
        assert_eq!(found, (record.expires > now(mono).boot).then_some(expected));
    }
    for number in 0..4 {
        let peer = source::node(number).id;
        let billed: Vec<_> = held
            .values()
            .filter(|record| {
                record.bill.is_some_and(|bill| bill.account.owner == Owner::Node(peer))
            })
            .map(cost)
            .collect();
        let usage = store.usage_of(&peer);
        assert_eq!((usage.records, usage.bytes), (billed.len(), billed.iter().sum()));
    }
}

/// Two replicas that were offered the same, in whatever order, hold the same values.
pub(crate) fn replicas_agree(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (mono, stride) = (Moment::from_micros(1), source.below(64));
    let mut offers = Vec::new();
    while !source.is_empty() && offers.len() < 64 {
        offers.push(offer(&mut source, mono));
    }
    let mut one = RecordStore::new(source::own(), RecordLimits::default());
    let mut other = one.clone();
    for offer in &offers {
        one.offer(offer.clone(), now(mono)).ok();
    }
    for turn in 0..offers.len() {
        let next = offers.swap_remove((7 + stride * turn) % offers.len());
        other.offer(next, now(mono)).ok();
    }
    assert!(one.keys_from(Bound::Unbounded).eq(other.keys_from(Bound::Unbounded)));
    for key in one.keys_from(Bound::Unbounded) {
        let held = |store: &RecordStore| {
            store.get(&key, now(mono).boot).map(|record| (record.value.clone(), record.version))
        };
        assert_eq!(held(&one), held(&other), "replicas differ");
    }
}

/// Everything that may be offered under the key of one signed value, and the key: envelopes of several
/// generations and sequence numbers, two of each; expired and forged ones; the key's preimage; plain bytes.
static SIGNED: LazyLock<(Key, Vec<Bytes>)> = LazyLock::new(|| {
    let key = |seed: u8| SigningKey::from_seed(&[seed; 32]).expect("any seed makes a key");
    let (owner, writer) = (key(1), key(2));
    let name = Name::native(owner.public_key(), Salt::EMPTY);
    let mut values = vec![Bytes::from("plain"), Bytes::from("other plain")];
    for generation in 0..3 {
        for (seq, body) in [(1, "a"), (1, "b"), (2, "a"), (2, "b")] {
            let draft = Draft { name, seq, not_after: 0, body: body.into() };
            let envelope = match generation {
                0 => draft.sign(&owner, None),
                _ => {
                    let delegation = owner
                        .delegate(&name, writer.public_key(), generation, u64::MAX)
                        .expect("its fields are in range");
                    draft.sign(&writer, Some(&delegation))
                }
            };
            values.push(envelope.expect("it is well formed").bytes().clone());
        }
    }
    let mut forged = values[2].to_vec();
    forged.push(1);
    values.push(forged.into());
    // Ten minutes of tolerance after 1970 have not passed by the clock of this law: ended in second 1.
    let expired = Draft { name, seq: 9, not_after: 1, body: "late".into() };
    values.push(expired.sign(&owner, None).expect("it is well formed").bytes().clone());
    let prefix: &[u8] = b"voiddht signed value\0\x01";
    values.push([prefix, owner.public_key().as_bytes()].concat().into());
    (name.key(), values)
});

/// Two replicas that were offered the same signed and plain values of a key, in whatever order, hold the
/// same one, of the same version.
pub(crate) fn signed_replicas_agree(bytes: &[u8]) {
    let (key, values) = &*SIGNED;
    let mut source = Source::new(bytes);
    let (mono, stride) = (Moment::from_micros(1), source.below(64));
    let mut offers = Vec::new();
    while !source.is_empty() && offers.len() < 24 {
        offers.push(Offer {
            key: *key,
            value: values[usize::from(source.byte()) % values.len()].clone(),
            version: WALL + u64::from(source.byte() % 4),
            expires: now(mono).boot + Duration::from_secs(600),
            maintenance: source.flag(),
        });
    }
    let mut one = RecordStore::new(source::own(), RecordLimits::default());
    let mut other = one.clone();
    for offer in &offers {
        one.offer(offer.clone(), now(mono)).ok();
    }
    for turn in 0..offers.len() {
        let next = offers.swap_remove((7 + stride * turn) % offers.len());
        other.offer(next, now(mono)).ok();
    }
    let held = |store: &RecordStore| {
        store.get(key, now(mono).boot).map(|record| (record.value.clone(), record.version))
    };
    assert_eq!(held(&one), held(&other), "replicas differ");
}
