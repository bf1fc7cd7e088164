//! A value under its key, with what makes it the value of that key.

use std::time::Duration;

use bytes::Bytes;
use voiddht_signed::{CLOCK_TOLERANCE_SECS, Claim, Envelope, Precedence, Refused};
use voiddht_wire::Key;

use super::class::StoredClass;
use super::order::{Class, Rank};
use crate::time::{BootTime, Now, WallTime};

/// A value whose [`Class`] under its key has been checked. Only that check makes one, and the disk,
/// which holds nothing unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedValue {
    bytes: Bytes,
    class: Class,
}

impl VerifiedValue {
    /// Checks a value: hashes it, and verifies its signatures where it is an envelope of the key.
    ///
    /// # Errors
    /// [`Refused`] of an envelope of this key that does not hold, or has expired: it is no value of
    /// the key at all.
    pub fn check(key: &Key, value: &Bytes, now: WallTime) -> Result<Self, Refused> {
        let class = match Claim::of(key, value) {
            Claim::ContentAddressed => Class::ContentAddressed,
            Claim::Plain => Class::Plain,
            Claim::Signed(envelope) => Class::Signed(envelope.verify(seconds(now))?.precedence()),
        };
        Ok(Self { bytes: value.clone(), class })
    }

    /// A value that this node's disk remembers, which passed the check before it was written: only where
    /// the disk does not say as what, or the bytes cannot be that, it is checked again.
    ///
    /// # Errors
    /// [`Refused`], as of [`Self::check`].
    pub(crate) fn restored(
        key: &Key,
        bytes: Bytes,
        class: Option<StoredClass>,
        now: WallTime,
    ) -> Result<Self, Refused> {
        match class.and_then(|class| class.of(&bytes)) {
            Some(class) => Ok(Self::of_class(bytes, class)),
            None => Self::check(key, &bytes, now),
        }
    }

    /// A value that has passed the check.
    pub(crate) fn of_class(bytes: Bytes, class: Class) -> Self {
        Self { bytes, class }
    }

    /// The same in an allocation of exactly its size: a small value does not keep the large buffer alive
    /// that it arrived in.
    pub(crate) fn compact(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), class: self.class }
    }

    /// The envelope, where it is a signed value.
    pub fn envelope(&self) -> Option<Envelope> {
        if !self.class.is_signed() {
            return None;
        }
        Envelope::parse(self.bytes.clone()).ok()
    }

    /// Whether it is a signed value whose end has passed.
    pub fn has_expired(&self, now: WallTime) -> bool {
        self.envelope().is_some_and(|envelope| envelope.has_expired(seconds(now)))
    }

    /// The value.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What makes it the value of its key.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Generation and sequence number, where it is a signed value.
    pub fn precedence(&self) -> Option<Precedence> {
        self.class.precedence()
    }

    /// Its place in the order of its key's records, with this version.
    pub fn rank(&self, version: u64) -> Rank<'_> {
        Rank::new(self.class, &self.bytes, version)
    }
}

/// Seconds since 1970, as the ends of envelopes are written.
pub(crate) fn seconds(now: WallTime) -> u64 {
    now.as_millis() / 1000
}

/// The last moment at which a value may be held: the effective end of an envelope, and what clocks
/// may differ by.
pub(crate) fn end_of(value: &VerifiedValue, now: Now) -> BootTime {
    let Some(end) = value.envelope().and_then(|envelope| envelope.effective_end()) else {
        return BootTime::MAX;
    };
    let left = end.saturating_add(CLOCK_TOLERANCE_SECS).saturating_sub(seconds(now.wall));
    now.boot + Duration::from_secs(left)
}
