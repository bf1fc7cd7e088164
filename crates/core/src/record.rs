//! The records that a node holds: which of two values of a key wins, when each expires, and
//! eviction.
//!
//! Whether an offer is taken is in [`admission`], which of two values wins in [`order`].
//!
//! The deadline of a plain record is set once, by the offer that brought it: no later offer of the
//! *same* version, publication or copy, changes it. Moving it back would let copies keep a value
//! alive for ever; moving it forward would let strangers delete it with a copy that has one second
//! left. A higher version is a publication with its own TTL.
//!
//! A self-verifying record has no versions to distinguish publications: each publication of the
//! same bytes moves the deadline to the later of the two, and a maintenance copy never moves it.
//! Otherwise strangers could delete it by publishing it again with a TTL of one second.
//!
//! A plain record whose version this node's clock would refuse now (it was accepted, or published
//! here, while the clock was wrong) yields to any version that the clock accepts.
//!
//! Keys are opaque. A key that looks like the hash of a value holds ordinary records like any
//! other, until the value with that hash arrives.
//!
//! Eviction from a full store is in [`room`], the accounts to which records are charged are in
//! [`crate::quota::storage`].
//!
//! Invariants: no more records and bytes than the limits; each record is in the expiry index once;
//! versions of a key never decrease while it is held, except that a self-verifying value wins
//! whatever its version, and that a version from the future is replaced.

mod admission;
mod class;
mod held;
mod offer;
pub mod order;
mod place;
mod refusal;
mod replaced;
mod room;
pub mod value;

pub use class::StoredClass;
pub use held::{RECORD_OVERHEAD_BYTES, Record};
pub use offer::{Bill, Offer};
pub use refusal::Refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use voiddht_wire::{Key, NodeId};

use crate::quota::{
    Account, AccountNumber, SignatureLimits, SignatureQuota, StorageLimits, StorageQuota, Usage,
};
use crate::time::{BootTime, Now, WallTime};
use value::VerifiedValue;

/// Records that a node holds, at most. With the smallest values, [`MAX_BYTES`] is reached first.
pub const MAX_RECORDS: usize = 1 << 20;
/// Memory that records may take, overhead included: a share that a small machine can spare. A
/// guess.
pub const MAX_BYTES: usize = 256 << 20;
/// How far a version may be ahead of this node's clock. The one tolerance of replicas, of a PUT that
/// outbids a version it finds, and of the floor of this node's own publications: if a PUT outbid
/// less than replicas accept, a publisher whose clock is ahead would lock the key for the
/// difference. A minute is more than clocks are wrong by that any time service keeps; for as long,
/// at most, a node whose clock is slow fails to replace what one with a fast clock has published.
pub const FUTURE_VERSION_TOLERANCE: Duration = Duration::from_secs(60);

const _: () = assert!(
    2 * (size_of::<(Key, Record)>() + size_of::<(BootTime, Key)>() + size_of::<place::Place>())
        <= RECORD_OVERHEAD_BYTES
);

/// How much a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Records that may be stored; default [`MAX_RECORDS`].
    pub max_records: usize,
    /// Memory of the stored records in bytes; default [`MAX_BYTES`].
    pub max_bytes: usize,
    /// How far a version may be ahead of this node's clock; default
    /// [`FUTURE_VERSION_TOLERANCE`].
    pub future_version_tolerance: Duration,
    /// How much of it on the quota account of one peer, and of one address prefix.
    pub quota: StorageLimits,
    /// How many signatures are verified.
    pub signatures: SignatureLimits,
}

impl RecordLimits {
    /// A store of this size, each peer and prefix limited to the default share of it.
    pub const fn of_size(max_records: usize, max_bytes: usize) -> Self {
        Self {
            max_records,
            max_bytes,
            future_version_tolerance: FUTURE_VERSION_TOLERANCE,
            quota: StorageLimits::shares_of(Usage { records: max_records, bytes: max_bytes }),
            signatures: SignatureLimits::DEFAULT,
        }
    }
}

impl RecordLimits {
    /// The highest version that is not from the future.
    pub fn latest_version(&self, now: WallTime) -> u64 {
        (now + self.future_version_tolerance).as_millis()
    }
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self::of_size(MAX_RECORDS, MAX_BYTES)
    }
}

/// An offer was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Whether the record, or its deadline, is another than before.
    pub changed: bool,
    /// Which records were dropped to make room.
    pub evicted: Vec<Key>,
    /// The account that gave way first, with what was charged to it before; `None` where none did.
    pub gave_way: Option<(Account, Usage)>,
}

/// The records that a node holds.
#[derive(Clone, Debug)]
pub struct RecordStore {
    own: NodeId,
    limits: RecordLimits,
    records: BTreeMap<Key, Record>,
    /// Every record by when it expires.
    expiries: BTreeSet<(BootTime, Key)>,
    /// All records in the order in which those of an account give way, the last one first.
    places: BTreeSet<place::Place>,
    /// What all records cost together.
    bytes: usize,
    quota: StorageQuota,
    signatures: SignatureQuota,
}

impl RecordStore {
    /// An empty store of the node `own`.
    pub fn new(own: NodeId, limits: RecordLimits) -> Self {
        Self {
            own,
            limits,
            records: BTreeMap::new(),
            expiries: BTreeSet::new(),
            places: BTreeSet::new(),
            bytes: 0,
            quota: StorageQuota::new(limits.quota),
            signatures: SignatureQuota::new(limits.signatures),
        }
    }

    /// Takes what this node's own users publish: charged to no account.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn offer(&mut self, offer: Offer, now: Now) -> Result<Accepted, Refusal> {
        self.take(offer, None, now)
    }

    /// As [`Self::offer`], of a value that was verified already.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub(crate) fn offer_verified(
        &mut self,
        offer: Offer<VerifiedValue>,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        self.take_verified(offer, None, now)
    }

    /// Takes what a peer stores here, and charges it to its account.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn offer_from(&mut self, bill: Bill, offer: Offer, now: Now) -> Result<Accepted, Refusal> {
        self.take(offer, Some(bill), now)
    }

    /// Takes back what this node's disk remembers. It was taken once: its class is not checked again, where
    /// the disk knows it, and a clock that was set back since does not make its version one from the
    /// future.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn restore(
        &mut self,
        bill: Option<Bill>,
        offer: Offer,
        class: Option<StoredClass>,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        let value = VerifiedValue::restored(&offer.key, offer.value.clone(), class, now.wall);
        let offer = offer.with_value(value.map_err(Refusal::Envelope)?);
        self.take_within(u64::MAX, offer.within_its_end(now), bill, now.boot)
    }

    /// The record of a key, if it has not expired.
    pub fn get(&self, key: &Key, now: BootTime) -> Option<&Record> {
        self.records.get(key).filter(|record| record.expires > now)
    }

    /// Drops what has expired, and says what it was.
    pub fn expire(&mut self, now: BootTime) -> Vec<Key> {
        let mut expired = Vec::new();
        while let Some(&(at, key)) = self.expiries.first()
            && at <= now
        {
            self.remove(&key);
            expired.push(key);
        }
        expired
    }

    /// When [`Self::expire`] will next have something to do.
    pub fn next_expiry(&self) -> Option<BootTime> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Drops a record. Returns whether there was one.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(record) = self.records.remove(key) else { return false };
        self.expiries.remove(&(record.expires, *key));
        self.places.remove(&place::place(&self.own, key, &record));
        self.bytes -= record.cost();
        if let Some((number, cost)) = record.charged() {
            self.quota.release(number, cost);
        }
        true
    }

    /// Says whether a record is another node's to hold (this one is not among the k closest):
    /// then it is kept until the space is needed.
    pub fn mark_cached(&mut self, key: &Key, cached: bool) {
        let Some(record) = self.records.get_mut(key) else { return };
        self.places.remove(&place::place(&self.own, key, record));
        record.cached = cached;
        self.places.insert(place::place(&self.own, key, record));
    }

    /// The keys from a point on, in their order, those of expired records included. Keys near to
    /// each other belong on the same nodes: one lookup serves a whole region.
    pub fn keys_from(&self, from: Bound<Key>) -> impl Iterator<Item = Key> + '_ {
        self.records.range((from, Bound::Unbounded)).map(|(key, _)| *key)
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Memory that they take, each with [`RECORD_OVERHEAD_BYTES`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether more than half of a limit is used: time to know which records may go.
    pub fn is_filling(&self) -> bool {
        self.len() > self.limits.max_records / 2 || self.bytes > self.limits.max_bytes / 2
    }

    /// What is charged to a peer.
    pub fn usage_of(&self, peer: &NodeId) -> Usage {
        self.quota.of_node(peer)
    }

    /// To which account a record is charged; `None` for what this node's own users published.
    pub fn bill_of(&self, record: &Record) -> Option<Bill> {
        self.bill_to(record.charged_to?)
    }

    fn bill_to(&self, number: AccountNumber) -> Option<Bill> {
        let (account, charge) = self.quota.charged_to(number)?;
        Some(Bill { account, charge })
    }

    /// The largest account, and what is charged to it.
    pub fn largest_account(&self) -> Option<(Account, Usage)> {
        self.quota.account(self.quota.largest()?)
    }
}

#[cfg(test)]
mod tests;
