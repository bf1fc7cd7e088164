//! How fast the gateway works, and clients must be.

use std::time::Duration;

/// How long a client may take to send a body; of a batch, each part of it.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// How often a value is read for its stream.
pub const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// How often a comment is sent, so that proxies and clients see that the stream lives.
pub const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// How fast the gateway works, and clients must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often a value is read for a stream of events: [`POLL_INTERVAL`].
    pub poll: Duration,
    /// How often a comment is sent on such a stream: [`COMMENT_INTERVAL`].
    pub comment: Duration,
    /// How long a client may take to send a body; of a batch, each part of it: [`BODY_DEADLINE`].
    pub body: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { poll: POLL_INTERVAL, comment: COMMENT_INTERVAL, body: BODY_DEADLINE }
    }
}
