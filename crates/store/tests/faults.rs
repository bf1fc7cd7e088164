//! A disk that fails at the n-th operation, for every n of a short run, and one that loses what
//! was not synced: what was acknowledged is there.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use common::{TestClocks, completions, put, record};
use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_store::faulty::{Fault, FaultyDisk};
use voiddht_store::memory::Memory;
use voiddht_store::{Completion, Condition, Failure, Loaded, Medium, Store};
use voiddht_wire::Key;

/// Groups in a run. Enough that pages are freed and used again.
const GROUPS: u64 = 6;

fn open(medium: impl Medium) -> Option<(Store, Loaded, Receiver<Completion>)> {
    let (on_completion, completions) = completions();
    let (store, loaded) =
        Store::on_medium(medium, Arc::new(TestClocks::default()), on_completion).ok()?;
    Some((store, loaded, completions))
}

/// The writes of one group: a record of its own, one that every group replaces, one that the group
/// before wrote and this one removes; of several sizes, so that pages of several sizes are needed.
fn group(number: u64) -> Vec<Write> {
    let own = record(100 + number, &vec![number as u8; 700 * number as usize], 600);
    let shared = record(1, &number.to_be_bytes(), 600);
    let passing = record(200 + number, b"passing", 600);
    let before = record(200 + number.saturating_sub(1), b"", 0).key;
    vec![put(own), put(shared), Write::RemoveRecord(before), put(passing)]
}

/// What must be found, as far as the acknowledgements say; `None` is a record that must not.
#[derive(Default)]
struct Acknowledged {
    certain: BTreeMap<Key, Option<StoredRecord>>,
    /// What groups that failed may have left behind.
    possible: Vec<(Key, Option<StoredRecord>)>,
}

impl Acknowledged {
    fn note(&mut self, writes: &[Write], durable: bool) {
        for write in writes {
            let (key, outcome) = match write {
                Write::PutRecord(record) => (record.key, Some(record.clone())),
                Write::RemoveRecord(key) => (*key, None),
                Write::PutKept { .. }
                | Write::RemoveKept(_)
                | Write::PutContact(_)
                | Write::PutTenure { .. }
                | Write::RemoveContact(_) => continue,
            };
            if durable {
                self.possible.retain(|(possible, _)| *possible != key);
                self.certain.insert(key, outcome);
            } else {
                self.possible.push((key, outcome));
            }
        }
    }

    #[track_caller]
    fn check(&self, found: &Loaded, context: &str) {
        assert_eq!(found.condition, Condition::Intact, "{context}");
        let found: BTreeMap<_, _> = found.records.iter().map(|r| (r.record.key, r)).collect();
        for (key, certain) in &self.certain {
            let value = found.get(key).map(|r| &r.record.value);
            let mut allowed = self.possible.iter().filter(|(k, _)| k == key).map(|(_, r)| r);
            let right = value == certain.as_ref().map(|r| &r.value)
                || allowed.any(|r| value == r.as_ref().map(|r| &r.value));
            assert!(right, "{context}: {key:?} is {value:?}");
        }
        for key in found.keys() {
            let known = self.certain.contains_key(key) || self.possible.iter().any(|p| p.0 == *key);
            assert!(known, "{context}: {key:?} was never written");
        }
    }
}

/// A node on a disk, and what it was told of its writes.
struct Run {
    disk: FaultyDisk,
    opened: Option<(Store, Loaded, Receiver<Completion>)>,
    acknowledged: Acknowledged,
}

impl Run {
    /// On a disk with an empty database: a data directory makes that under another name, and a
    /// database that was not finished is never taken for one.
    fn new() -> Self {
        let disk = FaultyDisk::default();
        open(disk.clone()).unwrap().0.close().unwrap();
        Self { disk, opened: None, acknowledged: Acknowledged::default() }
    }

    /// Submits the groups one by one; says how each went. One that is submitted after the faults
    /// are over must succeed: the store recovers by itself.
    fn submit_all(&mut self) -> Vec<Result<(), Failure>> {
        let mut results = Vec::new();
        for number in 1..=GROUPS {
            // A store that could not be opened is a node that did not start; its operator tries
            // again.
            if self.opened.is_none() {
                self.opened = open(self.disk.clone());
            }
            let Some((store, _, completions)) = &self.opened else { continue };
            let healthy = self.disk.is_healthy();
            let writes = group(number);
            store.submit(Ticket(number), writes.clone()).unwrap();
            let Completion { ticket, result } = completions.recv().unwrap();
            assert_eq!(ticket, Ticket(number));
            assert!(result.is_ok() || !healthy, "group {number}: {result:?}");
            self.acknowledged.note(&writes, result.is_ok());
            results.push(result.map_err(|failed| failed.failure));
        }
        results
    }
}

/// Every way in which the run can end, each checked against what was acknowledged.
fn check_every_end(Run { disk, acknowledged, .. }: &Run, context: &str) {
    let reopen = |left: Memory, end: &str| {
        let context = format!("{context}, {end}");
        let (store, loaded, completions) = open(left).expect(&context);
        acknowledged.check(&loaded, &context);
        // And it goes on from there.
        common::submit(&store, &completions, group(GROUPS + 1));
        store.close().unwrap();
    };
    reopen(disk.after_kill(), "killed");
    reopen(disk.after_power_cut(|| false), "power cut, all unsynced lost");
    for seed in 1..3 {
        let mut random = Xorshift(seed);
        reopen(disk.after_power_cut(|| random.coin()), "power cut, some unsynced lost");
    }
}

/// Enough randomness to choose which writes survive, the same in every run.
struct Xorshift(u64);

impl Xorshift {
    fn coin(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 1 == 1
    }
}

fn operations_of_a_clean_run() -> u64 {
    let mut run = Run::new();
    let before = run.disk.operations();
    assert!(run.submit_all().iter().all(Result::is_ok));
    check_every_end(&run, "no fault");
    run.disk.operations() - before
}

/// Runs once for every operation of a clean run, with a fault there.
fn for_every_operation(failing: u64, kind: ErrorKind, failure: Failure) {
    let operations = operations_of_a_clean_run();
    assert!(operations > 5 * GROUPS, "{operations} operations are too few to mean anything");
    let mut failed_runs = 0;
    for at in 0..operations {
        let context = format!("{failing} operations fail from {at} of {operations} on");
        let mut run = Run::new();
        let first = run.disk.operations() + at;
        run.disk.set_fault(Some(Fault { at: first, operations: failing, kind }));
        let results = run.submit_all();
        assert!(results.iter().flat_map(|r| r.err()).all(|f| f == failure), "{results:?}");
        failed_runs += u64::from(results.iter().any(Result::is_err));
        check_every_end(&run, &context);

        run.disk.set_fault(None);
        run.submit_all();
        check_every_end(&run, &format!("{context}, mended"));
    }
    // Some faults hit the opening; if most did not hit a group, little was tested.
    assert!(failed_runs > operations / 2, "{failed_runs} of {operations}");
}

#[test]
fn a_disk_that_fails_once() {
    for_every_operation(1, ErrorKind::Other, Failure::Io);
}

#[test]
fn a_disk_that_is_full_for_a_while() {
    for_every_operation(25, ErrorKind::StorageFull, Failure::DiskFull);
}

#[test]
fn a_disk_that_fails_and_stays_so() {
    for_every_operation(u64::MAX, ErrorKind::Other, Failure::Io);
}
