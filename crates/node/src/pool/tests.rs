//! The pool without sockets: outboxes, and a clock that is moved by hand.

use std::task::{Context, Waker};

use bytes::BytesMut;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::{PeerAddress, RpcId};

use super::*;
use crate::outbox::{Budget, OutboxLimits, Taken};

pub(super) const ME: u8 = 0x80;
const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Bench {
    pub(super) pool: Pool,
    pub(super) now: Moment,
    pub(super) ids: ConnectionIds,
    next_rpc: u8,
    pub(super) outboxes: HashMap<ConnectionId, Arc<Outbox>>,
}

pub(super) fn id(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 32])
}

fn address(byte: u8) -> PeerAddress {
    PeerAddress::new([127, 0, 0, byte].into(), 7402)
}

pub(super) fn to(byte: u8) -> Destination {
    Destination { address: address(byte), id: Some(id(byte)) }
}

fn outbox() -> Arc<Outbox> {
    let limits = OutboxLimits { bytes: 1000, guaranteed: 0, unanswered: 10 };
    Outbox::new(limits, Budget::new(100_000))
}

fn ending(clean: bool) -> Ending {
    Ending { clean, written: false, broken: None }
}

/// What a test sees of an effect.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Connected(u8, bool),
    Disconnected(u8, bool),
    Delivered(u8),
    Undelivered(u8, Undelivered),
    Dial(u64),
    Cancelled(u64),
}

impl Bench {
    pub(super) fn new(connections: usize, requests_per_peer: usize) -> Self {
        let limits = PoolLimits { connections, requests_per_peer };
        let ids = ConnectionIds::default();
        assert_eq!(ids.next(), ConnectionId(0), "so that the tests begin with 1");
        Self {
            pool: Pool::new(id(ME), limits, ids.clone(), Arc::default()),
            now: Moment::from_micros(0),
            ids,
            next_rpc: 0,
            outboxes: HashMap::new(),
        }
    }

    /// Sends a PING; the answer is the number of its RPC ID.
    pub(super) fn request(&mut self, to: Destination) -> u8 {
        let rpc = self.next_rpc;
        self.next_rpc += 1;
        self.pool.request(self.now, to, message(ME, rpc, Body::Ping));
        rpc
    }

    /// The end of a dial, or a connection from outside.
    fn open(&mut self, connection: ConnectionId, peer: u8, dialed: bool) {
        self.open_as(connection, peer, dialed, Dialect::V1);
    }

    pub(super) fn open_as(
        &mut self,
        connection: ConnectionId,
        peer: u8,
        dialed: bool,
        dialect: Dialect,
    ) {
        let proved = Some(Proved { id: id(peer), fingerprint: [peer; 32] });
        self.opened(connection, proved, peer, dialed, dialect);
    }

    fn accept_unauthenticated(&mut self, peer: u8) -> ConnectionId {
        let connection = self.ids.next();
        self.opened(connection, None, peer, false, Dialect::Legacy);
        connection
    }

    fn opened(
        &mut self,
        connection: ConnectionId,
        proved: Option<Proved>,
        peer: u8,
        dialed: bool,
        dialect: Dialect,
    ) {
        self.opened_by(connection, proved, peer, dialed, dialect, None);
    }

    pub(super) fn opened_by(
        &mut self,
        connection: ConnectionId,
        proved: Option<Proved>,
        peer: u8,
        dialed: bool,
        dialect: Dialect,
        proven_by: Option<ProvenBy>,
    ) {
        let opened = self.opening(connection, proved, peer, dialed, dialect, proven_by);
        self.outboxes.insert(connection, Arc::clone(&opened.outbox));
        self.pool.opened(self.now, opened);
    }

    pub(super) fn opening(
        &self,
        connection: ConnectionId,
        proved: Option<Proved>,
        peer: u8,
        dialed: bool,
        dialect: Dialect,
        proven_by: Option<ProvenBy>,
    ) -> Opened {
        let outbox = self.outboxes.get(&connection).cloned().unwrap_or_else(outbox);
        Opened {
            connection,
            proved,
            remote: address(peer),
            dialed: dialed.then(|| address(peer)),
            dialect,
            outbox,
            group: None,
            proven_by,
        }
    }

    pub(super) fn accept(&mut self, peer: u8) -> ConnectionId {
        let connection = self.ids.next();
        self.open(connection, peer, false);
        connection
    }

    fn dialed(&mut self, peer: u8) -> (ConnectionId, u8) {
        self.seen();
        let rpc = self.request(to(peer));
        let [Seen::Dial(connection)] = self.seen()[..] else { panic!("one dial") };
        let connection = ConnectionId(connection);
        self.open(connection, peer, true);
        (connection, rpc)
    }

    pub(super) fn answer(&mut self, connection: ConnectionId, peer: u8, rpc: u8) {
        let reply = message(peer, rpc, Body::PingReply { observed: None });
        assert!(self.pool.received(self.now, connection, &reply).is_some());
    }

    pub(super) fn seen(&mut self) -> Vec<Seen> {
        let effects = std::iter::from_fn(|| self.pool.poll_effect());
        effects
            .map(|effect| match effect {
                Effect::Dial { connection, .. } => Seen::Dial(connection.0),
                Effect::CancelDial(connection) => Seen::Cancelled(connection.0),
                Effect::Input(Input::Connected { peer, dialed, .. }) => {
                    Seen::Connected(peer.id().to_bytes()[0], dialed.is_some())
                }
                Effect::Input(Input::Disconnected { peer, clean }) => {
                    Seen::Disconnected(peer.to_bytes()[0], clean)
                }
                Effect::Input(Input::Delivered { rpc_id }) => Seen::Delivered(rpc_id.to_bytes()[0]),
                Effect::Input(Input::Undelivered { rpc_id, why }) => {
                    Seen::Undelivered(rpc_id.to_bytes()[0], why)
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// What a connection's task does next, which then is done.
    pub(super) fn taken(&mut self, connection: ConnectionId) -> Taken {
        let outbox = &self.outboxes[&connection];
        let taken = outbox.take(&Context::from_waker(Waker::noop()), &mut BytesMut::new());
        outbox.written();
        taken
    }

    /// Messages that lie in a connection's outbox, which then are written; and whether it closes.
    fn written(&mut self, connection: ConnectionId) -> (usize, bool) {
        let outbox = &self.outboxes[&connection];
        let cx = Context::from_waker(Waker::noop());
        let mut bytes = BytesMut::new();
        let mut count = 0;
        loop {
            match outbox.take(&cx, &mut bytes) {
                Taken::Bytes => {
                    count += bytes.len() / 70;
                    bytes.clear();
                    outbox.written();
                }
                Taken::Nothing { .. } => return (count, false),
                Taken::Finished | Taken::Killed => return (count, true),
            }
        }
    }
}

pub(super) fn message(sender: u8, rpc: u8, body: Body) -> Message {
    let header = Header { sender: id(sender), port: 7402, rpc_id: RpcId::from_bytes([rpc; 32]) };
    Message { header, body }
}

#[test]
fn requests_join_a_dial_and_then_its_connection() {
    let mut bench = Bench::new(10, 10);
    bench.request(to(1));
    bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Dial(1)], "one dial for both");
    bench.open(ConnectionId(1), 1, true);
    assert_eq!(bench.seen(), [], "not announced: the server may still refuse");
    bench.request(to(1));
    assert_eq!(bench.written(ConnectionId(1)), (3, false));
    bench.answer(ConnectionId(1), 1, 0);
    assert_eq!(bench.seen(), [Seen::Connected(1, true)]);
}

#[test]
fn a_configured_peer_is_found_again_by_its_address() {
    let mut bench = Bench::new(10, 10);
    let unknown = Destination { address: address(1), id: None };
    bench.request(unknown);
    bench.request(unknown);
    assert_eq!(bench.seen(), [Seen::Dial(1)]);
    bench.open(ConnectionId(1), 1, true);
    bench.request(unknown);
    bench.request(to(1));
    assert_eq!(bench.seen(), []);
    assert_eq!(bench.written(ConnectionId(1)).0, 4);
}

#[test]
fn a_failed_dial_tells_everyone_who_waited() {
    let mut bench = Bench::new(10, 2);
    for _ in 0..3 {
        bench.request(to(1));
    }
    let full = Seen::Undelivered(2, Undelivered::LocalLimit);
    assert_eq!(bench.seen(), [Seen::Dial(1), full], "the bound holds while a dial is under way");
    bench.pool.dial_failed(bench.now, ConnectionId(1), Undelivered::Refused);
    let refused = |rpc| Seen::Undelivered(rpc, Undelivered::Refused);
    assert_eq!(bench.seen(), [refused(0), refused(1)]);
    bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Dial(2)], "and the next request dials again");
}

#[test]
fn the_end_of_a_connection_is_told_to_each_request() {
    let mut bench = Bench::new(10, 10);
    let (connection, first) = bench.dialed(1);
    let second = bench.request(to(1));
    bench.answer(connection, 1, first);
    assert_eq!(bench.seen(), [Seen::Connected(1, true)]);
    bench.pool.closed(bench.now, connection, ending(false));
    let lost = Seen::Undelivered(second, Undelivered::ConnectionLost);
    assert_eq!(bench.seen(), [lost, Seen::Disconnected(1, false)]);
    assert_eq!(bench.pool.len(), 0);
}

#[test]
fn a_connection_that_was_never_announced_ends_in_silence() {
    let mut bench = Bench::new(10, 10);
    let (connection, rpc) = bench.dialed(1);
    bench.pool.closed(bench.now, connection, ending(true));
    assert_eq!(bench.seen(), [Seen::Undelivered(rpc, Undelivered::ConnectionLost)]);
}

#[test]
fn crossed_dials_leave_the_one_of_the_lower_id_at_both_ends() {
    for (peer, mine_serves) in [(0x01, false), (0xff, true)] {
        for mine_first in [true, false] {
            let mut bench = Bench::new(10, 10);
            let rpc = bench.request(to(peer));
            let mine = ConnectionId(1);
            assert_eq!(bench.seen(), [Seen::Dial(1)]);
            let theirs = if mine_first {
                bench.open(mine, peer, true);
                bench.answer(mine, peer, rpc);
                bench.accept(peer)
            } else {
                let theirs = bench.accept(peer);
                assert_eq!(bench.written(theirs).0, 1, "what waited goes out at once");
                if !mine_serves {
                    let cancelled = Seen::Cancelled(mine.0);
                    assert!(bench.seen().contains(&cancelled), "{peer:x}: not needed");
                    continue;
                }
                bench.answer(theirs, peer, rpc);
                bench.open(mine, peer, true);
                theirs
            };
            bench.seen();
            let (serves, drains) = if mine_serves { (mine, theirs) } else { (theirs, mine) };
            bench.written(serves);
            bench.written(drains);
            bench.request(to(peer));
            assert_eq!(bench.written(serves).0, 1, "{peer:x}, mine first: {mine_first}");
            assert_eq!(bench.written(drains), (0, false), "only drained so far");

            // Its dialler closes the other one once nothing is in progress on it.
            bench.now = bench.now + DRAINED_AFTER;
            assert!(bench.pool.wants_sweep());
            bench.pool.sweep(bench.now);
            assert_eq!(bench.written(drains).1, drains == mine);
            bench.now = bench.now + DRAINED_BY_ACCEPTOR_AFTER;
            bench.pool.sweep(bench.now);
            assert!(bench.written(drains).1, "forgotten by its dialler");
            bench.pool.closed(bench.now, drains, ending(true));
            assert_eq!(bench.seen(), [], "the peer is still connected");
            assert!(!bench.pool.wants_sweep());
        }
    }
}

#[test]
fn a_peer_that_dials_again_long_after_has_lost_its_connection() {
    let mut bench = Bench::new(10, 10);
    // The higher ID dials, so a crossing would be lost by the newcomer.
    let (old, rpc) = bench.dialed(0xff);
    bench.answer(old, 0xff, rpc);
    bench.now = bench.now + 60 * SECOND;
    let new = bench.accept(0xff);
    bench.seen();
    bench.written(old);
    bench.request(to(0xff));
    assert_eq!((bench.written(new).0, bench.written(old).0), (1, 0));
    bench.pool.closed(bench.now, new, ending(false));
    let lost = Seen::Undelivered(1, Undelivered::ConnectionLost);
    assert_eq!(bench.seen(), [lost], "the old one inherits: still connected");
    bench.request(to(0xff));
    assert_eq!(bench.written(old).0, 1);
}

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
    assert_eq!(gone, [Seen::Disconnected(2, true), Seen::Dial(4)], "1 awaits an answer");
    assert_eq!(bench.written(ConnectionId(2)), (0, true));
    bench.pool.closed(bench.now, ConnectionId(2), ending(true));
    bench.request(to(5));
    assert_eq!(bench.seen(), [Seen::Disconnected(3, true), Seen::Dial(5)]);
    bench.request(to(6));
    bench.request(to(7));
    assert_eq!(bench.seen(), [], "all are needed: both wait");
    assert!(bench.pool.wants_sweep());
    bench.answer(ConnectionId(1), 1, 0);
    let gone = bench.seen();
    assert_eq!(gone, [Seen::Connected(1, true), Seen::Disconnected(1, true), Seen::Dial(6)]);
    bench.now = bench.now + PLACE_PATIENCE;
    bench.pool.sweep(bench.now);
    assert_eq!(bench.seen(), [Seen::Undelivered(6, Undelivered::LocalLimit)], "not for ever");
    assert_eq!(bench.pool.counters.read().limits["connections"], 1);
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
    assert_eq!(bench.seen(), [Seen::Dial(10), Seen::Dial(11)]);
    assert_eq!(bench.pool.len(), 10, "over the limit for a while");
    bench.request(to(12));
    assert_eq!(bench.seen(), [], "but not without a bound");
    for dial in [10, 11] {
        bench.pool.dial_failed(bench.now, ConnectionId(dial), Undelivered::Refused);
    }
    bench.seen();
    bench.pool.limit_connections(2);
    bench.now = bench.now + INBOUND_REST;
    assert!(bench.pool.wants_sweep());
    bench.pool.sweep(bench.now);
    assert_eq!(bench.pool.len(), 2);
    assert!(!bench.pool.wants_sweep());
}

#[test]
fn hanging_up_ends_connections_and_dials() {
    let mut bench = Bench::new(10, 10);
    let inbound = bench.accept(1);
    bench.seen();
    bench.pool.hang_up(&id(1));
    assert_eq!(bench.seen(), [Seen::Disconnected(1, true)]);
    assert!(bench.written(inbound).1);
    let late = message(1, 9, Body::Ping);
    assert!(bench.pool.received(bench.now, inbound, &late).is_none(), "no longer listened to");

    bench.request(to(2));
    bench.seen();
    bench.pool.hang_up(&id(2));
    let lost = Seen::Undelivered(0, Undelivered::ConnectionLost);
    assert_eq!(bench.seen(), [Seen::Cancelled(2), lost]);
    bench.open(ConnectionId(2), 2, true);
    assert!(bench.written(ConnectionId(2)).1, "it came too late");
}

#[test]
fn limits_on_requests_and_bytes_refuse_and_say_so() {
    let mut bench = Bench::new(10, 3);
    let (connection, _) = bench.dialed(1);
    bench.request(to(1));
    bench.request(to(1));
    bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Undelivered(3, Undelivered::LocalLimit)]);

    // A peer that asks and does not read is refused once its outbox is full.
    let ask = message(1, 50, Body::FindNode { target: voiddht_wire::Key::default() });
    let reply = message(ME, 50, Body::PingReply { observed: None });
    for _ in 0..20 {
        assert!(bench.pool.received(bench.now, connection, &ask).is_some());
        bench.pool.reply(connection, &reply);
    }
    let limits = bench.pool.counters.read().limits;
    assert!(limits["queued_bytes"] > 0 && limits["requests_per_peer"] == 1);
}

/// One peer held 657 connections, all in use: PUTs reached three nodes, GETs took 19 s.
#[test]
fn a_peer_has_two_connections_however_many_it_opens() {
    let mut bench = Bench::new(100, 10);
    let opened: Vec<ConnectionId> = (0..50)
        .map(|number| {
            let connection = bench.accept(1);
            // Each of them is in use, and not read by the peer.
            let ask = message(1, number, Body::Ping);
            bench.outboxes[&connection].begin_request();
            assert!(bench.pool.received(bench.now, connection, &ask).is_some());
            bench.pool.reply(connection, &message(ME, number, Body::PingReply { observed: None }));
            bench.outboxes[&connection].begin_request();
            connection
        })
        .collect();
    assert_eq!(bench.pool.len(), 2);
    let seen = bench.seen();
    assert!(seen.iter().all(|seen| *seen == Seen::Connected(1, false)), "{seen:?}");
    for connection in &opened[..48] {
        assert_eq!(bench.taken(*connection), Taken::Killed);
        bench.pool.closed(bench.now, *connection, ending(false));
    }
    assert_eq!(bench.seen(), [], "it is still connected");
    assert_eq!(bench.pool.counters.read().limits["connections_per_peer"], 48);
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
    assert_eq!(bench.pool.counters.read().limits["unauthenticated_connections"], 2);
    bench.pool.closed(bench.now, clients[0], ending(true));
    let next = bench.accept_unauthenticated(5);
    assert!(!bench.written(next).1, "its slot is free again");
}

/// A dial of a private network whose peer has yet to prove its membership.
fn early(bench: &mut Bench) -> (ConnectionId, u8) {
    let first = bench.request(to(1));
    let [Seen::Dial(dial)] = bench.seen()[..] else { panic!("one dial") };
    let outbox = outbox();
    bench.outboxes.insert(ConnectionId(dial), Arc::clone(&outbox));
    bench.pool.may_send(ConnectionId(dial), outbox);
    (ConnectionId(dial), first)
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
    assert_eq!(bench.taken(dial), Taken::Killed);
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
