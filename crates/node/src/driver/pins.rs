//! Pins: saved, listed and forgotten, and what their conflicts leave in the log.

use voiddht_core::time::Now;
use voiddht_identity::pin::Settlement;
use voiddht_identity::{PinRecord, Verdict};
use voiddht_session::TrustNotice;
use voiddht_store::Store;
use voiddht_wire::{NodeId, PeerAddress};

use super::Driver;
use crate::counters::Limit;
use crate::log_limit::{Line, log_limited};
use crate::pins::stored;

impl Driver {
    pub(super) fn save_pin(&self, record: PinRecord) {
        self.write_pin(record.node_id, |store| store.put_pin(stored(record)));
    }

    pub(super) fn delete_pin(&self, id: NodeId) {
        self.write_pin(id, |store| store.remove_pin(id));
    }

    fn write_pin<E>(&self, id: NodeId, write: impl FnOnce(&Store) -> Result<(), E>) {
        if self.persistence.store().is_some_and(|store| write(store).is_err()) {
            log_limited!(
                self.context.counters.logs,
                Line::PinNotSaved,
                warn,
                peer = id.short(),
                "could not write pin: store write queue is full"
            );
        }
    }

    /// Counts the pins that the disk did not take since the last call.
    pub(super) fn count_unsaved_pins(&self) {
        for _ in 0..self.persistence.store().map_or(0, |store| store.take_unsaved_pins()) {
            self.context.counters.limit_reached(Limit::UnsavedPins);
        }
    }

    pub(super) fn forget_pin(&mut self, now: Now, id: &NodeId) -> bool {
        let is_forgotten = self.session.forget_pin(id, now);
        if is_forgotten {
            tracing::warn!(peer = id.short(), "pin forgotten by command");
        }
        is_forgotten
    }

    pub(super) fn trust_notice(&self, notice: &TrustNotice) {
        match notice {
            TrustNotice::Conflict { peer, address, verdict } => {
                self.log_conflict(peer, address, *verdict);
            }
            TrustNotice::OwnerAsked { owner, address } => {
                let peer = owner.short();
                tracing::debug!(peer, %address, "asking the owner of a pin");
            }
            TrustNotice::Settled(Settlement { node_id, outcome, turned_away }) => {
                let peer = node_id.short();
                log_limited!(self.context.counters.logs, Line::PinConflict, warn, peer, turned_away,
                    %outcome, "pin conflict ended");
            }
        }
    }

    fn log_conflict(&self, peer: &NodeId, address: &PeerAddress, verdict: Verdict) {
        let (logs, peer) = (&self.context.counters.logs, peer.short());
        match verdict {
            Verdict::TurnedAway(why) => {
                log_limited!(logs, Line::PinConflict, warn, peer, %address, %why,
                    "peer refused: its ID is pinned to another key");
            }
            Verdict::Refused(why) => {
                log_limited!(logs, Line::PinConflict, warn, peer, %address, %why,
                    "takeover refused");
            }
            Verdict::Replaced => {
                log_limited!(logs, Line::PinConflict, warn, peer, %address,
                    "ID reassigned to a new key: its owner did not respond");
            }
            Verdict::Known | Verdict::Pinned | Verdict::Renewed => {}
        }
    }
}
