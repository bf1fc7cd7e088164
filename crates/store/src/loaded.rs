//! The contents of a data directory when it was opened.

use std::time::Duration;

use bytes::Bytes;
use voiddht_core::event::{StoredContact, StoredRecord};
use voiddht_core::kept::KeptRow;
use voiddht_core::record::{Bill, StoredClass};
use voiddht_core::time::WallTime;
use voiddht_wire::{NodeId, PeerAddress};
use zeroize::Zeroizing;

/// Everything a node needs to come back.
#[derive(Debug)]
pub struct Loaded {
    /// The node's identity; `None` in a new directory, until [`crate::Store::save_identity`].
    pub identity: Option<StoredIdentity>,
    /// Fingerprints of the secrets of its private network; none: its network is public, or not known
    /// yet.
    pub network: Vec<[u8; 8]>,
    /// The certificates it pinned, by node ID.
    pub pins: Vec<Pin>,
    /// The contacts it knew, by node ID.
    pub contacts: Vec<StoredContact>,
    /// The records that have not expired, by key.
    pub records: Vec<LoadedRecord>,
    /// The values that the node keeps, by key; those that it keeps no longer have none.
    pub kept: Vec<(KeptRow, Bytes)>,
    /// In what condition the directory was.
    pub condition: Condition,
}

/// The parts of an identity as they lie on disk. Whether they belong together is for the identity
/// crate to prove: to the store they are bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredIdentity {
    /// The node's ID, as the certificate says it.
    pub node_id: NodeId,
    /// The private key, PKCS #8 DER; overwritten when dropped.
    pub private_key_der: Zeroizing<Vec<u8>>,
    /// The certificate, DER.
    pub certificate_der: Vec<u8>,
}

impl std::fmt::Debug for StoredIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredIdentity").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// A record and its remaining TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedRecord {
    /// The record. `written` is the instant of loading and `expires` lies `remaining` after it:
    /// both by the wall clock as it is now, however it stood when the record was written.
    pub record: StoredRecord,
    /// More than zero, and never more than what was left when the record was written.
    pub remaining: Duration,
}

impl LoadedRecord {
    pub(crate) fn new(row: LiveRow, remaining: Duration, now: WallTime) -> Self {
        let LiveRow { key, value, version, class, bill } = row;
        let key = voiddht_wire::Key::from_bytes(key);
        let expires = now + remaining;
        let record = StoredRecord { key, value, version, class, written: now, expires, bill };
        Self { record, remaining }
    }
}

/// A record as read, before its remaining TTL is known.
pub(crate) struct LiveRow {
    pub(crate) key: [u8; 32],
    pub(crate) value: Bytes,
    pub(crate) version: u64,
    pub(crate) class: Option<StoredClass>,
    pub(crate) bill: Option<Bill>,
}

/// The certificate that a node ID was first seen with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The node.
    pub node_id: NodeId,
    /// Where it listened when it was last seen: the only address where it is asked in a conflict.
    pub address: PeerAddress,
    /// When it was last seen, by this machine's clock: for deciding which pins to keep.
    pub last_seen: WallTime,
    /// Its certificate, DER.
    pub certificate_der: Vec<u8>,
}

/// In what condition a data directory was found. Everything but the first two has been logged as a
/// warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There was none, or nothing in it.
    New,
    /// Whole. After a kill as well: that is not damage.
    Intact,
    /// The end of the database file was cut off. Every checksum holds: nothing that was committed
    /// has been lost.
    CutShort,
    /// The identity was there, the database was not: pins, contacts and records are gone.
    DatabaseMissing,
}
