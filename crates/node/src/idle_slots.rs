//! A bounded number of connection slots, of which the longest idle is given to a newcomer.
//!
//! Decides only: it holds no socket and reads no clock. Its owner says what time it is and which
//! connections are idle, and closes the one that is evicted.

use std::collections::BTreeMap;

use voiddht_core::time::Moment;

/// Slots taken, by a key that its owner chose, each with the time of its last use. 64 bytes each.
#[derive(Debug)]
pub(crate) struct IdleSlots {
    limit: usize,
    last_used: BTreeMap<u64, Moment>,
}

/// What becomes of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It has a slot.
    Free,
    /// It has the slot of this connection, which is to be closed.
    Evicted(u64),
    /// Every slot is in use: the newcomer is to be closed.
    Full,
}

impl IdleSlots {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, last_used: BTreeMap::new() }
    }

    /// Gives a slot to `newcomer`, if need be that of the longest idle connection.
    pub(crate) fn admit(
        &mut self,
        now: Moment,
        newcomer: u64,
        is_idle: impl Fn(u64) -> bool,
    ) -> Admission {
        let mut admission = Admission::Free;
        if self.last_used.len() >= self.limit {
            let idle = self.last_used.iter().filter(|(key, _)| is_idle(**key));
            let longest = idle.min_by_key(|(key, used)| (**used, **key)).map(|(key, _)| *key);
            let Some(evicted) = longest else { return Admission::Full };
            self.last_used.remove(&evicted);
            admission = Admission::Evicted(evicted);
        }
        self.last_used.insert(newcomer, now);
        admission
    }

    /// Notes that a connection does something. One that was evicted stays so.
    pub(crate) fn used(&mut self, now: Moment, key: u64) {
        if let Some(used) = self.last_used.get_mut(&key) {
            *used = now;
        }
    }

    /// Frees the slot of a connection that has ended.
    pub(crate) fn leave(&mut self, key: u64) {
        self.last_used.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }

    #[test]
    fn at_the_limit_the_longest_idle_makes_room() {
        let mut slots = IdleSlots::new(2);
        let all_idle = |_| true;
        assert_eq!(slots.admit(at(0), 1, all_idle), Admission::Free);
        assert_eq!(slots.admit(at(1), 2, all_idle), Admission::Free);
        slots.used(at(2), 1);
        assert_eq!(slots.admit(at(3), 3, all_idle), Admission::Evicted(2));
        assert_eq!(slots.admit(at(4), 4, |key| key != 1), Admission::Evicted(3));
        assert_eq!(slots.admit(at(5), 5, |_| false), Admission::Full, "all are in use");
    }

    #[test]
    fn what_left_or_was_evicted_takes_no_slot() {
        let mut slots = IdleSlots::new(1);
        slots.admit(at(0), 1, |_| true);
        slots.leave(1);
        assert_eq!(slots.admit(at(1), 2, |_| false), Admission::Free);
        assert_eq!(slots.admit(at(2), 3, |_| true), Admission::Evicted(2));
        slots.used(at(3), 2);
        slots.leave(2);
        assert_eq!(slots.last_used.len(), 1);
        let mut none = IdleSlots::new(0);
        assert_eq!(none.admit(at(0), 1, |_| true), Admission::Full);
    }
}
