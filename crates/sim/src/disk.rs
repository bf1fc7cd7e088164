//! A data directory as the core sees one: writes come back committed, or they do not, and what
//! was committed is there after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use voiddht_core::event::{StoredContact, StoredRecord, Write};
use voiddht_core::kept::KeptRow;
use voiddht_core::time::WallTime;
use voiddht_identity::PinRecord;
use voiddht_wire::{Key, NodeId};

/// How a host's disk behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskOptions {
    /// How long a commit takes.
    pub commit: Duration,
    /// Share of commits that fail.
    pub failing: f64,
}

/// What one host has committed.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) options: DiskOptions,
    records: BTreeMap<Key, StoredRecord>,
    contacts: BTreeMap<NodeId, StoredContact>,
    kept: BTreeMap<Key, (KeptRow, Bytes)>,
    pins: BTreeMap<NodeId, PinRecord>,
}

impl Disk {
    pub(crate) fn new(options: DiskOptions) -> Self {
        Self {
            options,
            records: BTreeMap::new(),
            contacts: BTreeMap::new(),
            kept: BTreeMap::new(),
            pins: BTreeMap::new(),
        }
    }

    pub(crate) fn commit(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::PutRecord(record) => {
                    self.records.insert(record.key, record);
                }
                Write::RemoveRecord(key) => {
                    self.records.remove(&key);
                }
                Write::PutKept { row, value } => {
                    let held = self.kept.remove(&row.key).map(|(_, value)| value);
                    if let Some(value) = value.or(held) {
                        self.kept.insert(row.key, (row, value));
                    }
                }
                Write::RemoveKept(key) => {
                    self.kept.remove(&key);
                }
                Write::PutContact(contact) => {
                    let stored = self.contacts.entry(contact.id).or_insert(contact.into());
                    stored.info = contact;
                }
                Write::PutTenure { node, tenure } => {
                    if let Some(stored) = self.contacts.get_mut(&node) {
                        stored.tenure = tenure;
                    }
                }
                Write::RemoveContact(id) => {
                    self.contacts.remove(&id);
                }
            }
        }
    }

    /// What is left of each record at `now`, as the daemon's store works it out.
    pub(crate) fn restored(&self, now: WallTime) -> Vec<(StoredRecord, Duration)> {
        self.records
            .values()
            .filter(|record| record.expires > now)
            .map(|record| {
                // A clock that was set back must not lengthen a TTL.
                let whole = record.expires.since(record.written);
                (record.clone(), record.expires.since(now).min(whole))
            })
            .collect()
    }

    pub(crate) fn kept(&self) -> Vec<(KeptRow, Bytes)> {
        self.kept.values().cloned().collect()
    }

    pub(crate) fn save_pin(&mut self, pin: PinRecord) {
        self.pins.insert(pin.node_id, pin);
    }

    pub(crate) fn forget_pin(&mut self, id: &NodeId) {
        self.pins.remove(id);
    }

    pub(crate) fn pins(&self) -> Vec<PinRecord> {
        self.pins.values().cloned().collect()
    }

    pub(crate) fn contacts(&self) -> Vec<StoredContact> {
        self.contacts.values().copied().collect()
    }
}
