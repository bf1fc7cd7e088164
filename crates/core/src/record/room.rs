//! Eviction: which records give way when the store is full. See [`crate::quota::storage`] for the
//! choice of the account; this module chooses among its records.
//!
//! First records that this node only caches, of the largest account that has any; then those of the
//! largest account. Within an account, cached records are evicted before others, and those farthest
//! from this node first. Publications of this node's own users give way only to other publications
//! of theirs, and only where they are cached.

use voiddht_wire::id::ID_BYTES;
use voiddht_wire::{Distance, Key};

use super::RecordStore;
use super::held::{Record, cost};
use super::offer::{Bill, Offer};
use super::refusal::Refusal;
use super::replaced::Replaced;
use super::value::VerifiedValue;
use crate::label::Limit;
use crate::quota::storage::{Claim, Eviction};
use crate::quota::{Account, AccountNumber, Usage};

/// Room for an offer.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Which records must go.
    pub(super) evicted: Vec<Key>,
    /// The account that gives way first, and what is charged to it.
    pub(super) gave_way: Option<(Account, Usage)>,
}

/// What has to go for an offer.
struct Needed<'a> {
    store: &'a RecordStore,
    offer: &'a Offer<VerifiedValue>,
    records: usize,
    bytes: usize,
    evicted: Vec<Key>,
}

impl Needed<'_> {
    /// The limit that is still exceeded.
    fn exceeded(&self) -> Option<Limit> {
        if self.records > self.store.limits.max_records {
            Some(Limit::MaxRecords)
        } else if self.bytes > self.store.limits.max_bytes {
            Some(Limit::MaxBytes)
        } else {
            None
        }
    }

    /// Drops records of one account, as long as they are needed and `may_drop` allows it.
    fn drop_from(
        &mut self,
        account: Option<AccountNumber>,
        only_cached: bool,
        mut may_drop: impl FnMut(usize, bool) -> bool,
    ) {
        let lowest = (account, only_cached, Distance::default(), Key::default());
        let highest = (account, true, Distance::MAX, Key::from_bytes([0xff; ID_BYTES]));
        for (_, cached, _, key) in self.store.places.range(lowest..=highest).rev() {
            if self.exceeded().is_none() {
                return;
            }
            if *key == self.offer.key || self.evicted.contains(key) {
                continue;
            }
            let bytes = self.store.records.get(key).map_or(0, Record::cost);
            if !may_drop(bytes, *cached) {
                return;
            }
            self.records -= 1;
            self.bytes -= bytes;
            self.evicted.push(*key);
        }
    }
}

impl RecordStore {
    /// What must go to make room for an offer.
    pub(super) fn room_for(
        &self,
        offer: &Offer<VerifiedValue>,
        bill: Option<&Bill>,
        replaced: Option<&Replaced>,
    ) -> Result<Room, Refusal> {
        let mut needed = Needed {
            store: self,
            offer,
            records: self.records.len() + usize::from(replaced.is_none()),
            bytes: self.bytes + cost(offer.value.bytes()) - replaced.map_or(0, |held| held.cost),
            evicted: Vec::new(),
        };
        if needed.exceeded().is_none() {
            return Ok(Room::default());
        }
        let claim = bill.map_or_else(Claim::default, |Bill { account, charge }| {
            let released = replaced.and_then(Replaced::charged);
            self.quota.claim(account, *charge, cost(offer.value.bytes()), released)
        });
        let mut eviction = Eviction::new(&self.quota, claim);
        let victims = self.quota.victims(&claim);
        let mut gave_way = None;
        for only_cached in [true, false] {
            for number in &victims {
                let before = needed.evicted.len();
                needed.drop_from(Some(*number), only_cached, |bytes, cached| {
                    eviction.drop_record(*number, bytes, cached)
                });
                if gave_way.is_none() && needed.evicted.len() > before {
                    gave_way = self.quota.account(*number);
                }
            }
        }
        if bill.is_none() {
            needed.drop_from(None, true, |_, _| true);
        }
        match needed.exceeded() {
            Some(limit) => Err(Refusal::Full { limit }),
            None => Ok(Room { evicted: needed.evicted, gave_way }),
        }
    }
}
