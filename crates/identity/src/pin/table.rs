//! The pins, and which are evicted when there are too many.
//!
//! Invariant: `by_age` holds one entry for each pin, under its present membership and age.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use voiddht_core::time::{Moment, WallTime};
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;
use voiddht_wire::{NodeId, PeerAddress};

use super::limits::PinLimits;
use crate::certificate::Certificate;

/// How old `last_seen` may grow on disk before it is written again: often enough to order pins by
/// age after a restart, and no write for each connection.
const SAVE_EVERY: Duration = Duration::from_secs(60 * 60);

/// One pin.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    /// The certificate authenticated first, or what took its place by rule.
    pub(super) certificate: Certificate,
    /// Where its owner was last reached.
    pub(super) address: PeerAddress,
    /// When it was last seen.
    pub(super) seen: WallTime,
    /// Whether the owner is in the routing table.
    pub(super) member: bool,
    /// What the last check left behind.
    pub(super) standing: Standing,
    /// When it was last seen, as a count of all that was seen; larger is later.
    age: u64,
    /// The `seen` that is on disk.
    saved: WallTime,
}

/// What the last check over an ID means for the next conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing: a conflict starts a check.
    Settled,
    /// The owner answered: conflicts are refused.
    Defended {
        /// Until then.
        until: Moment,
    },
    /// The owner could not be asked: conflicts are refused.
    NotAsked {
        /// Until then.
        until: Moment,
    },
    /// The owner was unresponsive: the next conflict is won.
    Vacant {
        /// Until then.
        until: Moment,
    },
}

/// All pins.
#[derive(Debug)]
pub(super) struct Table {
    max_pins: usize,
    max_bytes: usize,
    pins: BTreeMap<NodeId, Pin>,
    /// Member, age, ID: the first is the first to leave.
    by_age: BTreeSet<(bool, u64, NodeId)>,
    bytes: usize,
    clock: u64,
}

impl Table {
    pub(super) fn new(limits: &PinLimits) -> Self {
        // Pins under check never leave, so there must be room for all of them and one more.
        let least = limits.max_checks + 1;
        Self {
            max_pins: limits.max_pins.max(least),
            max_bytes: limits.max_bytes.max(least * MAX_CERTIFICATE_BYTES),
            pins: BTreeMap::new(),
            by_age: BTreeSet::new(),
            bytes: 0,
            clock: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pins.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.pins.values()
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Pin> {
        self.pins.get(id)
    }

    /// Adds a pin for an ID that has none, as the one seen last. The answer names the pins that
    /// made room for it; those that are `busy` stay.
    pub(super) fn insert(
        &mut self,
        certificate: Certificate,
        address: PeerAddress,
        seen: WallTime,
        busy: impl Fn(&NodeId) -> bool,
    ) -> Vec<NodeId> {
        let id = certificate.node_id();
        let bytes = certificate.der().len();
        self.remove(&id);
        let mut evicted = Vec::new();
        while self.pins.len() + 1 > self.max_pins || self.bytes + bytes > self.max_bytes {
            let Some((_, _, victim)) = self.by_age.iter().find(|(_, _, id)| !busy(id)) else {
                break;
            };
            let victim = *victim;
            self.remove(&victim);
            evicted.push(victim);
        }
        let age = self.tick();
        let standing = Standing::Settled;
        self.bytes += bytes;
        self.by_age.insert((false, age, id));
        let pin = Pin { certificate, address, seen, member: false, standing, age, saved: seen };
        self.pins.insert(id, pin);
        evicted
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<Pin> {
        let pin = self.pins.remove(id)?;
        self.by_age.remove(&(pin.member, pin.age, *id));
        self.bytes -= pin.certificate.der().len();
        Some(pin)
    }

    /// Notes that the owner was seen, and where. Whether the disk should hear of it.
    pub(super) fn touch(&mut self, id: &NodeId, address: PeerAddress, seen: WallTime) -> bool {
        let age = self.tick();
        let Some(pin) = self.pins.get_mut(id) else { return false };
        self.by_age.remove(&(pin.member, pin.age, *id));
        pin.age = age;
        self.by_age.insert((pin.member, age, *id));
        pin.seen = seen;
        let moved = address.is_dialable() && address != pin.address;
        if moved {
            pin.address = address;
        }
        let save = moved || seen.since(pin.saved) >= SAVE_EVERY;
        if save {
            pin.saved = seen;
        }
        save
    }

    pub(super) fn set_member(&mut self, id: &NodeId, member: bool) {
        let Some(pin) = self.pins.get_mut(id) else { return };
        self.by_age.remove(&(pin.member, pin.age, *id));
        pin.member = member;
        self.by_age.insert((member, pin.age, *id));
    }

    pub(super) fn set_standing(&mut self, id: &NodeId, standing: Standing) {
        if let Some(pin) = self.pins.get_mut(id) {
            pin.standing = standing;
        }
    }

    /// What the last check left behind, unless its time is over.
    pub(super) fn standing(&self, id: &NodeId, now: Moment) -> Standing {
        match self.pins.get(id).map(|pin| pin.standing) {
            Some(
                standing @ (Standing::Defended { until }
                | Standing::NotAsked { until }
                | Standing::Vacant { until }),
            ) if now < until => standing,
            _ => Standing::Settled,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}
