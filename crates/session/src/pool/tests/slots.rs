//! Which connections have a slot, and which one gives its own up.

use super::*;

#[test]
fn a_full_pool_gives_up_the_connection_that_was_idle_longest() {
    let mut bench = Bench::new(3, 10);
    for peer in [1, 2, 3] {
        let (connection, rpc) = bench.dialed(peer);
        bench.written(connection);
        if peer != 1 {
            bench.answer(connection, peer, rpc);
        }
        bench.now = bench.now + SECOND;
    }
    bench.seen();
    bench.request(to(4));
    let gone = bench.seen();
    assert_eq!(gone, [Seen::Disconnected(2, true), Seen::Dial(dial(4))], "1 awaits an answer");
    assert_eq!(bench.written(dial(2)), (0, true));
    bench.closed(dial(2), ending(true));
    bench.request(to(5));
    assert_eq!(bench.seen(), [Seen::Disconnected(3, true), Seen::Dial(dial(5))]);
    bench.request(to(6));
    bench.request(to(7));
    assert_eq!(bench.seen(), [], "all are needed: both wait");
    assert!(bench.pool.wants_sweep());
    bench.answer(dial(1), 1, 0);
    let gone = bench.seen();
    assert_eq!(gone, [Seen::Connected(1, true), Seen::Disconnected(1, true), Seen::Dial(dial(6))]);
    bench.now = bench.now + PLACE_PATIENCE;
    bench.sweep();
    assert_eq!(bench.seen(), [Seen::Undelivered(6, Undelivered::LocalLimit)], "not for ever");
    assert_eq!(bench.reached(Limit::Connections), 1);
}

#[test]
fn a_connection_is_not_idle_while_its_peer_awaits_an_answer() {
    let mut bench = Bench::new(1, 10);
    let (connection, rpc) = bench.dialed(1);
    bench.answer(connection, 1, rpc);
    bench.ask(connection, 1, 50);
    bench.seen();
    bench.request(to(2));
    assert_eq!(bench.seen(), [], "no slot is free");
    bench.reply(connection, 50);
    bench.sweep();
    assert_eq!(bench.seen(), [Seen::Disconnected(1, true), Seen::Dial(dial(2))]);
    assert_eq!(bench.next(connection), Next::Writes, "what is queued is written");
    assert_eq!(bench.next(connection), Next::Closes);
}

#[test]
fn an_inbound_connection_has_time_to_say_what_it_came_for() {
    let mut bench = Bench::new(1, 10);
    let first = bench.accept(1);
    assert_eq!(bench.seen(), [Seen::Connected(1, false)]);
    let second = bench.accept(2);
    assert_eq!(bench.written(second), (0, true), "no room");
    assert_eq!(bench.seen(), []);
    bench.now = bench.now + INBOUND_REST;
    bench.accept(3);
    assert_eq!(bench.seen(), [Seen::Disconnected(1, true), Seen::Connected(3, false)]);
    assert!(bench.written(first).1);
}

/// 300 nodes of 40 slots in one process refused each other 17 588 times: all had been used within
/// five seconds.
#[test]
fn a_newcomer_displaces_an_inbound_connection_that_has_served_its_purpose() {
    let mut bench = Bench::new(2, 10);
    let first = bench.accept(1);
    let second = bench.accept(2);
    for (connection, peer) in [(first, 1), (second, 2)] {
        bench.ask(connection, peer, peer);
    }
    bench.seen();
    let third = bench.accept(3);
    assert!(bench.written(third).1, "both await an answer");
    bench.reply(second, 2);
    assert!(!bench.written(second).1);
    bench.accept(4);
    assert_eq!(bench.seen(), [Seen::Disconnected(2, true), Seen::Connected(4, false)]);
    assert!(bench.written(second).1);
    let client = bench.accept_unauthenticated(5);
    bench.reply(first, 1);
    let next = bench.accept_unauthenticated(6);
    assert!(bench.written(client).1 && bench.written(next).1, "only for authenticated peers");
}

#[test]
fn a_smaller_share_is_reached_by_sweeping() {
    let mut bench = Bench::new(8, 10);
    for peer in 1..=8 {
        bench.accept(peer);
    }
    let ninth = bench.accept(9);
    assert!(bench.written(ninth).1, "a quarter is for this node's own dials");
    bench.seen();
    bench.request(to(10));
    bench.request(to(11));
    assert_eq!(bench.seen(), [Seen::Dial(dial(1)), Seen::Dial(dial(2))]);
    assert_eq!(bench.pool.len(), 10, "over the limit for a while");
    bench.request(to(12));
    assert_eq!(bench.seen(), [], "but not without a bound");
    for dial in [dial(1), dial(2)] {
        bench.pool.dial_failed(bench.now, dial, Undelivered::Refused);
    }
    bench.seen();
    bench.pool.limit_connections(2);
    bench.now = bench.now + INBOUND_REST;
    assert!(bench.pool.wants_sweep());
    bench.sweep();
    assert_eq!(bench.pool.len(), 2);
    assert!(!bench.pool.wants_sweep());
}

/// One peer held 657 connections, all in use: PUTs reached three nodes, GETs took 19 s.
#[test]
fn a_peer_has_two_connections_however_many_it_opens() {
    let mut bench = Bench::new(100, 10);
    let opened: Vec<ConnectionId> = (0..50)
        .map(|number| {
            let connection = bench.accept(1);
            // Each of them is in use.
            bench.ask(connection, 1, number);
            bench.reply(connection, number);
            bench.ask(connection, 1, number);
            connection
        })
        .collect();
    assert_eq!(bench.pool.len(), 2);
    let seen = bench.seen();
    assert!(seen.iter().all(|seen| *seen == Seen::Connected(1, false)), "{seen:?}");
    for connection in &opened[..48] {
        assert_eq!(bench.next(*connection), Next::Drops);
        bench.closed(*connection, ending(false));
    }
    assert_eq!(bench.seen(), [], "it is still connected");
    assert_eq!(bench.reached(Limit::ConnectionsPerPeer), 48);
    bench.request(to(1));
    assert_eq!(bench.seen(), [], "and can be asked");
}

#[test]
fn clients_without_a_certificate_have_a_share() {
    let mut bench = Bench::new(8, 10);
    let clients: Vec<ConnectionId> =
        (1..=4).map(|byte| bench.accept_unauthenticated(byte)).collect();
    let closed: Vec<bool> = clients.iter().map(|client| bench.written(*client).1).collect();
    assert_eq!(closed, [false, false, true, true]);
    assert_eq!(bench.reached(Limit::UnauthenticatedConnections), 2);
    bench.closed(clients[0], ending(true));
    let next = bench.accept_unauthenticated(5);
    assert!(!bench.written(next).1, "its slot is free again");
}
