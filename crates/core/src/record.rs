//! The records that a node holds: which of two values of a key counts, when each expires, and
//! what happens when there is no room.
//!
//! Which of two values counts is in [`order`]. When a record expires is decided once, by the
//! offer that brought it: whatever arrives later of the *same* version, publication or copy,
//! neither lengthens its life nor shortens it. Lengthening would let copies keep a value alive for
//! ever; shortening would let anyone delete it with a copy that has one second left. A higher
//! version is a publication of its own, with a life of its own.
//!
//! Keys are opaque. A key that looks like the hash of a value holds ordinary records like any
//! other, until the value of which it is the hash arrives.
//!
//! Invariants: no more records and bytes than the limits; each record is in the expiry index
//! once; versions of a key never go back while it is held, save where a value proves itself.

pub mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use voiddht_wire::{Distance, Key, NodeId};

use crate::label::{Limit, RefusalReason};
use crate::quota::{Account, QuotaReached, StorageLimits, StorageQuota, Usage};
use crate::time::{Moment, Now};
use order::Standing;

/// Records that a node holds, at most. With the smallest values, [`MAX_BYTES`] is reached first.
pub const MAX_RECORDS: usize = 1 << 20;
/// Memory that records may take, overhead included: a share that a small machine can spare. A
/// guess.
pub const MAX_BYTES: usize = 256 << 20;
/// What a record costs beside its value: its entries in the map, the expiry index, the index of
/// what may be evicted and the plans of upkeep, in trees that are about two thirds full, and the
/// allocation of the value.
pub const RECORD_OVERHEAD_BYTES: usize = 512;
/// How far a version may be ahead of this node's clock. A version from the far future could never
/// be replaced; a few minutes are what badly kept clocks are wrong by.
pub const FUTURE_VERSION_TOLERANCE: Duration = Duration::from_secs(5 * 60);

const _: () = assert!(
    2 * (size_of::<(Key, Record)>() + size_of::<(Moment, Key)>()) + size_of::<(Distance, Key)>()
        <= RECORD_OVERHEAD_BYTES
);

/// How much a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// See [`MAX_RECORDS`].
    pub max_records: usize,
    /// See [`MAX_BYTES`].
    pub max_bytes: usize,
    /// See [`FUTURE_VERSION_TOLERANCE`].
    pub future_version_tolerance: Duration,
    /// How much of it on the bill of one peer, and of one address prefix.
    pub quota: StorageLimits,
}

impl RecordLimits {
    /// A store of this size, each peer and prefix limited to the default share of it.
    pub const fn of_size(max_records: usize, max_bytes: usize) -> Self {
        Self {
            max_records,
            max_bytes,
            future_version_tolerance: FUTURE_VERSION_TOLERANCE,
            quota: StorageLimits::shares_of(Usage { records: max_records, bytes: max_bytes }),
        }
    }
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self::of_size(MAX_RECORDS, MAX_BYTES)
    }
}

/// A record that somebody wants held here.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The value's key.
    pub key: Key,
    /// The value. What is held is a copy of exactly its size, so that a small value does not
    /// keep the large buffer alive that it arrived in.
    pub value: Bytes,
    /// The publisher's clock in milliseconds since 1970.
    pub version: u64,
    /// When it expires.
    pub expires: Moment,
    /// Whether it is a copy made by upkeep. Makes no difference to what is held.
    pub maintenance: bool,
}

/// A record that is held.
#[derive(Clone, Debug)]
pub struct Record {
    /// The value.
    pub value: Bytes,
    /// The publisher's clock in milliseconds since 1970.
    pub version: u64,
    /// When it expires.
    pub expires: Moment,
    /// Whether it is another node's to hold, and goes first when room is needed.
    cached: bool,
    /// On whose bill it is; `None` for what this node's own users or disk brought.
    bill: Option<Account>,
}

impl Record {
    /// Whether it is another node's to hold, and goes first when room is needed.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// Memory that it takes, as counted against the limits.
    pub fn cost(&self) -> usize {
        cost(&self.value)
    }
}

/// An offer was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether something is held now that was not before; false if this very value and version
    /// was.
    pub changed: bool,
    /// Which records were dropped to make room.
    pub evicted: Vec<Key>,
}

/// An offer was not taken; what was held is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No room, and nothing that may be dropped. To be answered with ERROR 13.
    #[error("the limit {limit} is reached")]
    Full {
        /// Which limit.
        limit: Limit,
    },
    /// A higher version is held.
    #[error("a newer version is held")]
    Older,
    /// Another value of the same version is held, and the tie goes to it.
    #[error("another value of this version is held")]
    Outranked,
    /// The value is held of which the key is the hash; nothing but that can replace it.
    #[error("the value that proves itself under this key is held")]
    Outproved,
    /// The version is too far ahead of this node's clock.
    #[error("the version is from the future")]
    FutureVersion,
    /// Nothing is left of its life.
    #[error("it has expired")]
    Expired,
}

impl Refusal {
    /// The label under which it is counted.
    pub fn reason(self) -> RefusalReason {
        match self {
            Self::Full { .. } => RefusalReason::Full,
            Self::Older => RefusalReason::Older,
            Self::Outranked => RefusalReason::Outranked,
            Self::Outproved => RefusalReason::Outproved,
            Self::FutureVersion => RefusalReason::FutureVersion,
            Self::Expired => RefusalReason::Expired,
        }
    }
}

impl From<QuotaReached> for Refusal {
    fn from(quota: QuotaReached) -> Self {
        Self::Full { limit: quota.into() }
    }
}

/// The records that a node holds.
#[derive(Clone, Debug)]
pub struct RecordStore {
    own: NodeId,
    limits: RecordLimits,
    records: BTreeMap<Key, Record>,
    /// Every record by when it expires.
    expiries: BTreeSet<(Moment, Key)>,
    /// Cached records by their distance from this node.
    evictable: BTreeSet<(Distance, Key)>,
    /// What all records cost together.
    bytes: usize,
    quota: StorageQuota,
}

impl RecordStore {
    /// An empty store of the node `own`.
    pub fn new(own: NodeId, limits: RecordLimits) -> Self {
        Self {
            own,
            limits,
            records: BTreeMap::new(),
            expiries: BTreeSet::new(),
            evictable: BTreeSet::new(),
            bytes: 0,
            quota: StorageQuota::new(limits.quota),
        }
    }

    /// Takes what this node's own users publish: on nobody's bill.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn offer(&mut self, offer: Offer, now: Now) -> Result<Accepted, Refusal> {
        self.take(offer, None, now)
    }

    /// Takes what a peer stores here, on its bill.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn offer_from(
        &mut self,
        account: Account,
        offer: Offer,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        self.take(offer, Some(account), now)
    }

    /// Takes back what this node's disk remembers, on nobody's bill. It was taken once: a clock
    /// that was set back since does not make its version one from the future.
    ///
    /// # Errors
    /// [`Refusal`] says why the record is not held.
    pub fn restore(&mut self, offer: Offer, now: Now) -> Result<Accepted, Refusal> {
        self.take_believed(offer, None, now)
    }

    /// The record of a key, if it has not expired.
    pub fn get(&self, key: &Key, now: Moment) -> Option<&Record> {
        self.records.get(key).filter(|record| record.expires > now)
    }

    /// Drops what has expired, and says what it was.
    pub fn expire(&mut self, now: Moment) -> Vec<Key> {
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
    pub fn next_expiry(&self) -> Option<Moment> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Drops a record. Returns whether there was one.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(record) = self.records.remove(key) else { return false };
        self.expiries.remove(&(record.expires, *key));
        self.evictable.remove(&(key.distance(&self.own), *key));
        self.bytes -= record.cost();
        if let Some(account) = &record.bill {
            self.quota.release(account, record.cost());
        }
        true
    }

    /// Says whether a record is another node's to hold (this one is not among the k closest):
    /// then it is kept as long as nobody needs the room.
    pub fn mark_cached(&mut self, key: &Key, cached: bool) {
        let Some(record) = self.records.get_mut(key) else { return };
        record.cached = cached;
        let place = (key.distance(&self.own), *key);
        if cached {
            self.evictable.insert(place);
        } else {
            self.evictable.remove(&place);
        }
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

    /// What is held on a peer's bill.
    pub fn usage_of(&self, peer: &NodeId) -> Usage {
        self.quota.of_peer(peer)
    }

    fn take(&mut self, offer: Offer, bill: Option<Account>, now: Now) -> Result<Accepted, Refusal> {
        let latest = (now.wall + self.limits.future_version_tolerance).as_millis();
        // What is held already was believed once, by a clock that may have been another.
        let is_held = || self.get(&offer.key, now.mono).map(|held| held.version);
        if offer.version > latest && is_held() != Some(offer.version) {
            return Err(Refusal::FutureVersion);
        }
        self.take_believed(offer, bill, now)
    }

    /// Takes an offer whose version is not from the future.
    fn take_believed(
        &mut self,
        offer: Offer,
        bill: Option<Account>,
        now: Now,
    ) -> Result<Accepted, Refusal> {
        if offer.expires <= now.mono {
            return Err(Refusal::Expired);
        }
        if let Some(held) = self.get(&offer.key, now.mono)
            && order::judge(&offer.key, held.into(), (&offer).into())? == Standing::Same
        {
            return Ok(Accepted { changed: false, evicted: Vec::new() });
        }
        self.check_quota(&offer, bill.as_ref())?;
        let evicted = self.room_for(&offer)?;
        for key in &evicted {
            self.remove(key);
        }
        self.replace(offer, bill);
        Ok(Accepted { changed: true, evicted })
    }

    fn check_quota(&self, offer: &Offer, bill: Option<&Account>) -> Result<(), Refusal> {
        let Some(account) = bill else { return Ok(()) };
        let replaced = self.records.get(&offer.key);
        let released = replaced.and_then(|held| held.bill.as_ref().map(|bill| (bill, held.cost())));
        Ok(self.quota.check(account, cost(&offer.value), released)?)
    }

    /// Which cached records, farthest from this node first, must go to make room for an offer.
    fn room_for(&self, offer: &Offer) -> Result<Vec<Key>, Refusal> {
        let replaced = self.records.get(&offer.key);
        let mut records = self.records.len() + usize::from(replaced.is_none());
        let mut bytes = self.bytes + cost(&offer.value) - replaced.map_or(0, Record::cost);
        let mut farthest_first =
            self.evictable.iter().rev().map(|(_, key)| key).filter(|key| **key != offer.key);
        let mut evicted = Vec::new();
        loop {
            let limit = if records > self.limits.max_records {
                Limit::MaxRecords
            } else if bytes > self.limits.max_bytes {
                Limit::MaxBytes
            } else {
                return Ok(evicted);
            };
            let Some(key) = farthest_first.next() else { return Err(Refusal::Full { limit }) };
            records -= 1;
            bytes -= self.records.get(key).map_or(0, Record::cost);
            evicted.push(*key);
        }
    }

    fn replace(&mut self, offer: Offer, bill: Option<Account>) {
        let Offer { key, value, version, expires, maintenance: _ } = offer;
        let cached = self.records.get(&key).is_some_and(Record::is_cached);
        self.remove(&key);
        let record =
            Record { value: Bytes::copy_from_slice(&value), version, expires, cached, bill };
        self.bytes += record.cost();
        if let Some(account) = &record.bill {
            self.quota.charge(account, record.cost());
        }
        self.expiries.insert((expires, key));
        if cached {
            self.evictable.insert((key.distance(&self.own), key));
        }
        self.records.insert(key, record);
    }
}

fn cost(value: &Bytes) -> usize {
    value.len() + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
