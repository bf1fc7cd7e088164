//! Settings of the core. Each default is a named constant whose comment gives its source.

use std::time::Duration;

use voiddht_wire::limits::MAX_NODES;

use crate::diversity::DiversityLimits;
use crate::kept::KeptLimits;
use crate::quota::RequestLimits;
use crate::record::RecordLimits;

/// Size of a bucket, of the answer to FIND_NODE, and of a replica set (Kademlia, section 2.2).
pub const K: usize = MAX_NODES;
/// Requests of one lookup in flight (Kademlia, section 2.3).
pub const ALPHA: usize = 3;
/// Bits of an ID that one step of a lookup settles (Kademlia, section 4.2).
pub const B: usize = 5;
/// Disjoint paths of a lookup (S/Kademlia, section 4.4). Five paths bring a quorum of votes in
/// one round trip; fewer need a second one, more ask nodes whose vote is not needed.
pub const DISJOINT_PATHS: usize = 5;
/// The most disjoint paths that a lookup can have.
pub const MAX_PATHS: usize = 16;
/// Candidates that a bucket remembers. The paper names no number; three for each place is a guess.
pub const REPLACEMENT_CACHE: usize = 3 * K;
/// Replicas that must agree, none dissenting, to end a GET early. Where a fifth of all nodes
/// are hostile, five agree on a wrong value once in 3 000.
pub const VOTE_QUORUM: usize = 5;
/// TTL of a value whose publisher named none. A guess: long enough to outlive a restart of the
/// publisher, short enough that abandoned values go.
pub const DEFAULT_TTL: Duration = Duration::from_secs(6 * 3600);
/// The longest TTL of a value: what `ttl u16` can say.
pub const MAX_TTL: Duration = Duration::from_secs(u16::MAX as u64);
/// Interval of bucket refresh (Kademlia, section 2.3).
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// Interval in which a node makes sure that its records lie on the k closest nodes (Kademlia,
/// section 2.5).
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// The first timeout, while no round-trip time is known, and the longest one of
/// peers that were not measured themselves: it covers a TCP and a TLS handshake over half the globe.
pub const STRANGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How much longer than on average a request takes at least that is slow: the granularity of timers
/// (`kGranularity`, RFC 9002, section 6.1.2).
pub const SLOW_BY_AT_LEAST: Duration = Duration::from_millis(1);
/// Below this no request counts as overdue: a scheduler's pause is not a slow peer.
pub const MIN_LATE: Duration = Duration::from_millis(20);
/// As [`MIN_LATE`], for a request that needs a connection first: a peer may be about to shake hands
/// with many.
pub const MIN_LATE_DIAL: Duration = Duration::from_millis(100);
/// Round trips of a request that needs a connection first, at most: TCP's handshake, TLS's, the proof of
/// membership in a private network, and the request itself.
pub const DIAL_ROUND_TRIPS: u32 = 4;
/// An overdue request fails after this many times the time after which it was overdue.
pub const FAIL_FACTOR: u32 = 10;
/// Bounds of the time after which a request has failed.
pub const FAIL_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// First and longest pause between attempts to join, and between attempts to reach a configured peer
/// that is not there: with the longest, two networks that such a peer keeps apart meet within half a
/// minute, and have half a minute to become one.
pub const JOIN_BACKOFF: (Duration, Duration) =
    (Duration::from_millis(500), Duration::from_secs(30));
/// How a connection with a peer is checked while nothing arrives on it. Drivers set it on their
/// sockets, and the simulator models it. A guess: address translators keep an idle connection for
/// minutes (RFC 5382 demands two hours), a peer that vanished is noticed after two minutes, and 500
/// connections cost a node 290 bytes per second; a first probe after one minute would cost half as
/// much again.
pub const PEER_KEEPALIVE: Keepalive =
    Keepalive { after: Duration::from_secs(90), interval: Duration::from_secs(10), probes: 3 };

/// When TCP asks whether the other end of a connection still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub after: Duration,
    /// Between two probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection fails.
    pub probes: u32,
}

impl Keepalive {
    /// The time after which a vanished peer is noticed.
    pub const fn total(&self) -> Duration {
        self.after.saturating_add(self.interval.saturating_mul(self.probes))
    }
}

/// How long a leaving node hands over what it holds. A guess: some ten thousand small records.
pub const LEAVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long contacts have to dial a node back before it takes itself for unreachable: as long as a
/// contact pauses between two such dials.
pub const DIAL_BACK_PATIENCE: Duration = Duration::from_secs(60);
/// Operations in flight. Each holds at most a few hundred candidates of 120 bytes.
pub const MAX_OPERATIONS: usize = 4096;

/// How many nodes of one address prefix count, and where. Loopback and private addresses are
/// exempt: there, many nodes behind few addresses are the rule.
#[derive(Clone, Copy, Debug)]
pub struct Diversity {
    /// In one bucket.
    pub bucket: DiversityLimits,
    /// In the whole routing table.
    pub table: DiversityLimits,
    /// Among the nodes that a lookup asks, and among the replicas of a record.
    pub lookup: DiversityLimits,
}

impl Diversity {
    /// No limits.
    pub const NONE: Self = Self {
        bucket: DiversityLimits::NONE,
        table: DiversityLimits::NONE,
        lookup: DiversityLimits::NONE,
    };
}

impl Default for Diversity {
    fn default() -> Self {
        Self {
            bucket: DiversityLimits::BUCKET,
            table: DiversityLimits::TABLE,
            lookup: DiversityLimits::LOOKUP,
        }
    }
}

/// How a node behaves. [`Config::check`] holds the relations between the settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Replicas of a record, and contacts of a bucket; default [`K`].
    pub k: usize,
    /// Requests of one lookup in flight; default [`ALPHA`].
    pub alpha: usize,
    /// Bits that a step of a lookup resolves; default [`B`].
    pub b: usize,
    /// Candidates remembered for each bucket; default [`REPLACEMENT_CACHE`].
    pub replacement_cache: usize,
    /// Disjoint paths of a lookup; 1 is plain Kademlia. Default [`DISJOINT_PATHS`].
    pub disjoint_paths: usize,
    /// Agreeing votes that end a GET; default [`VOTE_QUORUM`].
    pub vote_quorum: usize,
    /// Whether PUTs, GETs and renewals go to more nodes where those around a key are denser than
    /// the size of the network explains: see [`crate::density`].
    pub widen_dense: bool,
    /// Nodes that a PUT stores on where its publisher names no number: k.
    pub replication: usize,
    /// TTL of values that are put without one; default [`DEFAULT_TTL`].
    pub default_ttl: Duration,
    /// The shortest TTL that a local program may ask for; a shorter one is raised to it.
    pub min_ttl: Duration,
    /// The longest TTL of any value; a longer one is cut to it.
    pub max_ttl: Duration,
    /// Time after which a bucket without lookups is refreshed; default [`REFRESH_INTERVAL`].
    pub refresh_interval: Duration,
    /// Time between renewals of a record; default [`UPKEEP_INTERVAL`].
    pub upkeep_interval: Duration,
    /// Time limit for handing records over at the end; default [`LEAVE_PATIENCE`].
    pub leave_patience: Duration,
    /// How many records this node keeps, and how many bytes of them.
    pub records: RecordLimits,
    /// How many values this node republishes for its users.
    pub kept: KeptLimits,
    /// Limits on nodes of one address prefix.
    pub diversity: Diversity,
    /// How many requests a peer, and an address prefix, may send in a time.
    pub requests: RequestLimits,
    /// Concurrent operations; default [`MAX_OPERATIONS`].
    pub max_operations: usize,
    /// Whether this node is a client: it announces no port, holds no replica, and is in no other
    /// node's routing table.
    pub client: bool,
    /// Time for contacts to dial back before the node becomes a client; default
    /// [`DIAL_BACK_PATIENCE`].
    pub dial_back_patience: Duration,
    /// Whether reports list every step (for people who ask how an operation went).
    pub trace_steps: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            k: K,
            alpha: ALPHA,
            b: B,
            replacement_cache: REPLACEMENT_CACHE,
            disjoint_paths: DISJOINT_PATHS,
            vote_quorum: VOTE_QUORUM,
            widen_dense: true,
            replication: K,
            default_ttl: DEFAULT_TTL,
            min_ttl: Duration::from_secs(1),
            max_ttl: MAX_TTL,
            refresh_interval: REFRESH_INTERVAL,
            upkeep_interval: UPKEEP_INTERVAL,
            leave_patience: LEAVE_PATIENCE,
            records: RecordLimits::default(),
            kept: KeptLimits::default(),
            diversity: Diversity::default(),
            requests: RequestLimits::default(),
            max_operations: MAX_OPERATIONS,
            client: false,
            dial_back_patience: DIAL_BACK_PATIENCE,
            trace_steps: false,
        }
    }
}

/// Settings that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{name} is {got}, and must be between {least} and {most}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// Its value.
        got: usize,
        /// The least allowed.
        least: usize,
        /// The most allowed.
        most: usize,
    },
    /// `min_ttl ≤ default_ttl ≤ max_ttl` does not hold.
    #[error("the ttls must rise: min_ttl {min:?}, default_ttl {default:?}, max_ttl {max:?}")]
    TtlOrder {
        /// The least.
        min: Duration,
        /// The default.
        default: Duration,
        /// The most.
        max: Duration,
    },
}

impl Config {
    /// For how long a publication of this node is stored: as asked for, within the bounds.
    pub fn granted_ttl(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.default_ttl).clamp(self.min_ttl, self.max_ttl)
    }

    /// On how many nodes a publication of this node is stored; 0 is no wish either.
    pub fn granted_replication(&self, asked: Option<u8>) -> usize {
        match asked {
            None | Some(0) => self.replication,
            Some(nodes) => nodes.into(),
        }
    }

    /// Checks every range and every relation between the settings.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("k", self.k, 1, MAX_NODES),
            ("alpha", self.alpha, 1, self.k),
            ("b", self.b, 1, 8),
            ("disjoint_paths", self.disjoint_paths, 1, MAX_PATHS),
            ("vote_quorum", self.vote_quorum, 1, self.k),
            ("replication", self.replication, 1, self.k),
            ("max_operations", self.max_operations, 1, 1 << 20),
        ];
        for (name, got, least, most) in ranges {
            if !(least..=most).contains(&got) {
                return Err(ConfigError::OutOfRange { name, got, least, most });
            }
        }
        let (min, default, max) = (self.min_ttl, self.default_ttl, self.max_ttl);
        if min < Duration::from_secs(1) || min > default || default > max || max > MAX_TTL {
            return Err(ConfigError::TtlOrder { min, default, max });
        }
        Ok(())
    }
}
