//! The pool without sockets: a driver that only notes what it is asked to do, and a clock that is
//! moved by hand.

mod membership;
mod slots;

use bytes::BytesMut;
use voiddht_identity::network::ProvenBy;
use voiddht_wire::{PeerAddress, RpcId};

use super::entry::{DRAINED_AFTER, DRAINED_BY_ACCEPTOR_AFTER, INBOUND_REST};
use super::*;
use crate::event::NotSent;
use crate::names;

pub(super) const ME: u8 = 0x80;
const SECOND: Duration = Duration::from_secs(1);
/// Bytes that may be queued on one connection.
const MAX_QUEUED: usize = 1000;

pub(super) struct Bench {
    pub(super) pool: Pool,
    pub(super) now: Moment,
    next_rpc: u8,
    next_accepted: u64,
    pub(super) lines: BTreeMap<ConnectionId, Line>,
    seen: Vec<Seen>,
    limits: Vec<Limit>,
}

/// What a driver holds of a connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    queued: BytesMut,
    messages: usize,
    refusals: usize,
    pub(super) no_answers: usize,
    closing: bool,
    dropped: bool,
}

/// What a connection's task does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Writes,
    Waits,
    Closes,
    Drops,
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

/// The name of the dial with this number; the first one is 1.
pub(super) fn dial(number: u64) -> ConnectionId {
    ConnectionId(2 * number - 1)
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
    Dial(ConnectionId),
    Cancelled(ConnectionId),
}

impl Seen {
    fn of(input: Input) -> Self {
        match input {
            Input::Connected { peer, dialed, .. } => {
                Self::Connected(peer.id().to_bytes()[0], dialed.is_some())
            }
            Input::Disconnected { peer, clean } => Self::Disconnected(peer.to_bytes()[0], clean),
            Input::Delivered { rpc_id } => Self::Delivered(rpc_id.to_bytes()[0]),
            Input::Undelivered { rpc_id, why } => Self::Undelivered(rpc_id.to_bytes()[0], why),
            other => panic!("{other:?}"),
        }
    }
}

impl Line {
    fn push(&mut self, dialect: Dialect, message: &Message) -> Result<(), NotSent> {
        if self.closing || self.dropped {
            return Err(NotSent::Closed);
        }
        if self.queued.len() >= MAX_QUEUED {
            return Err(NotSent::Full);
        }
        message.encode(dialect, &mut self.queued).map_err(|_| NotSent::DoesNotFit)?;
        self.messages += 1;
        Ok(())
    }
}

impl Bench {
    pub(super) fn new(connections: usize, requests_per_peer: usize) -> Self {
        let limits = PoolLimits { connections, requests_per_peer };
        Self {
            pool: Pool::new(id(ME), limits),
            now: Moment::from_micros(0),
            next_rpc: 0,
            next_accepted: 0,
            lines: BTreeMap::new(),
            seen: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// Does what the pool wants, and notes it.
    fn settle(&mut self) {
        while let Some(effect) = self.pool.poll_effect() {
            match effect {
                Effect::Input(input) => self.seen.push(Seen::of(input)),
                Effect::Output(output) => self.execute(output),
            }
        }
    }

    fn execute(&mut self, output: Output) {
        match output {
            Output::Dial { connection, .. } => self.seen.push(Seen::Dial(connection)),
            Output::CancelDial { connection } => self.seen.push(Seen::Cancelled(connection)),
            Output::Send { connection, dialect, message } => {
                let line = self.lines.get_mut(&connection);
                let pushed = line.map_or(Err(NotSent::Closed), |line| line.push(dialect, &message));
                if let Err(why) = pushed {
                    self.pool.not_sent(connection, &message, why);
                }
            }
            Output::Refuse { connection, .. } => self.line(connection).refusals += 1,
            Output::NoAnswer { connection } => self.line(connection).no_answers += 1,
            Output::Close { connection } | Output::TurnAway { connection } => {
                self.line(connection).closing = true;
            }
            Output::Drop { connection } => self.line(connection).dropped = true,
            Output::LimitReached(limit) => self.limits.push(limit),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn line(&mut self, connection: ConnectionId) -> &mut Line {
        self.lines.entry(connection).or_default()
    }

    /// How often a limit was reached.
    fn reached(&mut self, limit: Limit) -> usize {
        self.settle();
        self.limits.iter().filter(|reached| **reached == limit).count()
    }

    /// The name of a connection from outside.
    pub(super) fn next_accepted(&mut self) -> ConnectionId {
        self.next_accepted += 1;
        names::accepted(self.next_accepted)
    }

    /// Sends a PING; the answer is the number of its RPC ID.
    pub(super) fn request(&mut self, to: Destination) -> u8 {
        let rpc = self.next_rpc;
        self.next_rpc += 1;
        self.pool.request(self.now, to, message(ME, rpc, Body::Ping));
        self.settle();
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
        let connection = self.next_accepted();
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
        self.line(connection);
        self.pool.opened(self.now, opened);
        self.settle();
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
        Opened {
            connection,
            proved,
            remote: address(peer),
            dialed: dialed.then(|| address(peer)),
            dialect,
            group: None,
            proven_by,
        }
    }

    pub(super) fn accept(&mut self, peer: u8) -> ConnectionId {
        let connection = self.next_accepted();
        self.open(connection, peer, false);
        connection
    }

    fn dialed(&mut self, peer: u8) -> (ConnectionId, u8) {
        self.seen();
        let rpc = self.request(to(peer));
        let [Seen::Dial(connection)] = self.seen()[..] else { panic!("one dial") };
        self.open(connection, peer, true);
        (connection, rpc)
    }

    pub(super) fn answer(&mut self, connection: ConnectionId, peer: u8, rpc: u8) {
        let reply = message(peer, rpc, Body::PingReply { observed: None });
        assert!(self.pool.received(self.now, connection, &reply).is_some());
        self.settle();
    }

    /// The peer asks something.
    fn ask(&mut self, connection: ConnectionId, peer: u8, rpc: u8) {
        let ask = message(peer, rpc, Body::Ping);
        assert!(self.pool.received(self.now, connection, &ask).is_some());
        self.settle();
    }

    /// This node answers that.
    fn reply(&mut self, connection: ConnectionId, rpc: u8) {
        self.pool.reply(connection, message(ME, rpc, Body::PingReply { observed: None }));
        self.settle();
    }

    pub(super) fn closed(&mut self, connection: ConnectionId, ending: Ending) {
        self.pool.closed(self.now, connection, ending);
        self.settle();
    }

    pub(super) fn sweep(&mut self) {
        self.pool.sweep(self.now);
        self.settle();
    }

    /// What the core and the driver were told since the last look.
    pub(super) fn seen(&mut self) -> Vec<Seen> {
        self.settle();
        std::mem::take(&mut self.seen)
    }

    /// What a connection's task does next, which then is done.
    pub(super) fn next(&mut self, connection: ConnectionId) -> Next {
        self.settle();
        let line = self.line(connection);
        match line {
            Line { dropped: true, .. } => Next::Drops,
            Line { queued, .. } if !queued.is_empty() => {
                queued.clear();
                Next::Writes
            }
            Line { closing: true, .. } => Next::Closes,
            _ => Next::Waits,
        }
    }

    /// Messages that are queued on a connection, which then are written; and whether it closes.
    fn written(&mut self, connection: ConnectionId) -> (usize, bool) {
        self.settle();
        let line = self.line(connection);
        line.queued.clear();
        (std::mem::take(&mut line.messages), line.closing || line.dropped)
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
    assert_eq!(bench.seen(), [Seen::Dial(dial(1))], "one dial for both");
    bench.open(dial(1), 1, true);
    assert_eq!(bench.seen(), [], "not announced: the server may still refuse");
    bench.request(to(1));
    assert_eq!(bench.written(dial(1)), (3, false));
    bench.answer(dial(1), 1, 0);
    assert_eq!(bench.seen(), [Seen::Connected(1, true)]);
}

#[test]
fn a_configured_peer_is_found_again_by_its_address() {
    let mut bench = Bench::new(10, 10);
    let unknown = Destination { address: address(1), id: None };
    bench.request(unknown);
    bench.request(unknown);
    assert_eq!(bench.seen(), [Seen::Dial(dial(1))]);
    bench.open(dial(1), 1, true);
    bench.request(unknown);
    bench.request(to(1));
    assert_eq!(bench.seen(), []);
    assert_eq!(bench.written(dial(1)).0, 4);
}

#[test]
fn a_failed_dial_tells_everyone_who_waited() {
    let mut bench = Bench::new(10, 2);
    for _ in 0..3 {
        bench.request(to(1));
    }
    let full = Seen::Undelivered(2, Undelivered::LocalLimit);
    assert_eq!(
        bench.seen(),
        [Seen::Dial(dial(1)), full],
        "the bound holds while a dial is under way"
    );
    bench.pool.dial_failed(bench.now, dial(1), Undelivered::Refused);
    let refused = |rpc| Seen::Undelivered(rpc, Undelivered::Refused);
    assert_eq!(bench.seen(), [refused(0), refused(1)]);
    bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Dial(dial(2))], "and the next request dials again");
}

#[test]
fn the_end_of_a_connection_is_told_to_each_request() {
    let mut bench = Bench::new(10, 10);
    let (connection, first) = bench.dialed(1);
    let second = bench.request(to(1));
    bench.answer(connection, 1, first);
    assert_eq!(bench.seen(), [Seen::Connected(1, true)]);
    bench.closed(connection, ending(false));
    let lost = Seen::Undelivered(second, Undelivered::ConnectionLost);
    assert_eq!(bench.seen(), [lost, Seen::Disconnected(1, false)]);
    assert_eq!(bench.pool.len(), 0);
}

#[test]
fn a_connection_that_was_never_announced_ends_in_silence() {
    let mut bench = Bench::new(10, 10);
    let (connection, rpc) = bench.dialed(1);
    bench.closed(connection, ending(true));
    assert_eq!(bench.seen(), [Seen::Undelivered(rpc, Undelivered::ConnectionLost)]);
}

#[test]
fn crossed_dials_leave_the_one_of_the_lower_id_at_both_ends() {
    for (peer, mine_serves) in [(0x01, false), (0xff, true)] {
        for mine_first in [true, false] {
            let mut bench = Bench::new(10, 10);
            let rpc = bench.request(to(peer));
            let mine = dial(1);
            assert_eq!(bench.seen(), [Seen::Dial(dial(1))]);
            let theirs = if mine_first {
                bench.open(mine, peer, true);
                bench.answer(mine, peer, rpc);
                bench.accept(peer)
            } else {
                let theirs = bench.accept(peer);
                assert_eq!(bench.written(theirs).0, 1, "what waited goes out at once");
                if !mine_serves {
                    let cancelled = Seen::Cancelled(mine);
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
            bench.sweep();
            assert_eq!(bench.written(drains).1, drains == mine);
            bench.now = bench.now + DRAINED_BY_ACCEPTOR_AFTER;
            bench.sweep();
            assert!(bench.written(drains).1, "forgotten by its dialler");
            bench.closed(drains, ending(true));
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
    bench.closed(new, ending(false));
    let lost = Seen::Undelivered(1, Undelivered::ConnectionLost);
    assert_eq!(bench.seen(), [lost], "the old one inherits: still connected");
    bench.request(to(0xff));
    assert_eq!(bench.written(old).0, 1);
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
    assert_eq!(bench.seen(), [Seen::Cancelled(dial(1)), lost]);
    bench.open(dial(1), 2, true);
    assert!(bench.written(dial(1)).1, "it came too late");
}

#[test]
fn limits_on_requests_and_bytes_refuse_and_say_so() {
    let mut bench = Bench::new(10, 3);
    let (connection, _) = bench.dialed(1);
    bench.request(to(1));
    bench.request(to(1));
    bench.request(to(1));
    assert_eq!(bench.seen(), [Seen::Undelivered(3, Undelivered::LocalLimit)]);

    // A peer that asks and does not read is refused once too much is queued for it.
    for _ in 0..20 {
        bench.ask(connection, 1, 50);
        bench.reply(connection, 50);
    }
    assert!(bench.reached(Limit::QueuedBytes) > 0 && bench.line(connection).refusals > 0);
    assert_eq!(bench.reached(Limit::RequestsPerPeer), 1);
}

/// A request that its connection does not take fails, and is failed once.
#[test]
fn what_could_not_be_sent_is_told_once() {
    let mut bench = Bench::new(10, 100);
    let (connection, _) = bench.dialed(1);
    let sent: Vec<u8> = (0..20).map(|_| bench.request(to(1))).collect();
    let told = bench.seen();
    let full = bench.reached(Limit::QueuedBytes);
    assert!(full > 0 && full == told.len());
    let queued = sent.len() - full;
    let failed = sent[queued..].iter().map(|rpc| Seen::Undelivered(*rpc, Undelivered::LocalLimit));
    assert!(told.into_iter().eq(failed));
    bench.closed(connection, ending(false));
    assert_eq!(bench.seen().len(), 1 + queued, "with the one that dialled");
}
