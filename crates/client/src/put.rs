//! The parameters of a PUT.

use std::time::Duration;

use bytes::Bytes;
use voiddht_wire::{Key, Publication};

use crate::error::ProtocolError;

/// A value to be stored, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put(pub(crate) Publication);

impl Put {
    /// A value of 1 to [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES) bytes under `key`, with the
    /// node's own TTL and replication.
    pub fn new(key: Key, value: impl Into<Bytes>) -> Self {
        Self(Publication::new(key, value))
    }

    /// A value under its own SHA-256: readers verify it by hash, so one copy is enough.
    pub fn content_addressed(value: impl Into<Bytes>) -> Self {
        Self(Publication::content_addressed(value))
    }

    /// Seconds that the value shall live; 0 is the node's default. The node keeps to it within
    /// the bounds that its operator has set.
    #[must_use]
    pub fn ttl_seconds(self, seconds: u16) -> Self {
        Self(self.0.ttl((seconds != 0).then(|| Duration::from_secs(seconds.into()))))
    }

    /// How many nodes shall hold the value; 0 is the node's default, the k of the network.
    #[must_use]
    pub fn replication(self, nodes: u8) -> Self {
        Self(self.0.replication((nodes != 0).then_some(nodes)))
    }

    /// The key under which the value will be found.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// The value.
    pub fn value(&self) -> &Bytes {
        &self.0.value
    }
}

/// What has become of a PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutReceipt {
    /// It is stored.
    Stored {
        /// Nodes from which the value can be fetched.
        nodes: u8,
        /// Nodes that were sent the value and have not answered yet; 0 from a node that does not
        /// say.
        outstanding: u8,
        /// Under which terms; `None` from a node that does not say.
        terms: Option<PutTerms>,
    },
    /// It has failed.
    Failed {
        /// Why; empty from a node that does not say.
        why: String,
    },
}

/// What a node makes of a PUT's wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutTerms {
    /// Nodes that could have stored the value: the replication that was asked for, or as many
    /// contacts as the node has, where they are fewer.
    pub possible: u8,
    /// Seconds that the value lives: what was asked for, within the bounds of the node.
    pub ttl_seconds: u16,
}

impl PutReceipt {
    /// Whether the value is stored on far fewer nodes than could have stored it: less than half.
    pub fn is_poor(&self) -> bool {
        match self {
            Self::Stored { nodes, terms: Some(terms), .. } => {
                2 * u16::from(*nodes) < u16::from(terms.possible)
            }
            _ => false,
        }
    }

    /// Reads what a SUCCESS has as its value, or a FAILURE as its reason.
    pub(crate) fn of(answer: Result<&Bytes, &Bytes>) -> Result<Self, ProtocolError> {
        match answer.map(Bytes::as_ref) {
            Ok(&[nodes]) => Ok(Self::Stored { nodes, outstanding: 0, terms: None }),
            Ok(&[nodes, outstanding]) => Ok(Self::Stored { nodes, outstanding, terms: None }),
            Ok(&[nodes, outstanding, possible, high, low]) => {
                let ttl_seconds = u16::from_be_bytes([high, low]);
                let terms = Some(PutTerms { possible, ttl_seconds });
                Ok(Self::Stored { nodes, outstanding, terms })
            }
            Ok(other) => Err(ProtocolError::Acknowledgement { bytes: other.len() }),
            Err(why) => Ok(Self::Failed { why: String::from_utf8_lossy(why).into_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_nodes_that_say_more_and_of_those_that_do_not_are_read() {
        let read = |bytes: &'static [u8]| PutReceipt::of(Ok(&Bytes::from_static(bytes)));
        let stored = |nodes, outstanding| PutReceipt::Stored { nodes, outstanding, terms: None };
        assert_eq!(read(&[20]).unwrap(), stored(20, 0));
        assert_eq!(read(&[2, 3]).unwrap(), stored(2, 3));
        let terms = Some(PutTerms { possible: 20, ttl_seconds: 600 });
        let poor = PutReceipt::Stored { nodes: 9, outstanding: 3, terms };
        assert_eq!(read(&[9, 3, 20, 2, 88]).unwrap(), poor);
        assert!(poor.is_poor() && !read(&[10, 0, 20, 2, 88]).unwrap().is_poor());
        assert!(!stored(1, 0).is_poor(), "it is not known");
        assert!(read(&[]).is_err() && read(&[1, 2, 3]).is_err());
        let failed = |why: &'static [u8]| PutReceipt::of(Err(&Bytes::from_static(why)));
        let expected = |why: &str| PutReceipt::Failed { why: why.into() };
        assert_eq!(failed(b"").unwrap(), expected(""));
        assert_eq!(failed(b"superseded").unwrap(), expected("superseded"));
    }
}
