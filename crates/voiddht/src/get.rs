//! What is read, and what was found.

use bytes::Bytes;
use voiddht_core::operation::get::ReadMode;
use voiddht_signed::Precedence;
use voiddht_wire::Key;
use voiddht_wire::api::{Freshness, Proof};

/// A value to be found, and how certain a reader wants to be of it. A [`Key`] is one, with defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get {
    pub(crate) key: Key,
    pub(crate) mode: ReadMode,
}

impl Get {
    /// The value under a key: a content-addressed or signed one is verified, for any other the replicas
    /// vote.
    pub fn new(key: Key) -> Self {
        Self { key, mode: ReadMode::default() }
    }

    /// How certain it is to be that no newer signed value exists; [`Freshness::Latest`] by default.
    /// [`Freshness::First`] is the fastest, [`Freshness::Thorough`] asks all of the closest nodes.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.mode.freshness = freshness;
        self
    }

    /// Ignores values that only a vote supports.
    pub fn self_verifying_only(mut self) -> Self {
        self.mode.proved_only = true;
        self
    }

    /// Ignores signed values that rank below this: what a reader has seen already.
    pub fn not_before(mut self, least: Precedence) -> Self {
        self.mode.least = least;
        self
    }
}

impl From<Key> for Get {
    fn from(key: Key) -> Self {
        Self::new(key)
    }
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The value: of a signed one, the envelope.
    pub value: Bytes,
    /// The publisher's clock when it was put, in milliseconds since 1970; `None` of self-verifying
    /// values.
    pub version: Option<u64>,
    /// How it was verified.
    pub proof: Proof,
}
