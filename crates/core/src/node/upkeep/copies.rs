//! Copies of records to other nodes: those in flight, those queued, and failed ones, which are
//! retried or go to the replacement of the node that did not answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo};
use voiddht_wire::{Key, NodeId};

use super::super::Node;
use super::super::schedule::Task;
use super::corrections::CorrectionsFull;
use crate::event::{Destination, Notice};
use crate::label::Limit;
use crate::operation::Answer;
use crate::peer::Peer;
use crate::request::Purpose;
use crate::time::Moment;

/// Copies in flight.
const IN_FLIGHT: usize = 32;
/// Copies that wait to be sent, at most, and as many again that wait for another try. Who plans
/// more waits from half of it on. 96 bytes each.
const MAX_QUEUED: usize = 16_384;
/// How long a copy waits that a busy node has refused, or that was lost on its way, before each
/// further try. A node that restarts is back within the last of them.
const TRIES_AFTER: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];

/// Copies of records that are in flight, queued, or to be retried.
#[derive(Debug, Default)]
pub(super) struct Copies {
    waiting: VecDeque<Copy>,
    /// What is tried again, by when.
    again: BTreeMap<(Moment, u64), Copy>,
    in_flight: BTreeMap<(Key, NodeId), Copy>,
    /// Records of which a copy has been acknowledged since the last [`Self::clear`] by a leave.
    arrived: Option<BTreeSet<Key>>,
    numbered: u64,
    /// Copies for which there was no place, until they are counted.
    dropped: usize,
}

#[derive(Clone, Copy, Debug)]
struct Copy {
    key: Key,
    to: NodeInfo,
    /// Tries that failed.
    failed: usize,
    /// Whether its bytes were taken from the budget of a node on probation.
    reserved: bool,
}

impl Copies {
    /// A record is to go to a node. Whatever finds no place is made up for by the next renewal.
    pub(super) fn enqueue(&mut self, key: Key, to: NodeInfo) {
        if self.waiting.len() < MAX_QUEUED {
            self.waiting.push_back(Copy { key, to, failed: 0, reserved: false });
        } else {
            self.dropped += 1;
        }
    }

    /// Whether there is room for more than a few.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_QUEUED / 2
    }

    /// Whether nothing waits to be sent now.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty() && self.in_flight.is_empty()
    }

    /// Forgets what has not been sent.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.again.clear();
    }

    /// Notes which records arrive somewhere, from now on.
    pub(super) fn note_arrivals(&mut self) {
        self.arrived = Some(BTreeSet::new());
    }

    /// How many records have arrived somewhere since.
    pub(super) fn arrivals(&self) -> usize {
        self.arrived.as_ref().map_or(0, BTreeSet::len)
    }
}

impl Node {
    /// Sends what waits, as far as there may be more in flight.
    pub(in super::super) fn send_copies(&mut self) {
        for _ in 0..std::mem::take(&mut self.upkeep.copies.dropped) {
            self.notice(Notice::LimitReached { limit: Limit::QueuedCopies });
        }
        while self.upkeep.copies.in_flight.len() < IN_FLIGHT {
            self.leave_more();
            let Some(copy) = self.upkeep.copies.waiting.pop_front() else { break };
            let Copy { key, to, .. } = copy;
            let Some(mut record) = self.held(&key).filter(|record| record.ttl > 0) else {
                continue;
            };
            if self.upkeep.copies.in_flight.contains_key(&(key, to.id)) {
                continue;
            }
            if !copy.reserved && !self.may_send_now(copy, record.value.len()) {
                continue;
            }
            record.maintenance = true;
            self.upkeep.copies.in_flight.insert((key, to.id), copy);
            self.request(to.into(), Body::Store(record), Purpose::Upkeep(key));
        }
    }

    /// Whether a copy may be sent now. If its node is on probation and has been handed much, it waits for its
    /// turn, or for the next renewal.
    fn may_send_now(&mut self, copy: Copy, value_bytes: usize) -> bool {
        let wait = self.reserve_copy(&copy.to, value_bytes);
        match wait {
            Some(Duration::ZERO) => return true,
            Some(wait) if self.upkeep.copies.again.len() < MAX_QUEUED => {
                self.wait_for(wait, Copy { reserved: true, ..copy });
            }
            _ => {}
        }
        self.notice(Notice::LimitReached { limit: Limit::NewcomerBytes });
        false
    }

    /// What became of a copy.
    pub(in super::super) fn handle_copied(&mut self, key: Key, to: Destination, answer: &Answer) {
        let to = to.id.unwrap_or_default();
        let Some(copy) = self.upkeep.copies.in_flight.remove(&(key, to)) else { return };
        match answer {
            Answer::Stored => {
                if let Some(arrived) = &mut self.upkeep.copies.arrived {
                    arrived.insert(key);
                }
            }
            Answer::Refused(ErrorCode::Busy) => self.copy_again(copy),
            Answer::Failed if self.table.get(&to).is_some() => self.copy_again(copy),
            Answer::Failed => self.copy_to_successor(&copy),
            // It has a newer version, and brings it here, as this node would.
            _ => {}
        }
        self.send_copies();
        self.leave_if_through();
    }

    /// A holder renews a record that lost to this node's by the order of records: it missed an
    /// update.
    pub(in super::super) fn bring_up_to_date(&mut self, key: Key, peer: &Peer) {
        let Some(contact) = self.table.get(&peer.id()).map(|contact| contact.info()) else {
            return;
        };
        let interval = self.config.upkeep_interval;
        match self.upkeep.corrections.admit(key, contact.id, interval, self.now.mono) {
            Ok(true) => {
                self.upkeep.copies.enqueue(key, contact);
                self.send_copies();
            }
            Ok(false) => {}
            Err(CorrectionsFull) => {
                self.notice(Notice::LimitReached { limit: Limit::MaxCorrections })
            }
        }
    }

    /// The time has come for copies that are tried again.
    pub(in super::super) fn run_copies_again(&mut self) {
        while let Some(entry) = self.upkeep.copies.again.first_entry() {
            let (at, _) = *entry.key();
            if at > self.now.mono {
                self.schedule.set(Task::CopiesAgain, at);
                break;
            }
            let copy = entry.remove();
            match self.table.get(&copy.to.id) {
                Some(contact) if !contact.is_suspect() => {
                    self.upkeep.copies.waiting.push_back(copy);
                }
                Some(_) => self.copy_again(copy),
                None => self.copy_to_successor(&copy),
            }
        }
        self.send_copies();
        self.leave_if_through();
    }

    fn copy_again(&mut self, mut copy: Copy) {
        let copies = &mut self.upkeep.copies;
        let Some(pause) = TRIES_AFTER.get(copy.failed).copied() else { return };
        if copies.again.len() >= MAX_QUEUED {
            copies.dropped += 1;
            return;
        }
        copy.failed += 1;
        copy.reserved = false;
        let pause = self.jittered(pause);
        self.wait_for(pause, copy);
    }

    fn wait_for(&mut self, pause: Duration, copy: Copy) {
        let at = self.now.mono + pause;
        self.upkeep.copies.numbered += 1;
        self.upkeep.copies.again.insert((at, self.upkeep.copies.numbered), copy);
        self.schedule.set_earlier(Task::CopiesAgain, at);
    }

    /// Who was to hold a record is not there: the node that is the last of the k closest without
    /// it takes its place.
    fn copy_to_successor(&mut self, copy: &Copy) {
        let Copy { key, to, .. } = *copy;
        let mut nodes = self.closest(&key, self.config.k);
        let own = key.distance(&self.own.id);
        if nodes.len() == self.config.k && own < key.distance(&nodes[nodes.len() - 1].id) {
            nodes.pop();
        }
        if let Some(last) = nodes.pop().filter(|last| {
            key.distance(&to.id) < key.distance(&last.id) && nodes.len() + 2 >= self.config.k
        }) {
            self.upkeep.copies.enqueue(key, last);
        }
    }
}
