//! A handful of nodes with a perfect network between them: does the state machine do what users
//! ask? Faults, scale and adversaries are the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Command, CommandId, Input, Notice, Outcome, Output, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

const ONE_WAY: Duration = Duration::from_micros(100);

struct Network {
    now: Moment,
    nodes: BTreeMap<PeerAddress, Node>,
    queue: BTreeMap<(Moment, u64), (PeerAddress, Input)>,
    wakes: BTreeMap<PeerAddress, Moment>,
    wake_queue: BTreeSet<(Moment, PeerAddress)>,
    connected: BTreeSet<(PeerAddress, PeerAddress)>,
    /// Dead, without anybody being told: what they are sent vanishes.
    silent: BTreeSet<PeerAddress>,
    sent: u64,
    outcomes: VecDeque<(CommandId, Outcome)>,
    notices: Vec<Notice>,
}

fn address(number: usize) -> PeerAddress {
    std::net::SocketAddr::from(([127, 0, 0, 1], 10_000 + number as u16)).into()
}

impl Network {
    fn new(count: usize) -> Self {
        let mut network = Self {
            now: Moment::from_micros(1),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            wakes: BTreeMap::new(),
            wake_queue: BTreeSet::new(),
            connected: BTreeSet::new(),
            silent: BTreeSet::new(),
            sent: 0,
            outcomes: VecDeque::new(),
            notices: Vec::new(),
        };
        for number in 0..count {
            network.add(number);
        }
        for number in 1..count {
            network.command(number, Command::Join { peers: vec![address(0)] });
            network.finish(number);
        }
        network.outcomes.clear();
        network
    }

    fn add(&mut self, number: usize) {
        let id = NodeId::from_bytes(Key::of_value(&number.to_be_bytes()).to_bytes());
        let own = NodeInfo { address: address(number), id };
        let seed = ChaCha8Rng::seed_from_u64(number as u64);
        let node = Node::new(own, Config::default(), seed).expect("the defaults are checked");
        self.nodes.insert(own.address, node);
    }

    fn command(&mut self, number: usize, command: Command) {
        let id = CommandId(number as u64);
        self.step(address(number), Input::Command { id, command });
    }

    /// Runs until this node's command has ended.
    fn finish(&mut self, number: usize) -> Outcome {
        for _ in 0..1_000_000 {
            if let Some(index) =
                self.outcomes.iter().position(|(id, _)| *id == CommandId(number as u64))
            {
                return self.outcomes.remove(index).expect("it was found there").1;
            }
            self.turn();
        }
        panic!("the command does not end");
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.next_event().is_some_and(|at| at <= end) {
            self.turn();
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Moment> {
        let wake = self.wake_queue.first().map(|(at, _)| *at);
        let message = self.queue.keys().next().map(|(at, _)| *at);
        wake.into_iter().chain(message).min()
    }

    fn turn(&mut self) {
        let at = self.next_event().expect("something happens");
        self.now = self.now.max(at);
        if let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= at
        {
            let (to, input) = entry.remove();
            return self.step(to, input);
        }
        let (_, address) = *self.wake_queue.first().expect("the wake-up is somebody's");
        self.step(address, Input::WakeUp);
    }

    fn step(&mut self, at: PeerAddress, input: Input) {
        let now = Now {
            mono: self.now,
            wall: WallTime::from_millis(1_700_000_000_000 + self.now.as_micros() / 1000),
        };
        let Some(node) = self.nodes.get_mut(&at) else { return };
        node.handle_input(now, input);
        let own = node.own();
        let mut outputs = Vec::new();
        while let Some(output) = node.poll_output() {
            outputs.push(output);
        }
        let wakeup = node.next_wakeup();
        self.plan_wakeup(at, wakeup);
        for output in outputs {
            self.carry(own, output);
        }
    }

    fn plan_wakeup(&mut self, node: PeerAddress, at: Option<Moment>) {
        if let Some(before) = self.wakes.remove(&node) {
            self.wake_queue.remove(&(before, node));
        }
        if let Some(at) = at {
            self.wakes.insert(node, at);
            self.wake_queue.insert((at, node));
        }
    }

    fn send(&mut self, to: PeerAddress, input: Input) {
        self.sent += 1;
        self.queue.insert((self.now + ONE_WAY, self.sent), (to, input));
    }

    fn carry(&mut self, own: NodeInfo, output: Output) {
        match output {
            Output::Request { to, .. } if self.silent.contains(&to.address) => {}
            Output::Request { to, message } => {
                let there = self.nodes.get(&to.address).map(|node| node.own().id);
                match there {
                    Some(id) if to.id.is_none_or(|wanted| wanted == id) => {
                        if self.connected.insert((own.address, to.address)) {
                            self.connected.insert((to.address, own.address));
                            let connection = ConnectionId(u64::from(to.address.port()));
                            let peer = Peer::danger_assume_proved(id, to.address);
                            let dialed = Some(to.address);
                            self.send(own.address, Input::Connected { connection, peer, dialed });
                            let connection = ConnectionId(u64::from(own.address.port()));
                            let peer = Peer::danger_assume_proved(own.id, own.address.with_port(1));
                            let dialed = None;
                            self.send(to.address, Input::Connected { connection, peer, dialed });
                        }
                        self.deliver(own, to.address, message);
                    }
                    other => {
                        let why = match other {
                            Some(_) => Undelivered::WrongIdentity,
                            None => Undelivered::Refused,
                        };
                        let rpc_id = message.header.rpc_id;
                        self.send(own.address, Input::Undelivered { rpc_id, why });
                    }
                }
            }
            Output::Reply { connection, message } => {
                self.deliver(own, address(connection.0 as usize - 10_000), message);
            }
            Output::Probe { contact } => {
                let listening = self
                    .nodes
                    .get(&contact.address)
                    .is_some_and(|node| node.own().id == contact.id);
                self.send(own.address, Input::Probed { contact, listening });
            }
            Output::Persist { ticket, .. } => {
                self.send(own.address, Input::Persisted { ticket, durable: true });
            }
            Output::Answer { id, outcome } => self.outcomes.push_back((id, outcome)),
            Output::Notice(notice) => self.notices.push(notice),
            Output::HangUp { .. } => {}
        }
    }

    fn deliver(&mut self, from: NodeInfo, to: PeerAddress, message: voiddht_wire::peer::Message) {
        let connection = ConnectionId(u64::from(from.address.port()));
        // The remote port is the connection's own, not the one that is listened on.
        let peer = Peer::danger_assume_proved(from.id, from.address.with_port(1));
        self.send(to, Input::Received { connection, peer, message });
    }

    fn kill(&mut self, number: usize) {
        let dead = address(number);
        let id = self.nodes.remove(&dead).expect("it lived").own().id;
        self.plan_wakeup(dead, None);
        let peers: Vec<_> =
            self.connected.iter().filter(|(a, _)| *a == dead).map(|(_, b)| *b).collect();
        self.connected.retain(|(a, b)| *a != dead && *b != dead);
        for peer in peers {
            self.send(peer, Input::Disconnected { peer: id, clean: false });
        }
    }

    fn fall_silent(&mut self, number: usize) {
        self.nodes.remove(&address(number));
        self.plan_wakeup(address(number), None);
        self.silent.insert(address(number));
    }

    fn put(&mut self, number: usize, value: &'static str, ttl: u64) -> usize {
        self.put_under(key(), number, value, ttl)
    }

    fn put_under(&mut self, key: Key, number: usize, value: &'static str, ttl: u64) -> usize {
        let ttl = Some(Duration::from_secs(ttl));
        let value = Bytes::from_static(value.as_bytes());
        self.command(number, Command::Put { key, value, ttl, replication: None });
        match self.finish(number) {
            Outcome::Put { stored, .. } => stored,
            other => panic!("{other:?}"),
        }
    }

    /// How many of the 20 live nodes closest to the key hold its record.
    fn holders_among_closest(&self, key: &Key) -> usize {
        let mut alive: Vec<_> = self.nodes.values().collect();
        alive.sort_by_key(|node| key.distance(&node.own().id));
        let holds = |node: &&&Node| node.records().get(key, self.now).is_some();
        alive[..20].iter().filter(holds).count()
    }

    fn get(&mut self, number: usize) -> Option<Bytes> {
        self.command(number, Command::Get { key: key() });
        match self.finish(number) {
            Outcome::Get { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }
}

fn key() -> Key {
    Key::of_value(b"a key that no value proves")
}

#[test]
fn every_node_finds_what_one_has_put() {
    let mut network = Network::new(30);
    assert_eq!(network.put(7, "value", 600), 20);
    for number in 0..30 {
        assert_eq!(network.get(number).as_deref(), Some(&b"value"[..]), "at node {number}");
    }
    let misbehaved =
        network.notices.iter().filter(|notice| matches!(notice, Notice::Misbehaviour { .. }));
    assert_eq!(misbehaved.count(), 0);
}

#[test]
fn all_know_all_in_a_small_network() {
    let network = Network::new(20);
    for node in network.nodes.values() {
        assert_eq!(node.table().len(), 19);
    }
}

#[test]
fn a_node_alone_keeps_its_own_values() {
    let mut network = Network::new(1);
    assert_eq!(network.put(0, "value", 600), 1);
    assert_eq!(network.get(0).as_deref(), Some(&b"value"[..]));
}

#[test]
fn an_absent_key_is_told_within_a_lookup() {
    let mut network = Network::new(30);
    let before = network.now;
    assert_eq!(network.get(3), None);
    assert!(network.now.since(before) < 40 * ONE_WAY);
}

#[test]
fn a_value_ends_with_its_ttl_everywhere() {
    let mut network = Network::new(30);
    network.put(1, "value", 2);
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.get(5).as_deref(), Some(&b"value"[..]));
    network.run_for(Duration::from_secs(2));
    for number in 0..30 {
        assert_eq!(network.get(number), None, "at node {number}");
    }
    assert!(network.nodes.values().all(|node| node.records().is_empty()));
}

#[test]
fn a_later_put_replaces_an_earlier_one_and_its_publisher_sees_it_at_once() {
    let mut network = Network::new(30);
    network.put(1, "old", 600);
    let value = Bytes::from_static(b"new");
    network.command(1, Command::Put { key: key(), value, ttl: None, replication: Some(2) });
    // Asked before the PUT has gone anywhere.
    network.command(1, Command::Get { key: key() });
    let (mut put, mut got) = (0, None);
    for _ in 0..2 {
        match network.finish(1) {
            Outcome::Put { stored, .. } => put = stored,
            Outcome::Get { value, .. } => got = value,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((put, got.as_deref()), (2, Some(&b"new"[..])));
    network.put(1, "newest", 600);
    assert_eq!(network.get(20).as_deref(), Some(&b"newest"[..]));
}

#[test]
fn a_third_of_the_nodes_may_die_at_once() {
    let mut network = Network::new(40);
    network.put(1, "value", 600);
    for number in 0..13 {
        network.kill(number);
    }
    for number in 13..40 {
        assert_eq!(network.get(number).as_deref(), Some(&b"value"[..]), "at node {number}");
    }
}

#[test]
fn records_are_handed_to_a_node_that_joins_and_by_one_that_leaves() {
    let mut network = Network::new(10);
    network.put(1, "value", 60_000);
    network.add(10);
    network.command(10, Command::Join { peers: vec![address(3)] });
    network.finish(10);
    network.run_for(Duration::from_secs(2));
    let holds = |network: &Network, number: usize| network.nodes[&address(number)].records().len();
    assert_eq!(holds(&network, 10), 1, "the newcomer was handed the record");
    network.command(1, Command::Leave);
    assert!(matches!(network.finish(1), Outcome::Left { handed_over: 1 }));
    network.run_for(Duration::from_secs(1));
    let left = network.nodes[&address(1)].own().id;
    for (address_of, node) in &network.nodes {
        if *address_of != address(1) {
            assert!(node.table().get(&left).is_none(), "it said goodbye");
        }
    }
}

/// The silent stayed in the routing tables as suspects, and kept their places among the k
/// closest: renewal stored on them instead of on the living.
#[test]
fn the_silent_are_replaced_within_one_upkeep_interval() {
    let mut network = Network::new(100);
    let keys: Vec<Key> = (0..20u8).map(|number| Key::of_value(&[number])).collect();
    for key in &keys {
        network.put_under(*key, 1, "value", 60_000);
    }
    for number in 0..45 {
        network.fall_silent(number);
    }
    network.run_for(Config::default().upkeep_interval);
    for key in keys {
        assert_eq!(network.holders_among_closest(&key), 20);
    }
}

#[test]
fn the_dead_are_replaced_within_one_upkeep_interval() {
    let mut network = Network::new(60);
    network.put(1, "value", 60_000);
    for number in 0..25 {
        network.kill(number);
    }
    network.run_for(Config::default().upkeep_interval);
    assert_eq!(network.holders_among_closest(&key()), 20);
}

/// The pause between tries began at zero, and doubled zero.
#[test]
fn lost_contacts_are_tried_less_and_less_often() {
    let mut network = Network::new(20);
    for number in 0..5 {
        network.kill(number);
    }
    network.run_for(Duration::from_secs(60));
    network.notices.clear();
    network.run_for(Duration::from_secs(3600));
    let failed = network.notices.iter().filter(|notice| {
        matches!(
            notice,
            Notice::RequestEnded { outcome: voiddht_core::event::RequestOutcome::Undelivered, .. }
        )
    });
    // Every five minutes four of them, after some shorter pauses: some seventy in an hour.
    assert!(failed.count() < 15 * 80);
}
