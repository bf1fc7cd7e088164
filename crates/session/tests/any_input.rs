//! Any sequence of inputs: nothing panics, every output makes sense to the driver, and the bound on
//! connections holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use voiddht_core::event::{Command, CommandId, Misbehaviour, Undelivered};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_identity::{Identity, KeyKind, PinLimits};
use voiddht_session::{
    Ending, Input, NotSent, Opened, Output, PoolLimits, ProbeEnd, Proved, Session, SessionLimits,
    names,
};
use voiddht_wire::peer::{Body, Dialect, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, PeerAddress, Publication, RpcId};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SLOTS: usize = 8;
const PEERS: u8 = 24;

/// A driver that does at random what a driver may do.
struct Driver {
    session: Session,
    random: ChaCha8Rng,
    now: Moment,
    /// Dials in progress, with the node that is expected.
    dials: BTreeMap<ConnectionId, Option<NodeId>>,
    /// Dials on which requests may be sent.
    early: BTreeSet<ConnectionId>,
    /// Connections whose end was not reported, each with its peer and dialect.
    open: BTreeMap<ConnectionId, (u8, Dialect)>,
    /// Those of them that the session has closed.
    closing: BTreeSet<ConnectionId>,
    /// The one whose end is being reported.
    ending: Option<ConnectionId>,
    /// Requests that were sent, for answers.
    sent: Vec<(ConnectionId, RpcId)>,
    probes: Vec<NodeInfo>,
    accepted: u64,
    commands: u64,
    trace: String,
}

fn id(byte: u8) -> NodeId {
    NodeId::from_bytes(Key::of_value(&[byte]).to_bytes())
}

fn address(byte: u8) -> PeerAddress {
    PeerAddress::new([10, 0, byte / 4, byte].into(), 7402)
}

impl Driver {
    fn new(seed: u64) -> Self {
        let me = NodeInfo { address: address(200), id: id(200) };
        let of = |stream| ChaCha8Rng::seed_from_u64(seed.wrapping_mul(3) + stream);
        let identity = Identity::generate_with_id(KeyKind::Ed25519, me.id, HOST).unwrap();
        let limits = SessionLimits {
            pool: PoolLimits { connections: SLOTS, requests_per_peer: 4 },
            pins: PinLimits::default(),
            probes: 2,
        };
        let now = Moment::from_micros(0);
        let core = Node::new(me, Config::default(), of(0)).unwrap();
        let certificate = identity.certificate().clone();
        Self {
            session: Session::new(core, certificate, limits, of(1), clock(now)),
            random: of(2),
            now,
            dials: BTreeMap::new(),
            early: BTreeSet::new(),
            open: BTreeMap::new(),
            closing: BTreeSet::new(),
            ending: None,
            sent: Vec::new(),
            probes: Vec::new(),
            accepted: 0,
            commands: 0,
            trace: String::new(),
        }
    }

    fn step(&mut self) {
        let micros = self.random.random_range(0..200_000);
        self.now = self.now + Duration::from_micros(micros);
        match self.random.random_range(0..100) {
            0..15 => self.accept(),
            15..40 => self.end_dial(),
            40..45 => self.may_send(),
            45..60 => self.receive_request(),
            60..80 => self.receive_reply(),
            80..86 => self.close(),
            86..92 => self.command(),
            92..95 => self.probed(),
            _ => {}
        }
        if self.session.next_wakeup().is_some_and(|at| at <= self.now) {
            self.feed(Input::WakeUp);
        }
        let (connections, most) = (self.session.connections(), SLOTS + SLOTS / 4);
        assert!(connections <= most, "{connections} connections and dials");
    }

    fn feed(&mut self, input: Input) {
        self.session.handle_input(clock(self.now), input);
        while let Some(output) = self.session.poll_output() {
            self.execute(output);
        }
    }

    fn execute(&mut self, output: Output) {
        self.trace += &format!("{output:?}\n");
        match output {
            Output::Send { connection, message, .. } => self.send(connection, message),
            Output::Refuse { connection, .. } | Output::NoAnswer { connection } => {
                self.expect_usable(connection);
            }
            Output::Dial { connection, to } => {
                let before = self.dials.insert(connection, to.id);
                assert!(before.is_none() && !self.open.contains_key(&connection), "a new name");
            }
            Output::CancelDial { connection } => {
                assert!(self.dials.remove(&connection).is_some(), "it is in progress");
                self.early.remove(&connection);
            }
            Output::Close { connection } if self.ending == Some(connection) => {}
            Output::Close { connection } | Output::Drop { connection } => {
                assert!(self.open.contains_key(&connection), "it has not ended");
                self.closing.insert(connection);
            }
            Output::TurnAway { connection } => {
                assert!(self.open.remove(&connection).is_some(), "it was opened just now");
            }
            Output::Probe { contact, .. } => self.probes.push(contact),
            Output::Persist { ticket, .. } => {
                let durable = self.random.random_bool(0.9);
                let input = Input::Persisted { ticket, durable };
                self.session.handle_input(clock(self.now), input);
            }
            _ => {}
        }
    }

    fn send(&mut self, connection: ConnectionId, message: Message) {
        self.expect_usable(connection);
        if self.random.random_bool(0.1) {
            let reasons = [NotSent::Full, NotSent::Closed, NotSent::DoesNotFit];
            let why = reasons[self.random.random_range(0..3)];
            let input = Input::NotSent { connection, message, why };
            return self.session.handle_input(clock(self.now), input);
        }
        if message.body.is_request() {
            self.sent.push((connection, message.header.rpc_id));
        }
    }

    fn expect_usable(&self, connection: ConnectionId) {
        // One of the legacy dialect that a STORE goes out on is closed with it, and is still heard.
        let is_open = self.open.get(&connection).is_some_and(|(_, dialect)| {
            *dialect == Dialect::Legacy || !self.closing.contains(&connection)
        });
        assert!(is_open || self.early.contains(&connection), "{connection:?} is not in use");
    }

    fn accept(&mut self) {
        self.accepted += 1;
        let connection = names::accepted(self.accepted);
        let peer = self.random.random_range(0..PEERS);
        let (dialect, is_proved) = match self.random.random_range(0..10) {
            0 => (Dialect::Legacy, false),
            1 => (Dialect::Legacy, true),
            _ => (Dialect::V1, true),
        };
        self.opened(connection, peer, dialect, is_proved, None);
    }

    fn opened(
        &mut self,
        connection: ConnectionId,
        peer: u8,
        dialect: Dialect,
        is_proved: bool,
        dialed: Option<PeerAddress>,
    ) {
        self.open.insert(connection, (peer, dialect));
        let opened = Opened {
            connection,
            proved: is_proved.then(|| Proved { id: id(peer), fingerprint: [peer; 32] }),
            remote: dialed.unwrap_or(address(peer).with_port(50_000)),
            dialed,
            dialect,
            group: None,
            proven_by: None,
        };
        self.feed(Input::Opened { opened: Box::new(opened), proof: None });
    }

    fn end_dial(&mut self) {
        let Some((connection, expected)) = pick(&mut self.random, self.dials.iter()) else {
            return;
        };
        let (connection, expected) = (*connection, *expected);
        self.dials.remove(&connection);
        let was_early = self.early.remove(&connection);
        if self.random.random_bool(0.3) {
            let why = [Undelivered::Refused, Undelivered::DialTimeout][usize::from(was_early)];
            return self.feed(Input::DialFailed { connection, why });
        }
        let peer = (0..PEERS).find(|peer| Some(id(*peer)) == expected);
        let peer = peer.unwrap_or(self.random.random_range(0..PEERS));
        let is_legacy = !was_early && self.random.random_bool(0.1);
        let dialect = if is_legacy { Dialect::Legacy } else { Dialect::V1 };
        self.opened(connection, peer, dialect, true, Some(address(peer)));
    }

    fn may_send(&mut self) {
        let Some((connection, _)) = pick(&mut self.random, self.dials.iter()) else { return };
        let connection = *connection;
        if self.early.insert(connection) {
            self.feed(Input::MaySend { connection });
        }
    }

    fn receive_request(&mut self) {
        let Some((connection, (peer, _))) = pick(&mut self.random, self.open.iter()) else {
            return;
        };
        let (connection, sender) = (*connection, id(*peer));
        let key = Key::from_bytes(self.random.random());
        let body = match self.random.random_range(0..4) {
            0 => Body::Ping,
            1 => Body::FindNode { target: key },
            2 => Body::FindValue { key },
            _ => Body::Store(Record {
                key,
                value: Bytes::from_static(b"value"),
                ttl: 600,
                version: Some(1),
                maintenance: false,
            }),
        };
        let rpc_id = RpcId::from_bytes(self.random.random());
        let message = Message { header: Header { sender, port: 7402, rpc_id }, body };
        self.feed(Input::Received { connection, message });
    }

    fn receive_reply(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.sent.len());
        let (connection, rpc_id) = self.sent.swap_remove(index);
        let Some((peer, dialect)) = self.open.get(&connection).copied() else { return };
        if dialect == Dialect::Legacy && self.random.random_bool(0.2) {
            return self.feed(Input::BareError { connection, code: ErrorCode::Busy });
        }
        let nodes = (0..3).map(|_| self.random.random_range(0..PEERS)).collect::<BTreeSet<_>>();
        let nodes = nodes.into_iter().map(|peer| NodeInfo { address: address(peer), id: id(peer) });
        let body = match self.random.random_range(0..4) {
            0 => Body::PingReply { observed: None },
            1 => Body::Error(ErrorCode::Busy),
            _ => Body::FindNodeReply { nodes: nodes.collect() },
        };
        let message = Message { header: Header { sender: id(peer), port: 7402, rpc_id }, body };
        self.feed(Input::Received { connection, message });
    }

    fn close(&mut self) {
        let closing = pick(&mut self.random, self.closing.iter()).copied();
        let any = pick(&mut self.random, self.open.keys()).copied();
        if let Some(connection) = closing.or(any) {
            let broken = self.random.random_bool(0.1).then_some(Misbehaviour::StalledFrame);
            let clean = broken.is_none() && self.random.random_bool(0.7);
            self.end(connection, Ending { clean, written: clean, broken });
        }
    }

    fn end(&mut self, connection: ConnectionId, ending: Ending) {
        self.open.remove(&connection);
        self.closing.remove(&connection);
        self.ending = Some(connection);
        self.feed(Input::Closed { connection, ending });
        self.ending = None;
    }

    fn command(&mut self) {
        self.commands += 1;
        let key = Key::from_bytes(self.random.random());
        let peer = address(self.random.random_range(0..PEERS));
        let command = match self.random.random_range(0..4) {
            0 => Command::join([peer]),
            1 => Command::Get { key },
            2 => Command::Lookup { target: key },
            _ => Command::Put(Publication::new(key, "value")),
        };
        self.feed(Input::Command { id: CommandId(self.commands), command });
    }

    fn probed(&mut self) {
        if let Some(contact) = self.probes.pop() {
            let found =
                if self.random.random() { ProbeEnd::ListensNot } else { ProbeEnd::NotTried };
            self.feed(Input::Probed { contact, found });
        }
    }

    /// Nothing connects any more, and every connection ends.
    fn wind_down(&mut self) {
        let ending = Ending { clean: false, written: false, broken: None };
        while !self.dials.is_empty() || !self.open.is_empty() {
            if let Some(connection) = self.open.keys().next().copied() {
                self.end(connection, ending);
            }
            if let Some((connection, _)) = self.dials.pop_first() {
                self.early.remove(&connection);
                self.feed(Input::DialFailed { connection, why: Undelivered::LocalLimit });
            }
        }
    }
}

fn pick<T>(random: &mut ChaCha8Rng, mut from: impl ExactSizeIterator<Item = T>) -> Option<T> {
    (from.len() > 0).then(|| random.random_range(0..from.len())).and_then(|index| from.nth(index))
}

fn clock(now: Moment) -> Now {
    let wall = WallTime::from_millis(1_700_000_000_000 + now.as_micros() / 1000);
    Now::never_suspended(now, wall)
}

fn run(seed: u64, steps: usize) -> Driver {
    let mut driver = Driver::new(seed);
    for _ in 0..steps {
        driver.step();
    }
    driver
}

#[test]
fn nothing_that_happens_breaks_a_session() {
    let mut kinds = BTreeSet::new();
    for seed in 0..60 {
        println!("seed {seed}");
        let mut driver = run(seed, 1500);
        driver.wind_down();
        assert_eq!(driver.session.connections(), 0, "each is forgotten with its end");
        assert!((0..PEERS).all(|peer| !driver.session.is_connected(&id(peer))));
        let of_line = |line: &str| line.split([' ', '(']).next().map(str::to_owned);
        kinds.extend(driver.trace.lines().filter_map(of_line));
    }
    for kind in
        ["Send", "Refuse", "NoAnswer", "Dial", "CancelDial", "Close", "Drop", "TurnAway", "Probe"]
    {
        assert!(kinds.contains(kind), "no run had a {kind}: {kinds:?}");
    }
}

#[test]
fn a_run_repeats() {
    assert!(run(7, 3000).trace == run(7, 3000).trace, "the same seed, the same outputs");
}
