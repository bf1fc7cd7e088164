//! The two dialects of messages between nodes.

/// The ALPN protocol that tells our dialect from the original's, which offers none.
pub const ALPN: &[u8] = b"voiddht/1";

/// How a connection speaks, settled by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The original network's: one request per connection, no versions, no long frames.
    Legacy,
    /// `voiddht/1`: both sides authenticated, many requests in flight, records with versions.
    V1,
}

impl Dialect {
    /// Whether a frame of size 0 announces a longer one.
    pub fn has_long_frames(self) -> bool {
        self == Self::V1
    }
}
