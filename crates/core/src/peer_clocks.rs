//! Whether this node's clock is wrong, judged by the clocks of its contacts.
//!
//! Versions are publishers' clocks, so a wrong clock costs values: one that is ahead has its PUTs
//! refused, one that is behind refuses those of others. Two messages show a contact's clock:
//!
//! * a publication (a STORE that is no maintenance copy) carries its publisher's clock as its
//!   version. An older version says nothing: a kept or signed value may be published again. A
//!   current one, or one ahead of this node's clock, does;
//! * a refusal because the version is from the future carries the refusing node's clock.
//!
//! Only contacts of the routing table are heard, for which address limits hold, and the median
//! decides: where fewer than half of them are wrong, or lie, it is the clock of one that is right.
//! What is remembered of a contact is its clock beside the monotonic one, so that the judgement
//! follows at once when this machine's clock is set.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::NodeId;

use crate::time::{Moment, Now};

/// Contacts whose clocks are remembered. 1.5 KiB; the one that was heard longest ago goes first.
pub const MAX_CLOCKS: usize = 32;
/// How long a contact's clock is remembered. A guess: quartz clocks drift by some 0.2 s in an hour.
pub const CLOCK_MEMORY: Duration = Duration::from_secs(3600);
/// Contacts that must be heard before there is a judgement: with fewer, nobody could say which of
/// two clocks is the wrong one.
pub const MIN_CLOCKS: usize = 3;
/// A clock that differs by more from the median of others is wrong. Well kept clocks differ by
/// milliseconds, and beyond this replicas refuse values.
pub const WRONG_CLOCK: Duration = crate::record::FUTURE_VERSION_TOLERANCE;

/// What contacts' clocks say of this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEstimate {
    /// How far this node's clock is ahead of the contacts', in milliseconds; negative if behind.
    pub ahead_ms: i64,
    /// Contacts whose clocks are known.
    pub contacts: usize,
}

impl ClockEstimate {
    /// Whether this node's clock is wrong.
    pub fn is_wrong(&self) -> bool {
        u128::from(self.ahead_ms.unsigned_abs()) > WRONG_CLOCK.as_millis()
    }
}

/// The clocks of contacts. See the module's description.
#[derive(Clone, Debug, Default)]
pub struct PeerClocks {
    clocks: BTreeMap<NodeId, Clock>,
}

/// A contact's clock: what it would show at the start of monotonic time, and when it was heard.
#[derive(Clone, Copy, Debug)]
struct Clock {
    epoch_ms: i64,
    heard: Moment,
}

impl PeerClocks {
    /// A contact has published a record of this version.
    pub fn heard_version(&mut self, contact: NodeId, version: u64, now: Now) {
        let oldest = now.wall.as_millis().saturating_sub(WRONG_CLOCK.as_millis() as u64);
        if version >= oldest {
            self.heard(contact, version, now);
        }
    }

    /// A contact has said what its clock shows.
    pub fn heard(&mut self, contact: NodeId, clock_ms: u64, now: Now) {
        let Some(epoch_ms) = epoch(clock_ms, now.mono) else { return };
        if self.clocks.len() >= MAX_CLOCKS && !self.clocks.contains_key(&contact) {
            let oldest = self.clocks.iter().min_by_key(|(_, clock)| clock.heard);
            if let Some(oldest) = oldest.map(|(contact, _)| *contact) {
                self.clocks.remove(&oldest);
            }
        }
        self.clocks.insert(contact, Clock { epoch_ms, heard: now.mono });
    }

    /// What the contacts' clocks say, if enough of them are known.
    pub fn estimate(&self, now: Now) -> Option<ClockEstimate> {
        let own = epoch(now.wall.as_millis(), now.mono)?;
        let fresh = self.clocks.values().filter(|one| now.mono.since(one.heard) < CLOCK_MEMORY);
        let mut ahead: Vec<i64> = fresh.map(|one| own.saturating_sub(one.epoch_ms)).collect();
        let contacts = ahead.len();
        if contacts < MIN_CLOCKS {
            return None;
        }
        // Of an even number the one that is nearer to this node's clock: a doubt is in its favour.
        ahead.sort_unstable();
        let (lower, upper) = (ahead[(contacts - 1) / 2], ahead[contacts / 2]);
        let ahead_ms = if lower.unsigned_abs() <= upper.unsigned_abs() { lower } else { upper };
        Some(ClockEstimate { ahead_ms, contacts })
    }
}

/// What a clock showed when monotonic time began. `None` for a clock that no machine has.
fn epoch(clock_ms: u64, now: Moment) -> Option<i64> {
    let since_start = i64::try_from(now.as_micros() / 1000).ok()?;
    i64::try_from(clock_ms).ok()?.checked_sub(since_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    const HOUR_MS: u64 = 3_600_000;

    fn contact(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    /// Monotonic seconds, and what this node's clock shows in milliseconds.
    fn at(seconds: u64, wall_ms: u64) -> Now {
        let mono = Moment::from_micros(seconds * 1_000_000);
        Now { mono, wall: WallTime::from_millis(wall_ms), ..Now::default() }
    }

    #[test]
    fn refusals_show_a_clock_that_is_ahead_and_the_judgement_ends_when_it_is_set() {
        let mut clocks = PeerClocks::default();
        let ahead = at(10, 1_000 * HOUR_MS + 2 * HOUR_MS);
        for number in 1..=2 {
            clocks.heard(contact(number), 1_000 * HOUR_MS, ahead);
        }
        assert_eq!(clocks.estimate(ahead), None, "two could be wrong");
        clocks.heard(contact(3), 1_000 * HOUR_MS + 5, ahead);
        let estimate = clocks.estimate(ahead).unwrap();
        assert_eq!((estimate.ahead_ms, estimate.contacts), (2 * HOUR_MS as i64, 3));
        assert!(estimate.is_wrong());
        let set = at(70, 1_000 * HOUR_MS + 60_000);
        assert!(!clocks.estimate(set).unwrap().is_wrong());
        assert_eq!(clocks.estimate(at(10 + 3600, 1_000 * HOUR_MS)), None, "forgotten");
    }

    #[test]
    fn publications_show_a_clock_that_is_behind_and_old_versions_show_nothing() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for number in 1..=9 {
            clocks.heard_version(contact(number), 3 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now), None, "published again");
        for number in 1..=3 {
            clocks.heard_version(contact(number), 1_001 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now).unwrap().ahead_ms, -(HOUR_MS as i64));
    }

    #[test]
    fn a_minority_changes_nothing_and_no_clock_overflows() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for number in 1..=4 {
            clocks.heard(contact(number), [0, u64::MAX >> 1][usize::from(number % 2)], now);
        }
        for number in 5..=9 {
            clocks.heard(contact(number), 1_000 * HOUR_MS + u64::from(number), now);
        }
        assert!(!clocks.estimate(now).unwrap().is_wrong());
        clocks.heard(contact(1), u64::MAX, now);
        for number in 0..=255 {
            clocks.heard(contact(number), 1_000 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now).unwrap().contacts, MAX_CLOCKS);
    }

    #[test]
    fn of_two_medians_the_one_nearer_to_this_clock_counts() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for (number, hours) in [(1, 1_000), (2, 1_000), (3, 1_002), (4, 1_002)] {
            clocks.heard(contact(number), hours * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now).unwrap().ahead_ms, 0);
    }
}
