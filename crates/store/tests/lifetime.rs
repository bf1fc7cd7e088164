//! Lifetimes across restarts, while the wall clock does what it likes: no record is brought back
//! to life, none lives longer than it was to, and a jump does not drop what is still alive.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Disk, TestClocks, completions, identity, put, record, submit};
use voiddht_core::time::WallTime;
use voiddht_store::{DataDir, Loaded, Store};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The wall clock at the start of every test: some day after 1970.
const TODAY: Duration = Duration::from_secs(1_800_000_000);

/// What the clocks say: which boot, how long since, and the wall clock.
type Clocks = (u8, Duration, Duration);

fn open(disk: &Disk, (boot, since_boot, wall): Clocks) -> (Store, Loaded, Arc<TestClocks>) {
    let clocks = Arc::new(TestClocks::default());
    clocks.set(boot, since_boot, wall);
    let (store, loaded) = DataDir::open_by(clocks.clone(), disk.path(), Box::new(|_| {})).unwrap();
    (store, loaded, clocks)
}

/// Keeps a record that shall live for an hour, then opens the directory again at each of some
/// readings; checks how much of the life is left then, `None` for nothing.
#[track_caller]
fn check(readings: &[(Clocks, Option<Duration>)]) {
    let disk = Disk::new();
    let clocks = Arc::new(TestClocks::default());
    clocks.set(1, 10 * HOUR, TODAY);
    let (on_completion, done) = completions();
    let (store, _) = DataDir::open_by(clocks, disk.path(), on_completion).unwrap();
    store.save_identity(&identity(1)).unwrap();
    submit(&store, &done, vec![put(record(1, b"value", 3600))]);
    store.close().unwrap();
    for (clocks, left) in readings {
        let (store, loaded, _) = open(&disk, *clocks);
        let found: Vec<_> = loaded.records.iter().map(|r| r.remaining).collect();
        assert_eq!(found, left.iter().copied().collect::<Vec<_>>(), "at {clocks:?}");
        for record in &loaded.records {
            let now = WallTime::from_millis(u64::try_from(clocks.2.as_millis()).unwrap());
            assert_eq!(record.record.written, now);
            assert_eq!(record.record.expires, now + record.remaining);
        }
        store.close().unwrap();
    }
}

#[test]
fn a_life_runs_on_while_the_node_is_down() {
    check(&[
        ((1, 10 * HOUR + 20 * MINUTE, TODAY + 20 * MINUTE), Some(40 * MINUTE)),
        ((1, 11 * HOUR - SECOND, TODAY + HOUR - SECOND), Some(SECOND)),
        ((1, 11 * HOUR, TODAY + HOUR), None),
    ]);
}

#[test]
fn a_clock_set_forward_drops_nothing() {
    check(&[
        ((1, 10 * HOUR + MINUTE, TODAY + 50 * HOUR), Some(59 * MINUTE)),
        ((1, 10 * HOUR + 2 * MINUTE, TODAY + 51 * HOUR), Some(58 * MINUTE)),
    ]);
}

#[test]
fn a_clock_set_back_lengthens_nothing() {
    check(&[
        ((1, 10 * HOUR + MINUTE, TODAY - 50 * HOUR), Some(59 * MINUTE)),
        ((1, 10 * HOUR + 59 * MINUTE, Duration::ZERO), Some(MINUTE)),
        ((1, 11 * HOUR, TODAY - 50 * HOUR), None),
        ((1, 11 * HOUR + SECOND, TODAY - 100 * HOUR), None),
    ]);
}

#[test]
fn across_a_boot_the_wall_clock_says_how_long_the_machine_was_off() {
    check(&[
        ((2, MINUTE, TODAY + 30 * MINUTE), Some(30 * MINUTE)),
        // And from there on it counts as before.
        ((2, 2 * MINUTE, TODAY + 99 * HOUR), Some(29 * MINUTE)),
        ((3, MINUTE, TODAY + 99 * HOUR + 30 * MINUTE), None),
    ]);
}

#[test]
fn across_a_boot_a_clock_set_back_hides_no_more_than_the_time_off() {
    check(&[
        // The minutes since the boot have passed, whatever the calendar says.
        ((2, 5 * MINUTE, Duration::ZERO), Some(55 * MINUTE)),
        ((3, 50 * MINUTE, Duration::ZERO), Some(5 * MINUTE)),
        ((4, 5 * MINUTE, Duration::ZERO), None),
    ]);
}

#[test]
fn what_has_expired_stays_so_whatever_the_clock_says_next() {
    check(&[
        ((2, MINUTE, TODAY + 2 * HOUR), None),
        ((2, 2 * MINUTE, TODAY), None),
        ((3, MINUTE, Duration::ZERO), None),
    ]);
}

#[test]
fn a_jump_while_the_node_runs_does_not_count_either() {
    let disk = Disk::new();
    let (store, _, clocks) = open(&disk, (1, 10 * HOUR, TODAY));
    store.save_identity(&identity(1)).unwrap();
    clocks.set(1, 10 * HOUR + MINUTE, TODAY + 40 * HOUR);
    let mut late = record(1, b"value", 3600);
    // The core stamps a record with the wall clock as it finds it; only the difference counts.
    late.written = WallTime::from_millis(u64::try_from((TODAY + 40 * HOUR).as_millis()).unwrap());
    late.expires = late.written + HOUR;
    store.submit(voiddht_core::event::Ticket(1), vec![put(late)]).unwrap();
    clocks.set(1, 10 * HOUR + 2 * MINUTE, TODAY + 2 * MINUTE);
    store.close().unwrap();
    let (_store, loaded, _) = open(&disk, (1, 10 * HOUR + 3 * MINUTE, TODAY + 3 * MINUTE));
    assert_eq!(loaded.records.len(), 1);
    assert_eq!(loaded.records[0].remaining, 58 * MINUTE);
}

#[test]
fn a_record_without_a_life_is_not_found() {
    let disk = Disk::new();
    let (store, ..) = open(&disk, (1, HOUR, TODAY));
    store.save_identity(&identity(1)).unwrap();
    let mut backward = record(2, b"expires before it was written", 0);
    backward.written = backward.written + HOUR;
    let writes = vec![put(record(1, b"no time", 0)), put(backward)];
    store.submit(voiddht_core::event::Ticket(1), writes).unwrap();
    store.close().unwrap();
    assert!(open(&disk, (1, HOUR, TODAY)).1.records.is_empty());
}
