//! How the commands of a handle end: the outcome of each, and why there may be none.

use bytes::Bytes;
use voiddht_core::event::Outcome;
use voiddht_core::operation::PutFailure;
use voiddht_core::report::Report;
use voiddht_wire::api::Proof;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::peer::NodeInfo;

/// Why a command has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The node has stopped, or is stopping.
    #[error("the node has stopped")]
    Stopped,
    /// Too many operations are in progress: later.
    #[error("too many operations in flight")]
    Busy,
    /// A value that no message can carry.
    #[error("a value has 1 to {MAX_VALUE_BYTES} bytes, not {0}")]
    ValueSize(usize),
}

/// How a conditional publication ended.
#[derive(Clone, Debug)]
pub enum PutIfResult {
    /// It was put, or failed for another reason than a conflict.
    Put {
        /// Nodes from which the value can be fetched; 0 if it has failed.
        stored: usize,
        /// Nodes that were sent the value and have not answered yet.
        outstanding: usize,
        /// Why it has failed, if it has.
        failure: Option<PutFailure>,
    },
    /// This envelope is the newest: fetched and verified by this node.
    Conflict(Bytes),
}

/// How a PUT ended.
#[derive(Clone, Debug)]
pub struct PutOutcome {
    /// Nodes from which the value can be fetched; 0 if the PUT has failed.
    pub stored: usize,
    /// Nodes that were sent the value and have not answered yet.
    pub outstanding: usize,
    /// Why it has failed, if it has.
    pub failure: Option<PutFailure>,
    /// How it went.
    pub report: Report,
}

/// How a GET ended.
#[derive(Clone, Debug)]
pub struct GetOutcome {
    /// The value, if a node has it.
    pub value: Option<Bytes>,
    /// Its version, where there is one.
    pub version: Option<u64>,
    /// How it was verified; `None` where nothing was found.
    pub proof: Option<Proof>,
    /// How it went.
    pub report: Report,
}

impl GetOutcome {
    pub(crate) fn of(outcome: Outcome) -> Result<Self, HandleError> {
        match outcome {
            Outcome::Get { value, version, proof, report } => {
                Ok(Self { value, version, proof, report })
            }
            _ => Err(HandleError::Busy),
        }
    }
}

/// How a lookup ended.
#[derive(Clone, Debug)]
pub struct LookupOutcome {
    /// The closest nodes that answered, nearest first.
    pub nodes: Vec<NodeInfo>,
    /// How it went.
    pub report: Report,
}
