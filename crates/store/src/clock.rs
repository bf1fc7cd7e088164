//! The clock for lifetimes on disk.
//!
//! The wall clock jumps: it is set by hand, corrected by a time server, or starts in 1970 on a
//! board without a battery. So a row expires at an *age* of the data directory, not at a wall time:
//! milliseconds of the directory's lifetime, which never decrease. While a process runs, and from
//! one process to the next within one boot of the machine, the age advances by `CLOCK_BOOTTIME`,
//! which cannot be set. Only across boots does the wall clock decide, and only forward. The rule
//! and its limits are in `docs/storage.md`.

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use voiddht_core::time::WallTime;

/// One boot of the machine, as the kernel names it.
pub type BootId = [u8; 16];

/// What the machine's clocks say at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which boot this is; `None` where the system does not say.
    pub boot: Option<BootId>,
    /// Milliseconds since that boot, those asleep included. Never goes back within a boot.
    pub since_boot: u64,
    /// The wall clock.
    pub wall: WallTime,
}

/// Where readings come from: the machine, or a test.
pub trait TimeSource: Send + Sync + 'static {
    /// The clocks now.
    fn read(&self) -> Reading;
}

/// The machine's own clocks.
#[derive(Debug)]
pub(crate) struct SystemClocks {
    boot: Option<BootId>,
}

impl SystemClocks {
    pub(crate) fn new() -> Self {
        Self { boot: boot_id() }
    }
}

impl TimeSource for SystemClocks {
    fn read(&self) -> Reading {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading {
            boot: self.boot,
            since_boot: since_boot(),
            wall: WallTime::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

fn boot_id() -> Option<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok()
}

#[cfg(target_os = "linux")]
fn since_boot() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000) + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Elsewhere the monotonic clock serves within a run. Such a system has no boot ID either, so
/// between runs the wall clock decides.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000) + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The age of a data directory in milliseconds: the axis on which deadlines lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(pub(crate) u64);

/// An age and what the clocks said then, as kept in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) age: Age,
    pub(crate) reading: Reading,
}

impl Stamp {
    /// The age at a later reading: see the module's rule.
    fn age_at(&self, later: Reading) -> Age {
        let by_wall = later.wall.since(self.reading.wall);
        let by_wall = u64::try_from(by_wall.as_millis()).unwrap_or(u64::MAX);
        let elapsed = match (self.reading.boot, later.boot) {
            (Some(then), Some(now)) if then == now => {
                // Going back within a boot is a machine restored from a snapshot, or a container's
                // own notion of uptime: all that is left is the wall clock.
                later.since_boot.checked_sub(self.reading.since_boot).unwrap_or(by_wall)
            }
            // The machine has been up for so long since, whatever its wall clock says.
            (Some(_), Some(_)) => by_wall.max(later.since_boot),
            _ => by_wall,
        };
        Age(self.age.0.saturating_add(elapsed))
    }
}

/// Tells the age of an open data directory.
pub(crate) struct AgeClock {
    source: Arc<dyn TimeSource>,
    /// The age and the uptime when the directory was opened.
    opened: Stamp,
}

impl AgeClock {
    /// Continues from the last stamp on disk; a new directory starts at age zero.
    pub(crate) fn resume(source: Arc<dyn TimeSource>, last: Option<Stamp>) -> Self {
        let reading = source.read();
        let age = last.map_or(Age(0), |stamp| stamp.age_at(reading));
        Self { source, opened: Stamp { age, reading } }
    }

    /// The age now, and what the clocks say.
    pub(crate) fn stamp(&self) -> Stamp {
        let reading = self.source.read();
        let elapsed = reading.since_boot.saturating_sub(self.opened.reading.since_boot);
        Stamp { age: Age(self.opened.age.0.saturating_add(elapsed)), reading }
    }

    /// The age now.
    pub(crate) fn age(&self) -> Age {
        self.stamp().age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn reading(boot: Option<u8>, since_boot: u64, wall: u64) -> Reading {
        Reading { boot: boot.map(|b| [b; 16]), since_boot, wall: WallTime::from_millis(wall) }
    }

    #[track_caller]
    fn check(then: Reading, now: Reading, elapsed: u64) {
        let stamp = Stamp { age: Age(1000), reading: then };
        assert_eq!(stamp.age_at(now), Age(1000 + elapsed));
    }

    #[test]
    fn within_one_boot_the_wall_clock_does_not_count() {
        let then = reading(Some(1), 5_000, 100 * HOUR);
        check(then, reading(Some(1), 7_000, 100 * HOUR + 2_000), 2_000);
        check(then, reading(Some(1), 7_000, 300 * HOUR), 2_000);
        check(then, reading(Some(1), 7_000, 0), 2_000);
    }

    #[test]
    fn across_boots_the_wall_clock_counts_forward_and_uptime_at_least() {
        let then = reading(Some(1), 9 * HOUR, 100 * HOUR);
        check(then, reading(Some(2), 10_000, 101 * HOUR), HOUR);
        check(then, reading(Some(2), 10_000, 7 * HOUR), 10_000);
        check(then, reading(Some(2), 2 * HOUR, 101 * HOUR), 2 * HOUR);
    }

    #[test]
    fn without_a_boot_id_or_with_uptime_going_back_only_the_wall_clock_is_left() {
        let wall = 100 * HOUR;
        check(reading(None, 9_000, wall), reading(None, 9_500, wall + HOUR), HOUR);
        check(reading(Some(1), 9_000, wall), reading(Some(1), 8_000, wall + HOUR), HOUR);
        check(reading(Some(1), 9_000, wall), reading(Some(1), 8_000, 0), 0);
    }

    #[test]
    fn the_machine_tells_its_clocks() {
        let clocks = SystemClocks::new();
        let (first, second) = (clocks.read(), clocks.read());
        assert!(second.since_boot >= first.since_boot && first.since_boot > 0);
        assert!(first.wall > WallTime::from_millis(0));
        assert_eq!(first.boot.is_some(), cfg!(target_os = "linux"));
    }
}
