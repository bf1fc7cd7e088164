//! Records (placeholder until the real store lands).
use crate::time::{Moment, Now};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use voiddht_wire::{Key, NodeId};

/// Limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordLimits {}
/// Offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Key.
    pub key: Key,
    /// Value.
    pub value: Bytes,
    /// Version.
    pub version: u64,
    /// Expires.
    pub expires: Moment,
    /// Maintenance.
    pub maintenance: bool,
}
/// Accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Changed.
    pub changed: bool,
    /// Evicted.
    pub evicted: Vec<Key>,
}
/// Refusal.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// Full.
    Full {
        /// Limit.
        limit: &'static str,
    },
    /// Older.
    Older,
}
/// Store.
#[derive(Debug)]
pub struct RecordStore {
    map: BTreeMap<Key, Offer>,
}
impl RecordStore {
    /// New.
    pub fn new(_own: NodeId, _limits: RecordLimits) -> Self {
        Self { map: BTreeMap::new() }
    }
    /// Offer.
    pub fn offer(&mut self, offer: Offer, _now: Now) -> Result<Accepted, Refusal> {
        if let Some(old) = self.map.get(&offer.key) {
            if old.version > offer.version {
                return Err(Refusal::Older);
            }
            if old.version == offer.version {
                return Ok(Accepted { changed: false, evicted: vec![] });
            }
        }
        self.map.insert(offer.key, offer);
        Ok(Accepted { changed: true, evicted: vec![] })
    }
    /// Get.
    pub fn get(&self, key: &Key, now: Moment) -> Option<&Offer> {
        self.map.get(key).filter(|record| record.expires > now)
    }
    /// Expire.
    pub fn expire(&mut self, now: Moment) -> Vec<Key> {
        let gone: Vec<Key> =
            self.map.values().filter(|r| r.expires <= now).map(|r| r.key).collect();
        for key in &gone {
            self.map.remove(key);
        }
        gone
    }
    /// Next.
    pub fn next_expiry(&self) -> Option<Moment> {
        self.map.values().map(|r| r.expires).min()
    }
    /// Keys.
    pub fn keys_from(&self, from: Bound<Key>) -> impl Iterator<Item = Key> + '_ {
        self.map.range((from, Bound::Unbounded)).map(|(key, _)| *key)
    }
    /// Mark.
    pub fn mark_cached(&mut self, _key: &Key, _cached: bool) {}
    /// Len.
    pub fn len(&self) -> usize {
        self.map.len()
    }
}
