//! How fast the disk takes records and gives them back. Printed, never asserted: it is a figure of
//! the machine. `cargo test --release -p voiddht-store --test speed -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Disk, identity, put, record, submit};
use voiddht_core::event::Ticket;
use voiddht_wire::Key;

/// A record under a key of its own, spread over the key space as hashes are.
fn spread(number: u64, bytes: usize) -> voiddht_core::event::StoredRecord {
    let key = Key::of_value(&number.to_be_bytes());
    voiddht_core::event::StoredRecord { key, ..record(0, &vec![number as u8; bytes], 3600) }
}

fn per_second(count: u64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64()) as u64
}

/// Puts records of one size in groups of one size; then opens the directory again.
fn measure(records: u64, bytes: usize, group: u64) {
    let disk = Disk::durable();
    let (store, _, completions) = disk.open();
    store.save_identity(&identity(1)).unwrap();
    let start = Instant::now();
    for first in (0..records).step_by(usize::try_from(group).unwrap()) {
        let writes = (first..first + group).map(|number| put(spread(number, bytes))).collect();
        submit(&store, &completions, writes);
    }
    let written = start.elapsed();
    let mib = fs::metadata(disk.file("records.redb")).unwrap().len() >> 20;
    store.close().unwrap();
    let start = Instant::now();
    let (_store, loaded, _) = disk.open();
    let opened = start.elapsed();
    assert_eq!(loaded.records.len() as u64, records);
    println!(
        "{records:7} records of {bytes:5} bytes, {group:4} in a commit: {:6} records/s, \
         {:6.2} ms a commit, {mib:4} MiB, opened in {:5.0} ms",
        per_second(records, written),
        written.as_secs_f64() * 1000.0 * group as f64 / records as f64,
        opened.as_secs_f64() * 1000.0
    );
}

/// Puts one record a group, as many groups in progress as there are PUTs; the writer groups them.
fn measure_in_flight(records: u64, in_flight: u64) {
    let disk = Disk::durable();
    let (store, _, completions) = disk.open();
    let start = Instant::now();
    let send = |n| store.submit(Ticket(n), vec![put(spread(n, 100))]).unwrap();
    (0..in_flight).for_each(send);
    for number in in_flight..records + in_flight {
        completions.recv().unwrap().result.unwrap();
        if number < records {
            send(number);
        }
    }
    println!("{in_flight:4} single puts under way: {:6} /s", per_second(records, start.elapsed()));
}

#[test]
#[ignore = "a measurement"]
fn report() {
    measure(2_000, 100, 1);
    measure(100_000, 100, 1000);
    measure(100_000, 1000, 1000);
    measure(4_000, 65_495, 50);
    for in_flight in [1, 20, 64, 1000] {
        measure_in_flight(20_000.min(in_flight * 2_000), in_flight);
    }
}
