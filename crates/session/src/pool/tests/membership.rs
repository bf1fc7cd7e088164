//! Dials of a private network: requests go out before the peer has proved its membership.

use super::*;

/// A dial of a private network whose peer has yet to prove its membership.
fn early(bench: &mut Bench) -> (ConnectionId, u8) {
    let first = bench.request(to(1));
    let [Seen::Dial(dial)] = bench.seen()[..] else { panic!("one dial") };
    bench.line(dial);
    bench.pool.may_send(dial);
    (dial, first)
}

#[test]
fn requests_go_out_before_the_peer_has_proved_its_membership_and_nothing_is_taken() {
    let mut bench = Bench::new(10, 10);
    let (dial, first) = early(&mut bench);
    let second = bench.request(to(1));
    assert_eq!(bench.written(dial), (2, false), "what waited, and what came then");
    let reply = message(1, first, Body::PingReply { observed: None });
    assert!(bench.pool.received(bench.now, dial, &reply).is_none(), "it is no connection yet");
    assert_eq!(bench.pool.proved(&id(1)), None);
    bench.open(dial, 1, true);
    for rpc in [first, second] {
        bench.answer(dial, 1, rpc);
    }
    assert_eq!(bench.seen(), [Seen::Connected(1, true)]);
}

#[test]
fn requests_that_went_out_fail_with_the_proof() {
    let mut bench = Bench::new(10, 2);
    let (dial, first) = early(&mut bench);
    let second = bench.request(to(1));
    let third = bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Undelivered(third, Undelivered::LocalLimit)], "bounded");
    bench.pool.dial_failed(bench.now, dial, Undelivered::OtherNetwork);
    let failed = [first, second].map(|rpc| Seen::Undelivered(rpc, Undelivered::OtherNetwork));
    assert_eq!(bench.seen(), failed);
    bench.pool.may_send(dial);
    assert_eq!(bench.seen(), [Seen::Cancelled(dial)], "nothing more is sent");
}

/// Where dials cross, the node with the higher ID gives its own up; but the answers to what it has sent
/// would come there.
#[test]
fn a_dial_that_has_sent_requests_is_not_given_up_for_one_that_crosses_it() {
    let mut bench = Bench::new(10, 10);
    let (dial, first) = early(&mut bench);
    let inbound = bench.accept(1);
    assert_eq!(bench.seen(), [Seen::Connected(1, false)], "not cancelled");
    bench.open(dial, 1, true);
    bench.answer(dial, 1, first);
    let second = bench.request(to(1));
    bench.answer(inbound, 1, second);
    assert_eq!(bench.pool.len(), 2);
}
