use std::sync::mpsc::{Receiver, channel};

use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_core::kept::KeptState;
use voiddht_core::time::WallTime;

use super::*;
use crate::loaded::{Condition, Loaded, Pin};
use crate::{Completion, Failure, MemoryStorage, Store};

fn open(storage: impl Storage) -> (Store, Loaded, Receiver<Completion>) {
    let (sender, completions) = channel();
    let tell = move |completion| drop(sender.send(completion));
    let (store, loaded) = Store::on(Box::new(storage), Box::new(tell)).unwrap();
    (store, loaded, completions)
}

fn record(number: u8, lifetime: Duration) -> StoredRecord {
    let written = WallTime::from_millis(1_000_000);
    StoredRecord {
        key: Key::from_bytes([number; 32]),
        value: Bytes::copy_from_slice(&[number; 100]),
        version: number.into(),
        class: None,
        written,
        expires: written + lifetime,
        bill: None,
    }
}

fn identity() -> StoredIdentity {
    StoredIdentity {
        node_id: NodeId::from_bytes([7; 32]),
        private_key_der: Zeroizing::new(vec![1; 48]),
        certificate_der: vec![2; 300],
    }
}

fn pin() -> Pin {
    Pin {
        node_id: NodeId::from_bytes([3; 32]),
        address: PeerAddress::new([127, 0, 0, 1].into(), 7402),
        last_seen: WallTime::from_millis(5),
        certificate_der: vec![9; 200],
    }
}

fn kept() -> KeptRow {
    KeptRow {
        key: Key::from_bytes([8; 32]),
        ttl: 600,
        replication: 20,
        version: 1,
        until: None,
        published: None,
        state: KeptState::Kept,
        class: None,
    }
}

#[test]
fn everything_that_was_written_is_read_back() {
    let storage = MemoryStorage::default();
    let contact = NodeInfo { id: NodeId::from_bytes([4; 32]), address: pin().address };
    let tenure = Duration::from_secs(90);
    {
        let (store, loaded, completions) = open(storage.clone());
        assert_eq!((loaded.condition, loaded.identity), (Condition::New, None));
        store.save_identity(&identity()).unwrap();
        store.remember_network(&[[1; 8], [2; 8]]).unwrap();
        store.put_pin(pin()).unwrap();
        let writes = vec![
            Write::PutRecord(record(1, Duration::from_secs(600))),
            Write::PutRecord(record(2, Duration::from_secs(600))),
            Write::RemoveRecord(Key::from_bytes([2; 32])),
            Write::PutKept { row: kept(), value: Some(Bytes::from_static(b"kept")) },
            Write::PutContact(contact),
            Write::PutTenure { node: contact.id, tenure },
        ];
        store.submit(Ticket(1), writes).unwrap();
        assert_eq!(completions.recv().unwrap(), Completion { ticket: Ticket(1), result: Ok(()) });
        store.close().unwrap();
    }
    let (_store, loaded, _) = open(storage);
    assert_eq!(loaded.condition, Condition::Intact);
    assert_eq!(loaded.identity, Some(identity()));
    assert_eq!(loaded.network, [[1; 8], [2; 8]]);
    assert_eq!(loaded.pins, [pin()]);
    assert_eq!(loaded.contacts, [StoredContact { info: contact, tenure }]);
    assert_eq!(loaded.kept, [(kept(), Bytes::from_static(b"kept"))]);
    let [one] = loaded.records.as_slice() else { panic!("{:?}", loaded.records) };
    assert_eq!(
        (one.record.key, &one.record.value),
        (Key::from_bytes([1; 32]), &record(1, tenure).value)
    );
    assert!(one.remaining <= Duration::from_secs(600) && one.remaining > Duration::from_secs(590));
}

#[test]
fn what_has_expired_or_lost_its_other_row_is_removed_at_the_next_start() {
    let mut storage = MemoryStorage::default();
    {
        let (store, _, completions) = open(storage.clone());
        store.submit(Ticket(1), vec![Write::PutRecord(record(1, Duration::ZERO))]).unwrap();
        completions.recv().unwrap().result.unwrap();
        store.close().unwrap();
    }
    let orphans = [
        put(Table::KeptValues, [5; 32], Bytes::from_static(b"x")),
        put(Table::Tenures, [6; 32], vec![0; 8]),
        put(Table::Kept, [7; 32], schema::encode_kept(&kept()).to_vec()),
    ];
    storage.commit(&orphans).unwrap();
    let (store, loaded, _) = open(storage.clone());
    assert!(loaded.records.is_empty() && loaded.kept.is_empty() && loaded.contacts.is_empty());
    store.close().unwrap();
    let left: Vec<_> = storage.load().unwrap().into_iter().map(|row| row.table).collect();
    assert_eq!(left, [Table::Meta], "only the clock is left");
}

#[test]
fn malformed_rows_are_refused() {
    for (table, key) in [
        (Table::Meta, META_NODE),
        (Table::Meta, META_NETWORK),
        (Table::Identity, OWN),
        (Table::Records, [1; 32]),
        (Table::Kept, [1; 32]),
        (Table::Contacts, [1; 32]),
        (Table::Tenures, [1; 32]),
        (Table::Pins, [1; 32]),
    ] {
        let mut storage = MemoryStorage::default();
        storage.commit(&[put(table, key, vec![1; 3])]).unwrap();
        let error = Store::on(Box::new(storage), Box::new(drop)).unwrap_err();
        assert_eq!(error.failure, Failure::Damaged, "{error}");
        assert!(error.to_string().contains(table.name()), "{error}");
    }
}

/// A storage that fails while it is told to.
struct Failing(MemoryStorage, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Storage for Failing {
    fn load(&mut self) -> Result<Vec<Row>, StorageError> {
        self.0.load()
    }

    fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError> {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(Box::new(io::Error::from(io::ErrorKind::StorageFull)));
        }
        self.0.commit(changes)
    }
}

#[test]
fn a_failed_commit_is_reported_and_the_next_one_is_tried() {
    let fails = std::sync::Arc::default();
    let (store, _, completions) =
        open(Failing(MemoryStorage::default(), std::sync::Arc::clone(&fails)));
    for (is_failing, expected) in [(true, Err(Failure::DiskFull)), (false, Ok(()))] {
        fails.store(is_failing, std::sync::atomic::Ordering::SeqCst);
        store.submit(Ticket(1), vec![Write::PutRecord(record(1, Duration::from_secs(9)))]).unwrap();
        let result = completions.recv().unwrap().result;
        assert_eq!(result.map_err(|error| error.failure), expected);
    }
}

#[test]
fn codes_of_tables_are_fixed() {
    for (code, table) in Table::ALL.into_iter().enumerate() {
        assert_eq!(
            (usize::from(table.code()), Table::from_code(table.code())),
            (code, Some(table))
        );
    }
    assert_eq!(Table::from_code(8), None);
    assert_eq!((Table::Meta.code(), Table::Pins.code()), (0, 7));
}
