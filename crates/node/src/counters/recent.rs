//! A counter with a window of recent minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::count::Count;

/// How far back a [`RecentCount`] looks: long enough for an operator to come and look, and twice what
/// alerts look back.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "asked for by the doctor"))]
pub(crate) const RECENT: Duration = Duration::from_secs(MINUTES as u64 * 60);
/// Minutes that are counted apart. 80 bytes for each count.
const MINUTES: usize = 10;

/// A number that only grows, and how much of it is of the last [`RECENT`].
#[derive(Debug, Default)]
pub(crate) struct RecentCount {
    total: Count,
    /// Each the number of a minute, from 1 on, and what was counted in it, 32 bits each. A slot is
    /// begun again when its minute comes round again.
    minutes: [AtomicU64; MINUTES],
}

/// Minutes since a node's start, as counts are told of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinuteClock(Instant);

impl Default for MinuteClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl MinuteClock {
    /// The present minute, from 1 on; after 8 000 years always the last.
    pub(crate) fn now(&self) -> u32 {
        u32::try_from(self.0.elapsed().as_secs() / 60 + 1).unwrap_or(u32::MAX)
    }
}

impl RecentCount {
    /// Counts one, in this minute.
    pub(crate) fn add(&self, minute: u32) {
        self.total.add();
        let slot = &self.minutes[minute as usize % MINUTES];
        // The closure never says None, so that this cannot fail.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let (of, count) = unpacked(packed);
            let count = if of == minute { count.saturating_add(1) } else { 1 };
            Some(u64::from(minute) << 32 | u64::from(count))
        });
    }

    /// All that was counted.
    pub(crate) fn total(&self) -> u64 {
        self.total.read()
    }

    /// What was counted in this minute and those before it, [`MINUTES`] together.
    pub(crate) fn recent(&self, minute: u32) -> u64 {
        let slots = self.minutes.iter().map(|slot| unpacked(slot.load(Ordering::Relaxed)));
        let recent = slots.filter(|(of, _)| *of + MINUTES as u32 > minute);
        recent.map(|(_, count)| u64::from(count)).sum()
    }
}

fn unpacked(packed: u64) -> (u32, u32) {
    // Each half on purpose.
    ((packed >> 32) as u32, packed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_ten_minutes_ago_is_not_recent() {
        let count = RecentCount::default();
        assert_eq!(count.recent(1), 0, "a slot that was never used is of no minute");
        for minute in [1, 1, 5, 10] {
            count.add(minute);
        }
        assert_eq!(count.recent(10), 4);
        assert_eq!(count.recent(11), 2, "the first minute has gone by");
        count.add(11);
        assert_eq!(count.recent(11), 3);
        assert_eq!(count.recent(20), 1);
        assert_eq!((count.recent(1_000), count.total()), (0, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn minutes_go_by() {
        let clock = MinuteClock::default();
        assert_eq!(clock.now(), 1);
        tokio::time::advance(Duration::from_secs(119)).await;
        assert_eq!(clock.now(), 2);
    }
}
