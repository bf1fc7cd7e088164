//! Peers of the original network, on the pool's bench.

use bytes::Bytes;
use voiddht_core::event::Undelivered::{ConnectionLost, DoesNotFit};
use voiddht_wire::Key;
use voiddht_wire::limits::{MAX_LEGACY_VALUE_BYTES, MAX_VALUE_BYTES};
use voiddht_wire::peer::{Dialect, Record};

use super::super::tests::{Bench, ME, Next, Seen, id, message, to};
use super::*;
use crate::event::Ending;

const PEER: u8 = 7;
const WRITTEN: Ending = Ending { clean: true, written: true, broken: None };

fn store(bytes: usize) -> Body {
    Body::Store(Record {
        key: Key::default(),
        value: Bytes::from(vec![1; bytes]),
        ttl: 60,
        version: Some(1),
        maintenance: false,
    })
}

fn dials(seen: &[Seen]) -> Vec<ConnectionId> {
    let dial = |one: &Seen| match one {
        Seen::Dial(connection) => Some(*connection),
        _ => None,
    };
    seen.iter().filter_map(dial).collect()
}

/// A peer that is known to speak so, with one request on one connection.
fn known() -> (Bench, ConnectionId, u8) {
    let mut bench = Bench::new(100, 100);
    let rpc = bench.request(to(PEER));
    let [connection] = dials(&bench.seen())[..] else { panic!("one dial") };
    bench.open_as(connection, PEER, true, Dialect::Legacy);
    (bench, connection, rpc)
}

#[test]
fn a_connection_carries_one_request_and_ends_with_its_answer() {
    let (mut bench, connection, rpc) = known();
    assert_eq!(bench.next(connection), Next::Writes);
    bench.answer(connection, PEER, rpc);
    assert_eq!(bench.seen(), [Seen::Connected(PEER, true), Seen::Disconnected(PEER, true)]);
    assert_eq!(bench.next(connection), Next::Closes, "closed with the answer");
    bench.closed(connection, WRITTEN);
    assert_eq!((bench.seen(), bench.pool.len()), (vec![], 0));
    assert_eq!(bench.pool.proved(&id(PEER)), None, "no connection is this peer's");
}

#[test]
fn what_waited_for_the_same_dial_is_dialled_for_side_by_side() {
    let mut bench = Bench::new(100, 100);
    let rpcs: Vec<u8> = (0..4).map(|_| bench.request(to(PEER))).collect();
    let [first] = dials(&bench.seen())[..] else { panic!("how it speaks is not known yet") };
    bench.open_as(first, PEER, true, Dialect::Legacy);
    let others = dials(&bench.seen());
    assert_eq!(others.len(), 3);
    for (connection, rpc) in [first].into_iter().chain(others).zip(rpcs) {
        if connection != first {
            bench.open_as(connection, PEER, true, Dialect::Legacy);
        }
        assert_eq!(bench.next(connection), Next::Writes);
        bench.answer(connection, PEER, rpc);
    }
    let told = bench.seen();
    let ends = told.iter().filter(|one| **one == Seen::Disconnected(PEER, true));
    assert_eq!((told.len() - ends.clone().count(), ends.count()), (4, 4), "{told:?}");
}

#[test]
fn dials_to_one_peer_have_a_bound_and_the_rest_waits() {
    let (mut bench, ..) = known();
    for _ in 0..3 * DIALS_AT_ONCE {
        bench.request(to(PEER));
    }
    let open = dials(&bench.seen());
    assert_eq!(open.len(), DIALS_AT_ONCE);
    let waiting: usize = bench.pool.dials.values().map(|dial| dial.waiting.len()).sum();
    assert_eq!(waiting, 3 * DIALS_AT_ONCE);
    assert!(bench.pool.dials.values().all(|dial| dial.waiting.len() == 3), "evenly");
    bench.open_as(open[0], PEER, true, Dialect::Legacy);
    assert_eq!(dials(&bench.seen()).len(), 1, "one place was free");
    bench.pool.hang_up(&id(PEER));
    let told = bench.seen();
    let lost = told.iter().filter(|one| matches!(one, Seen::Undelivered(_, ConnectionLost)));
    assert_eq!(lost.count(), 1 + 3 * DIALS_AT_ONCE, "each is told");
}

#[test]
fn a_record_is_handed_over_when_it_has_been_written() {
    for (ending, told) in [
        (WRITTEN, Seen::Delivered(1)),
        (
            Ending { clean: true, written: false, broken: None },
            Seen::Undelivered(1, ConnectionLost),
        ),
        (
            Ending { clean: false, written: false, broken: None },
            Seen::Undelivered(1, ConnectionLost),
        ),
    ] {
        let mut bench = Bench::new(100, 100);
        bench.pool.request(bench.now, to(PEER), message(ME, 1, store(100)));
        let [connection] = dials(&bench.seen())[..] else { panic!("one dial") };
        bench.open_as(connection, PEER, true, Dialect::Legacy);
        assert_eq!(bench.next(connection), Next::Writes);
        assert_eq!(bench.next(connection), Next::Closes, "nothing is awaited");
        bench.closed(connection, ending);
        assert_eq!(bench.seen(), [told]);
        assert_eq!(bench.pool.len(), 0);
    }
}

#[test]
fn a_value_too_large_for_the_dialect_is_not_even_dialled_for() {
    let (mut bench, ..) = known();
    bench.pool.request(bench.now, to(PEER), message(ME, 1, store(MAX_LEGACY_VALUE_BYTES + 1)));
    assert_eq!(bench.seen(), [Seen::Undelivered(1, DoesNotFit)]);
    bench.pool.request(bench.now, to(PEER), message(ME, 2, store(MAX_LEGACY_VALUE_BYTES)));
    let [connection] = dials(&bench.seen())[..] else { panic!("one dial") };
    bench.open_as(connection, PEER, true, Dialect::Legacy);
    assert_eq!((bench.seen(), bench.next(connection)), (vec![], Next::Writes));
    // Of a peer that was never met, it is known once it is: whatever else waits has its turn.
    let mut bench = Bench::new(100, 100);
    bench.pool.request(bench.now, to(PEER), message(ME, 1, store(MAX_VALUE_BYTES)));
    bench.pool.request(bench.now, to(PEER), message(ME, 2, Body::Ping));
    let [connection] = dials(&bench.seen())[..] else { panic!("one dial") };
    bench.open_as(connection, PEER, true, Dialect::Legacy);
    assert_eq!(bench.seen(), [Seen::Undelivered(1, DoesNotFit)]);
    assert_eq!(bench.next(connection), Next::Writes);
}

#[test]
fn a_store_of_such_a_peer_gets_no_answer_and_another_request_does() {
    let mut bench = Bench::new(100, 100);
    let connection = bench.next_accepted();
    bench.open_as(connection, PEER, false, Dialect::Legacy);
    for (rpc, body, answer, is_written) in [
        (1, store(10), Body::StoreReply { key: Key::default() }, false),
        (2, store(10), Body::Error(voiddht_wire::peer::ErrorCode::Busy), false),
        (3, Body::Ping, Body::PingReply { observed: None }, true),
    ] {
        assert!(bench.pool.received(bench.now, connection, &message(PEER, rpc, body)).is_some());
        bench.pool.reply(connection, message(ME, rpc, answer));
        let expected = if is_written { Next::Writes } else { Next::Waits };
        assert_eq!(bench.next(connection), expected, "{rpc}");
    }
    assert_eq!(bench.line(connection).no_answers, 2, "the next request may be read");
    assert_eq!(bench.seen(), [], "the core sends nothing on it, so it is told of nothing");
}

#[test]
fn a_peer_that_speaks_our_dialect_again_is_no_longer_dialled_for_each_request() {
    let (mut bench, ..) = known();
    let connection = bench.accept(PEER);
    bench.seen();
    bench.request(to(PEER));
    assert_eq!((bench.seen(), bench.next(connection)), (vec![], Next::Writes));
    assert!(!bench.pool.legacy.is_known(&id(PEER)));
}
