//! What the driver copies of a node for those who look at it: plain data, without words.

use std::net::IpAddr;
use std::time::Duration;

use voiddht_core::configured::{ConfiguredPeer, PeerState};
use voiddht_core::contact::Contact;
use voiddht_core::kept::KeptUsage;
use voiddht_core::label::{OperationKind, OperationPurpose};
use voiddht_core::report::Report;
use voiddht_core::routing::BucketRange;
use voiddht_core::time::{Moment, Now};
use voiddht_session::ConnectionCounts;
use voiddht_wire::{Key, NodeId};

use crate::observer::{ContactChange, Finished, Happened};
use crate::snapshot::health::Facts;

/// A node as its driver sees it at one moment.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) now: Now,
    pub(crate) facts: Facts,
    pub(crate) parameters: Parameters,
    pub(crate) buckets: Vec<ObservedBucket>,
    pub(crate) contact_changes: Vec<ContactChange>,
    pub(crate) records: ObservedRecords,
    pub(crate) kept: KeptUsage,
    pub(crate) network_size: Option<u64>,
    pub(crate) operations: usize,
    pub(crate) max_operations: usize,
    pub(crate) requests: usize,
    pub(crate) running: Vec<Running>,
    pub(crate) finished: Vec<Finished>,
    pub(crate) bans: Vec<(NodeId, Duration)>,
    pub(crate) peers: Vec<(ConfiguredPeer, PeerState)>,
    pub(crate) pins: usize,
    pub(crate) connection_counts: ConnectionCounts,
    pub(crate) reach: &'static str,
    pub(crate) public_address: Option<IpAddr>,
    pub(crate) events: Vec<Happened>,
}

/// The settings of the core that people want to see.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) k: usize,
    pub(crate) alpha: usize,
    pub(crate) disjoint_paths: usize,
    pub(crate) vote_quorum: usize,
}

/// A bucket, and its contacts if they were asked for.
#[derive(Debug)]
pub(crate) struct ObservedBucket {
    pub(crate) range: BucketRange,
    pub(crate) size: usize,
    pub(crate) candidates: usize,
    pub(crate) last_looked_up: Option<Moment>,
    /// Each with whether there is a live connection.
    pub(crate) contacts: Vec<(Contact, bool)>,
    pub(crate) rtts: Vec<Duration>,
}

/// The records.
#[derive(Debug)]
pub(crate) struct ObservedRecords {
    pub(crate) next_expiry: Option<Duration>,
    /// Key, bytes, remaining TTL, and whether it is another node's to hold.
    pub(crate) sample: Vec<(Key, usize, Duration, bool)>,
}

/// An operation in progress.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) kind: OperationKind,
    pub(crate) purpose: OperationPurpose,
    pub(crate) target: Key,
    pub(crate) since: Duration,
    pub(crate) report: Report,
}
