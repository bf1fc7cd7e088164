//! Kept values and the class of records on disk, and databases from before both.

mod common;

use bytes::Bytes;
use common::record;
use redb::{ReadableDatabase, TableDefinition};
use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_core::kept::{KeptRow, KeptState};
use voiddht_core::record::StoredClass;
use voiddht_core::time::WallTime;
use voiddht_store::memory::Memory;
use voiddht_store::{Loaded, Store};
use voiddht_wire::Key;

fn row(number: u8) -> KeptRow {
    KeptRow {
        key: Key::from_bytes([number; 32]),
        ttl: 3600,
        replication: 0,
        version: 0,
        until: None,
        published: None,
        state: KeptState::Kept,
        class: None,
    }
}

fn open(memory: &Memory) -> (Store, Loaded) {
    let clocks = std::sync::Arc::new(common::TestClocks::default());
    Store::on_medium(memory.clone(), clocks, Box::new(drop)).expect("it opens")
}

fn write(memory: &Memory, writes: Vec<Write>) {
    let (store, _) = open(memory);
    store.submit(Ticket(1), writes).expect("an empty inbox");
    store.close().expect("a disk in memory");
}

#[test]
fn kept_values_come_back_and_rows_change_without_their_values() {
    let memory = Memory::default();
    let put = |row, value| Write::PutKept { row, value };
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    write(&memory, vec![put(row(2), value("two")), put(row(1), value("one"))]);
    let published = Some(WallTime::from_millis(7));
    let changed = KeptRow { version: 9, published, ..row(1) };
    let ended = KeptRow { state: KeptState::Ended, ..row(2) };
    // The row of a value that is not kept is not written.
    write(&memory, vec![put(changed, None), put(ended, value("")), put(row(3), None)]);
    assert_eq!(open(&memory).1.kept, [(changed, "one".into()), (ended, Bytes::new())]);
    write(&memory, vec![Write::RemoveKept(row(1).key)]);
    assert_eq!(open(&memory).1.kept, [(ended, Bytes::new())]);
}

#[test]
fn kept_values_belong_to_the_network_that_they_are_kept_in() {
    let memory = Memory::default();
    write(&memory, vec![Write::PutKept { row: row(1), value: Some("one".into()) }]);
    for (keep_records, kept) in [(true, 1), (false, 0)] {
        let (store, _) = open(&memory);
        store.move_to_network(&[[7; 8]], keep_records).expect("a disk in memory");
        store.close().expect("a disk in memory");
        assert_eq!(open(&memory).1.kept.len(), kept);
    }
}

#[test]
fn the_class_of_a_record_comes_back() {
    let memory = Memory::default();
    let classes = [
        None,
        Some(StoredClass::Plain),
        Some(StoredClass::Signed),
        Some(StoredClass::ContentAddressed),
    ];
    let writes = classes.into_iter().enumerate().map(|(number, class)| {
        Write::PutRecord(StoredRecord { class, ..record(number as u64, b"value", 60) })
    });
    write(&memory, writes.collect());
    let mut found: Vec<_> =
        open(&memory).1.records.into_iter().map(|loaded| loaded.record).collect();
    found.sort_by_key(|one| classes.iter().position(|class| *class == one.class));
    assert!(found.iter().map(|one| one.class).eq(classes));
}

/// The tables of schema version 1, as they were.
#[test]
fn a_database_of_the_version_before_is_upgraded() {
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    const VALUES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("values");
    const RECORDS: TableDefinition<'_, &[u8; 32], &[u8; 16]> = TableDefinition::new("records");
    const EXPIRY: TableDefinition<'_, &[u8; 40], ()> = TableDefinition::new("expiry");
    const CONTACTS: TableDefinition<'_, &[u8; 32], &[u8; 18]> = TableDefinition::new("contacts");
    const PINS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("pins");
    let memory = Memory::default();
    let deadline = 3_600_000_u64.to_be_bytes();
    let (mut row, mut expiry) = ([0; 16], [5; 40]);
    row[..8].copy_from_slice(&7_u64.to_be_bytes());
    row[8..].copy_from_slice(&deadline);
    expiry[..8].copy_from_slice(&deadline);
    let database = redb::Builder::new().create_with_backend(memory.clone()).expect("it is empty");
    let transaction = database.begin_write().expect("nothing else writes");
    {
        let open = "a table of this transaction";
        let mut meta = transaction.open_table(META).expect(open);
        meta.insert("schema", &1_u32.to_be_bytes()[..]).expect(open);
        transaction.open_table(VALUES).expect(open).insert(&[5; 32], &b"old"[..]).expect(open);
        transaction.open_table(RECORDS).expect(open).insert(&[5; 32], &row).expect(open);
        transaction.open_table(EXPIRY).expect(open).insert(&expiry, ()).expect(open);
        transaction.open_table(CONTACTS).expect(open);
        transaction.open_table(PINS).expect(open);
    }
    transaction.commit().expect("a disk in memory");
    drop(database);

    for _ in 0..2 {
        let (store, loaded) = open(&memory);
        let [found] = &loaded.records[..] else { panic!("{:?}", loaded.records) };
        let StoredRecord { value, version, class, .. } = &found.record;
        assert_eq!((&value[..], *version, *class), (&b"old"[..], 7, None));
        assert!(loaded.kept.is_empty());
        store.close().expect("a disk in memory");
    }
    let database = redb::Builder::new().create_with_backend(memory).expect("it is there");
    let reading = database.begin_read().expect("nothing else writes");
    let meta = reading.open_table(META).expect("it is there");
    let version = meta.get("schema").expect("it is read").map(|row| row.value().to_vec());
    assert_eq!(version, Some(vec![0, 0, 0, 2]), "what an older program refuses");
}
