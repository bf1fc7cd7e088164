//! The writer's promises: one transaction for all that waits, in order; a bounded inbox; pins that
//! are tried again; old rows swept by the index.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use common::{Disk, TestClocks, completions, contact, identity, node, pin, put, record, submit};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTableMetadata};
use voiddht_core::event::{Ticket, Write};
use voiddht_store::faulty::{Fault, FaultyDisk};
use voiddht_store::memory::Memory;
use voiddht_store::{
    Completion, DataDir, Failure, Full, INBOX_BYTES, INBOX_JOBS, Medium, OnCompletion, Store,
};
use voiddht_wire::limits::MAX_VALUE_BYTES;

fn open(medium: impl Medium, on_completion: OnCompletion) -> (Store, voiddht_store::Loaded) {
    Store::on_medium(medium, Arc::new(TestClocks::default()), on_completion).unwrap()
}

/// A callback that waits for a word before it returns, so that the writer stands still meanwhile.
fn held() -> (OnCompletion, Receiver<Completion>, Sender<()>) {
    let (told, completions) = channel();
    let (go, gate) = channel();
    let on_completion = move |completion| {
        told.send(completion).unwrap();
        // The end of the test lets everything through.
        let _ = gate.recv();
    };
    (Box::new(on_completion), completions, go)
}

#[test]
fn what_waits_is_committed_at_once_and_answered_in_order() {
    let disk = FaultyDisk::default();
    let (on_completion, completions, go) = held();
    let (store, _) = open(disk.clone(), on_completion);
    let one_commit = {
        let before = disk.operations();
        store.submit(Ticket(0), vec![Write::PutContact(contact(0))]).unwrap();
        completions.recv().unwrap();
        disk.operations() - before
    };
    // The writer stands: these are one group.
    let before = disk.operations();
    for number in 1..=100 {
        store.submit(Ticket(number), vec![Write::PutContact(contact(number))]).unwrap();
    }
    drop(go);
    for number in 1..=100 {
        assert_eq!(
            completions.recv().unwrap(),
            Completion { ticket: Ticket(number), result: Ok(()) }
        );
    }
    // Not a hundred commits: some more pages than one, and as many syncs.
    let operations = disk.operations() - before;
    assert!(operations <= 3 * one_commit, "{operations} operations, {one_commit} for one commit");
    store.close().unwrap();
}

#[test]
fn the_inbox_is_bounded_in_number() {
    let (on_completion, completions, go) = held();
    let (store, _) = open(Memory::default(), on_completion);
    store.submit(Ticket(0), vec![]).unwrap();
    completions.recv().unwrap();
    let taken = (1..).take_while(|number| store.submit(Ticket(*number), vec![]).is_ok()).count();
    assert_eq!(taken, INBOX_JOBS);
    assert_eq!(store.put_pin(pin(1)), Err(Full));
    drop(go);
    assert_eq!(completions.iter().take(taken).count(), taken);
    store.submit(Ticket(0), vec![]).unwrap();
    assert_eq!(completions.recv().unwrap().ticket, Ticket(0));
}

#[test]
fn the_inbox_is_bounded_in_bytes() {
    let (on_completion, completions, go) = held();
    let (store, _) = open(Memory::default(), on_completion);
    // One group always finds room, however large.
    let large = || vec![put(record(1, &[7; MAX_VALUE_BYTES], 60)); 300];
    store.submit(Ticket(0), large()).unwrap();
    completions.recv().unwrap();
    // Its bytes were given back before it was answered.
    let one = || vec![put(record(1, &[7; MAX_VALUE_BYTES], 60))];
    let taken = (1..).take_while(|number| store.submit(Ticket(*number), one()).is_ok()).count();
    assert!(taken <= INBOX_BYTES / MAX_VALUE_BYTES && taken > 200, "{taken}");
    assert_eq!(store.submit(Ticket(0), large()), Err(Full));
    drop(go);
    assert_eq!(completions.iter().take(taken).count(), taken);
    store.submit(Ticket(0), large()).unwrap();
    assert_eq!(completions.recv().unwrap().ticket, Ticket(0));
}

#[test]
fn closing_writes_what_was_submitted() {
    let memory = Memory::default();
    let (on_completion, done) = completions();
    let (store, _) = open(memory.clone(), on_completion);
    for number in 0..200 {
        store.submit(Ticket(number), vec![put(record(number, b"value", 60))]).unwrap();
    }
    drop(store);
    assert_eq!(done.iter().count(), 200);
    let (_store, loaded) = open(memory, Box::new(|_| {}));
    assert_eq!(loaded.records.len(), 200);
}

#[test]
fn a_pin_is_tried_again_until_the_disk_takes_it() {
    let disk = FaultyDisk::default();
    let (on_completion, done) = completions();
    let (store, _) = open(disk.clone(), on_completion);
    store.put_pin(pin(1)).unwrap();
    submit(&store, &done, vec![]);
    let fault = Fault { at: 0, operations: u64::MAX, kind: ErrorKind::StorageFull };
    disk.set_fault(Some(fault));
    store.put_pin(pin(2)).unwrap();
    store.remove_pin(node(1)).unwrap();
    store.submit(Ticket(9), vec![]).unwrap();
    let result = done.recv().unwrap().result;
    assert_eq!(result.unwrap_err().failure, Failure::DiskFull);
    disk.set_fault(None);
    submit(&store, &done, vec![]);
    store.close().unwrap();
    let (_store, loaded) = open(disk.after_power_cut(|| false), Box::new(|_| {}));
    assert_eq!(loaded.pins, [pin(2)]);
}

#[test]
fn an_identity_that_the_database_did_not_take_is_an_error() {
    let disk = FaultyDisk::default();
    let (store, _) = open(disk.clone(), Box::new(|_| {}));
    let fault = Fault { at: 0, operations: u64::MAX, kind: ErrorKind::Other };
    disk.set_fault(Some(fault));
    store.save_identity(&identity(1)).unwrap_err();
    disk.set_fault(None);
    store.save_identity(&identity(1)).unwrap();
}

/// Rows in each table of records, found by redb itself.
fn rows(disk: &Disk) -> [u64; 3] {
    const RECORDS: redb::TableDefinition<&[u8; 32], &[u8; 17]> =
        redb::TableDefinition::new("classed_records");
    const VALUES: redb::TableDefinition<&[u8; 32], &[u8]> = redb::TableDefinition::new("values");
    const EXPIRY: redb::TableDefinition<&[u8; 40], ()> = redb::TableDefinition::new("expiry");
    let database = Database::open(disk.file("records.redb")).unwrap();
    let reading = database.begin_read().unwrap();
    [
        reading.open_table(RECORDS).unwrap().len().unwrap(),
        reading.open_table(VALUES).unwrap().len().unwrap(),
        reading.open_table(EXPIRY).unwrap().len().unwrap(),
    ]
}

#[test]
fn rows_of_records_long_expired_are_swept_and_no_others() {
    let disk = Disk::new();
    let minutes = |number: u64| Duration::from_secs(60 * number);
    let clocks = Arc::new(TestClocks::default());
    clocks.set(1, minutes(1), minutes(1));
    let (on_completion, done) = completions();
    let (store, _) = DataDir::open_by(clocks.clone(), disk.path(), on_completion).unwrap();
    store.save_identity(&identity(1)).unwrap();
    let short = (0..1500).map(|number| put(record(number, b"short", 60)));
    // Twice, so that its first deadline must not be what is swept by.
    let twice = [put(record(7000, b"twice", 60)), put(record(7000, b"twice", 3600))];
    let long = (8000..8010).map(|number| put(record(number, b"long", 3600)));
    submit(&store, &done, short.chain(twice).chain(long).collect());
    // Expired, and the core may still be about to remove them itself.
    clocks.set(1, minutes(2) + Duration::from_secs(30), minutes(2));
    submit(&store, &done, vec![]);
    // Long expired: one commit begins, and the writer goes on until all are gone.
    clocks.set(1, minutes(4), minutes(2));
    for _ in 0..3 {
        submit(&store, &done, vec![]);
    }
    store.close().unwrap();
    assert_eq!(rows(&disk), [11; 3]);
}

/// A medium on which redb meets what it did not expect.
struct Panicking {
    memory: Memory,
    armed: Arc<AtomicBool>,
}

impl Medium for Panicking {
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        assert!(!self.armed.load(Ordering::SeqCst), "as redb may, on a damaged file");
        self.memory.open(builder)
    }
}

#[test]
fn a_panic_of_the_database_is_a_failure_that_can_pass() {
    let armed = Arc::new(AtomicBool::new(true));
    let panicking = || Panicking { memory: Memory::default(), armed: armed.clone() };
    let clocks = Arc::new(TestClocks::default());
    let failed = Store::on_medium(panicking(), clocks, Box::new(|_| {})).unwrap_err();
    assert_eq!(failed.failure, Failure::Damaged);
    armed.store(false, Ordering::SeqCst);
    open(panicking(), Box::new(|_| {}));
}
