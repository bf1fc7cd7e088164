//! Kept values: republished by region, checked before, adopted, bounded, and written to disk.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::network::{Network, address, key, numbered_key};
use voiddht_core::Config;
use voiddht_core::event::{Command, Notice, Outcome};
use voiddht_core::kept::{KeepReceipt, KeepRefusal, KeepRequest, KeptLimits, KeptState, KeptView};
use voiddht_core::label::{Limit, LookupPurpose, RequestKind, RequestPurpose};
use voiddht_core::operation::PutFailure;
use voiddht_core::record::order::Class;
use voiddht_core::time::WallTime;
use voiddht_signed::{Draft, Envelope, Name, Precedence, Salt, SigningKey};
use voiddht_wire::{Key, Publication};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
/// Later than every virtual time of these tests, in seconds since 1970.
const LATE: u64 = 2_000_000_000;

fn request(key: Key, value: impl Into<Bytes>, ttl: Duration) -> KeepRequest {
    let publication = Publication::new(key, value).ttl(ttl);
    KeepRequest { publication, until: None, is_published: false }
}

fn keep(
    network: &mut Network,
    number: usize,
    request: KeepRequest,
) -> Result<KeepReceipt, KeepRefusal> {
    network.command(number, Command::Keep(request));
    match network.finish(number) {
        Outcome::Keep(kept) => kept,
        other => panic!("{other:?}"),
    }
}

fn unkeep(network: &mut Network, number: usize, key: Key) -> bool {
    network.command(number, Command::Unkeep { key });
    match network.finish(number) {
        Outcome::Unkept { was_listed } => was_listed,
        other => panic!("{other:?}"),
    }
}

fn only(network: &Network, number: usize) -> KeptView {
    let kept = network.node(number).kept();
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept[0].clone()
}

fn signed(seq: u64, end: u64, body: &'static str) -> Envelope {
    let owner = SigningKey::from_seed(&[1; 32]).expect("any seed makes a key");
    let name = Name::native(owner.public_key(), Salt::EMPTY);
    let draft = Draft { name, seq, not_after: end, body: Bytes::from(body) };
    draft.sign(&owner, None).expect("it is well formed")
}

#[test]
fn a_kept_value_outlives_its_ttl_and_ends_within_one_after_unkeep() {
    let mut network = Network::new(30);
    let receipt = keep(&mut network, 0, request(key(), "value", HOUR)).expect("it is kept");
    assert_eq!(receipt.publication.map(|publication| publication.stored), Some(20));
    assert_eq!(receipt.ttl, 3600);
    for hours in 1..=12 {
        network.run_for(HOUR);
        assert_eq!(network.get(hours).as_deref(), Some(&b"value"[..]), "after {hours} h");
    }
    let view = only(&network, 0);
    assert_eq!((view.state, view.replicas, view.failure), (KeptState::Kept, Some(20), None));
    assert!(view.next.is_some_and(|next| next <= HOUR.mul_f64(1.1 / 3.0)), "{view:?}");
    assert!(unkeep(&mut network, 0, key()));
    assert!(!unkeep(&mut network, 0, key()));
    network.run_for(HOUR);
    assert_eq!(network.get(1), None);
}

#[test]
fn everything_is_due_at_once_after_a_start_and_comes_back() {
    let mut network = Network::new(30);
    let envelope = signed(1, 0, "signed");
    keep(&mut network, 3, request(key(), "plain", HOUR)).expect("it is kept");
    let signed = request(envelope.key(), envelope.bytes().clone(), HOUR);
    keep(&mut network, 3, signed).expect("it is kept");
    network.kill(3);
    // Long enough for every replica to expire.
    network.run_for(2 * HOUR);
    assert_eq!(network.get(1), None);
    network.restart(3);
    network.run_for(5 * SECOND);
    assert_eq!(network.get(1).as_deref(), Some(&b"plain"[..]));
    assert_eq!(network.get_under(envelope.key(), 2), Some(envelope.bytes().clone()));
    let classes: Vec<Class> = network.node(3).kept().iter().map(|kept| kept.class).collect();
    assert!(classes.contains(&Class::Signed(Precedence { generation: 0, seq: 1 })));
    assert_eq!(network.disks[&address(3)].kept.len(), 2);
    unkeep(&mut network, 3, key());
    assert_eq!(network.disks[&address(3)].kept.len(), 1);
}

#[test]
fn a_plain_value_that_lost_its_key_is_kept_no_longer() {
    let mut network = Network::new(30);
    keep(&mut network, 0, request(key(), "mine", HOUR)).expect("it is kept");
    assert!(network.put(5, "theirs", 40_000) > 0);
    network.run_for(HOUR);
    assert_eq!(network.get(9).as_deref(), Some(&b"theirs"[..]));
    let view = only(&network, 0);
    assert_eq!((view.state, view.bytes, view.next), (KeptState::Superseded, 0, None));
    let is_end =
        |notice: &Notice| matches!(notice, Notice::KeepEnded { state: KeptState::Superseded, .. });
    assert_eq!(network.notices.iter().filter(|notice| is_end(notice)).count(), 1);
    // It is still said after a restart, and a new value may be kept in its place.
    network.kill(0);
    network.restart(0);
    assert_eq!(only(&network, 0).state, KeptState::Superseded);
    keep(&mut network, 0, request(key(), "mine again", HOUR)).expect("it is kept");
    assert_eq!(network.get(9).as_deref(), Some(&b"mine again"[..]));
}

#[test]
fn a_friend_adopts_what_the_owner_has_signed_since() {
    let mut network = Network::new(30);
    let [one, two] = [signed(1, 0, "one"), signed(2, 0, "two")];
    let kept = |envelope: &Envelope| request(envelope.key(), envelope.bytes().clone(), HOUR);
    keep(&mut network, 0, kept(&one)).expect("it is kept");
    let put = |envelope: &Envelope| {
        Command::Put(Publication::new(envelope.key(), envelope.bytes().clone()).ttl(HOUR))
    };
    network.command(7, put(&two));
    assert!(matches!(network.finish(7), Outcome::Put { receipt, .. } if receipt.stored == 20));
    for hours in 0..6 {
        network.run_for(HOUR);
        let found = network.get_under(two.key(), 8 + hours);
        assert_eq!(found, Some(two.bytes().clone()), "{hours} h later");
    }
    let view = only(&network, 0);
    assert_eq!((view.state, view.envelope), (KeptState::Kept, Some(two.clone())));
    assert_eq!(network.disks[&address(0)].kept[&two.key()].1, two.bytes());
    let adopted = |notice: &&Notice| matches!(notice, Notice::KeepAdopted { .. });
    assert_eq!(network.notices.iter().filter(adopted).count(), 1);
    assert_eq!(keep(&mut network, 0, kept(&one)), Err(KeepRefusal::Older));
}

#[test]
fn keeping_stops_at_the_effective_end_and_at_the_end_that_was_asked_for() {
    let mut network = Network::new(8);
    // The virtual calendar begins in 2023.
    let end = 1_700_000_000 + 7_200;
    let envelope = signed(1, end, "value");
    keep(&mut network, 0, request(envelope.key(), envelope.bytes().clone(), HOUR)).expect("kept");
    let until = Some(WallTime::from_millis(end * 1000));
    let other = KeepRequest { until, ..request(key(), "plain", HOUR) };
    keep(&mut network, 0, other.clone()).expect("it is kept");
    network.run_for(HOUR);
    assert!(network.node(0).kept().iter().all(|kept| kept.state == KeptState::Kept));
    network.run_for(HOUR);
    assert!(network.node(0).kept().iter().all(|kept| kept.state == KeptState::Ended));
    network.run_for(HOUR);
    assert_eq!((network.get(3), network.get_under(envelope.key(), 3)), (None, None));
    assert_eq!(keep(&mut network, 0, other), Err(KeepRefusal::Ended));
}

#[test]
fn a_value_that_cannot_be_kept_is_refused_with_its_reason() {
    let config = Config { kept: KeptLimits { max_values: 2, max_bytes: 100 }, ..Config::default() };
    let mut network = Network::with_config(4, config);
    let full = |limit| Err(KeepRefusal::Full { limit });
    let large = request(key(), vec![0; 101], HOUR);
    assert_eq!(keep(&mut network, 0, large), full(Limit::MaxKeptBytes));
    for number in 0..2 {
        keep(&mut network, 0, request(numbered_key(number), "v", HOUR)).expect("it is kept");
    }
    let third = request(numbered_key(2), "v", HOUR);
    assert_eq!(keep(&mut network, 0, third.clone()), full(Limit::MaxKeptValues));
    assert!(unkeep(&mut network, 0, numbered_key(0)));
    keep(&mut network, 0, third).expect("there is room");
    let mut forged = signed(1, LATE, "value").bytes().to_vec();
    forged.push(1);
    let forged = keep(&mut network, 1, request(signed(1, LATE, "value").key(), forged, HOUR));
    assert!(matches!(forged, Err(KeepRefusal::Envelope(_))), "{forged:?}");
    network.disks.get_mut(&address(1)).expect("it has one").full = true;
    let unwritten = keep(&mut network, 1, request(key(), "v", HOUR));
    assert_eq!(unwritten, Err(KeepRefusal::NotWritten));
    assert!(network.node(1).kept().is_empty());
}

#[test]
fn a_node_that_is_cut_off_tries_again_until_it_is_back() {
    let mut network = Network::new(12);
    keep(&mut network, 0, request(key(), "value", HOUR)).expect("it is kept");
    network.apart.insert(address(0));
    network.run_for(2 * HOUR);
    assert_eq!(network.get(5), None);
    let view = only(&network, 0);
    assert!(matches!(view.failure, None | Some(PutFailure::Unreachable)), "{view:?}");
    network.apart.clear();
    network.run_for(HOUR.mul_f64(0.2));
    assert_eq!(network.get(5).as_deref(), Some(&b"value"[..]));
}

/// Values of a region share their lookups: so many for a region, and none for each value.
#[test]
fn many_values_are_republished_with_few_lookups() {
    let mut network = Network::new(64);
    const VALUES: usize = 200;
    for number in 0..VALUES {
        let value = Bytes::from(format!("value {number}"));
        let kept =
            KeepRequest { is_published: true, ..request(Key::of_value(&value), value, HOUR) };
        keep(&mut network, 0, kept).expect("it is kept");
    }
    network.kill(0);
    network.restart(0);
    network.notices.clear();
    network.run_for(60 * SECOND);
    let count = |which: &dyn Fn(&Notice) -> bool| {
        network.notices.iter().filter(|notice| which(notice)).count()
    };
    let lookups =
        count(&|notice| matches!(notice, Notice::LookupEnded { purpose: LookupPurpose::Keep, .. }));
    let stores = count(&|notice| {
        let (purpose, kind) = (RequestPurpose::Operation, RequestKind::Store);
        matches!(notice, Notice::RequestEnded { kind: k, purpose: p, .. } if *k == kind && *p == purpose)
    });
    assert!((1..=16).contains(&lookups), "{lookups} lookups");
    // The node itself is one of the replicas of some, and some neighbourhoods are dense.
    assert!((19 * VALUES..=22 * VALUES).contains(&stores), "{stores} STOREs");
    for kept in network.node(0).kept() {
        assert!(kept.replicas >= Some(20) && kept.failure.is_none(), "{kept:?}");
        assert_eq!(network.closest_holders(kept.key), 20, "{}", kept.key);
    }
}

/// Plain values are read before they are published: 50 a second, however many are due.
#[test]
fn reads_before_publications_are_paced() {
    let mut network = Network::new(10);
    for number in 0..200 {
        let plain = request(numbered_key(number), "value", HOUR);
        keep(&mut network, 0, KeepRequest { is_published: true, ..plain }).expect("it is kept");
    }
    network.kill(0);
    network.restart(0);
    network.run_for(SECOND);
    network.notices.clear();
    network.run_for(SECOND);
    let is_read = |notice: &&Notice| {
        matches!(notice, Notice::RequestEnded { kind: RequestKind::FindValue, .. })
    };
    let reads = network.notices.iter().filter(is_read).count();
    // Nothing is stored yet, so that each read asks all nine others.
    assert!((9 * 40..=9 * 51).contains(&reads), "{reads} requests");
}
