//! Errors between a program and its node.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use voiddht_wire::Key;
use voiddht_wire::api::ApiError;
use voiddht_wire::frame::FrameError;
use voiddht_wire::limits::MAX_VALUE_BYTES;

/// Why there is no connection with the node.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name means no address.
    #[error("the node's name cannot be resolved: {0}")]
    Resolve(#[source] io::Error),
    /// Nothing listens there, or the network says that it cannot be reached.
    #[error("no node can be reached at {address}: {source}")]
    Unreachable {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing answered in time.
    #[error("no node answered at {address} within {after:?}")]
    Timeout {
        /// The address that was tried last.
        address: SocketAddr,
        /// How long it was waited for.
        after: Duration,
    },
}

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// The value is not of a size that can be stored. Nothing was sent.
    #[error("a value of {bytes} bytes cannot be stored: 1 to {MAX_VALUE_BYTES} bytes can")]
    ValueSize {
        /// Its size.
        bytes: usize,
    },
    /// The node ended the connection. It does so when it stops, when it has too many
    /// connections, and when it was sent something that it does not understand; its log says
    /// which.
    #[error("the node closed the connection; its log says why")]
    Closed,
    /// The connection broke.
    #[error("the connection with the node was lost: {0}")]
    Lost(#[source] Arc<io::Error>),
    /// What answers there does not speak the module API.
    #[error("the node broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The node has not answered in time; the connection stays usable.
    #[error("the node did not answer within {after:?}")]
    Timeout {
        /// How long it was waited for, the wait for a place among the requests in flight
        /// included.
        after: Duration,
    },
}

impl RequestError {
    /// Whether the same request may succeed later, over this connection or over a new one.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Closed | Self::Lost(_) | Self::Timeout { .. })
    }
}

/// The rule that a node broke. The connection ends with it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame that cannot be read.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message that cannot be read.
    #[error("{0}")]
    Message(#[from] ApiError),
    /// A connection that ended in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    CutShort,
    /// An answer to nothing that was asked.
    #[error("an answer for the key {0}, about which nothing was asked")]
    Unasked(Key),
    /// An answer of a type that does not belong to the request.
    #[error("an answer of another type than the request asks for")]
    WrongAnswer,
    /// The acknowledgement of a PUT that is not what was asked for: the byte of a count, or the two
    /// of a receipt.
    #[error("an acknowledgement of {bytes} bytes, which is neither a count nor a receipt")]
    Acknowledgement {
        /// Its size.
        bytes: usize,
    },
}
