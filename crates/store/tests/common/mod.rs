//! Small makers shared by the tests: a numbered node, record, pin, and a directory that goes away.

#![allow(dead_code, unreachable_pub, reason = "each test file uses some of them")]
#![allow(clippy::unwrap_used, reason = "only tests call these")]

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_core::time::WallTime;
use voiddht_store::{
    Completion, DataDir, Loaded, OnCompletion, Pin, Reading, Store, StoredIdentity, TimeSource,
};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

/// A data directory inside of a directory that the end of the test removes.
pub struct Disk(TempDir);

impl Disk {
    /// In memory, where there is such a place: tests open hundreds of directories, and a sync that
    /// waits for a disk would show them nothing more. Power cuts are for the faulty disk.
    pub fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    /// On a disk.
    pub fn durable() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn open(&self) -> (Store, Loaded, Receiver<Completion>) {
        let (on_completion, completions) = completions();
        let (store, loaded) = DataDir::open(self.path(), on_completion).unwrap();
        (store, loaded, completions)
    }

    /// A directory that has been used and closed: one identity, and these records.
    pub fn used(records: &[StoredRecord]) -> Self {
        let disk = Self::new();
        let (store, _, completions) = disk.open();
        store.save_identity(&identity(1)).unwrap();
        submit(&store, &completions, records.iter().cloned().map(put).collect());
        store.close().unwrap();
        disk
    }
}

pub fn completions() -> (OnCompletion, Receiver<Completion>) {
    let (sender, receiver) = channel();
    // A test that does not listen is not the store's concern.
    (Box::new(move |completion| drop(sender.send(completion))), receiver)
}

/// Submits one group and waits until it is durable.
#[track_caller]
pub fn submit(store: &Store, completions: &Receiver<Completion>, writes: Vec<Write>) {
    static TICKET: AtomicU64 = AtomicU64::new(0);
    let ticket = Ticket(TICKET.fetch_add(1, Ordering::Relaxed));
    store.submit(ticket, writes).unwrap();
    assert_eq!(completions.recv().unwrap(), Completion { ticket, result: Ok(()) });
}

pub fn put(record: StoredRecord) -> Write {
    Write::PutRecord(record)
}

pub fn record(number: u64, value: &[u8], seconds: u64) -> StoredRecord {
    let written = WallTime::from_millis(1_000_000);
    StoredRecord {
        key: Key::from_bytes(id(number)),
        value: Bytes::copy_from_slice(value),
        version: 77,
        class: None,
        written,
        expires: written + Duration::from_secs(seconds),
        bill: None,
    }
}

pub fn node(number: u64) -> NodeId {
    NodeId::from_bytes(id(number))
}

pub fn contact(number: u64) -> NodeInfo {
    NodeInfo { id: node(number), address: address(number) }
}

pub fn pin(number: u64) -> Pin {
    Pin {
        node_id: node(number),
        address: address(number),
        last_seen: WallTime::from_millis(number),
        certificate_der: vec![number as u8; 400],
    }
}

pub fn identity(number: u64) -> StoredIdentity {
    StoredIdentity {
        node_id: node(number),
        private_key_der: vec![number as u8; 83].into(),
        certificate_der: vec![!number as u8; 401],
    }
}

fn address(number: u64) -> PeerAddress {
    PeerAddress::new([127, 0, 0, 1].into(), number as u16)
}

fn id(number: u64) -> [u8; 32] {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

/// Clocks that stand still until they are set.
#[derive(Default)]
pub struct TestClocks(Mutex<Option<Reading>>);

impl TestClocks {
    pub fn set(&self, boot: u8, since_boot: Duration, wall: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        *self.0.lock().unwrap() = Some(Reading {
            boot: Some([boot; 16]),
            since_boot: millis(since_boot),
            wall: WallTime::from_millis(millis(wall)),
        });
    }
}

impl TimeSource for TestClocks {
    fn read(&self) -> Reading {
        let unset = Reading { boot: Some([0; 16]), since_boot: 1, wall: WallTime::from_millis(1) };
        self.0.lock().unwrap().unwrap_or(unset)
    }
}
