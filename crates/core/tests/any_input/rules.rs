//! What holds whatever is fed to a node. Each rule panics with its own words where it is broken.
//!
//! * Commands: each is answered once, and as it was asked; no GET invents a value.
//! * Peers: each request has one reply at most, on its own connection, that fits; no node is named
//!   to others, written to disk or kept in the table that has not answered at that address.
//! * Values: none is sent, stored or written with a longer lifetime than it was given.
//! * Bounds: records, contacts, the age of requests, and the outputs of one input.
//! * Time: a node that was just driven wants to be woken later, never now or before; and not more
//!   often than it has deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use voiddht_core::Node;
use voiddht_core::config::FAIL_AFTER;
use voiddht_core::configured::ConfiguredPeer;
use voiddht_core::event::{Command, CommandId, Notice, Outcome, Output, Ticket, Write};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now};
use voiddht_wire::peer::{Body, Dialect, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, PeerAddress, RpcId};

/// Outputs of any one input.
const OUTPUTS: usize = 400;
/// Further outputs for each thing that the node has in progress or holds, all of which may come
/// to an end at one input: a request that fails brings a notice, a contact's removal and the next
/// request; a record that is handed over, its copies.
const OUTPUTS_EACH: usize = 24;
/// Times per second that recurring work may want to be woken, deadlines of requests and
/// lifetimes apart. The quickest is a hand-over, which pauses 2 ms.
const RECURRING_WAKES: u64 = 600;
/// By how much a value may outlive what its publisher gave to it: the wire counts whole seconds,
/// and a publication rounds up.
const ROUNDING: Duration = Duration::from_secs(1);

/// What must be known of a request of a peer to judge the reply.
#[derive(Debug)]
struct Asked {
    by: NodeId,
    body: Body,
}

/// The rules, and what they remember.
pub(crate) struct Rules {
    commands: BTreeMap<CommandId, &'static str>,
    join_peers: BTreeSet<PeerAddress>,
    asked: BTreeMap<(ConnectionId, RpcId), Asked>,
    listening: BTreeSet<NodeInfo>,
    contacts: BTreeSet<NodeId>,
    rpc_ids: BTreeSet<RpcId>,
    sent: Vec<Moment>,
    last_ticket: Option<Ticket>,
    /// Until when a value may live: told by its key and its length.
    lives: BTreeMap<(Key, usize), Moment>,
    recording: bool,
    /// Everything that was put out, if it is recorded.
    pub(crate) transcript: String,
}

/// How much was in progress before an input.
#[derive(Clone, Copy)]
pub(crate) struct Load(usize);

/// How a span of waiting began.
pub(crate) struct Wait {
    since: Moment,
    deadlines: usize,
    wakes: std::cell::Cell<u64>,
    sent_before: usize,
}

impl Rules {
    pub(crate) fn new(recording: bool) -> Self {
        Self {
            commands: BTreeMap::new(),
            join_peers: BTreeSet::new(),
            asked: BTreeMap::new(),
            listening: BTreeSet::new(),
            contacts: BTreeSet::new(),
            rpc_ids: BTreeSet::new(),
            sent: Vec::new(),
            last_ticket: None,
            lives: BTreeMap::new(),
            recording,
            transcript: String::new(),
        }
    }

    /// A value is offered with a lifetime until `expires`.
    pub(crate) fn offered(&mut self, key: &Key, value: &Bytes, expires: Moment) {
        let life = self.lives.entry((*key, value.len())).or_default();
        *life = (expires + ROUNDING).max(*life);
    }

    /// A peer has answered at its listening address.
    pub(crate) fn listens(&mut self, peer: NodeInfo) {
        self.listening.insert(peer);
    }

    /// A peer asks something.
    pub(crate) fn asked(&mut self, connection: ConnectionId, by: &Peer, message: &Message) {
        let asked = Asked { by: by.id(), body: message.body.clone() };
        self.asked.insert((connection, message.header.rpc_id), asked);
    }

    /// A user asks something.
    pub(crate) fn commanded(&mut self, id: CommandId, command: &Command) {
        let name = match command {
            Command::Put(_) => "put",
            Command::Get { .. } | Command::Ask { .. } => "get",
            Command::PutIf(_) => "put if",
            Command::Keep(_) => "keep",
            Command::Unkeep { .. } => "unkeep",
            Command::Lookup { .. } => "lookup",
            Command::Join { peers } => {
                self.configured(peers);
                "join"
            }
            Command::SetPeers { peers } => {
                self.configured(peers);
                "set_peers"
            }
            Command::Leave => "leave",
            Command::Reach => "reach",
        };
        self.commands.insert(id, name);
    }

    fn configured(&mut self, peers: &[ConfiguredPeer]) {
        self.join_peers.extend(peers.iter().filter_map(|peer| match peer {
            ConfiguredPeer::Address(address) => Some(*address),
            ConfiguredPeer::Name(_) => None,
        }));
    }

    pub(crate) fn before(&self, node: &Node) -> Load {
        Load(load(node))
    }

    /// An input has been taken in, and its outputs drained.
    pub(crate) fn after(&mut self, node: &Node, now: Now, before: Load, outputs: usize) {
        let most = OUTPUTS + OUTPUTS_EACH * before.0.max(load(node));
        assert!(outputs <= most, "{outputs} outputs of one input");
        if let Some(wakeup) = node.next_wakeup() {
            assert!(wakeup > now.mono, "wants to be woken at {wakeup:?}, and it is {now:?}");
        }
        self.check_bounds(node, now);
        let told = node.table().iter().filter(|contact| self.contacts.contains(contact.id()));
        let counts = (told.count(), self.contacts.len());
        assert_eq!(counts, (node.table().len(), node.table().len()), "notices and table differ");
    }

    fn check_bounds(&mut self, node: &Node, now: Now) {
        let (config, records) = (node.config(), node.records());
        assert!(records.len() <= config.records.max_records, "too many records");
        assert!(records.bytes() <= config.records.max_bytes, "too many bytes of records");
        let buckets = node.table().buckets().count();
        assert!(node.table().len() <= config.k * buckets, "too many contacts");
        assert!(node.load().1 <= config.max_operations, "too many operations");
        let old = now.mono.back(FAIL_AFTER.1);
        let young = self.sent.partition_point(|sent| *sent < old);
        self.sent.drain(..young);
        assert!(node.load().0 <= self.sent.len(), "a request is in flight for too long");
    }

    /// Judges one output.
    pub(crate) fn check(&mut self, node: &Node, now: Now, output: &Output) {
        if self.recording {
            writeln!(self.transcript, "{now:?} {output:?}").expect("a string takes everything");
        }
        match output {
            Output::Request { to, message } => {
                assert!(self.rpc_ids.insert(message.header.rpc_id), "an RPC ID is used again");
                self.sent.push(now.mono);
                self.check_header(node, &message.header);
                assert_ne!(to.id, Some(node.own().id), "asks itself");
                let named_by_user = to.id.is_none() && self.join_peers.contains(&to.address);
                assert!(to.address.is_dialable() || named_by_user, "dials {:?}", to.address);
                assert!(message.body.is_request());
                self.check_message(now, message);
            }
            Output::Reply { connection, message } => {
                let asked = self.asked.remove(&(*connection, message.header.rpc_id));
                let asked = asked.expect("a reply to nothing, or a second one");
                self.check_header(node, &message.header);
                self.check_reply(node, &asked, &message.body);
                self.check_message(now, message);
            }
            Output::Probe { contact } => {
                assert!(contact.address.is_dialable() && contact.id != node.own().id);
            }
            Output::HangUp { peer } => assert_ne!(*peer, node.own().id),
            Output::Persist { ticket, writes } => {
                assert!(self.last_ticket.is_none_or(|last| last < *ticket), "an old ticket");
                self.last_ticket = Some(*ticket);
                assert!(!writes.is_empty(), "nothing to write");
                writes.iter().for_each(|write| self.check_write(now, write));
            }
            Output::Answer { id, outcome } => self.check_answer(*id, outcome),
            Output::Resolve { .. } => {}
            Output::Notice(notice) => self.check_notice(notice),
        }
    }

    fn check_header(&self, node: &Node, header: &Header) {
        assert_eq!(header.sender, node.own().id);
        assert!([0, node.own().address.port()].contains(&header.port));
    }

    /// What may be sent at all, and what the values in it may say of themselves.
    fn check_message(&self, now: Now, message: &Message) {
        let encoded = message.encode(Dialect::V1, &mut BytesMut::new());
        assert_eq!(encoded, Ok(()), "cannot be sent: {message:?}");
        if let Body::Store(record) | Body::FindValueReply(record) = &message.body {
            self.check_life(now, record);
            assert!(record.version.is_some());
            assert!(record.ttl > 0 || matches!(message.body, Body::FindValueReply(_)));
        }
    }

    fn check_life(&self, now: Now, record: &Record) {
        let ends = now.mono + Duration::from_secs(record.ttl.into());
        let given = self.lives.get(&(record.key, record.value.len()));
        let given = given.expect("no peer gave this value");
        assert!(ends <= *given, "a value lives until {ends:?} that should end at {given:?}");
    }

    fn check_reply(&self, node: &Node, asked: &Asked, reply: &Body) {
        let nodes = match (&asked.body, reply) {
            (_, Body::Error(_)) | (Body::Ping, Body::PingReply { observed: Some(_) }) => return,
            (Body::Store(record), Body::StoreReply { key }) if record.key == *key => return,
            (Body::FindValue { key }, Body::FindValueReply(record)) if record.key == *key => return,
            (
                Body::FindNode { target: key } | Body::FindValue { key },
                Body::FindNodeReply { nodes },
            ) => {
                let sorted = nodes.is_sorted_by(|a, b| key.distance(&a.id) < key.distance(&b.id));
                assert!(sorted, "nodes that are not nearest first, each once");
                nodes
            }
            _ => panic!("{reply:?} does not answer {:?}", asked.body),
        };
        assert!(nodes.len() <= node.config().k, "too many nodes");
        for named in nodes {
            assert_ne!(named.id, asked.by, "names the one that asks");
            let known = *named == node.own() || self.listening.contains(named);
            assert!(known, "names {named:?}, which has never answered there");
        }
    }

    fn check_write(&self, now: Now, write: &Write) {
        match write {
            Write::PutRecord(record) => {
                let given = self.lives.get(&(record.key, record.value.len()));
                let left = given.expect("no peer gave this value").since(now.mono);
                assert!(record.expires <= record.written + left, "lives longer on disk");
            }
            Write::PutContact(contact) => assert!(self.listening.contains(contact)),
            Write::RemoveRecord(_)
            | Write::RemoveContact(_)
            | Write::PutTenure { .. }
            | Write::PutKept { .. }
            | Write::RemoveKept(_) => {}
        }
    }

    fn check_answer(&mut self, id: CommandId, outcome: &Outcome) {
        let asked = self.commands.remove(&id).expect("answered what was not asked, or twice");
        let (answered, value) = match outcome {
            Outcome::Put { .. } => ("put", None),
            Outcome::Get { value, .. } => ("get", value.as_ref()),
            Outcome::PutIf(_) => ("put if", None),
            Outcome::Keep(_) => ("keep", None),
            Outcome::Unkept { .. } => ("unkeep", None),
            Outcome::Lookup { .. } => ("lookup", None),
            Outcome::Joined { .. } => ("join", None),
            Outcome::PeersSet { .. } => ("set_peers", None),
            Outcome::Left { .. } => ("leave", None),
            Outcome::Reach { .. } => ("reach", None),
            Outcome::Busy => return,
        };
        assert_eq!(asked, answered, "another kind of answer");
        if let Some(value) = value {
            let known = self.lives.keys().any(|(_, bytes)| *bytes == value.len());
            assert!(known, "a value that was never given");
        }
    }

    fn check_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::ContactAdded(contact) => {
                assert!(self.listening.contains(contact), "{contact:?} has never answered there");
                assert!(self.contacts.insert(contact.id), "a contact is added twice");
            }
            Notice::ContactRemoved(contact) => {
                assert!(self.contacts.remove(&contact.id), "a contact is removed twice");
            }
            _ => {}
        }
    }

    pub(crate) fn begin_wait(&self, node: &Node, now: Moment) -> Wait {
        let deadlines = 2 * node.load().0 + node.records().len();
        let sent_before = self.rpc_ids.len();
        Wait { since: now, deadlines, wakes: std::cell::Cell::new(0), sent_before }
    }

    /// The node was woken once more, and nothing else happened since the wait began.
    pub(crate) fn check_wait(&self, wait: &Wait, now: Moment) {
        wait.wakes.set(wait.wakes.get() + 1);
        let deadlines = wait.deadlines + 2 * (self.rpc_ids.len() - wait.sent_before);
        let recurring = RECURRING_WAKES * (now.since(wait.since).as_secs() + 1);
        let most = deadlines as u64 + recurring;
        assert!(wait.wakes.get() <= most, "woken {} times for nothing", wait.wakes.get());
    }

    /// Whether a user waits for an answer. A join waits for a network that answers.
    pub(crate) fn is_anybody_waiting(&self, honest: bool) -> bool {
        self.commands.values().any(|command| honest || *command != "join")
    }

    pub(crate) fn waiting(&self) -> impl std::fmt::Debug + '_ {
        &self.commands
    }

    pub(crate) fn check_end(&self) {
        assert!(self.asked.is_empty(), "never replied to {:?}", self.asked);
    }
}

/// What is in progress, or held.
fn load(node: &Node) -> usize {
    let (requests, operations) = node.load();
    requests + operations + node.records().len() + node.table().len()
}
