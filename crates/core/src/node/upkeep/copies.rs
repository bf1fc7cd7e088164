//! Copies of records to other nodes: those in flight, those queued, and failed ones, which are
//! retried or go to the replacement of the node that did not answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use voiddht_wire::peer::{Body, ErrorCode, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::probation::Probation;
use crate::event::Destination;
use crate::label::Limit;
use crate::node::context::Context;
use crate::node::schedule::Task;
use crate::node::values::held;
use crate::operation::Answer;
use crate::record::RecordStore;
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

    /// Whether there may be more in flight.
    pub(super) fn may_send_more(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT
    }

    /// Copies that found no place since the last call.
    pub(super) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.dropped)
    }

    /// Sends the next that waits, or drops it. False if none waits.
    pub(super) fn send_next(
        &mut self,
        cx: &mut Context,
        records: &RecordStore,
        probation: &mut Probation,
    ) -> bool {
        let Some(copy) = self.waiting.pop_front() else { return false };
        let Copy { key, to, .. } = copy;
        let held = held(records, &key, cx.now.boot).filter(|record| record.ttl > 0);
        if let Some(record) = held
            && !self.in_flight.contains_key(&(key, to.id))
            && (copy.reserved || self.may_send_now(cx, probation, copy, record.value.len()))
        {
            self.in_flight.insert((key, to.id), copy);
            let record = Record { maintenance: true, ..record };
            cx.request(to, Body::Store(record), Purpose::Upkeep(key));
        }
        true
    }

    /// Whether a copy may be sent now. If its node is on probation and has been handed much, it waits for its
    /// turn, or for the next renewal.
    fn may_send_now(
        &mut self,
        cx: &mut Context,
        probation: &mut Probation,
        copy: Copy,
        value_bytes: usize,
    ) -> bool {
        let wait = probation.reserve_copy(cx, &copy.to, value_bytes);
        match wait {
            Some(Duration::ZERO) => return true,
            Some(wait) if self.again.len() < MAX_QUEUED => {
                self.wait_for(cx, wait, Copy { reserved: true, ..copy });
            }
            _ => {}
        }
        cx.limit_reached(Limit::NewcomerBytes);
        false
    }

    /// What became of a copy. False if it was none.
    pub(super) fn handle_answer(
        &mut self,
        cx: &mut Context,
        key: Key,
        to: Destination,
        answer: &Answer,
    ) -> bool {
        let to = to.id.unwrap_or_default();
        let Some(copy) = self.in_flight.remove(&(key, to)) else { return false };
        match answer {
            Answer::Stored => {
                if let Some(arrived) = &mut self.arrived {
                    arrived.insert(key);
                }
            }
            Answer::Refused(ErrorCode::Busy) => self.try_again(cx, copy),
            Answer::Failed if cx.table.get(&to).is_some() => self.try_again(cx, copy),
            Answer::Failed => self.enqueue_for_successor(cx, &copy),
            // It has a newer version. It brings that here where this node is among the closest; one beyond
            // them keeps its own until it expires: that it is old is only what those closer say.
            _ => {}
        }
        true
    }

    /// The time has come for copies that are tried again.
    pub(super) fn retry(&mut self, cx: &mut Context) {
        while let Some(entry) = self.again.first_entry() {
            let (at, _) = *entry.key();
            if at > cx.now.mono {
                cx.schedule.set(Task::CopiesAgain, at);
                break;
            }
            let copy = entry.remove();
            match cx.table.get(&copy.to.id) {
                Some(contact) if !contact.is_suspect() => {
                    self.waiting.push_back(copy);
                }
                Some(_) => self.try_again(cx, copy),
                None => self.enqueue_for_successor(cx, &copy),
            }
        }
    }

    fn try_again(&mut self, cx: &mut Context, mut copy: Copy) {
        let Some(pause) = TRIES_AFTER.get(copy.failed).copied() else { return };
        if self.again.len() >= MAX_QUEUED {
            self.dropped += 1;
            return;
        }
        copy.failed += 1;
        copy.reserved = false;
        let pause = cx.jittered(pause);
        self.wait_for(cx, pause, copy);
    }

    fn wait_for(&mut self, cx: &mut Context, pause: Duration, copy: Copy) {
        let at = cx.now.mono + pause;
        self.numbered += 1;
        self.again.insert((at, self.numbered), copy);
        cx.schedule.set_earlier(Task::CopiesAgain, at);
    }

    /// Who was to hold a record is not there: the node that is the last of the k closest without
    /// it takes its place.
    fn enqueue_for_successor(&mut self, cx: &Context, copy: &Copy) {
        let Copy { key, to, .. } = *copy;
        let mut nodes = cx.closest(&key, cx.config.k);
        let own = key.distance(&cx.own.id);
        if nodes.len() == cx.config.k && own < key.distance(&nodes[nodes.len() - 1].id) {
            nodes.pop();
        }
        if let Some(last) = nodes.pop().filter(|last| {
            key.distance(&to.id) < key.distance(&last.id) && nodes.len() + 2 >= cx.config.k
        }) {
            self.enqueue(key, last);
        }
    }
}
