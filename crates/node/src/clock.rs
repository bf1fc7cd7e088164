//! The driver's two clocks, read once per step.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use voiddht_core::time::{Moment, Now, WallTime};

/// Where the node's monotonic time begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.moment(Instant::now()), wall: WallTime::from_millis(wall_millis()) }
    }

    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.start + std::time::Duration::from_micros(moment.as_micros())
    }

    fn moment(&self, instant: Instant) -> Moment {
        let micros = instant.saturating_duration_since(self.start).as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
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
