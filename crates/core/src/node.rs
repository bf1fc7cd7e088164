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
//! A node consists of parts. Each owns its state, and is passed what it needs of others: the
//! `context`, which all share, and here and there another part. None of them knows the node. What a
//! part wants of the others (a lookup, say) it returns, and the node passes it on.
//!
//! | part | what it decides |
//! |---|---|
//! | `contacts` | which addresses are checked before a node enters the routing table; `suspects`: when unresponsive contacts are asked again |
//! | `join` | how the network is found, and its loss noticed; `join::lost`: contacts that may come back |
//! | `reach` | whether peers can dial this node |
//! | `values` | what this node holds, has published and has verified |
//! | `operate` | what operations in progress send; `unreached`: replicas that a PUT has missed; `parking`: operations that wait for the join; `conditional`: PUT IF |
//! | `upkeep` | which records are copied where |
//! | `keeper` | when kept values are republished |
//! | `clock`, `duplicate`, `moved` | wrong clocks, a copied identity, a new address of this machine |
//!
//! What follows for several parts is in files of their own: `contact_events` (a contact enters, fails,
//! leaves), `serve` (a request arrives), `replies` (an answer, or none), `starting` and `ending`
//! (operations), `own_lookups` (lookups of the node's own). They hold no state.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, PeerAddress, RpcId};

use crate::config::{Config, ConfigError};
use crate::configured::{ConfiguredPeer, PeerState};
use crate::density::SizeEstimate;
use crate::event::{
    Command, CommandId, Input, Notice, Outcome, Output, StoredContact, StoredRecord,
};
use crate::kept::table::Table;
use crate::kept::{KeptRow, KeptUsage, KeptView};
use crate::label::{Limit, LookupPurpose};
use crate::peer_clocks::ClockEstimate;
use crate::quota::RequestQuota;
use crate::reachability::Reach;
use crate::record::RecordStore;
use crate::reputation::Reputation;
use crate::request::Purpose;
use crate::routing::RoutingTable;
use crate::time::{Moment, Now};

mod clock;
mod conditional;
mod contact_events;
mod contacts;
mod context;
mod duplicate;
mod ending;
mod join;
mod keeper;
mod moved;
mod operate;
mod own_lookups;
mod parking;
mod published;
mod reach;
mod replies;
mod schedule;
mod serve;
mod starting;
mod suspects;
mod unreached;
mod unsynced;
mod upkeep;
mod values;
mod verified;

pub use contacts::DIAL_BACK_PAUSE;
pub use operate::OperationView;
pub use reach::{CALLER_PAUSE, REACH_PEERS};

use clock::Clocks;
use conditional::Conditionals;
use contacts::Contacts;
use context::Context;
use duplicate::Duplicates;
use join::Join;
use keeper::Keeper;
use moved::Reintroductions;
use operate::Operations;
use parking::Parked;
use reach::{ReachChange, ReachQuestions};
use schedule::Task;
use unreached::Unreached;
use upkeep::Upkeep;
use values::Values;

/// A Kademlia node without its sockets, clock and disk.
pub struct Node {
    cx: Context,
    contacts: Contacts,
    join: Join,
    reach: ReachQuestions,
    values: Values,
    quota: RequestQuota,
    operations: Operations,
    unreached: Unreached,
    parked: Parked,
    conditionals: Conditionals,
    upkeep: Upkeep,
    keeper: Keeper,
    clocks: Clocks,
    duplicates: Duplicates,
    reintroductions: Reintroductions,
}

/// Driving it.
impl Node {
    /// A node that is reached at `own`. `seed` is all its randomness.
    ///
    /// # Errors
    /// A setting out of its range, or two that contradict each other.
    pub fn new(own: NodeInfo, config: Config, seed: ChaCha8Rng) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            contacts: Contacts::default(),
            join: Join::default(),
            reach: ReachQuestions::default(),
            values: Values::new(own.id, config.records),
            quota: RequestQuota::new(config.requests),
            operations: Operations::default(),
            unreached: Unreached::default(),
            parked: Parked::default(),
            conditionals: Conditionals::default(),
            upkeep: Upkeep::default(),
            keeper: Keeper::new(Table::new(config.kept)),
            clocks: Clocks::default(),
            duplicates: Duplicates::default(),
            reintroductions: Reintroductions::default(),
            cx: Context::new(own, config, seed),
        })
    }

    /// Takes over what an earlier run left on disk: `remaining` is what each record still has to
    /// live. To be called once, before the first input.
    pub fn restore(&mut self, now: Now, records: Vec<(StoredRecord, Duration)>) {
        self.cx.now = now;
        if !records.is_empty() {
            self.join.note_earlier_run();
        }
        for (record, remaining) in records {
            let key = record.key;
            if self.values.restore(&mut self.cx, record, remaining) {
                self.upkeep.restored(&mut self.cx, key);
            }
        }
    }

    /// Takes over the contacts that an earlier run left on disk: they are tried before configured
    /// peers. To be called once, before the first input.
    pub fn restore_contacts(&mut self, contacts: Vec<StoredContact>) {
        self.join.lost.restore(&mut self.cx, contacts);
    }

    /// Takes over the kept values that an earlier run left on disk: all of them are due at once. To be
    /// called once, after [`Self::restore`].
    pub fn restore_kept(&mut self, now: Now, kept: Vec<(KeptRow, Bytes)>) {
        self.cx.now = now;
        self.keeper.restore(&mut self.cx, kept);
    }

    /// Something happened. See the contract above.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.cx.set_now(now);
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
            Input::Duplicate { address } => self.duplicates.note(&mut self.cx, address),
            Input::Misbehaved { peer, what } => self.handle_misbehaved(peer, what),
            Input::Resolved { name, found } => {
                self.join.handle_resolved(&mut self.cx, &name, found);
                self.run_join();
            }
            Input::Command { id, command } => self.handle_command(id, command),
            Input::Persisted { ticket, durable } => self.handle_persisted(ticket, durable),
            Input::WakeUp => self.clocks.judge_again(&mut self.cx),
        }
        self.run_due();
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.poll_output()
    }

    /// When [`Input::WakeUp`] is due, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Moment> {
        // While the machine is suspended, this timer stands still and the deadline does not: it may
        // be late, and what has expired is not served meanwhile.
        let expiry = self.values.next_expiry();
        let expiry = expiry.map(|at| self.cx.now.mono + at.since(self.cx.now.boot));
        [self.cx.requests.next_deadline(), self.cx.schedule.next_due(), expiry]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle_command(&mut self, id: CommandId, command: Command) {
        match command {
            Command::Join { peers } => {
                self.join.start(&mut self.cx, id, peers);
                self.run_join();
            }
            Command::SetPeers { peers } => {
                self.join.set_peers(&mut self.cx, id, peers);
                self.run_join();
            }
            Command::Leave => self.start_leave(id),
            Command::Unkeep { key } => self.keeper.stop(&mut self.cx, id, key),
            Command::Reach => self.reach.start(&mut self.cx, id),
            operation if self.join.is_finding_its_place() => self.park(id, operation),
            operation => self.start_operation(id, operation, self.cx.now),
        }
    }

    fn start_leave(&mut self, id: CommandId) {
        if self.cx.leaving.is_some() {
            return self.cx.answer(id, Outcome::Left { handed_over: 0 });
        }
        self.unpark();
        self.upkeep.start_leave(&mut self.cx, &self.values.records, id);
    }

    /// Everything whose time has come.
    fn run_due(&mut self) {
        while let Some(overdue) = self.cx.requests.next_overdue(self.cx.now.mono) {
            self.handle_overdue(overdue);
        }
        while let Some(task) = self.cx.schedule.next(self.cx.now.mono) {
            self.run_task(task);
        }
        for _ in 0..self.cx.requests.take_forgotten() {
            self.cx.limit_reached(Limit::GivenUpRequests);
        }
        for _ in 0..self.contacts.probes.take_unremembered() {
            self.cx.limit_reached(Limit::RefusedAddresses);
        }
        self.values.expire(&mut self.cx);
    }

    fn run_task(&mut self, task: Task) {
        let cx = &mut self.cx;
        match task {
            Task::Join => self.join.retry(cx),
            Task::Peers => self.join.retry_peers(cx),
            Task::FindSelf => self.find_self(),
            Task::RefreshBuckets => self.refresh_buckets(),
            Task::Upkeep => {
                let operations = self.operations.len();
                if let Some(target) = self.upkeep.run(cx, &self.values.records, operations) {
                    self.look_up(LookupPurpose::Upkeep, target);
                }
            }
            Task::Keep => self.run_keep(),
            Task::Movement => self.upkeep.run_movement(cx, &self.values.records),
            Task::CopiesAgain => self.upkeep.retry_copies(cx, &self.values.records),
            Task::Unreached => self.run_unreached(),
            Task::LostContacts => self.join.lost.retry(cx),
            Task::Suspects => self.contacts.suspects.ask(cx),
            Task::CheckSize => self.check_size(),
            Task::Reach => {
                let change = reach::check(cx);
                self.reach_changed(change);
            }
            Task::Reintroduce => self.reintroduce(),
            Task::Unpark => self.unpark(),
            Task::LeaveBy => self.upkeep.finish_leave(cx),
        }
        self.run_join();
    }
}

/// The address of this node.
impl Node {
    /// The node is reached at another address from now on.
    fn handle_address_changed(&mut self, address: PeerAddress) {
        let cx = &mut self.cx;
        cx.own.address = address;
        if cx.leaving.is_some() {
            return;
        }
        cx.reachability.forget();
        self.reintroductions.start(cx);
        cx.schedule.cancel(Task::Reach);
        reach::plan_check(cx);
        if cx.table.is_empty() {
            cx.schedule.set(Task::Join, cx.now.mono);
        }
    }

    /// Announces the new address to the next contacts.
    fn reintroduce(&mut self) {
        if self.cx.leaving.is_none() && self.reintroductions.go_on(&mut self.cx) {
            self.join.recurring.restart(&mut self.cx);
        }
    }

    /// This node can be dialled, or cannot.
    fn reach_changed(&mut self, change: Option<ReachChange>) {
        let cx = &mut self.cx;
        match change {
            Some(ReachChange::Reachable { was_client }) => {
                cx.notice(Notice::Reachable);
                if was_client && !cx.table.is_empty() {
                    // Its neighbours are to know it.
                    self.join.recurring.restart(cx);
                }
            }
            Some(ReachChange::Unreachable) => {
                // Contacts that still have it in their tables are told, and its records go to those that
                // can be dialled.
                for contact in cx.connected_contacts() {
                    cx.request(contact, Body::Ping, Purpose::Farewell);
                }
                self.upkeep.hand_over(cx, &self.values.records);
            }
            None => {}
        }
    }
}

/// What can be seen of it.
impl Node {
    /// This node's ID and address.
    pub fn own(&self) -> NodeInfo {
        self.cx.own
    }

    /// What it was told to be.
    pub fn config(&self) -> &Config {
        &self.cx.config
    }

    /// The nodes that it knows.
    pub fn table(&self) -> &RoutingTable {
        &self.cx.table
    }

    /// The records that it holds.
    pub fn records(&self) -> &RecordStore {
        &self.values.records
    }

    /// What this node thinks of others, from what they did to it.
    pub fn reputation(&self) -> &Reputation {
        &self.cx.reputation
    }

    /// How many nodes the network has, as far as this one can tell.
    pub fn network_size(&self) -> Option<SizeEstimate> {
        self.cx.network_size()
    }

    /// What the clocks of contacts say of this node's, if enough of them are known.
    pub fn clock_estimate(&self, now: Now) -> Option<ClockEstimate> {
        self.clocks.estimate(now)
    }

    /// The address of another process with this node's identity, if one was seen within the last ten
    /// minutes.
    pub fn duplicate(&self) -> Option<PeerAddress> {
        self.duplicates.current(self.cx.now.mono)
    }

    /// Requests in flight and operations in progress.
    pub fn load(&self) -> (usize, usize) {
        (self.cx.requests.len(), self.operations.len())
    }

    /// When a request was made that is in flight.
    pub fn requested_at(&self, rpc_id: &RpcId) -> Option<Moment> {
        self.cx.requests.get(rpc_id).map(|request| request.sent)
    }

    /// The operations in progress, the oldest first.
    pub fn operations(&self) -> impl Iterator<Item = OperationView<'_>> {
        self.operations.views()
    }

    /// Whether a program put a value under this key at this node, and its TTL has not ended. The
    /// oldest publications are forgotten beyond a few thousand.
    pub fn has_published(&self, key: &Key, now: Now) -> bool {
        self.values.published.has(key, now.boot)
    }

    /// Whether operations that start from now on list every step in their reports: see
    /// [`Config::trace_steps`], with which a node begins. Makes no difference to what they do.
    pub fn set_trace_steps(&mut self, trace: bool) {
        self.cx.config.trace_steps = trace;
    }

    /// Each configured peer, and how far joining through it has come.
    pub fn configured_peers(&self) -> impl Iterator<Item = (&ConfiguredPeer, PeerState)> {
        self.join.peers()
    }

    /// Contacts of earlier that are tried again, in the order in which a node that looks for its network dials
    /// them.
    pub fn lost_contacts(&self) -> Vec<NodeInfo> {
        self.join.lost.by_tenure()
    }

    /// Whether this node is part of a network: it has a contact, or has no configured peer to find.
    pub fn is_joined(&self) -> bool {
        !self.cx.table.is_empty() || (!self.join.has_peers() && self.join.lost.is_empty())
    }

    /// Whether peers can dial this node, as far as it knows.
    pub fn reach(&self) -> Reach {
        self.cx.reachability.verdict()
    }

    /// Whether a node of the network has come to this one's listening address.
    pub fn is_reached(&self) -> bool {
        self.cx.is_reached()
    }

    /// Whether this node holds no replica and announces no port: because it was told so, or because
    /// it cannot be dialled.
    pub fn is_client(&self) -> bool {
        self.cx.is_client()
    }

    /// The public address that contacts agree on.
    pub fn public_address(&self) -> Option<IpAddr> {
        self.cx.public_address()
    }

    /// Every kept value, by key, and those that are kept no longer and were not removed.
    pub fn kept(&self) -> Vec<KeptView> {
        self.keeper.table.views(self.cx.now.mono)
    }

    /// How many values are kept, and how that goes.
    pub fn kept_usage(&self) -> KeptUsage {
        self.keeper.table.usage()
    }
}
