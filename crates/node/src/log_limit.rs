//! A bound on log lines that peers, local programs or a failing machine can cause.
//!
//! Each kind of line has an allowance of its own, so that a flood of one kind does not hide the
//! others. Lines beyond it are dropped and counted; the next line of that kind that is written says
//! how many were. [`log_limited!`](crate::log_limit::log_limited) is the one way to write such a
//! line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use voiddht_core::time::Moment;

use crate::clock::Clock;

/// Lines of one kind that may be written one after the other. A guess: enough to see who is meant.
pub(crate) const LINE_BURST: u32 = 10;
/// The time after which one more line of a kind may be written. All kinds together write at most
/// some 60 000 lines, 12 MB, in a day.
pub(crate) const LINE_INTERVAL: Duration = Duration::from_secs(30);

voiddht_core::label! {
    /// Kinds of log lines that can be caused from outside.
    pub(crate) enum Line {
        /// A connection could not be accepted.
        AcceptFailed = "accept_failed",
        /// A module API connection was closed because there are too many.
        ApiConnectionRefused = "api_connection_refused",
        /// A local program broke a rule of the module API.
        ApiRuleBroken = "api_rule_broken",
        /// A local program does not read, or left inside a message.
        ApiStalled = "api_stalled",
        /// A peer was banned.
        Banned = "banned",
        /// A dial failed for a reason on this machine.
        DialFailed = "dial_failed",
        /// A dialled peer was refused.
        DialRefused = "dial_refused",
        /// A peer that connected was refused.
        HandshakeRefused = "handshake_refused",
        /// The node lost all its contacts, or found none.
        Isolated = "isolated",
        /// A peer misbehaved.
        Misbehaviour = "misbehaviour",
        /// A conflict over a pinned ID.
        PinConflict = "pin_conflict",
        /// A pin could not be saved or deleted.
        PinNotSaved = "pin_not_saved",
        /// A peer broke a rule of the frames or messages.
        RuleBroken = "rule_broken",
        /// A peer does not read.
        Stalled = "stalled",
    }
}

/// What may be written, by kind.
#[derive(Debug)]
pub(crate) struct LogLimits {
    clock: Clock,
    kinds: [Mutex<Allowance>; Line::COUNT],
    suppressed: AtomicU64,
}

impl Default for LogLimits {
    fn default() -> Self {
        let kinds = std::array::from_fn(|_| Mutex::new(Allowance::default()));
        Self { clock: Clock::start(), kinds, suppressed: AtomicU64::new(0) }
    }
}

impl LogLimits {
    /// Whether a line of this kind may be written now, and how many were dropped since the last.
    pub(crate) fn admit(&self, line: Line) -> Option<u64> {
        let kind = &self.kinds[line.slot()];
        let admitted =
            kind.lock().unwrap_or_else(PoisonError::into_inner).take(self.clock.now().mono);
        if admitted.is_none() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Lines that were dropped since the start.
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }
}

/// How many lines of one kind may be written. Decides only: the time is passed in.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: u32,
    /// When the allowance last grew, or was full.
    since: Moment,
    dropped: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: LINE_BURST, since: Moment::from_micros(0), dropped: 0 }
    }
}

impl Allowance {
    fn take(&mut self, now: Moment) -> Option<u64> {
        while self.left < LINE_BURST && now.since(self.since) >= LINE_INTERVAL {
            self.left += 1;
            self.since = self.since + LINE_INTERVAL;
        }
        if self.left == 0 {
            self.dropped += 1;
            return None;
        }
        if self.left == LINE_BURST {
            self.since = now;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Writes a log line of a kind that can be caused from outside, unless too many were written:
/// `log_limited!(limits, Line::Kind, warn, field, "event")`.
macro_rules! log_limited {
    ($limits:expr, $line:expr, $level:ident, $($fields:tt)+) => {
        match $limits.admit($line) {
            None => {}
            Some(0) => tracing::$level!($($fields)+),
            Some(suppressed) => tracing::$level!(suppressed, $($fields)+),
        }
    };
}
pub(crate) use log_limited;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    /// One peer could write 38 GB into the log in a day.
    #[test]
    fn a_flood_writes_a_few_lines_and_the_count_of_the_rest() {
        let mut allowance = Allowance::default();
        for _ in 0..LINE_BURST {
            assert_eq!(allowance.take(at(100)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(allowance.take(at(101)), None);
        }
        assert_eq!(allowance.take(at(100) + LINE_INTERVAL), Some(1000));
        assert_eq!(allowance.take(at(100) + LINE_INTERVAL), None);
        let day = (0..86_400).filter(|second| allowance.take(at(200 + second)).is_some()).count();
        assert!(day <= 86_400 / LINE_INTERVAL.as_secs() as usize + 4, "{day}");
    }

    #[test]
    fn after_a_quiet_time_the_whole_burst_is_there_again() {
        let mut allowance = Allowance::default();
        while allowance.take(at(0)).is_some() {}
        let admitted = (0..100).filter(|_| allowance.take(at(1_000_000)).is_some()).count();
        assert_eq!(admitted, LINE_BURST as usize);
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let limits = LogLimits::default();
        while limits.admit(Line::RuleBroken).is_some() {}
        assert_eq!(limits.admit(Line::Banned), Some(0));
        assert_eq!(limits.suppressed(), 1);
    }
}
