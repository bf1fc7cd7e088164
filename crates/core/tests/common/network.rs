//! A handful of nodes with a perfect network between them: whatever is sent arrives, in order and
//! at once, until a test kills a node, parts the network or fills a disk.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::configured::{PeerName, ResolveError};
use voiddht_core::event::{
    Command, CommandId, Input, Notice, Outcome, Output, StoredContact, StoredRecord, Ticket,
    Undelivered, Write,
};
use voiddht_core::kept::KeptRow;
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{BootTime, Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_wire::peer::{Message, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress, Publication};

pub(crate) const ONE_WAY: Duration = Duration::from_micros(100);
/// How long a dial without an answer takes.
const DIAL_PATIENCE: Duration = Duration::from_secs(3);
/// 2023: far from both ends of the clock.
const START_MILLIS: u64 = 1_700_000_000_000;

/// All nodes, what is on its way between them, and what came of it.
pub(crate) struct Network {
    pub(crate) config: Config,
    pub(crate) now: Moment,
    pub(crate) nodes: BTreeMap<PeerAddress, Node>,
    pub(crate) disks: BTreeMap<PeerAddress, Disk>,
    /// How long a write takes to be durable.
    pub(crate) disk_delay: Duration,
    /// How far each node's wall clock is off, in milliseconds.
    pub(crate) clock_error: BTreeMap<PeerAddress, i64>,
    /// Nodes that the others cannot reach, and that cannot reach the others: nothing arrives, and
    /// no error is reported.
    pub(crate) apart: BTreeSet<PeerAddress>,
    queue: BTreeMap<(Moment, u64), (PeerAddress, Input)>,
    wakes: BTreeMap<PeerAddress, Moment>,
    wake_queue: BTreeSet<(Moment, PeerAddress)>,
    connected: BTreeSet<(PeerAddress, PeerAddress)>,
    sent: u64,
    runs: u64,
    pub(crate) outcomes: VecDeque<(CommandId, Outcome)>,
    pub(crate) notices: Vec<Notice>,
    /// Nodes that have no room for probes.
    pub(crate) without_probes: BTreeSet<PeerAddress>,
    /// Probes of listening addresses: from, to.
    pub(crate) probes: Vec<(PeerAddress, PeerAddress)>,
    /// What names mean; any other has no address.
    pub(crate) names: BTreeMap<String, Vec<PeerAddress>>,
    /// Names that were looked up, in order.
    pub(crate) resolved: Vec<PeerName>,
}

/// What a node has brought to disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) records: BTreeMap<Key, StoredRecord>,
    pub(crate) contacts: BTreeMap<NodeId, NodeInfo>,
    pub(crate) kept: BTreeMap<Key, (KeptRow, Bytes)>,
    pub(crate) tenures: BTreeMap<NodeId, Duration>,
    /// Whether every write fails.
    pub(crate) full: bool,
}

impl Disk {
    fn write(&mut self, write: Write) {
        match write {
            Write::PutRecord(record) => drop(self.records.insert(record.key, record)),
            Write::RemoveRecord(key) => drop(self.records.remove(&key)),
            Write::PutKept { row, value } => {
                let held = self.kept.remove(&row.key).map(|(_, value)| value);
                if let Some(value) = value.or(held) {
                    self.kept.insert(row.key, (row, value));
                }
            }
            Write::RemoveKept(key) => drop(self.kept.remove(&key)),
            Write::PutContact(contact) => drop(self.contacts.insert(contact.id, contact)),
            Write::PutTenure { node, tenure } => drop(self.tenures.insert(node, tenure)),
            Write::RemoveContact(id) => {
                self.contacts.remove(&id);
                self.tenures.remove(&id);
            }
        }
    }
}

pub(crate) fn address(number: usize) -> PeerAddress {
    std::net::SocketAddr::from(([127, 0, 0, 1], 10_000 + number as u16)).into()
}

/// A key that is the hash of no value.
pub(crate) fn key() -> Key {
    numbered_key(0)
}

/// One of many such keys.
pub(crate) fn numbered_key(number: usize) -> Key {
    Key::of_value(format!("a key that no value proves: {number}").as_bytes())
}

impl Network {
    /// This many nodes, none of which knows any other.
    pub(crate) fn strangers(count: usize) -> Self {
        let mut network = Self::empty(Config::default());
        (0..count).for_each(|number| network.add(number));
        network
    }

    /// This many nodes that have joined through the first.
    pub(crate) fn new(count: usize) -> Self {
        Self::with_config(count, Config::default())
    }

    pub(crate) fn with_config(count: usize, config: Config) -> Self {
        let mut network = Self::empty(config);
        for number in 0..count {
            network.add(number);
        }
        for number in 1..count {
            network.join(number, 0);
        }
        network.outcomes.clear();
        network
    }

    fn empty(config: Config) -> Self {
        Self {
            config,
            now: Moment::from_micros(1),
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            disk_delay: ONE_WAY,
            clock_error: BTreeMap::new(),
            apart: BTreeSet::new(),
            queue: BTreeMap::new(),
            wakes: BTreeMap::new(),
            wake_queue: BTreeSet::new(),
            connected: BTreeSet::new(),
            sent: 0,
            runs: 0,
            outcomes: VecDeque::new(),
            notices: Vec::new(),
            without_probes: BTreeSet::new(),
            probes: Vec::new(),
            names: BTreeMap::new(),
            resolved: Vec::new(),
        }
    }

    /// A new node, without contacts.
    pub(crate) fn add(&mut self, number: usize) {
        self.add_as(number, number);
    }

    /// A new node, without contacts, with the identity that has this number.
    pub(crate) fn add_as(&mut self, number: usize, identity: usize) {
        let id = NodeId::from_bytes(Key::of_value(&identity.to_be_bytes()).to_bytes());
        let own = NodeInfo { address: address(number), id };
        self.runs += 1;
        let seed = ChaCha8Rng::seed_from_u64(number as u64 + (self.runs << 32));
        let node = Node::new(own, self.config.clone(), seed).expect("the settings are checked");
        self.nodes.insert(own.address, node);
        self.disks.entry(own.address).or_default();
    }

    /// Joins through another node, and waits for the end of it.
    pub(crate) fn join(&mut self, number: usize, through: usize) {
        self.command(number, Command::join([address(through)]));
        self.finish(number);
    }

    /// Starts a node again that was killed, from what its disk has; it knows no other contacts.
    pub(crate) fn restart(&mut self, number: usize) {
        let now = self.now_at(address(number)).wall;
        let records = self.disks[&address(number)].records.values();
        let lives = records.map(|record| (record.clone(), record.expires.since(now))).collect();
        self.restart_from(number, lives);
    }

    /// The same, where the data directory has found out how long its records have to live.
    pub(crate) fn restart_with_lives(&mut self, number: usize, left: Duration) {
        let records = self.disks[&address(number)].records.values();
        let lives = records.map(|record| (record.clone(), left)).collect();
        self.restart_from(number, lives);
    }

    fn restart_from(&mut self, number: usize, mut records: Vec<(StoredRecord, Duration)>) {
        self.add(number);
        let now = self.now_at(address(number));
        records.retain(|(_, left)| !left.is_zero());
        let disk = &self.disks[&address(number)];
        let tenure = |id| disk.tenures.get(id).copied().unwrap_or_default();
        let contacts = disk.contacts.values();
        let contacts =
            contacts.map(|info| StoredContact { info: *info, tenure: tenure(&info.id) }).collect();
        let node = self.nodes.get_mut(&address(number)).expect("it was just added");
        node.restore(now, records);
        let kept = self.disks[&address(number)].kept.values().cloned().collect();
        node.restore_kept(now, kept);
        node.restore_contacts(contacts);
        self.begin_join(number, Vec::new());
    }

    /// Joins through these, if need be; without waiting for its end.
    pub(crate) fn begin_join(&mut self, number: usize, peers: Vec<PeerAddress>) {
        let id = CommandId(u64::MAX);
        self.step(address(number), Input::Command { id, command: Command::join(peers) });
    }

    pub(crate) fn command(&mut self, number: usize, command: Command) {
        let id = CommandId(number as u64);
        self.step(address(number), Input::Command { id, command });
    }

    /// Runs until this node's command has ended.
    pub(crate) fn finish(&mut self, number: usize) -> Outcome {
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

    pub(crate) fn run_for(&mut self, duration: Duration) {
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
        let (_, address) = *self.wake_queue.first().expect("the wake-up belongs to a node");
        self.step(address, Input::WakeUp);
    }

    fn boot_now(&self) -> BootTime {
        BootTime::from_micros(self.now.as_micros())
    }

    fn now_at(&self, at: PeerAddress) -> Now {
        let error = self.clock_error.get(&at).copied().unwrap_or(0);
        let millis = (START_MILLIS + self.now.as_micros() / 1000).saturating_add_signed(error);
        Now::never_suspended(self.now, WallTime::from_millis(millis))
    }

    fn step(&mut self, at: PeerAddress, input: Input) {
        let now = self.now_at(at);
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
        self.send_after(ONE_WAY, to, input);
    }

    fn send_after(&mut self, delay: Duration, to: PeerAddress, input: Input) {
        self.sent += 1;
        self.queue.insert((self.now + delay, self.sent), (to, input));
    }

    fn reaches(&self, from: PeerAddress, to: PeerAddress) -> bool {
        self.apart.contains(&from) == self.apart.contains(&to)
    }

    fn carry(&mut self, own: NodeInfo, output: Output) {
        match output {
            Output::Request { to, message } => self.carry_request(own, to, message),
            Output::Reply { connection, message } => {
                self.deliver(own, address(connection.0 as usize - 10_000), message);
            }
            Output::Probe { contact } if self.without_probes.contains(&own.address) => {
                self.send(own.address, Input::NotProbed { contact });
            }
            Output::Probe { contact } => {
                self.probes.push((own.address, contact.address));
                let there = self.nodes.get(&contact.address).map(|node| node.own().id);
                let listening =
                    there == Some(contact.id) && self.reaches(own.address, contact.address);
                if listening {
                    self.send(contact.address, Input::Called { from: own.address.ip() });
                }
                self.send(own.address, Input::Probed { contact, listening });
            }
            Output::Persist { ticket, writes } => self.persist(own.address, ticket, writes),
            Output::Answer { id, outcome } => self.outcomes.push_back((id, outcome)),
            Output::Notice(notice) => self.notices.push(notice),
            Output::HangUp { peer } => self.hang_up(own, peer),
            Output::Resolve { name } => {
                self.resolved.push(name.clone());
                let found = self.names.get(name.as_str()).cloned();
                let found = found.ok_or(ResolveError::NoAddress);
                self.send(own.address, Input::Resolved { name, found });
            }
        }
    }

    fn carry_request(
        &mut self,
        own: NodeInfo,
        to: voiddht_core::event::Destination,
        message: Message,
    ) {
        let rpc_id = message.header.rpc_id;
        let there = self.nodes.get(&to.address).map(|node| node.own().id);
        let is_connected = self.connected.contains(&(own.address, to.address));
        if !self.reaches(own.address, to.address) {
            if !is_connected {
                let why = Undelivered::DialTimeout;
                self.send_after(DIAL_PATIENCE, own.address, Input::Undelivered { rpc_id, why });
            }
            return;
        }
        let id = match there {
            Some(id) if to.id.is_none_or(|wanted| wanted == id) => id,
            other => {
                let why = match other {
                    Some(_) => Undelivered::WrongIdentity,
                    None => Undelivered::Refused,
                };
                return self.send(own.address, Input::Undelivered { rpc_id, why });
            }
        };
        if !is_connected {
            self.connect(own, NodeInfo { address: to.address, id });
        }
        self.deliver(own, to.address, message);
    }

    fn connect(&mut self, own: NodeInfo, there: NodeInfo) {
        self.connected.insert((own.address, there.address));
        self.connected.insert((there.address, own.address));
        let connection = ConnectionId(u64::from(there.address.port()));
        let peer = Peer::danger_assume_proved(there.id, there.address);
        let dialed = Some(there.address);
        self.send(own.address, Input::Connected { connection, peer, dialed });
        let connection = ConnectionId(u64::from(own.address.port()));
        let peer = Peer::danger_assume_proved(own.id, own.address.with_port(1));
        self.send(there.address, Input::Connected { connection, peer, dialed: None });
        self.send(there.address, Input::Called { from: own.address.ip() });
    }

    fn deliver(&mut self, from: NodeInfo, to: PeerAddress, message: Message) {
        if !self.reaches(from.address, to) || !self.connected.contains(&(from.address, to)) {
            return;
        }
        let connection = ConnectionId(u64::from(from.address.port()));
        // The remote port is the connection's own, not the one that is listened on.
        let peer = Peer::danger_assume_proved(from.id, from.address.with_port(1));
        self.send(to, Input::Received { connection, peer, message });
    }

    fn persist(&mut self, at: PeerAddress, ticket: Ticket, writes: Vec<Write>) {
        let disk = self.disks.get_mut(&at).expect("every node has one");
        let durable = !disk.full;
        if durable {
            writes.into_iter().for_each(|write| disk.write(write));
        }
        self.send_after(self.disk_delay, at, Input::Persisted { ticket, durable });
    }

    fn hang_up(&mut self, own: NodeInfo, peer: NodeId) {
        let Some(there) =
            self.nodes.values().map(Node::own).find(|node| node.id == peer).map(|it| it.address)
        else {
            return;
        };
        if self.connected.remove(&(own.address, there)) {
            self.send(own.address, Input::Disconnected { peer, clean: true });
        }
        if self.reaches(own.address, there) && self.connected.remove(&(there, own.address)) {
            self.send(there, Input::Disconnected { peer: own.id, clean: true });
        }
    }

    /// Ends a node as SIGKILL does. Its disk stays.
    pub(crate) fn kill(&mut self, number: usize) {
        let dead = address(number);
        let id = self.nodes.remove(&dead).expect("it lived").own().id;
        self.plan_wakeup(dead, None);
        self.queue.retain(|_, (to, _)| *to != dead);
        let peers: Vec<_> =
            self.connected.iter().filter(|(a, _)| *a == dead).map(|(_, b)| *b).collect();
        self.connected.retain(|(a, b)| *a != dead && *b != dead);
        for peer in peers {
            self.send(peer, Input::Disconnected { peer: id, clean: false });
        }
    }

    pub(crate) fn put(&mut self, number: usize, value: &'static str, ttl: u64) -> usize {
        self.put_under(key(), number, value, ttl)
    }

    pub(crate) fn put_under(
        &mut self,
        key: Key,
        number: usize,
        value: &'static str,
        ttl: u64,
    ) -> usize {
        let publication = Publication::new(key, value).ttl(Duration::from_secs(ttl));
        self.command(number, Command::Put(publication));
        match self.finish(number) {
            Outcome::Put { receipt, .. } => receipt.stored,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get(&mut self, number: usize) -> Option<Bytes> {
        self.get_under(key(), number)
    }

    pub(crate) fn get_under(&mut self, key: Key, number: usize) -> Option<Bytes> {
        self.command(number, Command::Get { key });
        match self.finish(number) {
            Outcome::Get { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[&address(number)]
    }

    /// Of the k nodes closest to a key, how many hold its record.
    pub(crate) fn closest_holders(&self, key: Key) -> usize {
        let mut nodes: Vec<&Node> = self.nodes.values().collect();
        nodes.sort_by_key(|node| key.distance(&node.own().id));
        nodes.truncate(self.config.k);
        nodes.iter().filter(|node| node.records().get(&key, self.boot_now()).is_some()).count()
    }

    /// Nodes that hold a record of this key.
    pub(crate) fn holders(&self, key: Key) -> usize {
        let holds = |node: &&Node| node.records().get(&key, self.boot_now()).is_some();
        self.nodes.values().filter(holds).count()
    }
}
