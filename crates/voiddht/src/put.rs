//! What is put, and how it went.

use std::time::Duration;

use bytes::Bytes;
use voiddht_wire::{Key, Publication};

/// A value to be stored under a key, for a time, on a number of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put(pub(crate) Publication);

impl Put {
    /// A value of 1 to [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES) bytes. Anyone can replace it;
    /// [`Self::content_addressed`] and [`signed`](crate::signed) values are safe from that.
    pub fn new(key: Key, value: impl Into<Bytes>) -> Self {
        Self(Publication::new(key, value))
    }

    /// A value whose key is its SHA-256: readers verify it by hash, and nothing can replace it.
    pub fn content_addressed(value: impl Into<Bytes>) -> Self {
        Self(Publication::content_addressed(value))
    }

    /// How long the value is stored, in whole seconds, at most 65 535; the default is that of the node
    /// ([`NodeBuilder::default_ttl`](crate::NodeBuilder::default_ttl)).
    pub fn ttl(self, ttl: Duration) -> Self {
        Self(self.0.ttl(ttl))
    }

    /// On how many of the closest nodes it is stored; 20 by default.
    pub fn replicas(self, nodes: u8) -> Self {
        Self(self.0.replication(nodes))
    }

    /// The key.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// The value.
    pub fn value(&self) -> &Bytes {
        &self.0.value
    }
}

/// A value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutReceipt {
    /// Its key.
    pub key: Key,
    /// Nodes from which it can be fetched, at least one: this node counts if it holds a copy and others
    /// can reach it.
    pub stored: usize,
    /// Nodes that were sent the value and have not answered yet.
    pub outstanding: usize,
}
