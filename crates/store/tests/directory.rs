//! What a data directory remembers, and which directories are refused.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::{Disk, contact, identity, node, pin, put, record, submit};
use redb::{ReadableDatabase, ReadableTableMetadata};
use voiddht_core::event::{StoredContact, Write};
use voiddht_store::{Condition, DataDir, OpenError, SaveIdentityError};
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_VALUE_BYTES;

#[test]
fn everything_comes_back() {
    let disk = Disk::new();
    let (store, loaded, completions) = disk.open();
    assert_eq!(loaded.condition, Condition::New);
    assert!(loaded.identity.is_none() && loaded.records.is_empty());
    store.save_identity(&identity(1)).unwrap();
    store.put_pin(pin(7)).unwrap();
    store.put_pin(pin(8)).unwrap();
    store.remove_pin(node(8)).unwrap();
    let largest = record(2, &vec![9; MAX_VALUE_BYTES], 60);
    let mut writes = vec![put(record(1, b"a", 60)), Write::PutRecord(largest.clone())];
    writes.extend([put(record(3, b"gone", 60)), Write::RemoveRecord(record(3, b"", 0).key)]);
    writes.extend([put(record(1, b"later", 60)), Write::PutContact(contact(5))]);
    writes.extend([Write::PutContact(contact(6)), Write::RemoveContact(node(6))]);
    let tenure = Duration::from_secs(4000);
    writes.push(Write::PutTenure { node: contact(5).id, tenure });
    submit(&store, &completions, writes);
    store.close().unwrap();

    let (_store, loaded, _) = disk.open();
    assert_eq!(loaded.condition, Condition::Intact);
    assert_eq!(loaded.identity, Some(identity(1)));
    assert_eq!(loaded.pins, [pin(7)]);
    assert_eq!(loaded.contacts, [StoredContact { info: contact(5), tenure }]);
    let values: Vec<_> = loaded.records.iter().map(|r| (r.record.key, &r.record.value)).collect();
    let later = record(1, b"later", 60);
    assert_eq!(values, [(later.key, &later.value), (largest.key, &largest.value)]);
    for found in &loaded.records {
        assert!(found.remaining <= Duration::from_secs(60) && !found.remaining.is_zero());
        assert_eq!(found.record.expires, found.record.written + found.remaining);
        assert_eq!(found.record.version, 77);
    }
    assert_ne!(values[0].0, Key::default());
}

#[test]
fn only_its_owner_can_read_it() {
    let disk = Disk::new();
    let (store, ..) = disk.open();
    store.save_identity(&identity(1)).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(disk.path()), 0o700);
    for entry in fs::read_dir(disk.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
}

#[test]
fn one_process_at_a_time() {
    let disk = Disk::new();
    let (store, ..) = disk.open();
    let refused = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    let id = std::process::id();
    assert!(matches!(refused, OpenError::InUse { process: Some(holder), .. } if holder == id));
    assert!(refused.to_string().contains(&format!("in use by process {id}")), "{refused}");
    drop(store);
    disk.open();
}

#[test]
fn another_identity_is_not_taken() {
    let disk = Disk::new();
    let (store, ..) = disk.open();
    store.save_identity(&identity(1)).unwrap();
    let refused = store.save_identity(&identity(2)).unwrap_err();
    assert!(matches!(refused, SaveIdentityError::BelongsTo(owner) if owner == node(1)));
    let mut renewed = identity(1);
    renewed.certificate_der.push(0);
    store.save_identity(&renewed).unwrap();
    store.close().unwrap();
    assert_eq!(disk.open().1.identity, Some(renewed));
}

#[test]
fn the_largest_value_takes_64_kib_and_no_more() {
    const VALUES: redb::TableDefinition<&[u8; 32], &[u8]> = redb::TableDefinition::new("values");
    let disk = Disk::used(&[record(1, &[7; MAX_VALUE_BYTES], 60)]);
    let database = redb::Database::open(disk.file("records.redb")).unwrap();
    let stats = database.begin_read().unwrap().open_table(VALUES).unwrap().stats().unwrap();
    let room = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
    assert_eq!(room, 64 * 1024);
}

#[test]
fn the_fingerprints_of_a_private_network_are_remembered() {
    let (one, two) = ([1; 8], [2; 8]);
    let disk = Disk::new();
    let (store, loaded, _) = disk.open();
    assert_eq!(loaded.network, [[0; 8]; 0], "public, or not known yet");
    store.save_identity(&identity(1)).unwrap();
    store.remember_network(&[one, two]).unwrap();
    store.close().unwrap();
    let (store, loaded, _) = disk.open();
    assert_eq!(loaded.network, [one, two]);
    store.begin_remember_network(&[two]).unwrap().wait().unwrap();
    store.close().unwrap();
    let (store, loaded, _) = disk.open();
    assert_eq!(loaded.network, [two]);
    store.remember_network(&[]).unwrap();
    store.close().unwrap();
    assert_eq!(disk.open().1.network, [[0; 8]; 0]);
}

#[test]
fn what_belongs_to_a_network_is_left_behind_with_it() {
    for keep in [true, false] {
        let disk = Disk::new();
        let (store, _, completions) = disk.open();
        store.save_identity(&identity(1)).unwrap();
        store.put_pin(pin(3)).unwrap();
        let writes = vec![Write::PutContact(contact(2)), put(record(4, b"value", 60))];
        submit(&store, &completions, writes);
        store.move_to_network(&[[7; 8]], keep).unwrap();
        store.close().unwrap();
        let (_store, loaded, _) = disk.open();
        assert_eq!((loaded.contacts.len(), loaded.pins.len()), (0, 1), "pins stay");
        assert_eq!(loaded.records.len(), usize::from(keep));
        assert_eq!(loaded.network, [[7; 8]]);
        assert_eq!(loaded.identity, Some(identity(1)));
    }
}
