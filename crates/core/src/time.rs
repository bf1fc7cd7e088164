//! The three clocks of a node, as types that cannot be swapped.
//!
//! Timers run on [`Moment`], which stands still while the machine is suspended: a request that was in
//! flight then is not late. The deadlines of records run on [`BootTime`], which does not: a value
//! ends when its TTL ends, whether or not the machine was awake. Neither ever goes back.
//! [`WallTime`] is for what other machines or later runs must understand: versions, and expiry on
//! disk. The driver reads all three once per step and hands them in as [`Now`].

use std::ops::Add;
use std::time::Duration;

/// A point of monotonic time: microseconds since some start that the driver chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// A moment from microseconds since the driver's start.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the driver's start.
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// This long before; the driver's start at the earliest.
    pub fn back(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A point of the clock that counts the time the machine was suspended too (`CLOCK_BOOTTIME`):
/// microseconds since some start that the driver chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// Later than every other.
    pub const MAX: Self = Self(u64::MAX);

    /// A time from microseconds since the driver's start.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the driver's start.
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Calendar time: milliseconds since 1970, as far as this machine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// A time from milliseconds since 1970.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What the clocks say at one step of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For timers.
    pub mono: Moment,
    /// For the deadlines of records.
    pub boot: BootTime,
    /// For versions and for the disk.
    pub wall: WallTime,
}

impl Now {
    /// What the clocks of a machine say that was never suspended.
    pub fn never_suspended(mono: Moment, wall: WallTime) -> Self {
        Self { mono, boot: BootTime::from_micros(mono.as_micros()), wall }
    }
}
