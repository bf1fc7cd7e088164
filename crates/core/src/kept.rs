//! Kept values: values that this node publishes again and again, until their publisher says otherwise.
//!
//! A TTL ends after 18 hours at most. A kept value is republished by the node at a third of its TTL, so
//! that it outlives any of them, and restarts of the node. This module holds what is kept, with its
//! bounds; [`crate::node`] republishes it.
//!
//! A kept value ends by itself where another publisher's value has won its key (*superseded*), or
//! where its effective end has passed (*ended*). Such an entry is listed without its value until
//! it is removed, or until another needs its slot.

use std::time::Duration;

use voiddht_signed::{Envelope, Refused};
use voiddht_wire::{Key, Publication};

use crate::label::Limit;
use crate::operation::{PutFailure, Receipt};
use crate::record::StoredClass;
use crate::record::order::Class;
use crate::record::value::VerifiedValue;
use crate::time::WallTime;

pub(crate) mod table;

/// Values that a node keeps, at most; beyond it, [`KeepRefusal::Full`]. About 400 bytes each beside
/// the value itself, 25 MiB in all.
pub const MAX_KEPT_VALUES: usize = 65_536;
/// Bytes of kept values, at most; beyond it, [`KeepRefusal::Full`]. All of them are in memory.
pub const MAX_KEPT_BYTES: usize = 256 << 20;
/// Republishing costs so many lookups a second, at most: as many as a busy program's, and enough for
/// [`MAX_KEPT_VALUES`] within a third of an hour. A guess.
pub const MAX_KEEP_LOOKUPS_PER_SECOND: u32 = 50;
/// The share of its TTL after which a value is republished: two publications may fail before the
/// value is gone.
pub const REPUBLISH_SHARE: f64 = 1.0 / 3.0;
/// By which share of that the moment varies.
pub const REPUBLISH_JITTER: f64 = 0.1;

/// How large the table of kept values may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLimits {
    /// See [`MAX_KEPT_VALUES`].
    pub max_values: usize,
    /// See [`MAX_KEPT_BYTES`].
    pub max_bytes: usize,
}

impl Default for KeptLimits {
    fn default() -> Self {
        Self { max_values: MAX_KEPT_VALUES, max_bytes: MAX_KEPT_BYTES }
    }
}

/// A value to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepRequest {
    /// The value, and how each publication of it is stored.
    pub publication: Publication,
    /// When keeping ends, beside the value's own effective end; `None` for no such time.
    pub until: Option<WallTime>,
    /// Whether the value has been published just now: then the first publication is the next one.
    pub is_published: bool,
}

/// Why a value is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepRefusal {
    /// A bound of what a node keeps.
    #[error("the limit {limit} is reached: remove kept values first (dht unkeep KEY)")]
    Full {
        /// Which.
        limit: Limit,
    },
    /// The value is an envelope of the key that no node would hold.
    #[error("the signed value is refused: {0}")]
    Envelope(Refused),
    /// Its end, or the end of keeping, has passed.
    #[error("its end has passed")]
    Ended,
    /// This node keeps a value of the key that outranks it.
    #[error("a newer signed value of this key is kept already")]
    Older,
    /// The data directory could not be written.
    #[error("the data directory could not be written: see the node's log")]
    NotWritten,
}

/// How keeping a value began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepReceipt {
    /// The first publication; `None` where it is yet to come: the value has been published already, or
    /// too many operations are under way.
    pub publication: Option<Receipt>,
    /// TTL of each publication, in seconds.
    pub ttl: u16,
}

crate::label! {
    /// Whether a value is still republished.
    pub enum KeptState {
        /// It is.
        Kept = "kept",
        /// Another publisher's value has won the key.
        Superseded = "superseded",
        /// Its effective end, or the end of keeping, has passed.
        Ended = "ended",
    }
}

/// What the disk remembers of a kept value beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// The key.
    pub key: Key,
    /// TTL of each publication, in seconds.
    pub ttl: u16,
    /// Nodes that each publication goes to; 0 is the configured default.
    pub replication: u8,
    /// The version of the last publication of a plain value; 0 for none.
    pub version: u64,
    /// When keeping ends, beside the value's own effective end.
    pub until: Option<WallTime>,
    /// When a plain value was published last, a self-verifying one first; `None` for never.
    pub published: Option<WallTime>,
    /// Whether it is still republished.
    pub state: KeptState,
    /// What was verified of the value; `None` where the disk does not say, as of all but signed values.
    pub class: Option<StoredClass>,
}

/// How many values a node keeps, and how that goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptUsage {
    /// Listed values, by [`KeptState`].
    pub values: [usize; KeptState::COUNT],
    /// Bytes of those that are still kept.
    pub bytes: usize,
    /// Values that are kept and whose last publication failed: they end with their TTL unless one of the
    /// next succeeds.
    pub failing: usize,
}

/// What can be seen of a kept value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptView {
    /// The key.
    pub key: Key,
    /// The value's size in bytes; 0 once it is no longer kept.
    pub bytes: usize,
    /// What makes it the value of its key.
    pub class: Class,
    /// The envelope, where it is a signed value that is still kept.
    pub envelope: Option<Envelope>,
    /// Whether it is still republished.
    pub state: KeptState,
    /// TTL of each publication, in seconds.
    pub ttl: u16,
    /// When keeping ends: the earlier of the effective end and the end that was asked for.
    pub end: Option<WallTime>,
    /// The last publication that succeeded.
    pub published: Option<WallTime>,
    /// Time until the next publication; `None` where there will be none.
    pub next: Option<Duration>,
    /// Nodes that the last publication was stored on; `None` before the first one of this run.
    pub replicas: Option<usize>,
    /// Why the last publication failed, if it did.
    pub failure: Option<PutFailure>,
}

/// When keeping a value ends: the earlier of its effective end and `until`.
pub(crate) fn end_of(value: &VerifiedValue, until: Option<WallTime>) -> Option<WallTime> {
    let effective = value.envelope().and_then(|envelope| envelope.effective_end());
    let effective = effective.map(|end| WallTime::from_millis(end.saturating_mul(1000)));
    effective.into_iter().chain(until).min()
}
