//! A record that is held, and what it costs.

use bytes::Bytes;

use super::order::Rank;
use super::value::VerifiedValue;
use crate::quota::AccountNumber;
use crate::time::BootTime;

/// What a record costs beside its value: its entries in the map, the expiry index, the index of
/// what may be evicted and the plans of upkeep, in trees that are about two thirds full, and the
/// allocation of the value.
pub const RECORD_OVERHEAD_BYTES: usize = 512;

/// A record that is held.
#[derive(Clone, Debug)]
pub struct Record {
    /// The value, with what makes it the value of its key.
    pub value: VerifiedValue,
    /// The publisher's clock in milliseconds since 1970.
    pub version: u64,
    /// When it expires.
    pub expires: BootTime,
    /// Whether it is another node's to hold, and goes first when room is needed.
    pub(super) cached: bool,
    /// To which account it is charged; `None` for what this node's own users published.
    pub(super) charged_to: Option<AccountNumber>,
}

impl Record {
    /// Whether it is another node's to hold, and goes first when room is needed.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// Its place in the order of its key's records.
    pub fn rank(&self) -> Rank<'_> {
        self.value.rank(self.version)
    }

    /// Memory that it takes, as counted against the limits.
    pub fn cost(&self) -> usize {
        cost(self.value.bytes())
    }

    /// The account that it is charged to, and what is released there with it.
    pub(super) fn charged(&self) -> Option<(AccountNumber, usize)> {
        self.charged_to.map(|number| (number, self.cost()))
    }
}

pub(super) fn cost(value: &Bytes) -> usize {
    value.len() + RECORD_OVERHEAD_BYTES
}
