//! A driver for one node whose network, disk, users and clocks do what the steps say, within the
//! driving contract at the top of `voiddht_core::node`. What must hold whatever they do is in
//! [`super::rules`].

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::Node;
use voiddht_core::configured::{ConfiguredPeer, PeerName, ResolveError};
use voiddht_core::event::{
    Command, CommandId, Destination, Input, Output, StoredRecord, Ticket, Undelivered,
};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_wire::peer::{Body, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, Publication, RpcId};

use super::rules::Rules;
use super::step::{Manner, Step};
use super::universe as all;

/// Bytes before the first step: the settings, and how the run ends.
pub(crate) const HEADER_BYTES: usize = 9;
/// Steps of a run, at most: what comes after them is passed over.
pub(crate) const MAX_STEPS: usize = 1024;
/// Times that the node is woken within one step before time is made to jump.
const MAX_WAKES: u64 = 300;
/// How long users wait for their answers at the end of a run, in the node's own time: a PUT that
/// gets no answer asks some hundred nodes, one after the other, and waits for each.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// A request of the node that the world has not ended.
#[derive(Clone, Debug)]
struct Open {
    to: Destination,
    message: Message,
}

/// A node, its peers, its disk and its clocks, driven by steps.
pub(crate) struct World {
    node: Node,
    rules: Rules,
    mono: Moment,
    wall_offset: i64,
    connections: BTreeMap<NodeId, ConnectionId>,
    open: Vec<Open>,
    probes: Vec<NodeInfo>,
    tickets: Vec<Ticket>,
    names: Vec<PeerName>,
    /// Connections, commands and RPC IDs of peers so far: each gets a new name.
    named: u64,
}

/// Runs what `bytes` say: [`HEADER_BYTES`], then steps. Panics where a rule is broken. With
/// `record`, the answer is everything that the node put out.
pub(crate) fn run(bytes: &[u8], record: bool) -> String {
    let Some((header, steps)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return String::new();
    };
    play(*header, Step::all(steps).take(MAX_STEPS), record)
}

/// Runs these steps, as [`run`] does.
pub(crate) fn play(
    header: [u8; HEADER_BYTES],
    steps: impl IntoIterator<Item = Step>,
    record: bool,
) -> String {
    let [choices @ .., ending] = header;
    let mut world = World::new(choices, ending, record);
    for step in steps {
        world.step(step);
    }
    world.finish(ending & 1 == 0);
    world.rules.transcript
}

impl World {
    fn new(choices: [u8; 8], ending: u8, record: bool) -> Self {
        let config = all::config(choices);
        let seed = ChaCha8Rng::seed_from_u64(u64::from(ending));
        let node = Node::new(all::own(), config, seed).expect("every choice is a right one");
        let mut world = Self {
            node,
            rules: Rules::new(record),
            mono: Moment::from_micros(1),
            wall_offset: 0,
            connections: BTreeMap::new(),
            open: Vec::new(),
            probes: Vec::new(),
            tickets: Vec::new(),
            names: Vec::new(),
            named: 0,
        };
        if ending & 4 != 0 {
            world.restore();
        }
        world
    }

    fn now(&self) -> Now {
        let wall = (all::WALL_START + self.mono.as_micros() / 1000)
            .saturating_add_signed(self.wall_offset);
        Now::never_suspended(self.mono, WallTime::from_millis(wall))
    }

    /// What an earlier run left on disk.
    fn restore(&mut self) {
        let now = self.now();
        let records: Vec<_> = (0..6)
            .map(|number| {
                let remaining = Duration::from_secs(20 * u64::from(number));
                let record = StoredRecord {
                    key: all::key(number),
                    value: all::value(number),
                    version: now.wall.as_millis(),
                    class: None,
                    written: now.wall,
                    expires: now.wall + remaining,
                    bill: None,
                };
                self.rules.offered(&record.key, &record.value, now.mono + remaining);
                (record, remaining)
            })
            .collect();
        self.node.restore(now, records);
        self.drain();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect { peer, proved, dialed } => {
                self.connect(peer, all::connected_peer(peer, proved, dialed), dialed);
            }
            Step::Disconnect { peer, clean } => {
                let peer = all::peer(peer).id;
                self.connections.remove(&peer);
                self.feed(Input::Disconnected { peer, clean });
            }
            Step::Request { peer, proved, listens, what, detail } => {
                self.serve(peer, proved, listens, what, detail);
            }
            Step::Reply { request, manner, detail } => self.reply(request, manner, detail),
            Step::StrayReply { peer, what } => self.stray_reply(peer, what),
            Step::Undelivered { request, why } => {
                if let Some(open) = take(&mut self.open, request) {
                    let rpc_id = open.message.header.rpc_id;
                    self.feed(Input::Undelivered { rpc_id, why });
                }
            }
            Step::Probed { probe, listening, asked } => {
                let probed = if asked {
                    take(&mut self.probes, probe)
                } else {
                    Some(all::named_node(probe))
                };
                if let Some(contact) = probed {
                    self.probed(contact, listening);
                }
            }
            Step::Persisted { ticket, durable } => {
                if let Some(ticket) = take(&mut self.tickets, ticket) {
                    self.feed(Input::Persisted { ticket, durable });
                }
            }
            Step::Misbehaved { peer, what } => {
                let peer = all::connected_peer(peer, true, false);
                self.feed(Input::Misbehaved { peer, what });
            }
            Step::Put { key, value, ttl } => self.put(key, value, ttl),
            Step::Get { key } => self.command(Command::Get { key: all::key(key) }),
            Step::Lookup { key } => self.command(Command::Lookup { target: all::key(key) }),
            Step::Join { peers, name } => {
                self.command(Command::Join { peers: configured(peers, name) });
            }
            Step::SetPeers { peers, name } => {
                self.command(Command::SetPeers { peers: configured(peers, name) });
            }
            Step::Resolved { peers, known } => {
                let name = self.names.pop().unwrap_or_else(all::name);
                let found = bits(peers).map(|bit| all::peer(3 * bit).address).collect();
                let found = if known { Ok(found) } else { Err(ResolveError::TimedOut) };
                self.feed(Input::Resolved { name, found });
            }
            Step::Leave => self.command(Command::Leave),
            Step::Reach => self.command(Command::Reach),
            Step::Called { peer } => {
                self.feed(Input::Called { from: all::peer(peer).address.ip() });
            }
            Step::AddressChanged { address } => {
                self.feed(Input::AddressChanged { address: all::named_node(address).address });
            }
            Step::Wait { span } => self.wait(all::span(span)),
            Step::Sleep { span } => self.mono = self.mono + all::span(span),
            Step::SetWallClock { span, back } => {
                let span = i64::try_from(all::span(span).as_millis()).unwrap_or(i64::MAX);
                self.wall_offset += if back { -span } else { span };
            }
        }
    }

    fn name(&mut self) -> u64 {
        self.named += 1;
        self.named
    }

    fn connect(&mut self, number: u8, peer: Peer, dialed: bool) {
        let connection = ConnectionId(self.name());
        self.connections.insert(peer.id(), connection);
        let dialed = dialed.then(|| all::peer(number).address);
        if let Some(address) = dialed
            && peer.is_proved()
        {
            self.rules.listens(NodeInfo { address, id: peer.id() });
        }
        self.feed(Input::Connected { connection, peer, dialed });
    }

    /// The connection with a peer; one is made where there is none.
    fn connection(&mut self, number: u8, peer: Peer) -> ConnectionId {
        if !self.connections.contains_key(&peer.id()) {
            self.connect(number, peer, false);
        }
        // A banned peer is hung up on as it comes; what it sent before that still arrives.
        let hung_up = ConnectionId(u64::MAX - u64::from(number));
        self.connections.get(&peer.id()).copied().unwrap_or(hung_up)
    }

    fn serve(&mut self, number: u8, proved: bool, listens: bool, what: u8, detail: u8) {
        let peer = all::connected_peer(number, proved, false);
        let connection = self.connection(number, peer);
        let key = all::key(detail);
        let body = match what % 8 {
            0 => Body::Ping,
            1 => Body::FindNode { target: key },
            2 => Body::FindValue { key },
            _ => Body::Store(self.record(key, what, detail)),
        };
        let port = if listens { all::peer(number).address.port() } else { 0 };
        let rpc_id = RpcId::from_bytes(Key::of_value(&self.name().to_be_bytes()).to_bytes());
        let message = Message { header: Header { sender: peer.id(), port, rpc_id }, body };
        self.rules.asked(connection, &peer, &message);
        self.feed(Input::Received { connection, peer, message });
    }

    /// A record as a peer may bring it; the rules hear of the life that it gives to the value.
    fn record(&mut self, key: Key, what: u8, detail: u8) -> Record {
        let value = all::value(detail >> 4);
        let ttl = all::ttl(what >> 3);
        let expires = self.mono + Duration::from_secs(ttl.into());
        self.rules.offered(&key, &value, expires);
        let version = all::version(what ^ detail, self.now().wall.as_millis());
        Record { key, value, ttl, version, maintenance: detail & 0x10 != 0 }
    }

    fn reply(&mut self, request: u8, manner: Manner, detail: u8) {
        let Some(index) = index(&self.open, request) else { return };
        let Open { to, message } = match manner {
            Manner::Twice => self.open[index].clone(),
            _ => self.open.swap_remove(index),
        };
        let asked = to.id.unwrap_or_else(|| all::peer(detail).id);
        let peer = match manner {
            Manner::Impostor => all::connected_peer(detail, true, false),
            _ => Peer::danger_assume_proved(asked, to.address),
        };
        let body = match manner {
            Manner::Honest | Manner::Impostor | Manner::Twice => honest(&message.body),
            Manner::Nodes => {
                let nodes = (0..detail % 21).map(|n| all::named_node(detail.wrapping_mul(n | 1)));
                Body::FindNodeReply { nodes: nodes.collect() }
            }
            Manner::Value => {
                let key = target(&message.body);
                Body::FindValueReply(self.record(key, detail.rotate_left(3), detail))
            }
            Manner::Error => Body::Error(all::error_code(detail)),
            Manner::Unfitting => Body::StoreReply { key: all::key(detail) },
        };
        self.answer(peer, message.header.rpc_id, body);
    }

    fn stray_reply(&mut self, number: u8, what: u8) {
        let peer = all::connected_peer(number, true, false);
        let rpc_id = RpcId::from_bytes([what; 32]);
        let nodes = vec![all::named_node(what)];
        self.answer(peer, rpc_id, Body::FindNodeReply { nodes });
    }

    fn answer(&mut self, peer: Peer, rpc_id: RpcId, body: Body) {
        let connection = *self.connections.get(&peer.id()).unwrap_or(&ConnectionId(0));
        let header = Header { sender: peer.id(), port: peer.remote().port(), rpc_id };
        self.feed(Input::Received { connection, peer, message: Message { header, body } });
    }

    fn probed(&mut self, contact: NodeInfo, listening: bool) {
        if listening {
            self.rules.listens(contact);
        }
        self.feed(Input::Probed { contact, listening });
    }

    fn put(&mut self, key: u8, value: u8, ttl: u8) {
        let (key, value) = (all::key(key), all::value(value));
        let replication = (ttl & 0x80 != 0).then_some(ttl % 32);
        let ttl = (ttl % 4 != 3).then(|| Duration::from_secs(all::ttl(ttl).into()));
        let config = self.node.config();
        let life = ttl.unwrap_or(config.default_ttl).clamp(config.min_ttl, config.max_ttl);
        self.rules.offered(&key, &value, self.mono + life);
        let publication = Publication::new(key, value).ttl(ttl).replication(replication);
        self.command(Command::Put(publication));
    }

    fn command(&mut self, command: Command) {
        let id = CommandId(self.name());
        self.rules.commanded(id, &command);
        self.feed(Input::Command { id, command });
    }

    /// Feeds one input, and executes what the node asks: everything waits for later steps.
    fn feed(&mut self, input: Input) {
        let before = self.rules.before(&self.node);
        self.node.handle_input(self.now(), input);
        let outputs = self.drain();
        self.rules.after(&self.node, self.now(), before, outputs);
    }

    fn drain(&mut self) -> usize {
        let mut outputs = 0;
        while let Some(output) = self.node.poll_output() {
            outputs += 1;
            self.rules.check(&self.node, self.now(), &output);
            match output {
                Output::Request { to, message } => self.open.push(Open { to, message }),
                Output::Probe { contact } => self.probes.push(contact),
                Output::Persist { ticket, .. } => self.tickets.push(ticket),
                Output::HangUp { peer } => {
                    self.connections.remove(&peer);
                }
                Output::Resolve { name } => self.names.push(name),
                Output::Reply { .. } | Output::Answer { .. } | Output::Notice(_) => {}
            }
        }
        outputs
    }

    /// Lets time pass, and wakes the node whenever it wants to be woken.
    fn wait(&mut self, span: Duration) {
        let end = self.mono + span;
        let start = self.rules.begin_wait(&self.node, self.mono);
        for _ in 0..MAX_WAKES {
            match self.node.next_wakeup() {
                Some(at) if at <= end => self.mono = self.mono.max(at),
                _ => break,
            }
            self.feed(Input::WakeUp);
            self.rules.check_wait(&start, self.mono);
        }
        self.mono = end;
    }

    /// Time runs on until every user has an answer: with a network in which every peer is honest,
    /// or with one that is unresponsive. The disk works again.
    fn finish(&mut self, honest: bool) {
        let end = self.mono + PATIENCE;
        loop {
            self.settle(honest);
            if !self.rules.is_anybody_waiting(honest) {
                break;
            }
            let next = self.node.next_wakeup().expect("a user waits: there is a deadline");
            assert!(next <= end, "a user waits for ever for {:?}", self.rules.waiting());
            self.mono = self.mono.max(next);
            self.feed(Input::WakeUp);
        }
        self.rules.check_end();
    }

    /// Answers everything that is in progress, until nothing is.
    fn settle(&mut self, honest: bool) {
        loop {
            if let Some(ticket) = self.tickets.pop() {
                self.feed(Input::Persisted { ticket, durable: true });
            } else if let Some(contact) = self.probes.pop() {
                let listening = honest && number_at(&contact).is_some();
                self.probed(contact, listening);
            } else if let Some(name) = self.names.pop() {
                let found = Err(ResolveError::Unavailable);
                self.feed(Input::Resolved { name, found });
            } else if let Some(open) = self.open.pop().filter(|_| honest) {
                self.mono = self.mono + Duration::from_micros(100);
                self.answer_honestly(&open);
            } else if self.open.is_empty() {
                return;
            }
        }
    }

    fn answer_honestly(&mut self, open: &Open) {
        let rpc_id = open.message.header.rpc_id;
        let there = (0..all::PEERS).find(|number| all::peer(*number).address == open.to.address);
        match there {
            Some(number) if open.to.id.is_none_or(|id| id == all::peer(number).id) => {
                let peer = all::connected_peer(number, true, true);
                if open.to.id.is_none() || !self.connections.contains_key(&peer.id()) {
                    self.connect(number, peer, true);
                }
                self.answer(peer, rpc_id, honest(&open.message.body));
            }
            _ => self.feed(Input::Undelivered { rpc_id, why: Undelivered::Refused }),
        }
    }
}

fn bits(peers: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |bit| peers & (1 << bit) != 0)
}

fn configured(peers: u8, name: bool) -> Vec<ConfiguredPeer> {
    let peers = bits(peers).map(|bit| all::peer(7 * bit).address.into());
    peers.chain(name.then(|| ConfiguredPeer::Name(all::name()))).collect()
}

/// What a node answers that has no values and knows all peers.
fn honest(request: &Body) -> Body {
    match request {
        Body::Ping => Body::PingReply { observed: Some(all::own().address) },
        Body::Store(record) => Body::StoreReply { key: record.key },
        _ => {
            let target = target(request);
            let mut nodes: Vec<_> = (0..all::PEERS).map(all::peer).collect();
            nodes.sort_unstable_by_key(|node| target.distance(&node.id));
            nodes.truncate(20);
            Body::FindNodeReply { nodes }
        }
    }
}

fn target(request: &Body) -> Key {
    match request {
        Body::FindNode { target: key } | Body::FindValue { key } => *key,
        Body::Store(record) => record.key,
        _ => Key::default(),
    }
}

fn number_at(contact: &NodeInfo) -> Option<u8> {
    (0..all::PEERS).find(|number| all::peer(*number) == *contact)
}

fn index<T>(of: &[T], choice: u8) -> Option<usize> {
    // The last ones first: they are what the steps just before have brought about.
    (!of.is_empty()).then(|| of.len() - 1 - usize::from(choice) % of.len())
}

fn take<T>(from: &mut Vec<T>, choice: u8) -> Option<T> {
    index(from, choice).map(|index| from.swap_remove(index))
}
