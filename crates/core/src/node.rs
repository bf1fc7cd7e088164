//! The node: the state machine that wires everything else together.
//!
//! # The driving contract
//!
//! A driver owns a [`Node`] and the outside world: clocks, sockets, disk. It repeats:
//!
//! 1. Read all clocks once, and feed **one** [`Input`] to [`Node::handle_input`].
//! 2. Drain [`Node::poll_output`] until it is `None`, and execute each [`Output`]. None of them
//!    may be dropped silently: a request that cannot be sent comes back as
//!    [`Input::Undelivered`], writes as [`Input::Persisted`], a probe as [`Input::Probed`] or
//!    [`Input::NotProbed`], a name as [`Input::Resolved`].
//!    Outputs of one step are in order; the driver may batch several inputs before it drains.
//! 3. Sleep until something happens, at the latest until [`Node::next_wakeup`], and then feed
//!    [`Input::WakeUp`].
//!
//! The node never blocks, never reads a clock, and draws all its randomness from the seed given
//! to [`Node::new`]: the same inputs at the same times give the same outputs. No input panics.
//!
//! # Where things are
//!
//! This file holds the state and hands each input to the module that owns it: `serve` answers peers,
//! `contacts` admits nodes to the routing table, `operate` runs operations, `join` finds the network
//! and notices its loss, `lost` remembers contacts that may come back, `suspects` retries
//! unresponsive contacts, `reach` detects the own public address and whether peers can dial this
//! node, `moved` announces a new address to contacts, `parking` holds operations until there is a
//! contact to ask, `upkeep` keeps records on their k closest nodes, `keeper` republishes what this
//! node keeps for its users.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_wire::peer::{Body, Header, Message, NodeInfo};
use voiddht_wire::{Key, NodeId, RpcId};

use crate::config::{Config, ConfigError};
use crate::configured::{ConfiguredPeer, PeerState};
use crate::density::{NetworkSize, SizeEstimate};
use crate::event::{
    Command, CommandId, Destination, Input, Notice, Outcome, Output, RequestOutcome, StoredRecord,
    Undelivered, Write,
};
use crate::kept::Table;
use crate::label::Limit;
use crate::operation::get::ReadMode;
use crate::pace::Pace;
use crate::peer_clocks::PeerClocks;
use crate::quota::RequestQuota;
use crate::reachability::Reachability;
use crate::record::RecordStore;
use crate::reputation::Reputation;
use crate::request::{InFlight, Kind, Overdue, Purpose, Requests};
use crate::routing::{RoutingConfig, RoutingTable};
use crate::time::{BootTime, Moment, Now};

mod clock;
mod conditional;
mod contacts;
mod duplicate;
mod join;
mod keeper;
mod lost;
mod moved;
mod operate;
mod parking;
mod published;
mod reach;
mod schedule;
mod serve;
mod suspects;
mod upkeep;
mod verified;

pub use crate::event::ConditionalPut;
use conditional::Conditionals;
pub use contacts::DIAL_BACK_PAUSE;
use contacts::Probes;
use duplicate::Duplicates;
use join::Joining;
use keeper::Keeper;
use lost::Lost;
use moved::Reintroductions;
pub use operate::OperationView;
use operate::{Operation, Origin};
use parking::Parked;
use published::Publications;
use reach::Reaches;
pub use reach::{CALLER_PAUSE, REACH_PEERS};
use schedule::{Schedule, Task};
use serve::Unsynced;
use suspects::Suspects;
use upkeep::Upkeep;
use verified::Verified;

/// A shorter gap between the clock that counts suspended time and the one that does not is no
/// suspend: TTLs are in whole seconds.
const SUSPENDED_AT_LEAST: Duration = Duration::from_millis(500);
/// How long STOREs are answered BUSY after a suspend: until what lay in sockets meanwhile has been
/// read. A maintenance copy is tried again a second later, a publication goes to another node.
const RESUME_GRACE: Duration = Duration::from_secs(1);

/// A Kademlia node without its sockets, clock and disk.
pub struct Node {
    own: NodeInfo,
    config: Config,
    random: ChaCha8Rng,
    now: Now,
    table: RoutingTable,
    records: RecordStore,
    quota: RequestQuota,
    reputation: Reputation,
    size: NetworkSize,
    requests: Requests,
    pace: Pace,
    operations: BTreeMap<u64, Operation>,
    next_operation: u64,
    conditionals: Conditionals,
    keeper: Keeper,
    verified: Verified,
    published: Publications,
    duplicates: Duplicates,
    clocks: PeerClocks,
    /// The last judgement of [`PeerClocks`] that was told.
    is_clock_wrong: bool,
    clock_judged: Moment,
    probes: Probes,
    reaches: Reaches,
    reachability: Reachability,
    reintroductions: Reintroductions,
    joining: Joining,
    lost: Lost,
    suspects: Suspects,
    parked: Parked,
    upkeep: Upkeep,
    unsynced: Unsynced,
    schedule: Schedule,
    outputs: VecDeque<Output>,
    leaving: Option<CommandId>,
    /// When the machine was last found to have been suspended.
    resumed: Option<Moment>,
    /// Peers with at least one live connection, which can be queried without a dial.
    connected: BTreeSet<NodeId>,
}

impl Node {
    /// A node that is reached at `own`. `seed` is all its randomness.
    ///
    /// # Errors
    /// A setting out of its range, or two that contradict each other.
    pub fn new(own: NodeInfo, config: Config, seed: ChaCha8Rng) -> Result<Self, ConfigError> {
        config.check()?;
        let routing = RoutingConfig {
            k: config.k,
            b: config.b,
            replacement_cache: config.replacement_cache,
            per_bucket: config.diversity.bucket,
            per_table: config.diversity.table,
        };
        Ok(Self {
            own,
            random: seed,
            now: Now::default(),
            table: RoutingTable::new(own.id, routing),
            records: RecordStore::new(own.id, config.records),
            quota: RequestQuota::new(config.requests),
            reputation: Reputation::default(),
            size: NetworkSize::default(),
            requests: Requests::default(),
            pace: Pace::default(),
            operations: BTreeMap::new(),
            next_operation: 0,
            conditionals: Conditionals::default(),
            keeper: Keeper::new(Table::new(config.kept)),
            verified: Verified::default(),
            published: Publications::default(),
            duplicates: Duplicates::default(),
            clocks: PeerClocks::default(),
            is_clock_wrong: false,
            clock_judged: Moment::default(),
            probes: Probes::default(),
            reaches: Reaches::default(),
            reachability: Reachability::default(),
            reintroductions: Reintroductions::default(),
            joining: Joining::default(),
            lost: Lost::default(),
            suspects: Suspects::default(),
            parked: Parked::default(),
            upkeep: Upkeep::default(),
            unsynced: Unsynced::default(),
            schedule: Schedule::default(),
            outputs: VecDeque::new(),
            leaving: None,
            resumed: None,
            connected: BTreeSet::new(),
            config,
        })
    }

    /// Takes over what an earlier run left on disk: `remaining` is what each record still has to
    /// live. To be called once, before the first input.
    pub fn restore(&mut self, now: Now, records: Vec<(StoredRecord, Duration)>) {
        self.now = now;
        if !records.is_empty() {
            self.joining.note_earlier_run();
        }
        for (record, remaining) in records {
            self.restore_record(record, remaining);
        }
    }

    /// Something happened. See the contract above.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.note_suspend(now);
        self.now = now;
        match input {
            Input::Connected { peer, dialed, .. } => self.handle_connected(peer, dialed),
            Input::Disconnected { peer, clean } => self.handle_disconnected(peer, clean),
            Input::Received { connection, peer, message } => {
                if message.body.is_request() {
                    self.serve(connection, peer, message);
                } else {
                    self.handle_reply(peer, message);
                }
            }
            Input::Undelivered { rpc_id, why } => self.handle_undelivered(&rpc_id, why),
            Input::Delivered { rpc_id } => self.handle_delivered(&rpc_id),
            Input::Probed { contact, listening } => self.handle_probed(contact, listening),
            Input::NotProbed { contact } => self.handle_not_probed(contact),
            Input::Called { from } => self.handle_called(from),
            Input::AddressChanged { address } => self.handle_address_changed(address),
            Input::Duplicate { address } => self.note_duplicate(address),
            Input::Misbehaved { peer, what } => self.handle_misbehaved(peer, what),
            Input::Resolved { name, found } => self.handle_resolved(&name, found),
            Input::Command { id, command } => self.handle_command(id, command),
            Input::Persisted { ticket, durable } => self.handle_persisted(ticket, durable),
            Input::WakeUp => self.judge_clock_again(),
        }
        self.run_due();
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::WakeUp`] is due, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Moment> {
        // While the machine is suspended, this timer stands still and the deadline does not: it may
        // be late, and what has expired is not served meanwhile.
        let expiry = self.records.next_expiry();
        let expiry = expiry.map(|at| self.now.mono + at.since(self.now.boot));
        [self.requests.next_deadline(), self.schedule.next_due(), expiry]
            .into_iter()
            .flatten()
            .min()
    }

    /// This node's ID and address.
    pub fn own(&self) -> NodeInfo {
        self.own
    }

    /// What it was told to be.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The nodes that it knows.
    pub fn table(&self) -> &RoutingTable {
        &self.table
    }

    /// The records that it holds.
    pub fn records(&self) -> &RecordStore {
        &self.records
    }

    /// What this node thinks of others, from what they did to it.
    pub fn reputation(&self) -> &Reputation {
        &self.reputation
    }

    /// How many nodes the network has, as far as this one can tell.
    pub fn network_size(&self) -> Option<SizeEstimate> {
        self.size.estimate().map(|size| size.at_least(self.table.len() + 1))
    }

    /// Requests in flight and operations in progress.
    pub fn load(&self) -> (usize, usize) {
        (self.requests.len(), self.operations.len())
    }

    /// When a request was made that is in flight.
    pub fn requested_at(&self, rpc_id: &RpcId) -> Option<Moment> {
        self.requests.get(rpc_id).map(|request| request.sent)
    }

    /// The operations in progress, the oldest first.
    pub fn operations(&self) -> impl Iterator<Item = OperationView<'_>> {
        self.operations.values().map(Operation::view)
    }

    /// Whether a program put a value under this key at this node, and its TTL has not ended. The
    /// oldest publications are forgotten beyond a few thousand.
    pub fn has_published(&self, key: &Key, now: Now) -> bool {
        self.published.has(key, now.boot)
    }

    /// Whether operations that start from now on list every step in their reports: see
    /// [`Config::trace_steps`], with which a node begins. Makes no difference to what they do.
    pub fn set_trace_steps(&mut self, trace: bool) {
        self.config.trace_steps = trace;
    }

    /// Each configured peer, and how far joining through it has come.
    pub fn configured_peers(&self) -> impl Iterator<Item = (&ConfiguredPeer, PeerState)> {
        self.joining.peers()
    }

    /// Whether this node is part of a network: it has a contact, or has no configured peer to find.
    pub fn is_joined(&self) -> bool {
        !self.table.is_empty() || (!self.joining.has_peers() && self.lost.is_empty())
    }

    fn handle_command(&mut self, id: CommandId, command: Command) {
        match command {
            Command::Join { peers } => self.start_join(id, peers),
            Command::SetPeers { peers } => self.set_peers(id, peers),
            Command::Leave => self.start_leave(id),
            Command::Unkeep { key } => self.start_unkeep(id, key),
            Command::Reach => self.start_reach(id),
            operation if self.joining.is_finding_its_place() => self.park(id, operation),
            operation => self.start_operation(id, operation, self.now),
        }
    }

    /// Begins what was asked for at `since`: the TTL of a value is counted from there.
    fn start_operation(&mut self, id: CommandId, operation: Command, since: Now) {
        match operation {
            Command::Put { key, value, ttl, replication } => {
                self.start_put((Origin::Command(id), since), key, value, ttl, replication);
            }
            Command::PutIf(put) => self.start_put_if((id, since), put),
            Command::Keep(request) => self.start_keep((id, since), request),
            Command::Get { key } => {
                self.start_get((Origin::Command(id), since), key, ReadMode::default());
            }
            Command::Ask { key, mode } => {
                self.start_get((Origin::Command(id), since), key, mode);
            }
            Command::Lookup { target } => {
                self.start_find(Origin::Command(id), target, since);
            }
            Command::Join { .. }
            | Command::SetPeers { .. }
            | Command::Leave
            | Command::Reach
            | Command::Unkeep { .. } => {}
        }
    }

    /// Notices that the machine was suspended since the last input: see [`Self::has_just_resumed`].
    fn note_suspend(&mut self, now: Now) {
        let awake = now.mono.since(self.now.mono);
        let suspended = now.boot.since(self.now.boot).saturating_sub(awake);
        // Before the first input no clock was read.
        if suspended >= SUSPENDED_AT_LEAST && self.now != Now::default() {
            self.resumed = Some(now.mono);
        }
    }

    /// Whether the machine was suspended until a moment ago. What peers sent before lies in its
    /// sockets, and says of TTLs what was true then.
    fn has_just_resumed(&self) -> bool {
        self.resumed.is_some_and(|at| self.now.mono.since(at) < RESUME_GRACE)
    }

    /// Everything whose time has come.
    fn run_due(&mut self) {
        while let Some(overdue) = self.requests.next_overdue(self.now.mono) {
            match overdue {
                Overdue::Slow(request) => self.handle_slow(&request),
                Overdue::Late(request) => self.handle_late(request),
                Overdue::Failed(request) => self.handle_failed(request, RequestOutcome::TimedOut),
            }
        }
        while let Some(task) = self.schedule.next(self.now.mono) {
            self.run_task(task);
        }
        for _ in 0..self.requests.take_forgotten() {
            self.notice(Notice::LimitReached { limit: Limit::GivenUpRequests });
        }
        for _ in 0..self.probes.take_unremembered() {
            self.notice(Notice::LimitReached { limit: Limit::RefusedAddresses });
        }
        let expired = self.records.expire(self.now.boot);
        if !expired.is_empty() {
            let writes = expired.into_iter().map(Write::RemoveRecord).collect();
            self.persist(writes);
        }
    }

    fn run_task(&mut self, task: Task) {
        match task {
            Task::Join => self.retry_join(),
            Task::Peers => self.retry_peers(),
            Task::FindSelf => self.find_self(),
            Task::RefreshBuckets => self.refresh_buckets(),
            Task::Upkeep => self.run_upkeep(),
            Task::Keep => self.run_keep(),
            Task::Movement => self.run_movement(),
            Task::CopiesAgain => self.run_copies_again(),
            Task::LostContacts => self.retry_lost_contacts(),
            Task::Suspects => self.ask_suspects(),
            Task::CheckSize => self.check_size(),
            Task::Reach => self.run_reach_check(),
            Task::Reintroduce => self.reintroduce(),
            Task::Unpark => self.unpark(),
            Task::LeaveBy => self.finish_leave(),
        }
    }

    /// Sends a request, and remembers what for.
    fn request(&mut self, to: Destination, body: Body, purpose: Purpose) -> Option<RpcId> {
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
        self.outputs.push_back(Output::Request { to, message: Message { header, body } });
        Some(rpc_id)
    }

    /// The header of a message of this node. One that leaves no longer listens, and a client never
    /// did: port 0.
    fn header(&self, rpc_id: RpcId) -> Header {
        let listens = self.leaving.is_none() && !self.is_client();
        let port = if listens { self.own.address.port() } else { 0 };
        Header { sender: self.own.id, port, rpc_id }
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    fn answer(&mut self, id: CommandId, outcome: Outcome) {
        self.outputs.push_back(Output::Answer { id, outcome });
    }

    fn request_ended(&mut self, request: &InFlight, outcome: RequestOutcome) {
        let took = self.now.mono.since(request.sent);
        let (kind, purpose) = (request.kind.label(), request.purpose.label());
        self.notice(Notice::RequestEnded { kind, purpose, outcome, took });
    }

    fn handle_undelivered(&mut self, rpc_id: &RpcId, why: Undelivered) {
        let Some(request) = self.requests.take(rpc_id) else { return };
        if why.blames_peer() {
            self.note_undelivered(&request, why);
        }
        self.note_own_identity(request.to.address, why);
        self.note_seed_problem(&request, why.into());
        self.end_failed(request, RequestOutcome::Undelivered);
    }

    fn handle_delivered(&mut self, rpc_id: &RpcId) {
        let Some(request) = self.requests.take(rpc_id) else { return };
        self.end_delivered(&request);
    }

    fn handle_failed(&mut self, request: InFlight, outcome: RequestOutcome) {
        self.request_failed(&request);
        self.end_failed(request, outcome);
    }

    /// Seconds that a record has left, as the wire tells them: rounded down, so that no copy
    /// outlives the original.
    fn ttl_left(&self, expires: BootTime) -> u16 {
        u16::try_from(expires.since(self.now.boot).as_secs()).unwrap_or(u16::MAX)
    }

    /// The closest contacts that answered the last time they were asked. Suspects keep their
    /// slots in the table for long; counting them among the k closest would leave records
    /// on dead nodes, and refer others to them.
    fn closest(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        let mut nodes = Vec::with_capacity(count);
        self.table.closest_responsive(target, count, &mut nodes);
        nodes
    }

    fn is_own(&self, id: &NodeId) -> bool {
        *id == self.own.id
    }
}
