//! Inputs and outputs of the core: everything that makes a node act, and everything it asks of its
//! driver.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use voiddht_wire::api::Proof;
use voiddht_wire::peer::{Message, NodeInfo};
use voiddht_wire::{ConditionalPut, Key, NodeId, PeerAddress, Publication, RpcId};

use crate::configured::{ConfiguredPeer, PeerName, PeerState, ResolveError};
pub use crate::contact::StoredContact;
use crate::kept::{KeepReceipt, KeepRefusal, KeepRequest, KeptRow, KeptState};
use crate::label::{
    KeptPublication, Limit, LookupPurpose, RefusalReason, RequestKind, RequestPurpose,
    StoreRejection,
};
use crate::operation::Receipt;
use crate::operation::get::ReadMode;
use crate::peer::{ConnectionId, Peer};
use crate::peer_clocks::ClockEstimate;
use crate::quota::{Account, Usage};
use crate::record::{Bill, StoredClass};
use crate::report::Report;
use crate::time::WallTime;

pub use crate::failure::{Misbehaviour, Undelivered};
pub use crate::label::RequestOutcome;

/// One thing that happened. See the contract at the top of [`crate::node`].
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is ready, and its peer proved or not.
    Connected {
        /// Its name.
        connection: ConnectionId,
        /// The peer.
        peer: Peer,
        /// Where it was dialled, if this node did: the peer has answered at that address.
        dialed: Option<PeerAddress>,
    },
    /// The last connection with this peer has ended.
    Disconnected {
        /// The peer.
        peer: NodeId,
        /// Whether it was closed in good order, by either side. An end without TLS's
        /// close_notify (RFC 8446, section 6.1) is how a killed process looks from here.
        clean: bool,
    },
    /// A message arrived.
    Received {
        /// The connection on which a reply must go out.
        connection: ConnectionId,
        /// The sender.
        peer: Peer,
        /// What it says. Its header's sender is the peer's ID: the driver refuses others.
        message: Message,
    },
    /// A request that the node sent will have no answer.
    Undelivered {
        /// The request.
        rpc_id: RpcId,
        /// Why.
        why: Undelivered,
    },
    /// A STORE was handed to a peer whose dialect has no answer to it. Whether the record is stored
    /// there is unknown.
    Delivered {
        /// The request.
        rpc_id: RpcId,
    },
    /// The end of an [`Output::Probe`].
    Probed {
        /// The contact that was probed.
        contact: NodeInfo,
        /// Whether the peer's own certificate was pushed at that address.
        listening: bool,
    },
    /// An [`Output::Probe`] could not be executed: this node has no room for it, which says
    /// nothing of the contact.
    NotProbed {
        /// The contact that was not probed.
        contact: NodeInfo,
    },
    /// A client connected to the listening port and was shown the certificate. The driver may leave
    /// out what comes from the same address within [`crate::node::CALLER_PAUSE`].
    Called {
        /// From where.
        from: IpAddr,
    },
    /// A client authenticated with this node's own key, and is not this process.
    Duplicate {
        /// From where it connected.
        address: PeerAddress,
    },
    /// The node is reached at another address from now on: this machine's has changed. Connections
    /// from the old one are lost.
    AddressChanged {
        /// The new one.
        address: PeerAddress,
    },
    /// The connection layer saw a peer break a rule.
    Misbehaved {
        /// The peer.
        peer: Peer,
        /// Which rule.
        what: Misbehaviour,
    },
    /// A local program or the operator wants something.
    Command {
        /// Names the answer; the driver chooses it and does not reuse it.
        id: CommandId,
        /// What is wanted.
        command: Command,
    },
    /// The end of an [`Output::Resolve`].
    Resolved {
        /// The name.
        name: PeerName,
        /// Its addresses, those to be tried first in front; or why there are none.
        found: Result<Vec<PeerAddress>, ResolveError>,
    },
    /// An [`Output::Persist`] is on disk, or could not be brought there.
    Persisted {
        /// Which.
        ticket: Ticket,
        /// Whether it will survive a power cut.
        durable: bool,
    },
    /// The moment of [`crate::Node::next_wakeup`] has come.
    WakeUp,
}

/// One thing that the driver is asked to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a request: over a live connection with the peer, or over a new one.
    Request {
        /// The recipient.
        to: Destination,
        /// What. If it cannot be delivered, the driver answers with [`Input::Undelivered`]; if it
        /// was and can have no answer, with [`Input::Delivered`].
        message: Message,
    },
    /// Send a reply on the connection that the request came on; if it is gone, drop it.
    Reply {
        /// That connection.
        connection: ConnectionId,
        /// What.
        message: Message,
    },
    /// Find out whether the peer, with which there is a live connection, also listens here: dial,
    /// and compare the certificate that is pushed with the authenticated one. Answer with
    /// [`Input::Probed`], or with [`Input::NotProbed`].
    Probe {
        /// The peer and its address.
        contact: NodeInfo,
    },
    /// Find out the addresses of a configured peer's name, within seconds; answer with
    /// [`Input::Resolved`]. Several names may be asked for before the first is answered.
    Resolve {
        /// The name.
        name: PeerName,
    },
    /// Close every connection with this peer, after what is queued has gone out.
    HangUp {
        /// The peer.
        peer: NodeId,
    },
    /// Bring these writes to disk, in this order; answer with [`Input::Persisted`]. A driver
    /// without a data directory answers at once that it did.
    Persist {
        /// Names the answer.
        ticket: Ticket,
        /// What.
        writes: Vec<Write>,
    },
    /// A command has ended.
    Answer {
        /// Which.
        id: CommandId,
        /// How.
        outcome: Outcome,
    },
    /// Something that people or metrics want to know. Nothing depends on it.
    Notice(Notice),
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where to dial, if there is no live connection.
    pub address: PeerAddress,
    /// The expected node; `None` where only the address is known, as of a configured peer.
    pub id: Option<NodeId>,
}

impl From<NodeInfo> for Destination {
    fn from(node: NodeInfo) -> Self {
        Self { address: node.address, id: Some(node.id) }
    }
}

/// Names a command and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Names a group of writes and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a user or the operator can ask of a node.
#[derive(Clone, Debug)]
pub enum Command {
    /// Store a value on the closest nodes.
    Put(Publication),
    /// Find a value.
    Get {
        /// The key.
        key: Key,
    },
    /// Find a value, verified as the reader asks.
    Ask {
        /// The key.
        key: Key,
        /// What the reader asks for.
        mode: ReadMode,
    },
    /// Publish an envelope, unless the newest one is another than the writer has read.
    PutIf(ConditionalPut),
    /// Publish a value, and republish it until [`Command::Unkeep`] or its end.
    Keep(KeepRequest),
    /// Republish a value no longer.
    Unkeep {
        /// Its key.
        key: Key,
    },
    /// Find the closest nodes.
    Lookup {
        /// The point.
        target: Key,
    },
    /// Join the network through these peers, tried concurrently, again with backoff until one
    /// answers. The answer comes when the routing table has been filled, or when another join
    /// takes its place.
    Join {
        /// The peers, [`MAX_CONFIGURED`](crate::configured::MAX_CONFIGURED) at most.
        peers: Vec<ConfiguredPeer>,
    },
    /// Replace the configured peers. Those that stay keep their state; new ones are tried at once.
    SetPeers {
        /// The peers, [`MAX_CONFIGURED`](crate::configured::MAX_CONFIGURED) at most.
        peers: Vec<ConfiguredPeer>,
    },
    /// Hand over what is held and say goodbye. After the answer, the driver may stop.
    Leave,
    /// Ask some contacts how they see this node; each dials it back, as far as it has not done so
    /// just before.
    Reach,
}

impl Command {
    /// [`Command::Join`] through these peers.
    pub fn join<P: Into<ConfiguredPeer>>(peers: impl IntoIterator<Item = P>) -> Self {
        Self::Join { peers: peers.into_iter().map(Into::into).collect() }
    }
}

/// How a command ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A PUT.
    Put {
        /// Nodes from which the value can be fetched, and those that have not answered; or why it
        /// failed.
        receipt: Receipt,
        /// How it went.
        report: Report,
    },
    /// A GET.
    Get {
        /// The value; `None` if no node that answered has it.
        value: Option<Bytes>,
        /// Its version, where there is one.
        version: Option<u64>,
        /// How it was verified; `None` where nothing was found.
        proof: Option<Proof>,
        /// How it went.
        report: Report,
    },
    /// A conditional publication.
    PutIf(PutIfOutcome),
    /// A value is kept: it was published, and is on disk.
    Keep(Result<KeepReceipt, KeepRefusal>),
    /// A value is kept no longer.
    Unkept {
        /// Whether there was an entry of that key, kept or not.
        was_listed: bool,
    },
    /// A lookup: the closest nodes that answered, nearest first.
    Lookup {
        /// The nodes.
        nodes: Vec<NodeInfo>,
        /// How it went.
        report: Report,
    },
    /// A join: how many contacts the routing table now has.
    Joined {
        /// Contacts.
        contacts: usize,
    },
    /// The configured peers were replaced: how many there are now.
    PeersSet {
        /// Configured peers.
        peers: usize,
    },
    /// A leave: how many records found another holder.
    Left {
        /// Records handed over.
        handed_over: usize,
    },
    /// How some contacts see this node; none where there is no contact.
    Reach {
        /// One for each contact that was asked.
        sightings: Vec<Sighting>,
    },
    /// Too many operations are in progress: later.
    Busy,
}

/// How a conditional publication ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutIfOutcome {
    /// It was put, or failed for another reason than a conflict.
    Put(Receipt),
    /// This envelope is the newest: fetched and verified by this node.
    Conflict(Bytes),
}

/// How one contact sees this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The contact.
    pub node: NodeInfo,
    /// Whether it answered.
    pub answered: bool,
    /// Where this node's connection seems to come from, as far as the contact says: legacy peers
    /// do not. The port is the connection's.
    pub seen: Option<PeerAddress>,
}

/// A change to what the disk remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Keep a record, replacing any of the same key.
    PutRecord(StoredRecord),
    /// Forget a record: it expired or made room.
    RemoveRecord(Key),
    /// Remember a kept value; without one, the value that is remembered already.
    PutKept {
        /// What is remembered beside it.
        row: KeptRow,
        /// The value.
        value: Option<Bytes>,
    },
    /// Forget a kept value.
    RemoveKept(Key),
    /// Remember a contact for the next start.
    PutContact(NodeInfo),
    /// Remember for how long a contact has been one.
    PutTenure {
        /// The contact.
        node: NodeId,
        /// For how long.
        tenure: Duration,
    },
    /// Forget a contact, and its tenure.
    RemoveContact(NodeId),
}

/// A record as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Bytes,
    /// The publisher's clock in milliseconds since 1970.
    pub version: u64,
    /// What was verified of the value; `None` where the disk does not say.
    pub class: Option<StoredClass>,
    /// When this was written, by this machine's clock.
    pub written: WallTime,
    /// When it expires, by this machine's clock.
    pub expires: WallTime,
    /// To which account it is charged; `None` for what this node's own users published.
    pub bill: Option<Bill>,
}

/// Something worth a log line or a count.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The routing table has its first contacts: the node is part of a network.
    Joined {
        /// Contacts.
        contacts: usize,
    },
    /// No contact is left.
    Isolated,
    /// None of the configured or remembered peers answered; another try follows.
    JoinFailed {
        /// How long until the next try.
        retry_in: Duration,
    },
    /// The state of a configured peer has changed.
    PeerChanged {
        /// The peer.
        peer: ConfiguredPeer,
        /// Its state now.
        state: PeerState,
    },
    /// Enough contacts were asked to dial this node back, and none did: from now on it behaves as
    /// a client.
    Unreachable {
        /// Contacts that were asked.
        asked: usize,
    },
    /// Another process has authenticated with this node's key.
    DuplicateIdentity {
        /// Where it listens, or where it dialled from.
        address: PeerAddress,
    },
    /// A peer dialled the listening port, for the first time or after [`Self::Unreachable`].
    Reachable,
    /// A contact entered the routing table.
    ContactAdded(NodeInfo),
    /// A contact left it.
    ContactRemoved(NodeInfo),
    /// A request ended.
    RequestEnded {
        /// The kind of request.
        kind: RequestKind,
        /// What it was sent for.
        purpose: RequestPurpose,
        /// How it ended.
        outcome: RequestOutcome,
        /// How long it took.
        took: Duration,
    },
    /// A lookup that the node made for itself has ended. Those that a command asked for end in
    /// [`Output::Answer`].
    LookupEnded {
        /// What it was made for.
        purpose: LookupPurpose,
        /// The point.
        target: Key,
        /// Nodes that it found.
        found: usize,
        /// How it went.
        report: Report,
    },
    /// A publication of a kept value has ended.
    KeepPublished {
        /// How.
        outcome: KeptPublication,
    },
    /// A value is republished no longer: not because its publisher said so.
    KeepEnded {
        /// Its key.
        key: Key,
        /// Why.
        state: KeptState,
    },
    /// A newer envelope of the same name is kept in place of the one before.
    KeepAdopted {
        /// Its key.
        key: Key,
    },
    /// A request of a peer was refused because a limit was reached.
    LimitReached {
        /// Which limit.
        limit: Limit,
    },
    /// The store is full, or an account is: the account that was refused more, or that gave way.
    AccountLimited {
        /// Its owner.
        account: Account,
        /// What is charged to it.
        used: Usage,
        /// How many records were dropped to make room; 0 where the offer was refused.
        evicted: usize,
    },
    /// A peer's STORE was not taken.
    StoreRefused {
        /// Why.
        why: RefusalReason,
    },
    /// A peer has refused a STORE of this node.
    StoreRejected {
        /// Why.
        why: StoreRejection,
    },
    /// Contacts show that this node's clock is wrong.
    ClockWrong(ClockEstimate),
    /// They do not show that any more.
    ClockRight,
    /// A peer broke a rule.
    Misbehaviour {
        /// The node.
        peer: NodeId,
        /// Which.
        what: Misbehaviour,
    },
    /// A peer was banned.
    Banned {
        /// The node.
        peer: NodeId,
        /// For how long.
        lasts: Duration,
    },
}
