//! What a PUT says.

use bytes::Bytes;
use voiddht_wire::Key;

/// A value to be stored, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub(crate) key: Key,
    pub(crate) value: Bytes,
    pub(crate) ttl: u16,
    pub(crate) replication: u8,
}

impl Put {
    /// A value of 1 to [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES) bytes under `key`, with the
    /// node's own TTL and replication.
    pub fn new(key: Key, value: impl Into<Bytes>) -> Self {
        Self { key, value: value.into(), ttl: 0, replication: 0 }
    }

    /// A value under its own SHA-256: whoever finds it can check it, so one copy is enough.
    pub fn content_addressed(value: impl Into<Bytes>) -> Self {
        let value = value.into();
        Self::new(Key::of_value(&value), value)
    }

    /// Seconds that the value shall live; 0 is the node's default. The node keeps to it within
    /// the bounds that its operator has set.
    #[must_use]
    pub fn ttl_seconds(mut self, seconds: u16) -> Self {
        self.ttl = seconds;
        self
    }

    /// How many nodes shall hold the value; 0 is the node's default, the k of the network.
    #[must_use]
    pub fn replication(mut self, nodes: u8) -> Self {
        self.replication = nodes;
        self
    }

    /// The key under which the value will be found.
    pub fn key(&self) -> Key {
        self.key
    }
}
