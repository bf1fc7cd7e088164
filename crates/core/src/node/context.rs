//! The context that all parts of a node share: identity, settings, time, randomness, routing table,
//! schedule, requests in flight, outputs, and writes on their way to the disk.
//!
//! The parts ([`contacts`](super::contacts), [`join`](super::join), [`upkeep`](super::upkeep), ...)
//! own their state and are passed this one, which none of them could own alone. The context does not
//! know the parts, and none of its methods calls one.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_wire::peer::{Body, Header, Message, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress, RpcId};

use super::schedule::{Schedule, Task};
use super::unsynced::{Unsynced, Waiting};
use crate::config::Config;
use crate::density::{NetworkSize, SizeEstimate};
use crate::diversity::is_private;
use crate::event::{
    CommandId, Destination, Notice, Outcome, Output, RequestOutcome, StoredRecord, Ticket, Write,
};
use crate::label::Limit;
use crate::lookup::Breadth;
use crate::pace::Pace;
use crate::peer::{ConnectionId, Peer};
use crate::reachability::{Reach, Reachability};
use crate::reputation::Reputation;
use crate::request::{InFlight, Kind, Purpose, Requests};
use crate::routing::{RoutingConfig, RoutingTable};
use crate::time::{Moment, Now};

/// A shorter gap between the clock that counts suspended time and the one that does not is no
/// suspend: TTLs are in whole seconds.
const SUSPENDED_AT_LEAST: Duration = Duration::from_millis(500);
/// How long STOREs are answered BUSY after a suspend: until what lay in sockets meanwhile has been
/// read. A maintenance copy is tried again a second later, a publication goes to another node.
const RESUME_GRACE: Duration = Duration::from_secs(1);

/// The state that all parts of a node share.
pub(super) struct Context {
    pub(super) own: NodeInfo,
    pub(super) config: Config,
    pub(super) random: ChaCha8Rng,
    pub(super) now: Now,
    pub(super) table: RoutingTable,
    pub(super) size: NetworkSize,
    pub(super) reputation: Reputation,
    pub(super) reachability: Reachability,
    pub(super) requests: Requests,
    pub(super) pace: Pace,
    /// Peers with at least one live connection, which can be queried without a dial.
    pub(super) connected: BTreeSet<NodeId>,
    pub(super) schedule: Schedule,
    /// The command by which the node leaves; it serves no new records then.
    pub(super) leaving: Option<CommandId>,
    /// Whether contacts show that this node's clock is wrong.
    pub(super) is_clock_wrong: bool,
    outputs: VecDeque<Output>,
    unsynced: Unsynced,
    /// When the machine was last found to have been suspended.
    resumed: Option<Moment>,
}

impl Context {
    pub(super) fn new(own: NodeInfo, config: Config, seed: ChaCha8Rng) -> Self {
        let routing = RoutingConfig {
            k: config.k,
            b: config.b,
            replacement_cache: config.replacement_cache,
            per_bucket: config.diversity.bucket,
            per_table: config.diversity.table,
        };
        Self {
            own,
            random: seed,
            now: Now::default(),
            table: RoutingTable::new(own.id, routing),
            size: NetworkSize::default(),
            reputation: Reputation::default(),
            reachability: Reachability::default(),
            requests: Requests::default(),
            pace: Pace::default(),
            connected: BTreeSet::new(),
            schedule: Schedule::default(),
            leaving: None,
            is_clock_wrong: false,
            outputs: VecDeque::new(),
            unsynced: Unsynced::default(),
            resumed: None,
            config,
        }
    }

    /// The time of the next step. Notices that the machine was suspended since the last one: see
    /// [`Self::has_just_resumed`].
    pub(super) fn set_now(&mut self, now: Now) {
        let awake = now.mono.since(self.now.mono);
        let suspended = now.boot.since(self.now.boot).saturating_sub(awake);
        // Before the first input no clock was read.
        if suspended >= SUSPENDED_AT_LEAST && self.now != Now::default() {
            self.resumed = Some(now.mono);
        }
        self.now = now;
    }

    /// Whether the machine was suspended until a moment ago. What peers sent before lies in its
    /// sockets, and says of TTLs what was true then.
    pub(super) fn has_just_resumed(&self) -> bool {
        self.resumed.is_some_and(|at| self.now.mono.since(at) < RESUME_GRACE)
    }

    pub(super) fn is_own(&self, id: &NodeId) -> bool {
        *id == self.own.id
    }

    /// Whether this node holds no replica and announces no port: because it was told so, or because
    /// it cannot be dialled.
    pub(super) fn is_client(&self) -> bool {
        self.config.client || self.reachability.verdict() == Reach::Unreachable
    }

    pub(super) fn is_reached(&self) -> bool {
        self.reachability.verdict() == Reach::Reachable
    }

    pub(super) fn is_banned(&self, peer: &NodeId) -> bool {
        self.reputation.is_banned(peer, self.now.mono)
    }

    /// The public address that contacts agree on.
    pub(super) fn public_address(&self) -> Option<IpAddr> {
        self.reachability.public_address()
    }

    /// This node as it announces itself to a peer; `None` where it has no address of use to the peer.
    /// A private address is announced within private networks only, elsewhere the public one that
    /// contacts agree on.
    pub(super) fn announced_to(&self, peer: &Peer) -> Option<NodeInfo> {
        if self.is_client() || self.leaving.is_some() {
            return None;
        }
        let NodeInfo { address, id } = self.own;
        let is_public = !is_private(&address) && !address.ip().is_unspecified();
        let told = if is_public || is_private(&peer.remote()) {
            address
        } else {
            PeerAddress::new(self.public_address()?, address.port())
        };
        told.is_dialable().then_some(NodeInfo { address: told, id })
    }

    /// How many nodes the network has, as far as this one can tell.
    pub(super) fn network_size(&self) -> Option<SizeEstimate> {
        let known = self.table.len() + 1;
        let estimate = self.size.estimate()?;
        let may_be_all = self.table.has_place_for_all();
        Some(if may_be_all { estimate.counted(known) } else { estimate.at_least(known) })
    }

    /// What neighbourhoods are judged by, if they are.
    pub(super) fn size_to_judge_by(&self) -> Option<SizeEstimate> {
        self.network_size().filter(|_| self.config.widen_dense)
    }

    /// The highest version that is not from the future, by this node's clock.
    pub(super) fn latest_version(&self) -> u64 {
        self.config.records.latest_version(self.now.wall)
    }
}

/// Searching the routing table.
impl Context {
    /// The closest contacts that answered the last time they were asked. Suspects keep their
    /// slots in the table for long; counting them among the k closest would leave records
    /// on dead nodes, and refer others to them.
    pub(super) fn closest(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        let mut nodes = Vec::with_capacity(count);
        self.table.closest_responsive(target, count, &mut nodes);
        nodes
    }

    /// The contacts closest to a point, suspects only where there are too few others.
    pub(super) fn seeds(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        let mut seeds = self.closest(target, count);
        if seeds.len() < count {
            seeds.clear();
            self.table.closest(target, count, &mut seeds);
        }
        seeds
    }

    /// How many contacts are closer to a key than this node, counted up to k. A client is farther
    /// from every key than any of them.
    pub(super) fn own_rank(&self, key: &Key) -> usize {
        if self.is_client() {
            return self.config.k;
        }
        let own = key.distance(&self.own.id);
        let nodes = self.closest(key, self.config.k);
        nodes.partition_point(|node| key.distance(&node.id) < own)
    }

    /// Whether a node belongs among the k closest to this one.
    pub(super) fn is_neighbour(&self, id: &NodeId) -> bool {
        let (k, own) = (self.config.k, self.own.id.as_key());
        let closest = self.closest(&own, k);
        closest.len() < k
            || closest.last().is_none_or(|last| own.distance(id) <= own.distance(&last.id))
    }

    /// How many nodes around a point are to be known. If it lies so near to this node that both may
    /// belong to one replica set, all: a whole bucket. Farther away one for each path of a lookup:
    /// others find a place there when they are met.
    pub(super) fn wanted_around(&self, point: &Key) -> usize {
        let (k, own) = (self.config.k, self.own.id.as_key());
        let neighbours = self.closest(&own, 2 * k);
        let is_near = neighbours.len() < 2 * k
            || neighbours
                .last()
                .is_none_or(|last| point.distance(&self.own.id) <= own.distance(&last.id));
        if is_near { k } else { self.narrow() }
    }

    /// How many of the closest a lookup finds that is to know some of them: one on each path.
    pub(super) fn narrow(&self) -> usize {
        self.config.alpha.max(self.config.disjoint_paths).min(self.config.k)
    }

    /// The breadth of a lookup that is to find so many of the closest.
    pub(super) fn breadth(&self, want: usize) -> Breadth {
        Breadth {
            want,
            alpha: self.config.alpha,
            paths: self.config.disjoint_paths,
            diversity: self.config.diversity.lookup,
        }
    }

    /// When a contact last answered, or now.
    pub(super) fn last_heard(&self, id: &NodeId) -> Moment {
        self.table.get(id).map_or(self.now.mono, |contact| contact.last_seen())
    }

    /// The contacts with a live connection.
    pub(super) fn connected_contacts(&self) -> Vec<NodeInfo> {
        let contacts = self.table.iter().map(|contact| contact.info());
        contacts.filter(|contact| self.connected.contains(&contact.id)).collect()
    }
}

/// Randomness and schedule.
impl Context {
    /// A duration within a quarter of `duration`, so that nodes that started together drift
    /// apart.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.jitter())
    }

    /// The factor of [`Self::jittered`].
    pub(super) fn jitter(&mut self) -> f64 {
        self.random.random_range(0.75..1.25)
    }

    /// Sets the time of a task to so much later than now, in place of the one that it had.
    pub(super) fn set_after(&mut self, task: Task, pause: Duration) {
        self.schedule.set(task, self.now.mono + pause);
    }
}

/// Requests, replies, notices and answers.
impl Context {
    /// Sends a request, and remembers what for.
    pub(super) fn request(
        &mut self,
        to: impl Into<Destination>,
        body: Body,
        purpose: Purpose,
    ) -> Option<RpcId> {
        let to = to.into();
        let kind = Kind::of(&body)?;
        let rpc_id = RpcId::from_bytes(self.random.random());
        let known = to.id.and_then(|id| self.table.rtt(&id));
        let connected = to.id.is_some_and(|id| self.connected.contains(&id));
        let patience = self.pace.patience(known, connected);
        self.requests.insert(rpc_id, to, kind, purpose, patience, self.now.mono);
        let mut header = self.header(rpc_id);
        if purpose.asks_for_dial_back() && !self.config.client && self.leaving.is_none() {
            header.port = self.own.address.port();
        }
        self.output(Output::Request { to, message: Message { header, body } });
        Some(rpc_id)
    }

    /// Answers a request on the connection that it came on.
    pub(super) fn reply(&mut self, connection: ConnectionId, to: &Header, body: Body) {
        let header = self.header(to.rpc_id);
        self.output(Output::Reply { connection, message: Message { header, body } });
    }

    /// The header of a message of this node. One that leaves no longer listens, and a client never
    /// did: port 0.
    fn header(&self, rpc_id: RpcId) -> Header {
        let listens = self.leaving.is_none() && !self.is_client();
        let port = if listens { self.own.address.port() } else { 0 };
        Header { sender: self.own.id, port, rpc_id }
    }

    pub(super) fn request_ended(&mut self, request: &InFlight, outcome: RequestOutcome) {
        let took = self.now.mono.since(request.sent);
        let (kind, purpose) = (request.kind.label(), request.purpose.label());
        self.notice(Notice::RequestEnded { kind, purpose, outcome, took });
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.output(Output::Notice(notice));
    }

    pub(super) fn limit_reached(&mut self, limit: Limit) {
        self.notice(Notice::LimitReached { limit });
    }

    pub(super) fn answer(&mut self, id: CommandId, outcome: Outcome) {
        self.output(Output::Answer { id, outcome });
    }

    pub(super) fn hang_up(&mut self, peer: NodeId) {
        self.output(Output::HangUp { peer });
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// The disk.
impl Context {
    /// Asks for writes without waiting for their completion.
    pub(super) fn persist(&mut self, writes: Vec<Write>) {
        let ticket = self.unsynced.begin(&writes);
        self.output(Output::Persist { ticket, writes });
    }

    /// Asks for a record to be written, for a requester that waits for it. False, and nothing
    /// is asked, where too many wait already.
    pub(super) fn persist_record(&mut self, record: StoredRecord, waiting: Waiting) -> bool {
        let key = record.key;
        self.unsynced.note_volatile(key);
        self.persist_for(key, vec![Write::PutRecord(record)], waiting)
    }

    /// Asks for writes on behalf of a requester that waits for them. False, and nothing is asked,
    /// where too many wait already.
    pub(super) fn persist_for(&mut self, key: Key, writes: Vec<Write>, waiting: Waiting) -> bool {
        let Some(ticket) = self.unsynced.begin_for(key, waiting) else {
            self.limit_reached(Limit::MaxUnsynced);
            return false;
        };
        self.output(Output::Persist { ticket, writes });
        true
    }

    /// Writes have ended: whose they were.
    pub(super) fn persisted(&mut self, ticket: Ticket, durable: bool) -> Option<(Key, Waiting)> {
        self.unsynced.end(ticket, durable)
    }

    /// Whether a record that is held will be found after a restart.
    pub(super) fn is_durable(&self, key: &Key) -> bool {
        self.unsynced.is_durable(key)
    }
}
