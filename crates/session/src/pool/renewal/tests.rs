use std::collections::BTreeMap;

use voiddht_core::event::Undelivered;
use voiddht_identity::network::{Fingerprint, ProvenBy};
use voiddht_wire::peer::Dialect;

use super::super::tests::{Bench, ME, Next, Seen, id, to};
use super::*;
use crate::event::Proved;

const OLD: Fingerprint = Fingerprint([1; 8]);
const NEW: Fingerprint = Fingerprint([2; 8]);

fn accepted(all: &[Fingerprint]) -> Accepted {
    Accepted { first: all[0], all: all.to_vec() }
}

fn by(peer: Fingerprint, own: Fingerprint) -> Option<ProvenBy> {
    Some(ProvenBy { peer, own })
}

/// A bench of a private network that accepts these secrets.
fn bench(all: &[Fingerprint]) -> Bench {
    let mut bench = Bench::new(10, 10);
    bench.pool.secrets_changed(bench.now, accepted(all));
    bench
}

fn dialed(bench: &mut Bench, peer: u8, proven_by: Option<ProvenBy>) -> ConnectionId {
    bench.seen();
    bench.request(to(peer));
    let [Seen::Dial(connection)] = bench.seen()[..] else { panic!("one dial") };
    open(bench, connection, peer, true, proven_by);
    connection
}

fn open(
    bench: &mut Bench,
    connection: ConnectionId,
    peer: u8,
    dialed: bool,
    proven_by: Option<ProvenBy>,
) {
    let proved = Some(Proved { id: id(peer), fingerprint: [peer; 32] });
    bench.opened_by(connection, proved, peer, dialed, Dialect::V1, proven_by);
}

/// Lets time go by, with a sweep in each second, until something is dialled.
fn until_dialled(bench: &mut Bench, most: Duration) -> Option<(ConnectionId, Duration)> {
    let begun = bench.now;
    while bench.now.since(begun) < most {
        bench.now = bench.now + Duration::from_secs(1);
        bench.sweep();
        for seen in bench.seen() {
            if let Seen::Dial(connection) = seen {
                return Some((connection, bench.now.since(begun)));
            }
        }
    }
    None
}

#[test]
fn a_connection_by_a_secret_that_is_no_longer_the_first_is_renewed_and_drained() {
    let mut bench = bench(&[OLD]);
    let old = dialed(&mut bench, 1, by(OLD, OLD));
    bench.answer(old, 1, 0);
    bench.pool.secrets_changed(bench.now, accepted(&[OLD, NEW]));
    assert_eq!(until_dialled(&mut bench, RENEWAL_WINDOW), None, "only what is not first");
    bench.pool.secrets_changed(bench.now, accepted(&[NEW, OLD]));
    let (renewal, _) = until_dialled(&mut bench, RENEWAL_WINDOW).unwrap();
    let in_flight = bench.request(to(1));
    open(&mut bench, renewal, 1, true, by(NEW, NEW));
    let later = bench.request(to(1));
    bench.answer(old, 1, in_flight);
    bench.answer(renewal, 1, later);
    assert!(!bench.seen().iter().any(|seen| matches!(seen, Seen::Undelivered(..))));
    // What waited is written.
    bench.next(old);
    for _ in 0..5 {
        bench.now = bench.now + Duration::from_secs(1);
        bench.sweep();
    }
    assert_eq!(bench.pool.connection_counts().by_secret, BTreeMap::from([(NEW, 1)]));
    assert_eq!(until_dialled(&mut bench, 2 * RENEWAL_WINDOW), None, "both prove by the first");
}

#[test]
fn renewals_are_spread_over_the_window_and_all_within_it() {
    let mut bench = bench(&[OLD]);
    for peer in 1..=8 {
        dialed(&mut bench, peer, by(OLD, OLD));
    }
    bench.seen();
    bench.pool.secrets_changed(bench.now, accepted(&[NEW, OLD]));
    let due: Vec<_> = bench.pool.renewals.due.iter().map(|(at, _)| at.since(bench.now)).collect();
    assert_eq!(due.len(), 8);
    assert!(due.iter().all(|after| *after <= RENEWAL_WINDOW), "{due:?}");
    assert!(due.windows(2).all(|two| two[0] < two[1]), "no two at once: {due:?}");
}

#[test]
fn the_accepting_side_does_not_dial() {
    let mut bench = bench(&[OLD]);
    let connection = bench.next_accepted();
    open(&mut bench, connection, 1, false, by(OLD, OLD));
    bench.seen();
    bench.pool.secrets_changed(bench.now, accepted(&[NEW, OLD]));
    assert_eq!(until_dialled(&mut bench, 2 * RENEWAL_WINDOW), None);
}

/// This side is not told when the other one moves its new secret to the first line.
#[test]
fn it_is_renewed_until_both_sides_prove_by_the_first() {
    let mut bench = bench(&[NEW, OLD]);
    dialed(&mut bench, 1, by(OLD, NEW));
    let (renewal, after) = until_dialled(&mut bench, RENEWAL_WINDOW).unwrap();
    assert!(after >= RENEWAL_WINDOW / 2, "not at once again: {after:?}");
    open(&mut bench, renewal, 1, true, by(OLD, NEW));
    let (renewal, _) = until_dialled(&mut bench, RENEWAL_WINDOW).unwrap();
    open(&mut bench, renewal, 1, true, by(NEW, NEW));
    assert_eq!(until_dialled(&mut bench, 2 * RENEWAL_WINDOW), None);
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_costs_nothing() {
    let mut bench = bench(&[NEW, OLD]);
    let old = dialed(&mut bench, 1, by(OLD, NEW));
    let (renewal, _) = until_dialled(&mut bench, RENEWAL_WINDOW).unwrap();
    bench.pool.dial_failed(bench.now, renewal, Undelivered::Refused);
    let rpc = bench.request(to(1));
    bench.answer(old, 1, rpc);
    assert!(!bench.seen().iter().any(|seen| matches!(seen, Seen::Undelivered(..))));
    assert!(until_dialled(&mut bench, RENEWAL_WINDOW).is_some());
}

#[test]
fn a_removed_secret_gets_no_new_request_and_ends_after_half_a_minute() {
    let mut bench = bench(&[NEW, OLD]);
    let connection = bench.next_accepted();
    open(&mut bench, connection, 1, false, by(OLD, NEW));
    let in_flight = bench.request(to(1));
    bench.seen();
    bench.pool.secrets_changed(bench.now, accepted(&[NEW]));
    assert_eq!(bench.seen(), [Seen::Disconnected(1, true)]);
    let next = bench.request(to(1));
    let [Seen::Dial(dial)] = bench.seen()[..] else { panic!("it is dialled anew") };
    assert_eq!(bench.next(connection), Next::Writes, "what was asked before is still written");
    for _ in 0..REMOVED_ENDS_AFTER.as_secs() - 1 {
        bench.now = bench.now + Duration::from_secs(1);
        bench.sweep();
    }
    assert!(bench.pool.connections.contains_key(&connection), "what is in flight may end");
    bench.now = bench.now + Duration::from_secs(1);
    bench.sweep();
    assert!(!bench.pool.connections.contains_key(&connection));
    assert_eq!(bench.seen(), [Seen::Undelivered(in_flight, Undelivered::ConnectionLost)]);
    open(&mut bench, dial, 1, true, by(NEW, NEW));
    bench.answer(dial, 1, next);
    assert_eq!(bench.pool.draining, 0);
}

#[test]
fn a_handshake_that_began_with_a_removed_secret_is_not_admitted() {
    let bench = bench(&[NEW]);
    let proved = Some(Proved { id: id(1), fingerprint: [1; 32] });
    let opened =
        |proven_by| bench.opening(ConnectionId(1), proved, 1, true, Dialect::V1, proven_by);
    assert!(bench.pool.admits(&opened(by(NEW, OLD))));
    assert!(!bench.pool.admits(&opened(by(OLD, OLD))));
    assert!(!bench.pool.admits(&opened(None)));
    let public = Bench::new(10, 10);
    assert!(public.pool.admits(&opened(None)));
    assert_eq!(ME, 0x80);
}
