//! The event queue: a calendar queue whose cost per event does not grow with their number.
//!
//! Events of one millisecond are together, unsorted, in a slot of a wheel; only the current slot is
//! a heap. Events beyond the reach of the wheel wait in later turns of it. A heap over all events
//! would cost a dozen cache misses per event with a hundred thousand nodes and a timer each.
//!
//! Events of one moment come out in the order in which they went in, so that a run depends only on
//! its seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use voiddht_core::time::Moment;

/// Bits of the microseconds within one slot: 1.024 ms.
const SLOT_BITS: u32 = 10;
/// Slots of the wheel: it reaches 4.2 s ahead, which is further than most messages and timeouts.
const SLOTS: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Moment,
    order: u64,
    place: u32,
}

impl Entry {
    fn slot(&self) -> u64 {
        self.at.as_micros() >> SLOT_BITS
    }
}

/// Events, each with its time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Everything in this slot, and whatever is overdue, is in `current`.
    slot: u64,
    current: BinaryHeap<Reverse<Entry>>,
    wheel: Vec<Vec<Entry>>,
    in_wheel: usize,
    /// By turn of the wheel.
    far: BTreeMap<u64, Vec<Entry>>,
    /// The events themselves: entries are moved around, these are not.
    places: Vec<Option<T>>,
    free: Vec<u32>,
    order: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            slot: 0,
            current: BinaryHeap::new(),
            wheel: (0..SLOTS).map(|_| Vec::new()).collect(),
            in_wheel: 0,
            far: BTreeMap::new(),
            places: Vec::new(),
            free: Vec::new(),
            order: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Lets `event` happen at `at`.
    pub(crate) fn push(&mut self, at: Moment, event: T) {
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(event);
                place
            }
            None => {
                self.places.push(Some(event));
                (self.places.len() - 1) as u32
            }
        };
        let entry = Entry { at, order: self.order, place };
        self.order += 1;
        self.sort_in(entry);
    }

    /// When the next event happens.
    pub(crate) fn next_at(&mut self) -> Option<Moment> {
        self.advance();
        self.current.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the next event.
    pub(crate) fn pop(&mut self) -> Option<(Moment, T)> {
        self.advance();
        let Reverse(entry) = self.current.pop()?;
        self.free.push(entry.place);
        let event = self.places[entry.place as usize].take()?;
        Some((entry.at, event))
    }

    /// Events that wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn sort_in(&mut self, entry: Entry) {
        let slot = entry.slot();
        if slot <= self.slot {
            self.current.push(Reverse(entry));
        } else if slot - self.slot < SLOTS {
            self.wheel[(slot % SLOTS) as usize].push(entry);
            self.in_wheel += 1;
        } else {
            self.far.entry(slot / SLOTS).or_default().push(entry);
        }
    }

    /// Moves on to the next slot that has an event, if the current one has none left.
    fn advance(&mut self) {
        while self.current.is_empty() {
            if self.in_wheel == 0 {
                let Some((turn, _)) = self.far.first_key_value() else { return };
                // The turn may have begun: then its slots ahead of this one are meant.
                self.slot = self.slot.max(turn * SLOTS);
                self.load_turn();
                continue;
            }
            self.slot += 1;
            if self.slot.is_multiple_of(SLOTS) {
                self.load_turn();
            }
            let slot = &mut self.wheel[(self.slot % SLOTS) as usize];
            self.in_wheel -= slot.len();
            self.current.extend(slot.drain(..).map(Reverse));
        }
    }

    fn load_turn(&mut self) {
        if let Some(entries) = self.far.remove(&(self.slot / SLOTS)) {
            for entry in entries {
                self.sort_in(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn events_come_in_the_order_of_their_time_and_then_of_their_arrival() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut queue = Queue::default();
        let mut model: BTreeMap<(Moment, u64), u64> = BTreeMap::new();
        let mut now = Moment::default();
        for number in 0..50_000u64 {
            let reach = [0, 1, 900, 40_000, 5_000_000, 90_000_000_000][random.random_range(0..6)];
            let at = Moment::from_micros(now.as_micros() + random.random_range(0..=reach));
            queue.push(at, number);
            model.insert((at, number), number);
            while random.random_bool(0.6) && !model.is_empty() {
                let ((at, _), expected) = model.pop_first().unwrap();
                assert_eq!(queue.next_at(), Some(at));
                assert_eq!(queue.pop(), Some((at, expected)));
                assert!(at >= now);
                now = at;
            }
            assert_eq!(queue.len(), model.len());
        }
        while let Some(((at, _), expected)) = model.pop_first() {
            assert_eq!(queue.pop(), Some((at, expected)));
        }
        assert_eq!((queue.next_at(), queue.len()), (None, 0));
    }
}
