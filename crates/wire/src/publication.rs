//! What a program publishes: the one type that the module API, commands, operations, the node's handle,
//! the client, the gateway and embedding programs share.
//!
//! Each request that publishes is this type and what is its own: PUT adds the acknowledgement that is wanted
//! ([`api::Put`](crate::api::Put)), PUT IF the condition ([`ConditionalPut`]), KEEP the end of keeping.

use std::time::Duration;

use bytes::Bytes;

use crate::id::Key;

/// A value to be stored under a key, and how.
///
/// ```
/// use std::time::Duration;
/// use voiddht_wire::Publication;
///
/// let publication =
///     Publication::content_addressed("hello").ttl(Duration::from_secs(3600)).replication(20);
/// assert!(publication.key.proves(&publication.value));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The value's key.
    pub key: Key,
    /// The value: 1 to [`MAX_VALUE_BYTES`](crate::limits::MAX_VALUE_BYTES) bytes. Those who send or store it
    /// check its size.
    pub value: Bytes,
    /// How long nodes store it; `None` is the publishing node's default. In messages whole seconds, from 1
    /// to 65 535.
    pub ttl: Option<Duration>,
    /// How many nodes store it, 1 to 255; `None` is the publishing node's default.
    pub replication: Option<u8>,
}

impl Publication {
    /// A value under `key`, with the TTL and replication of the publishing node.
    pub fn new(key: Key, value: impl Into<Bytes>) -> Self {
        Self { key, value: value.into(), ttl: None, replication: None }
    }

    /// A value under its own SHA-256: readers verify it by hash.
    pub fn content_addressed(value: impl Into<Bytes>) -> Self {
        let value = value.into();
        Self::new(Key::of_value(&value), value)
    }

    /// How long nodes store it: a [`Duration`], or `None` for the publishing node's default.
    #[must_use]
    pub fn ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        Self { ttl: ttl.into(), ..self }
    }

    /// How many nodes store it: 1 to 255, or `None` for the publishing node's default.
    #[must_use]
    pub fn replication(self, nodes: impl Into<Option<u8>>) -> Self {
        Self { replication: nodes.into(), ..self }
    }

    /// Sets the two fields that every request to publish has in the module API: the TTL in seconds and the
    /// replication, in both of which 0 is the node's default.
    #[must_use]
    pub(crate) fn with_api_terms(self, ttl: u16, replication: u8) -> Self {
        let ttl = (ttl != 0).then(|| Duration::from_secs(ttl.into()));
        self.ttl(ttl).replication((replication != 0).then_some(replication))
    }

    /// Those two fields. A TTL that is given is at least one second: 0 would be the default.
    pub(crate) fn api_terms(&self) -> (u16, u8) {
        let seconds = |ttl: Duration| u16::try_from(ttl.as_secs()).unwrap_or(u16::MAX).max(1);
        (self.ttl.map_or(0, seconds), self.replication.unwrap_or(0))
    }
}

/// The publication of a signed value, unless another has been published meanwhile (DHT PUT IF).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionalPut {
    /// An envelope of its key, 1 to
    /// [`MAX_PUT_IF_VALUE_BYTES`](crate::limits::MAX_PUT_IF_VALUE_BYTES) bytes in a message.
    pub publication: Publication,
    /// SHA-256 of the envelope that must be the newest, the one that the program has read; zeros for none.
    pub expected: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_module_api_are_whole_seconds_and_zero_is_the_default() {
        let plain = Publication::new(Key::default(), "v");
        for (ttl, seconds) in [
            (None, 0),
            (Some(Duration::from_millis(1)), 1),
            (Some(Duration::from_millis(1_999)), 1),
            (Some(Duration::from_secs(65_535)), 65_535),
            (Some(Duration::MAX), 65_535),
        ] {
            assert_eq!(plain.clone().ttl(ttl).api_terms(), (seconds, 0), "{ttl:?}");
        }
        assert_eq!(plain.clone().with_api_terms(0, 0), plain);
        let full = plain.with_api_terms(600, 3);
        assert_eq!((full.ttl, full.replication), (Some(Duration::from_secs(600)), Some(3)));
        assert_eq!(full.api_terms(), (600, 3));
    }
}
