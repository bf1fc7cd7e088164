//! Attacks on signed values, at one replica and in a network: what a stranger stores under the key of a
//! signed value, before and after it.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::network::Network;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::operation::PutFailure;
use voiddht_core::record::order::Class;
use voiddht_core::record::{Offer, RecordLimits, RecordStore, Refusal};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_signed::{Delegation, Draft, Envelope, Name, Refused, Salt, SigningKey};
use voiddht_wire::{NodeId, Publication};

const WALL_SECONDS: u64 = 1_700_000_000;
const WALL: u64 = WALL_SECONDS * 1000;
/// Later than every virtual time of these tests, in seconds since 1970.
const LATE: u64 = 2_000_000_000;

fn now() -> Now {
    Now::never_suspended(Moment::default(), WallTime::from_millis(WALL))
}

fn key_pair(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).expect("any seed makes a key")
}

fn name() -> Name {
    Name::native(key_pair(1).public_key(), Salt::new(b"endpoint").expect("it is short"))
}

fn signed(seq: u64) -> Envelope {
    let draft = Draft { name: name(), seq, not_after: 0, body: Bytes::from(format!("body {seq}")) };
    draft.sign(&key_pair(1), None).expect("it is well formed")
}

fn delegated() -> Envelope {
    let writer = key_pair(2);
    let delegation: Delegation = key_pair(1)
        .delegate(&name(), writer.public_key(), 1, LATE)
        .expect("it has a generation and an end");
    let draft = Draft { name: name(), seq: 1, not_after: 0, body: Bytes::from("delegated") };
    draft.sign(&writer, Some(&delegation)).expect("it is well formed")
}

/// What the key of a name is the hash of.
fn preimage() -> Bytes {
    let name = name();
    let parts = [name.owner.as_bytes(), name.salt.as_bytes()].concat();
    [b"voiddht signed value\0\x01", &parts[..]].concat().into()
}

fn store() -> RecordStore {
    RecordStore::new(NodeId::default(), RecordLimits::of_size(100, 1 << 20))
}

fn offer(value: &Bytes, version: u64, ttl: u64) -> Offer {
    let expires = now().boot + Duration::from_secs(ttl);
    Offer { key: name().key(), value: value.clone(), version, expires, maintenance: false }
}

fn held(store: &RecordStore) -> Option<(Bytes, Duration)> {
    let record = store.get(&name().key(), now().boot)?;
    Some((record.value.bytes().clone(), record.expires.since(now().boot)))
}

/// With a SHA-256 in the place of the SHA-512, the preimage would be a content-addressed value of the
/// key, and bury the name for ever.
#[test]
fn the_preimage_of_a_key_gives_way_to_the_envelope_whatever_its_version() {
    let envelope = signed(1).bytes().clone();
    for version in [0, 1, WALL - 1, WALL, WALL + 1, WALL + 59_000] {
        let mut before = store();
        assert!(before.offer(offer(&preimage(), version, 60), now()).is_ok(), "version {version}");
        assert!(before.offer(offer(&envelope, 1, 60), now()).is_ok(), "version {version}");
        let mut after = store();
        assert!(after.offer(offer(&envelope, 1, 60), now()).is_ok());
        let refused = after.offer(offer(&preimage(), version, 60), now());
        assert_eq!(refused, Err(Refusal::Outproved), "version {version}");
        for store in [before, after] {
            assert_eq!(held(&store).map(|(value, _)| value), Some(envelope.clone()));
        }
    }
    let mut ahead = store();
    assert!(ahead.offer(offer(&envelope, 1, 60), now()).is_ok());
    assert!(ahead.offer(offer(&preimage(), u64::MAX, 60), now()).is_err());
}

/// A TTL of one second, and a version that keeps the publisher from renewing, must not delete a value.
#[test]
fn renewals_never_bring_the_end_of_a_signed_value_nearer() {
    let envelope = signed(1).bytes().clone();
    let seconds = Duration::from_secs;
    for version in [0, WALL, WALL + 59_000] {
        let mut store = store();
        assert!(store.offer(offer(&envelope, WALL, 600), now()).is_ok());
        assert!(store.offer(offer(&envelope, version, 1), now()).is_ok());
        assert_eq!(held(&store), Some((envelope.clone(), seconds(600))), "a shorter TTL");
        let copy = Offer { maintenance: true, ..offer(&envelope, version, 6000) };
        assert!(store.offer(copy, now()).is_ok());
        assert_eq!(held(&store), Some((envelope.clone(), seconds(600))), "a copy");
        assert!(store.offer(offer(&envelope, 1, 6000), now()).is_ok());
        assert_eq!(held(&store), Some((envelope.clone(), seconds(6000))), "the publisher renews");
    }
    let mut ahead = store();
    assert!(ahead.offer(offer(&envelope, WALL, 600), now()).is_ok());
    assert!(ahead.offer(offer(&envelope, u64::MAX, 6000), now()).is_err());
    assert!(ahead.offer(offer(&envelope, WALL + 1, 6000), now()).is_ok());
    assert_eq!(held(&ahead), Some((envelope, seconds(6000))));
}

/// The bytes at this place of an envelope, changed.
fn with(envelope: &Envelope, at: usize, bytes: &[u8]) -> Bytes {
    let mut changed = envelope.bytes().to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed.into()
}

fn identity(sign: u8) -> [u8; 32] {
    std::array::from_fn(|index| match index {
        0 => 1,
        31 => sign,
        _ => 0,
    })
}

/// Forgeries under the key of the name, each with why it is refused.
fn refused() -> Vec<(Bytes, Refused)> {
    let (plain, delegated) = (signed(1), delegated());
    let writer = 56;
    let owner_signature = writer + 32 + 4 + 8;
    let signature = |envelope: &Envelope| envelope.bytes().len() - envelope.body().len() - 64;
    let mut refused = Vec::new();
    for sign in [0, 0x80] {
        let weak = identity(sign);
        refused.push((with(&plain, signature(&plain), &weak), Refused::WeakSignature));
        refused.push((with(&delegated, writer, &weak), Refused::WeakWriter));
        refused.push((with(&delegated, owner_signature, &weak), Refused::WeakSignature));
    }
    refused.push((with(&plain, 47, &[9]), Refused::Signature));
    refused.push((with(&delegated, writer + 32 + 3, &[9]), Refused::DelegationSignature));
    let mut longer = plain.bytes().to_vec();
    longer.push(0);
    refused.push((longer.into(), Refused::Signature));
    let expired = Draft { name: name(), seq: 1, not_after: 1, body: Bytes::from("expired") };
    let expired = expired.sign(&key_pair(1), None).expect("it is well formed");
    refused.push((expired.bytes().clone(), Refused::Expired));
    refused
}

#[test]
fn forged_envelopes_are_refused_with_their_reason_and_displace_nothing() {
    for (forged, reason) in refused() {
        let mut empty = store();
        let refusal = empty.offer(offer(&forged, WALL, 60), now());
        assert_eq!(refusal, Err(Refusal::Envelope(reason)));
        assert!(empty.is_empty());
        let mut plain = store();
        assert!(plain.offer(offer(&Bytes::from("plain"), 1, 60), now()).is_ok());
        assert!(plain.offer(offer(&forged, WALL, 60), now()).is_err());
        assert_eq!(held(&plain).map(|(value, _)| value), Some(Bytes::from("plain")));
    }
}

/// An envelope that is cut short, or breaks a rule of the layout, is plain bytes, and below any valid
/// one.
#[test]
fn what_breaks_the_layout_is_a_plain_value_that_the_envelope_replaces() {
    let (plain, delegated) = (signed(1), delegated());
    let mut broken: Vec<Bytes> = vec![
        with(&plain, 5, &[2]),
        with(&plain, 4, &[2, 1]),
        with(&plain, 6, &[65]),
        with(&plain, 7, &[1]),
        with(&delegated, 56 + 32, &[0; 4]),
        with(&delegated, 56 + 36, &[0; 8]),
    ];
    let body_at = plain.bytes().len() - plain.body().len();
    broken.extend((1..body_at).map(|end| plain.bytes().slice(..end)));
    for bytes in broken {
        let mut store = store();
        assert!(store.offer(offer(&bytes, WALL, 60), now()).is_ok());
        let class = store.get(&name().key(), now().boot).map(|record| record.value.class());
        assert_eq!(class, Some(Class::Plain), "{bytes:?}");
        assert!(store.offer(offer(plain.bytes(), 1, 60), now()).is_ok());
        assert_eq!(held(&store).map(|(value, _)| value), Some(plain.bytes().clone()));
    }
}

#[test]
fn no_put_of_a_stranger_replaces_a_signed_value_before_or_after_it() {
    let mut network = Network::new(30);
    let key = name().key();
    let put = |value: &Bytes| {
        Command::Put(Publication::new(key, value.clone()).ttl(Duration::from_secs(3600)))
    };
    network.command(3, put(&preimage()));
    network.finish(3);
    network.command(4, put(signed(2).bytes()));
    let Outcome::Put { receipt, .. } = network.finish(4) else { panic!("it was a PUT") };
    assert_eq!((receipt.stored, receipt.failure), (20, None));
    for forged in [preimage(), signed(1).bytes().clone(), Bytes::from("plain")] {
        network.command(5, put(&forged));
        let Outcome::Put { receipt, .. } = network.finish(5) else { panic!("it was a PUT") };
        let is_superseded = matches!(receipt.failure, Some(PutFailure::Superseded { .. }));
        assert!(is_superseded && receipt.stored == 0, "{receipt:?}");
    }
    for (forged, reason) in refused() {
        network.command(6, put(&forged));
        let Outcome::Put { receipt, .. } = network.finish(6) else { panic!("it was a PUT") };
        assert_eq!((receipt.stored, receipt.failure), (0, Some(PutFailure::Envelope(reason))));
    }
    for number in 0..30 {
        assert_eq!(network.get_under(key, number), Some(signed(2).bytes().clone()), "{number}");
    }
}
