//! A record offered for storage, and whose account it is charged to.

use bytes::Bytes;
use voiddht_wire::Key;

use super::order::Class;
use super::value::{VerifiedValue, end_of};
use crate::quota::{Account, Charge};
use crate::time::{BootTime, Now};

/// A record offered for storage here; its value is bytes until it has been verified.
#[derive(Clone, Debug)]
pub struct Offer<V = Bytes> {
    /// The value's key.
    pub key: Key,
    /// The value. What is held is a copy of exactly its size, so that a small value does not
    /// keep the large buffer alive that it arrived in.
    pub value: V,
    /// The publisher's clock in milliseconds since 1970.
    pub version: u64,
    /// When it expires.
    pub expires: BootTime,
    /// Whether it is a copy made by upkeep, which renews nothing.
    pub maintenance: bool,
}

impl Offer {
    /// The offer once its value has been verified.
    pub(crate) fn of_class(self, class: Class) -> Offer<VerifiedValue> {
        let value = VerifiedValue::of_class(self.value.clone(), class);
        self.with_value(value)
    }

    pub(super) fn with_value(self, value: VerifiedValue) -> Offer<VerifiedValue> {
        let Self { key, value: _, version, expires, maintenance } = self;
        Offer { key, value, version, expires, maintenance }
    }
}

impl Offer<VerifiedValue> {
    /// No later than the last moment at which its value may be held.
    pub(super) fn within_its_end(self, now: Now) -> Self {
        Self { expires: self.expires.min(end_of(&self.value, now)), ..self }
    }
}

/// To which account a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Its owner.
    pub account: Account,
    /// As what.
    pub charge: Charge,
}
