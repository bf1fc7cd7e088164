//! Sessions among each other: a network of them in one thread, on virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Command, CommandId, Destination, Notice, Outcome, Undelivered};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_identity::{Certificate, Identity, KeyKind, PinLimits};
use voiddht_session::{
    Ending, Input, NotSent, Opened, Output, PoolLimits, ProbeEnd, Proved, Session, SessionLimits,
    names,
};
use voiddht_wire::peer::{Dialect, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress, Publication};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a connection lasts on which nothing comes any more.
const BREAKS_AFTER: Duration = Duration::from_secs(120);
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// One end of a connection: whose, and its name there.
type End = (usize, ConnectionId);

struct Peer {
    info: NodeInfo,
    certificate: Certificate,
    session: Session,
}

enum Event {
    Input(Input),
    DialEnds { connection: ConnectionId, to: Destination },
}

struct Network {
    now: Moment,
    peers: Vec<Peer>,
    queue: BTreeMap<(Moment, u64), (usize, Event)>,
    serial: u64,
    /// Open connections: each end with the other one.
    lines: BTreeMap<End, End>,
    dials: BTreeSet<End>,
    /// Pairs of nodes that do not reach each other, the lower number first.
    cut: BTreeSet<(usize, usize)>,
    answers: BTreeMap<CommandId, Outcome>,
    next_command: u64,
    most_connections: usize,
    blamed: usize,
}

impl Network {
    fn new(nodes: usize, connections: usize) -> Self {
        Self {
            now: Moment::from_micros(0),
            peers: (0..nodes).map(|number| Peer::new(number, connections)).collect(),
            queue: BTreeMap::new(),
            serial: 0,
            lines: BTreeMap::new(),
            dials: BTreeSet::new(),
            cut: BTreeSet::new(),
            answers: BTreeMap::new(),
            next_command: 0,
            most_connections: 0,
            blamed: 0,
        }
    }

    /// A network in which each node but the first has joined through that.
    fn joined(nodes: usize, connections: usize) -> Self {
        let mut network = Self::new(nodes, connections);
        let first = network.peers[0].info.address;
        for node in 1..nodes {
            network.command(node, Command::join([first]));
            network.run_for(Duration::from_millis(100));
        }
        network.run_for(Duration::from_secs(300));
        network
    }

    fn command(&mut self, node: usize, command: Command) -> CommandId {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        self.feed(node, Input::Command { id, command });
        id
    }

    fn ended(&mut self, id: CommandId) -> Outcome {
        for _ in 0..60 {
            if let Some(outcome) = self.answers.remove(&id) {
                return outcome;
            }
            self.run_for(Duration::from_secs(1));
        }
        panic!("a command has not ended within a minute");
    }

    /// Puts a value at one node; the answer is on how many it is.
    fn put(&mut self, node: usize, key: Key, value: &'static str) -> usize {
        let command = Command::Put(Publication::new(key, value));
        let id = self.command(node, command);
        match self.ended(id) {
            Outcome::Put { receipt, .. } => receipt.stored,
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, node: usize, key: Key) -> Option<Bytes> {
        let id = self.command(node, Command::Get { key });
        match self.ended(id) {
            Outcome::Get { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wakeups = self.peers.iter().enumerate();
            let wakeup =
                wakeups.filter_map(|(node, peer)| Some((peer.session.next_wakeup()?, node))).min();
            match (event, wakeup) {
                (Some(at), _) if at <= end && wakeup.is_none_or(|(wake, _)| at <= wake) => {
                    let (_, (node, event)) = self.queue.pop_first().unwrap();
                    self.now = self.now.max(at);
                    self.happen(node, event);
                }
                (_, Some((at, node))) if at <= end => {
                    self.now = self.now.max(at);
                    self.feed(node, Input::WakeUp);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn happen(&mut self, node: usize, event: Event) {
        match event {
            Event::Input(input) => self.feed(node, input),
            Event::DialEnds { connection, to } => self.end_dial(node, connection, to),
        }
    }

    fn feed(&mut self, node: usize, input: Input) {
        let now = clock(self.now);
        self.peers[node].session.handle_input(now, input);
        while let Some(output) = self.peers[node].session.poll_output() {
            self.execute(node, output);
        }
        let connections = self.peers[node].session.connections();
        self.most_connections = self.most_connections.max(connections);
    }

    fn execute(&mut self, node: usize, output: Output) {
        match output {
            Output::Send { connection, message, .. } => {
                let Some((there, name)) = self.lines.get(&(node, connection)).copied() else {
                    let why = NotSent::Closed;
                    let input = Input::NotSent { connection, message, why };
                    return self.peers[node].session.handle_input(clock(self.now), input);
                };
                if !self.is_cut(node, there) {
                    let after = latency(node, there);
                    self.later(after, there, Input::Received { connection: name, message });
                }
            }
            Output::Dial { connection, to } => {
                self.dials.insert((node, connection));
                let there = self.at(&to.address).filter(|there| !self.is_cut(node, *there));
                let after = there.map_or(DIAL_TIMEOUT, |there| 4 * latency(node, there));
                self.push(after, node, Event::DialEnds { connection, to });
            }
            Output::CancelDial { connection } => {
                self.dials.remove(&(node, connection));
            }
            Output::Close { connection }
            | Output::Drop { connection }
            | Output::TurnAway { connection } => self.close(node, connection),
            Output::Probe { contact, .. } => {
                let there = self.at(&contact.address).filter(|there| !self.is_cut(node, *there));
                let found = match there {
                    Some(there) if self.peers[there].info.id == contact.id => {
                        ProbeEnd::Listens(self.peers[there].certificate.clone())
                    }
                    _ => ProbeEnd::ListensNot,
                };
                let after = there.map_or(DIAL_TIMEOUT, |there| 4 * latency(node, there));
                self.later(after, node, Input::Probed { contact, found });
            }
            Output::Persist { ticket, .. } => {
                let input = Input::Persisted { ticket, durable: true };
                self.peers[node].session.handle_input(clock(self.now), input);
            }
            Output::Answer { id, outcome } => drop(self.answers.insert(id, outcome)),
            Output::Notice(Notice::Misbehaviour { .. } | Notice::Banned { .. }) => self.blamed += 1,
            _ => {}
        }
    }

    fn end_dial(&mut self, node: usize, connection: ConnectionId, to: Destination) {
        if !self.dials.remove(&(node, connection)) {
            return;
        }
        let there = self.at(&to.address).filter(|there| !self.is_cut(node, *there));
        let Some(there) = there else {
            let why = Undelivered::DialTimeout;
            return self.feed(node, Input::DialFailed { connection, why });
        };
        self.serial += 1;
        let name = names::accepted(self.serial);
        self.lines.insert((node, connection), (there, name));
        self.lines.insert((there, name), (node, connection));
        let (dialler, acceptor) = (self.peers[node].info, self.peers[there].info);
        let after = latency(node, there);
        self.later(after, there, opened(name, dialler, None));
        self.feed(node, opened(connection, acceptor, Some(acceptor.address)));
    }

    fn close(&mut self, node: usize, connection: ConnectionId) {
        let Some((there, name)) = self.lines.remove(&(node, connection)) else { return };
        self.lines.remove(&(there, name));
        let ending = Ending { clean: true, written: true, broken: None };
        self.later(Duration::ZERO, node, Input::Closed { connection, ending });
        if !self.is_cut(node, there) {
            let ending = Ending { written: false, ..ending };
            let after = latency(node, there);
            self.later(after, there, Input::Closed { connection: name, ending });
        }
    }

    /// Two nodes do not reach each other from now on.
    fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
        let across =
            |one: &End, other: &End| self.cut.contains(&(one.0.min(other.0), one.0.max(other.0)));
        let silent: Vec<End> = self
            .lines
            .iter()
            .filter(|(one, other)| across(one, other))
            .map(|(one, _)| *one)
            .collect();
        for (node, connection) in silent {
            let ending = Ending { clean: false, written: false, broken: None };
            self.later(BREAKS_AFTER, node, Input::Closed { connection, ending });
        }
    }

    fn heal(&mut self) {
        self.cut.clear();
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    fn at(&self, address: &PeerAddress) -> Option<usize> {
        self.peers.iter().position(|peer| peer.info.address == *address)
    }

    fn later(&mut self, after: Duration, node: usize, input: Input) {
        self.push(after, node, Event::Input(input));
    }

    fn push(&mut self, after: Duration, node: usize, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), (node, event));
    }

    /// Connections that are open between two nodes.
    fn between(&self, a: usize, b: usize) -> usize {
        self.lines.iter().filter(|(one, other)| (one.0, other.0) == (a, b)).count()
    }
}

impl Peer {
    fn new(number: usize, connections: usize) -> Self {
        // Spread evenly, as random IDs are.
        let id = NodeId::from_bytes(Key::of_value(&number.to_be_bytes()).to_bytes());
        let address = PeerAddress::new([10, 0, 1, u8::try_from(number).unwrap()].into(), 7402);
        let info = NodeInfo { address, id };
        let seed = || ChaCha8Rng::seed_from_u64(number as u64);
        let identity = Identity::generate_with_id(KeyKind::Ed25519, id, HOST).unwrap();
        let certificate = identity.certificate().clone();
        let limits = SessionLimits {
            pool: PoolLimits { connections, requests_per_peer: 256 },
            pins: PinLimits::default(),
            probes: 16,
        };
        let core = Node::new(info, Config::default(), seed()).unwrap();
        let now = clock(Moment::from_micros(0));
        let session = Session::new(core, certificate.clone(), limits, seed(), now);
        Self { info, certificate, session }
    }
}

fn opened(connection: ConnectionId, peer: NodeInfo, dialed: Option<PeerAddress>) -> Input {
    let opened = Opened {
        connection,
        proved: Some(Proved { id: peer.id, fingerprint: [0; 32] }),
        remote: dialed.unwrap_or(peer.address.with_port(50_000)),
        dialed,
        dialect: Dialect::V1,
        group: None,
        proven_by: None,
    };
    Input::Opened { opened: Box::new(opened), proof: None }
}

fn clock(now: Moment) -> Now {
    let wall = WallTime::from_millis(1_700_000_000_000 + now.as_micros() / 1000);
    Now::never_suspended(now, wall)
}

/// One way, the same in both directions: nothing overtakes what was sent before it.
fn latency(a: usize, b: usize) -> Duration {
    Duration::from_millis(10 + (7 * a.min(b) as u64 + 13 * a.max(b) as u64) % 20)
}

fn key(number: u8) -> Key {
    Key::of_value(&[number])
}

#[test]
fn two_nodes_that_dial_each_other_keep_one_connection_and_lose_no_request() {
    let mut network = Network::new(2, 100);
    let addresses = [0, 1].map(|node: usize| network.peers[node].info.address);
    let joins = [0, 1].map(|node| network.command(node, Command::join([addresses[1 - node]])));
    for join in joins {
        assert!(matches!(network.ended(join), Outcome::Joined { contacts: 1 }));
    }
    network.run_for(Duration::from_secs(60));
    assert_eq!(network.between(0, 1), 1, "the other one is closed once it is not needed");
    assert!(network.peers.iter().all(|peer| peer.session.connections() == 1));
    assert_eq!(network.put(0, key(1), "one"), 2);
    assert_eq!(network.get(1, key(1)).as_deref(), Some(&b"one"[..]));
    assert_eq!(network.blamed, 0);
}

#[test]
fn nodes_with_fewer_slots_than_peers_find_every_value() {
    const SLOTS: usize = 8;
    let mut network = Network::joined(24, SLOTS);
    assert!(network.peers.iter().all(|peer| peer.session.core().is_joined()));
    for number in 0..6_u8 {
        let stored = network.put(usize::from(number) * 4, key(number), "a value");
        assert!(stored >= 15, "value {number} is on {stored} nodes");
    }
    for node in 0..24 {
        let found = network.get(node, key((node % 6) as u8));
        assert_eq!(found.as_deref(), Some(&b"a value"[..]), "from node {node}");
    }
    let most = SLOTS + SLOTS / 4;
    assert!(network.most_connections <= most, "{} connections", network.most_connections);
    assert!(network.most_connections >= SLOTS, "the pools were full");
    assert_eq!(network.blamed, 0);
}

#[test]
fn a_pair_that_is_cut_apart_reads_each_others_values_through_the_others() {
    let mut network = Network::joined(12, 100);
    network.cut(1, 2);
    assert!(network.put(1, key(1), "of one") > 0);
    assert!(network.put(2, key(2), "of two") > 0);
    assert_eq!(network.get(2, key(1)).as_deref(), Some(&b"of one"[..]));
    assert_eq!(network.get(1, key(2)).as_deref(), Some(&b"of two"[..]));
    network.run_for(Duration::from_secs(600));
    assert_eq!(network.between(1, 2), 0, "what broke was not opened again");
    network.heal();
    network.run_for(Duration::from_secs(1800));
    assert_eq!(network.put(1, key(3), "again"), 12);
    assert_eq!(network.get(2, key(3)).as_deref(), Some(&b"again"[..]));
    assert_eq!(network.blamed, 0, "no rule was broken");
}

#[test]
fn runs_repeat() {
    let run = || {
        let mut network = Network::joined(10, 4);
        network.put(3, key(1), "one");
        (network.serial, network.now, network.lines)
    };
    assert_eq!(run(), run());
}
