//! How many slow reads may be hedged: another node is asked in place of a slow one.
//!
//! Hedging is for the few that are slower than the others. Under load all take longer, some at random, and
//! each further request adds to what they wait for: unbounded, a busy node sent seven requests for each
//! GET instead of five. So in the long run one read in twenty is hedged, which is as many as take
//! longer than the 95th percentile (Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013). A node that
//! reads seldom has some each second as well. Peers that are slow on purpose can use them up: then a read
//! waits until it is overdue, as if there were no hedges.

use crate::time::Moment;

/// Hedges in a row: a reader that meets frozen peers meets them one after the other.
const MAX_HEDGES: u64 = 32;
/// Hedges each second, however few the reads.
const PER_SECOND: u64 = 8;

/// What one hedge takes.
const ONE: u64 = 1_000_000;
/// What a read adds: a twentieth of a hedge.
const PER_READ: u64 = ONE / 20;

/// The hedges that are left: a token bucket.
#[derive(Debug)]
pub(crate) struct Hedges {
    /// In millionths of one.
    left: u64,
    filled: Moment,
}

impl Default for Hedges {
    fn default() -> Self {
        Self { left: MAX_HEDGES * ONE, filled: Moment::default() }
    }
}

impl Hedges {
    /// A read was sent.
    pub(crate) fn add_read(&mut self) {
        self.add(PER_READ);
    }

    /// Whether one more read may be hedged, which then is.
    pub(crate) fn take(&mut self, now: Moment) -> bool {
        // A second has a million microseconds, and a hedge as many parts.
        let elapsed = now.as_micros().saturating_sub(self.filled.as_micros());
        self.filled = self.filled.max(now);
        self.add(elapsed.saturating_mul(PER_SECOND));
        let is_left = self.left >= ONE;
        if is_left {
            self.left -= ONE;
        }
        is_left
    }

    fn add(&mut self, parts: u64) {
        self.left = self.left.saturating_add(parts).min(MAX_HEDGES * ONE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many of these are hedged.
    fn taken(hedges: &mut Hedges, wanted: u64, now: Moment) -> u64 {
        (0..wanted).map(|_| u64::from(hedges.take(now))).sum()
    }

    #[test]
    fn one_read_in_twenty_is_hedged_in_the_long_run() {
        let mut hedges = Hedges::default();
        let now = Moment::default();
        assert_eq!(taken(&mut hedges, 100, now), MAX_HEDGES, "none was needed before");
        let mut count = 0;
        for _ in 0..2000 {
            hedges.add_read();
            count += u64::from(hedges.take(now));
        }
        assert_eq!(count, 100);
    }

    #[test]
    fn a_node_that_reads_seldom_has_some_each_second() {
        let mut hedges = Hedges::default();
        let mut now = Moment::default();
        taken(&mut hedges, MAX_HEDGES, now);
        for _ in 0..4 {
            now = now + Duration::from_millis(500);
            assert_eq!(taken(&mut hedges, 100, now), PER_SECOND / 2);
        }
        let later = now + Duration::from_secs(3600);
        assert_eq!(taken(&mut hedges, 100, later), MAX_HEDGES);
        assert!(!hedges.take(now), "a clock that is behind adds none");
    }
}
