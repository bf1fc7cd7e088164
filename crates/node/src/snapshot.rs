//! Views of a running node: for the dashboard, `dht status`, and readers of `/status.json`.
//!
//! Plain data for serde. Names carry their units. IDs and keys are 64 hexadecimal digits. Of a
//! value, its key, size and remaining TTL are shown, and never its content.

pub(crate) mod assemble;
pub(crate) mod health;
mod operation;
mod signed;
mod value;

use serde::Serialize;
use voiddht_core::kept::{KeptState, KeptUsage};
use voiddht_core::peer_clocks::ClockEstimate;

use health::clock_in_words;
pub use health::{Facts, Health, Reason, State};
pub use operation::{OperationView, StepView};
pub use signed::SignedView;
pub use value::{ValueView, Verified};

pub use crate::observer::MAX_STEPS;

/// Keys of a sample, at most: so many marks can be distinguished on a ring.
pub const MAX_SAMPLED_KEYS: usize = 128;
/// Operations in progress that are listed, at most; all are counted.
pub const MAX_RUNNING_SHOWN: usize = 16;

/// Which parts of a [`Snapshot`] are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Whether the contacts are listed, not only counted.
    pub contacts: bool,
    /// Whether operations that start within the next seconds are to list their steps.
    pub watch: bool,
    /// The last finished operation that is known already: only later ones are listed.
    pub after: u64,
}

impl SnapshotRequest {
    /// Everything there is.
    pub const ALL: Self = Self { contacts: true, watch: true, after: 0 };
}

/// A node at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// When this was, in milliseconds since 1970.
    pub taken_at_ms: u64,
    /// The node's identity.
    pub node: NodeView,
    /// How it feels.
    pub health: Health,
    /// What contacts' clocks say of its clock; `None` where too few are known.
    pub clock: Option<ClockView>,
    /// The routing table.
    pub table: TableView,
    /// What it stores.
    pub records: RecordsView,
    /// What it republishes.
    pub kept: KeptUsageView,
    /// Where the records and kept values are, for the next start.
    pub storage: StorageView,
    /// The private network that it belongs to; `None` in a public one.
    pub network: Option<NetworkView>,
    /// What it does.
    pub operations: OperationsView,
    /// Its connections.
    pub connections: ConnectionsView,
    /// The configured peers, and how far joining through each has come.
    pub peers: Vec<ConfiguredPeerView>,
    /// Bans and pins.
    pub trust: TrustView,
    /// Its limits, those in use first, each with how often it was reached.
    pub limits: Vec<LimitView>,
    /// What happened recently, the latest last.
    pub events: Vec<EventView>,
}

/// A node's identity.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// Its ID.
    pub id: String,
    /// Where it listens for peers.
    pub p2p_address: String,
    /// Where it says that peers reach it. Unspecified: peers use the address that they see.
    pub announced_address: String,
    /// The public address that contacts see it at, where enough of them agree.
    pub public_address: Option<String>,
    /// Whether peers can dial it: `reachable`, `unreachable` (it is a client until one can),
    /// `unknown` while too few were asked, or `client` by its settings.
    pub reach: &'static str,
    /// Where local programs reach it; empty where the module API is not served.
    pub api_address: String,
    /// The version of this program.
    pub version: &'static str,
    /// How a node ID is authenticated in its network: `self-certifying` or `tofu`.
    pub policy: &'static str,
    /// How long it has been running.
    pub uptime_seconds: u64,
    /// Contacts of a bucket, and nodes of a replica set.
    pub k: usize,
    /// Requests of a lookup in flight.
    pub alpha: usize,
    /// Disjoint paths of a lookup.
    pub disjoint_paths: usize,
    /// Votes that end a GET early.
    pub vote_quorum: usize,
}

/// This machine's clock, beside those of contacts.
#[derive(Clone, Debug, Serialize)]
pub struct ClockView {
    /// How far it is ahead of them, negative if behind.
    pub ahead_seconds: f64,
    /// Contacts whose clocks are known.
    pub contacts: usize,
    /// Whether it is so far off that values suffer.
    pub wrong: bool,
    /// The same in words.
    pub text: String,
}

impl ClockView {
    pub(crate) fn of(clock: ClockEstimate) -> Self {
        Self {
            ahead_seconds: clock.ahead_ms as f64 / 1000.0,
            contacts: clock.contacts,
            wrong: clock.is_wrong(),
            text: clock_in_words(&clock),
        }
    }
}

/// The routing table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableView {
    /// Contacts in all buckets.
    pub contacts: usize,
    /// Those that failed to answer the last time.
    pub suspects: usize,
    /// Nodes of the whole network, as this one estimates; `None` before it has looked around.
    pub network_size: Option<u64>,
    /// The median of the measured round-trip times.
    pub rtt_median_ms: Option<f64>,
    /// The buckets in the order of the space. Without their contacts where these were not asked for.
    pub buckets: Vec<BucketView>,
    /// Contacts that entered the table or left it, the latest last. Empty where contacts were not
    /// asked for.
    pub changes: Vec<ContactChangeView>,
}

/// A contact that entered the routing table or left it.
#[derive(Clone, Debug, Serialize)]
pub struct ContactChangeView {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its ID.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// `joined` or `left`.
    pub change: &'static str,
}

/// One bucket: the contacts whose IDs begin with its prefix.
#[derive(Clone, Debug, Serialize)]
pub struct BucketView {
    /// The lowest ID of its range.
    pub prefix: String,
    /// Bits of the prefix.
    pub depth: usize,
    /// Whether the node's own ID lies in it.
    pub own: bool,
    /// How many contacts it has.
    pub size: usize,
    /// Nodes that wait for a place.
    pub candidates: usize,
    /// How long ago a lookup last aimed into it.
    pub looked_up_seconds_ago: Option<u64>,
    /// Its contacts, least recently seen first.
    pub contacts: Vec<ContactView>,
}

/// One contact.
#[derive(Clone, Debug, Serialize)]
pub struct ContactView {
    /// Its ID.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// Its smoothed round-trip time.
    pub rtt_ms: Option<f64>,
    /// The mean deviation of that.
    pub rtt_deviation_ms: Option<f64>,
    /// How long ago it last answered.
    pub seen_seconds_ago: u64,
    /// Failures since then; a suspect has at least one.
    pub failures: u8,
    /// Whether there is a live connection with it.
    pub connected: bool,
}

/// The records that a node holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordsView {
    /// How many.
    pub count: usize,
    /// Memory that they take, overhead included.
    pub bytes: usize,
    /// How many there may be.
    pub max_count: usize,
    /// Memory that they may take.
    pub max_bytes: usize,
    /// When the next one expires.
    pub next_expiry_seconds: Option<u64>,
    /// All of them, or as many as [`MAX_SAMPLED_KEYS`], spread over the space.
    pub sample: Vec<RecordView>,
}

/// One record. Its value is not shown.
#[derive(Clone, Debug, Serialize)]
pub struct RecordView {
    /// The key.
    pub key: String,
    /// Bytes of the value.
    pub bytes: usize,
    /// How long it still lives.
    pub ttl_seconds: u64,
    /// Whether it is another node's to hold, and goes first when room is needed.
    pub cached: bool,
}

/// Values that a node republishes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct KeptUsageView {
    /// How many.
    pub values: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How many of them have a last publication that failed.
    pub failing: usize,
    /// Those that are kept no longer: another publisher's value has won the key.
    pub superseded: usize,
    /// Those that are kept no longer: their end has passed.
    pub ended: usize,
}

impl From<KeptUsage> for KeptUsageView {
    fn from(usage: KeptUsage) -> Self {
        let of = |state: KeptState| usage.values[state.slot()];
        Self {
            values: of(KeptState::Kept),
            bytes: usage.bytes,
            failing: usage.failing,
            superseded: of(KeptState::Superseded),
            ended: of(KeptState::Ended),
        }
    }
}

/// The data directory of a node.
#[derive(Clone, Debug, Serialize)]
pub struct StorageView {
    /// The data directory, if there is one: nothing is kept on disk otherwise.
    pub directory: Option<String>,
    /// Whether the last write failed.
    pub failing: bool,
}

/// A private network, as one of its nodes sees it. Fingerprints reveal nothing of the secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetworkView {
    /// The secrets in the order of the file: the first proves membership, all are accepted.
    pub secrets: Vec<SecretView>,
    /// Handshakes without membership since the start.
    pub refused: Vec<RefusedView>,
    /// Proofs of peers, in the last ten minutes, by a secret that the file does not have.
    pub recent_wrong_proofs: u64,
    /// Dials of contacts, in the last ten minutes, whose certificate no secret opened.
    pub recent_unopened_contacts: u64,
    /// Dials, in the last ten minutes, of peers that sealed their certificate with another secret than
    /// the first of this node, and closed the connection when this node proved membership by that.
    pub recent_closed_by_newer: u64,
}

/// One secret of a private network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretView {
    /// The first 8 bytes of SHA-256("voiddht network" 00 ‖ secret), in hexadecimal digits.
    pub fingerprint: String,
    /// Open connections whose peer proved membership by it.
    pub connections: usize,
    /// Whether it is, or was since the node's start, the first of the file.
    pub has_been_first: bool,
}

/// Handshakes that ended without membership, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    /// `public_node`, `other_network`, `wrong_proof` or `no_proof`.
    pub reason: &'static str,
    /// How often since the start.
    pub count: u64,
}

/// Connections whose keys were agreed on in one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// `x25519mlkem768`, `x25519` or `p256`.
    pub group: &'static str,
    /// Open connections.
    pub connections: usize,
}

/// What a node does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OperationsView {
    /// How many operations are in progress.
    pub running_count: usize,
    /// Requests that await their answer.
    pub requests_in_flight: usize,
    /// The oldest operations in progress, [`MAX_RUNNING_SHOWN`] at most.
    pub running: Vec<OperationView>,
    /// The last that ended, the latest last; while many do, some of them.
    pub finished: Vec<OperationView>,
}

/// Connections with peers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionsView {
    /// Open now.
    pub open: u64,
    /// Handshakes that succeeded, dialled by this node.
    pub dialed: u64,
    /// Handshakes that succeeded, dialled by others.
    pub accepted: u64,
    /// Dials that brought no connection.
    pub dials_failed: u64,
    /// Accepted connections whose handshake did not succeed. Probes are among them.
    pub handshakes_failed: u64,
    /// Connections with peers by the group of their key exchange, open now.
    pub groups: Vec<GroupView>,
    /// Connections of local programs, open now.
    pub api: u64,
    /// When a peer last dialled the peer port, in milliseconds since 1970: this node can be
    /// reached from there.
    pub last_caller_ms: Option<u64>,
}

/// One configured peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfiguredPeerView {
    /// As it was configured.
    pub peer: String,
    /// `joined`, `split`, `untried`, `own_node`, or why joining through it fails: `refused`,
    /// `unreachable`, `timed_out`, `unresolved`, `not_a_peer_port`, `other_policy`, `other_network`,
    /// `public_network`, `wrong_identity`, `connection_lost`, `no_answer`, `refused_request` or `local_limit`.
    pub state: &'static str,
    /// Where it answered.
    pub address: Option<String>,
    /// Which node answered.
    pub node: Option<String>,
    /// The state in words.
    pub text: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

/// Banned peers, and pinned certificates.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrustView {
    /// Banned peers.
    pub bans: Vec<BanView>,
    /// Rules broken by peers since the start.
    pub misbehaved: u64,
    /// Certificates that are pinned.
    pub pins: usize,
    /// Connections, since the start, that authenticated a pinned ID under another key.
    pub conflicts: u64,
}

/// One ban.
#[derive(Clone, Debug, Serialize)]
pub struct BanView {
    /// The peer.
    pub id: String,
    /// How long it still lasts.
    pub seconds_left: u64,
}

/// One limit.
#[derive(Clone, Debug, Serialize)]
pub struct LimitView {
    /// Its name, as in the settings and the metrics.
    pub name: &'static str,
    /// How much is allowed, where that is one number.
    pub limit: Option<u64>,
    /// How much of it is in use.
    pub in_use: Option<u64>,
    /// How often it was reached since the start.
    pub reached: u64,
    /// How often in the last ten minutes.
    pub reached_recently: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it is something to look at.
    pub warning: bool,
    /// What.
    pub text: String,
    /// How often it happened in a row.
    pub times: u32,
}
