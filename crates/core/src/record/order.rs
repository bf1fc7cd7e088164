//! Which of two values of one key counts.
//!
//! 1. A value that proves itself (the key is its SHA-256) counts before any that does not, of
//!    whatever version. It is the only value that a GET will believe without a vote; if a higher
//!    version could replace it, anyone could destroy it with any bytes.
//! 2. Otherwise the higher version counts.
//! 3. Of two values of one version, the one with the higher SHA-256 counts. The choice is
//!    arbitrary; what matters is that all replicas make the same one.
//!
//! This orders all values of a key, so that replicas that have seen the same offers hold the same
//! value, in whatever order those came.

use std::cmp::Ordering;

use voiddht_wire::Key;

use super::{Offer, Record, Refusal};

/// A value with its version.
#[derive(Clone, Copy, Debug)]
pub struct Versioned<'a> {
    /// The value.
    pub value: &'a [u8],
    /// Its version.
    pub version: u64,
}

impl<'a> From<&'a Record> for Versioned<'a> {
    fn from(record: &'a Record) -> Self {
        Self { value: &record.value, version: record.version }
    }
}

impl<'a> From<&'a Offer> for Versioned<'a> {
    fn from(offer: &'a Offer) -> Self {
        Self { value: &offer.value, version: offer.version }
    }
}

/// How an offered value stands to the held one, where it is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the held one, of the same version.
    Same,
    /// It replaces the held one.
    Replaces,
}

/// Judges an offered value beside the one that is held. Hashes only where the two differ.
///
/// # Errors
/// The [`Refusal`] of an offer that does not count.
pub fn judge(key: &Key, held: Versioned<'_>, offered: Versioned<'_>) -> Result<Standing, Refusal> {
    let version = offered.version.cmp(&held.version);
    if held.value == offered.value {
        return match version {
            Ordering::Less => Err(Refusal::Older),
            Ordering::Equal => Ok(Standing::Same),
            Ordering::Greater => Ok(Standing::Replaces),
        };
    }
    match version {
        Ordering::Less if key.proves(offered.value) => Ok(Standing::Replaces),
        Ordering::Less => Err(Refusal::Older),
        Ordering::Equal => break_tie(key, held.value, offered.value),
        Ordering::Greater if key.proves(held.value) => Err(Refusal::Outproved),
        Ordering::Greater => Ok(Standing::Replaces),
    }
}

fn break_tie(key: &Key, held: &[u8], offered: &[u8]) -> Result<Standing, Refusal> {
    let (held, offered) = (Key::of_value(held), Key::of_value(offered));
    if held == *key {
        Err(Refusal::Outproved)
    } else if offered == *key || offered > held {
        Ok(Standing::Replaces)
    } else {
        Err(Refusal::Outranked)
    }
}
