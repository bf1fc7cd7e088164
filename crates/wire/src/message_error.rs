//! The rules of messages that a peer can break.

use crate::frame::FrameError;
use crate::limits::{MAX_NODES, MAX_VALUE_BYTES};

/// A rule of the message layer that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessageError {
    /// The frame itself is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A type that no peer message has.
    #[error("unknown message type {0}")]
    UnknownType(u16),
    /// The body does not fit the type.
    #[error("a message of type {kind} cannot have a body of {body_bytes} bytes")]
    WrongSize {
        /// Type of the message.
        kind: u16,
        /// Length of what came with it.
        body_bytes: usize,
    },
    /// More nodes in a list than k.
    #[error("a list of {0} nodes is longer than {MAX_NODES}")]
    TooManyNodes(usize),
    /// A record without a value.
    #[error("a record without a value")]
    EmptyValue,
    /// A record whose value is larger than any can be.
    #[error("a value of {0} bytes is larger than {MAX_VALUE_BYTES}")]
    ValueTooLarge(usize),
    /// The message does not fit a frame of the dialect.
    #[error("a body of {0} bytes does not fit a frame of the legacy dialect")]
    DoesNotFit(usize),
}
