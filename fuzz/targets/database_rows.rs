//! A sound database whose rows hold anything, as one that another program, or a mistake of an
//! earlier version, has written. It is opened or refused, and a node lives with what it held.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redb::{Builder, Database, ReadableDatabase as _, StorageBackend, TableDefinition};
use voiddht_fuzz::{Source, Still, live_with, unheard};
use voiddht_store::Store;
use voiddht_store::memory::Memory;

// As drawn in docs/storage.md.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const VALUES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("values");
const RECORDS: TableDefinition<'_, &[u8; 32], &[u8; 16]> = TableDefinition::new("records");
const EXPIRY: TableDefinition<'_, &[u8; 40], ()> = TableDefinition::new("expiry");
const CONTACTS: TableDefinition<'_, &[u8; 32], &[u8; 18]> = TableDefinition::new("contacts");
const PINS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("pins");

fuzz_target!(|data: &[u8]| {
    let memory = Memory::default();
    if let Err(error) = write(memory.clone(), Source(data)) {
        panic!("a disk in memory fails: {error}");
    }
    open(&memory);
    // Once more: what the first opening wrote and swept is sound as well.
    open(&memory);
});

fn open(memory: &Memory) {
    match Store::on_medium(memory.clone(), Still::clocks(), unheard()) {
        Ok((store, loaded)) => {
            store.close().expect("a disk in memory");
            live_with(loaded);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn write(memory: impl StorageBackend, mut source: Source<'_>) -> Result<(), redb::Error> {
    let database: Database = Builder::new().create_with_backend(memory)?;
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        let mut values = transaction.open_table(VALUES)?;
        let mut records = transaction.open_table(RECORDS)?;
        let mut expiry = transaction.open_table(EXPIRY)?;
        let mut contacts = transaction.open_table(CONTACTS)?;
        let mut pins = transaction.open_table(PINS)?;
        // The version is another one once in a while: then nothing else is looked at.
        let version = if source.byte() == 255 { source.array() } else { 1_u32.to_be_bytes() };
        meta.insert("schema", &version[..])?;
        while !source.is_empty() {
            let choice = source.byte();
            // Few keys, so that rows of several tables meet.
            let key = [choice >> 4; 32];
            let most = usize::from(source.number());
            match choice % 8 {
                0 => drop(meta.insert("node", source.slice(most % 64))?),
                1 => drop(meta.insert("clock", source.slice(most % 64))?),
                2 => drop(values.insert(&key, source.slice(most))?),
                3 => drop(records.insert(&key, &source.array())?),
                4 => {
                    let mut row = [choice >> 4; 40];
                    row[..8].copy_from_slice(&source.array::<8>());
                    expiry.insert(&row, ())?;
                }
                5 => drop(contacts.insert(&key, &source.array())?),
                6 => drop(pins.insert(&key, source.slice(most % 9000))?),
                // A record that is whole but for its value.
                _ => {
                    let row: [u8; 16] = source.array();
                    let mut due = [choice >> 4; 40];
                    due[..8].copy_from_slice(&row[8..]);
                    values.insert(&key, source.slice(most))?;
                    records.insert(&key, &row)?;
                    expiry.insert(&due, ())?;
                }
            }
        }
    }
    transaction.commit()?;
    let _ = database.begin_read()?;
    Ok(())
}
