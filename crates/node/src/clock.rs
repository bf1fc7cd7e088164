//! The driver's clocks, read once per step.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use voiddht_core::time::{BootTime, Moment, Now, WallTime};

/// Where the node's monotonic times begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// The same moment, since the machine's boot.
    booted: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), booted: since_boot() }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: self.moment(Instant::now()),
            boot: self.boot_time(since_boot()),
            wall: WallTime::from_millis(wall_millis()),
        }
    }

    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.start + Duration::from_micros(moment.as_micros())
    }

    fn boot_time(&self, since_boot: Duration) -> BootTime {
        let micros = since_boot.saturating_sub(self.booted).as_micros();
        BootTime::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn moment(&self, instant: Instant) -> Moment {
        let micros = instant.saturating_duration_since(self.start).as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Time since the machine's boot, that asleep included.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    read_clock(rustix::time::ClockId::Boottime)
}

/// Elsewhere the monotonic clock serves: there a suspend lengthens TTLs.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    read_clock(rustix::time::ClockId::Monotonic)
}

fn read_clock(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Seconds since 1970, as certificates count them.
pub(crate) fn wall_seconds() -> u64 {
    wall_millis() / 1000
}

/// A clock before 1970 reads as 1970.
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
