//! Kept values, as the rest of a process and people see them: see [`voiddht_core::kept`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use voiddht_core::kept::{self, KeepReceipt, KeepRequest};
use voiddht_core::operation::PutFailure;
use voiddht_core::time::WallTime;
use voiddht_wire::{Key, Publication};

use crate::outcome::HandleError;

pub use voiddht_core::kept::{
    KeepRefusal, KeptState, MAX_KEEP_LOOKUPS_PER_SECOND, MAX_KEPT_BYTES, MAX_KEPT_VALUES,
};

/// A value to be kept: published now, and republished until it is removed or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep(pub(crate) KeepRequest);

impl Keep {
    /// Keeps a value, 1 to 65 495 bytes, with the node's TTL and number of replicas. A signed value
    /// replaces an older one of its key; an older one is refused.
    pub fn new(key: Key, value: impl Into<Bytes>) -> Self {
        Self::from(Publication::new(key, value))
    }

    /// The TTL of each publication. The value is republished at a third of it.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|publication| publication.ttl(ttl))
    }

    /// The number of nodes that each publication goes to.
    pub fn replication(self, nodes: u8) -> Self {
        self.with(|publication| publication.replication(nodes))
    }

    /// Ends keeping then, if the value has no earlier end of its own.
    pub fn until(self, end: SystemTime) -> Self {
        let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = WallTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self(KeepRequest { until: Some(end), ..self.0 })
    }

    /// The value was published a moment ago: the first publication is due after a third of its TTL.
    pub fn already_published(self) -> Self {
        Self(KeepRequest { is_published: true, ..self.0 })
    }

    /// The value.
    pub fn value(&self) -> &Bytes {
        &self.0.publication.value
    }

    fn with(self, change: impl FnOnce(Publication) -> Publication) -> Self {
        let Self(request) = self;
        Self(KeepRequest { publication: change(request.publication), ..request })
    }
}

impl From<Publication> for Keep {
    /// Keeps what is published now, without an end other than its own.
    fn from(publication: Publication) -> Self {
        Self(KeepRequest { publication, until: None, is_published: false })
    }
}

/// How keeping a value began: it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepOutcome {
    /// Nodes from which the value can be fetched after its first publication; `None` where that is yet
    /// to come, 0 if it has failed: it is tried again.
    pub stored: Option<usize>,
    /// Nodes that were sent the value and have not answered yet.
    pub outstanding: usize,
    /// Why the first publication has failed, if it has.
    pub failure: Option<PutFailure>,
    /// The TTL of each publication.
    pub ttl: Duration,
    /// Whether the value is on disk: otherwise it is kept until the node stops.
    pub on_disk: bool,
}

impl KeepOutcome {
    pub(crate) fn new(receipt: KeepReceipt, on_disk: bool) -> Self {
        let KeepReceipt { publication, ttl } = receipt;
        Self {
            stored: publication.map(|receipt| receipt.stored),
            outstanding: publication.map_or(0, |receipt| receipt.outstanding),
            failure: publication.and_then(|receipt| receipt.failure),
            ttl: Duration::from_secs(ttl.into()),
            on_disk,
        }
    }
}

/// Why a value is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The node does not answer, or cannot now.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The node refuses to keep it.
    #[error(transparent)]
    Refused(#[from] KeepRefusal),
}

/// A kept value, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptView {
    /// The key, 64 hexadecimal digits.
    pub key: String,
    /// The value's size in bytes; 0 once it is no longer kept.
    pub bytes: usize,
    /// How readers verify it: `vote`, `hash` or `signature`.
    pub verified: String,
    /// The public key of its owner, 64 hexadecimal digits, where it is a signed value.
    pub owner: Option<String>,
    /// The delegation's generation, 0 without one.
    pub generation: Option<u32>,
    /// The sequence number, in decimal: JSON numbers are not exact enough.
    pub seq: Option<String>,
    /// Whether it is a withdrawal.
    pub withdrawal: bool,
    /// `kept`, `superseded` or `ended`.
    pub state: String,
    /// The TTL of each publication.
    pub ttl_seconds: u16,
    /// When keeping ends, in milliseconds since 1970.
    pub end_ms: Option<u64>,
    /// The last publication that succeeded, in milliseconds since 1970.
    pub published_ms: Option<u64>,
    /// Seconds until the next publication, 0 while it is under way; `None` where there will be none.
    pub next_seconds: Option<u64>,
    /// Nodes that the last publication was stored on; `None` before the first one since the start.
    pub replicas: Option<usize>,
    /// Why the last publication failed, if it did.
    pub failure: Option<String>,
}

impl From<kept::KeptView> for KeptView {
    fn from(kept: kept::KeptView) -> Self {
        let envelope = kept.envelope.as_ref();
        Self {
            key: kept.key.to_string(),
            bytes: kept.bytes,
            verified: kept.class.proof().name().to_owned(),
            owner: envelope.map(|envelope| envelope.name().owner.to_string()),
            generation: envelope.map(|envelope| envelope.generation()),
            seq: envelope.map(|envelope| envelope.seq().to_string()),
            withdrawal: envelope.is_some_and(|envelope| envelope.is_withdrawal()),
            state: kept.state.name().to_owned(),
            ttl_seconds: kept.ttl,
            end_ms: kept.end.map(WallTime::as_millis),
            published_ms: kept.published.map(WallTime::as_millis),
            next_seconds: kept.next.map(|next| next.as_secs()),
            replicas: kept.replicas,
            failure: kept.failure.map(|failure| failure.to_string()),
        }
    }
}
