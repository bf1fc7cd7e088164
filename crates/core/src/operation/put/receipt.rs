//! What became of a PUT: where its record is, why it failed, and which replicas it has missed.

use voiddht_wire::peer::NodeInfo;

/// What a PUT has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Nodes from which the value can be fetched; 0 if the PUT has failed.
    pub stored: usize,
    /// Nodes that were sent the record and have not answered yet.
    pub outstanding: usize,
    /// Why it has failed, if it has.
    pub failure: Option<PutFailure>,
}

/// A replica that a PUT did not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The node.
    pub node: NodeInfo,
    /// Whether its answer may still come.
    pub is_awaited: bool,
}

/// Why a PUT has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PutFailure {
    /// More nodes hold a value that wins than have stored this one.
    #[error(
        "superseded: {refused} nodes hold a newer value and {confirmed} stored this one; another \
         publisher was later, or its clock is ahead: read the value, and put again if it must be \
         replaced"
    )]
    Superseded {
        /// Nodes that refused the record.
        refused: usize,
        /// Nodes that stored it.
        confirmed: usize,
    },
    /// More nodes refused the version than have stored the record, and none was found to hold
    /// another value.
    #[error(
        "{refused} nodes refused its version and {confirmed} stored it: this node's clock is \
         probably ahead of theirs; correct it and put again"
    )]
    VersionRefused {
        /// Nodes that refused the record.
        refused: usize,
        /// Nodes that stored it.
        confirmed: usize,
    },
    /// The value is an envelope of the key that no node would hold.
    #[error("the signed value is refused: {0}")]
    Envelope(voiddht_signed::Refused),
    /// A conditional PUT of a value that is no envelope of the key.
    #[error("only a signed value of this key can be put on a condition")]
    NotSigned,
    /// No other node answered: this node is cut off.
    #[error(
        "none of the known nodes answered: this node cannot reach its network; try again later"
    )]
    Unreachable,
    /// Nodes answered, and none took the record.
    #[error("no node took it: they are busy, or their stores are full; try again later")]
    Refused,
}
