//! The writer's backend over a [`Storage`] of an embedding program: changes become rows, and rows are
//! read back at the start.
//!
//! A record is one row, `record row 17 · account row 52, or 255s · value`; the other rows are laid out
//! as in the data directory. There is no index of expiry: the node removes a record when it expires, and what
//! it could not remove while commits failed is removed at the next start.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use voiddht_core::event::StoredContact;
use voiddht_core::kept::KeptRow;
use voiddht_core::record::Bill;
use voiddht_wire::address::ADDRESS_BYTES;
use voiddht_wire::id::ID_BYTES;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};
use zeroize::Zeroizing;

use crate::backend::{Backend, Change, Content};
use crate::clock::{Age, Stamp};
use crate::error::Fault;
use crate::loaded::{LiveRow, StoredIdentity};
use crate::schema::{self, RecordRow};
use crate::storage::{Row, RowChange, Storage, StorageError, Table};

type Id = [u8; ID_BYTES];

/// Keys of [`Table::Meta`].
const META_NODE: Id = named(b"node");
const META_NETWORK: Id = named(b"network");
const META_CLOCK: Id = named(b"clock");
/// The one key of [`Table::Identity`].
const OWN: Id = named(b"own");
/// What stands in the place of an account where there is none.
const NO_ACCOUNT: [u8; schema::ACCOUNT_BYTES] = [0xff; schema::ACCOUNT_BYTES];

/// A storage, once it was read.
pub(crate) struct Rows {
    storage: Box<dyn Storage>,
    /// Rows that mean nothing any more, until they are removed by the first commit.
    stale: Vec<RowChange>,
}

impl Rows {
    /// Reads everything.
    pub(crate) fn open(
        mut storage: Box<dyn Storage>,
    ) -> Result<(Self, Content, Option<StoredIdentity>), Fault> {
        let rows = storage.load().map_err(fault)?;
        let mut read = Read::default();
        for row in rows {
            read.row(row)?;
        }
        let stale = read.drain_orphans();
        let Read { node, network, last_stamp, identity, pins, records, .. } = read;
        let kept = read.kept.into_values().zip(read.kept_values.into_values()).collect();
        let contacts = read.contacts.into_values().collect();
        let content = Content { node, network, last_stamp, pins, contacts, records, kept };
        Ok((Self { storage, stale }, content, identity))
    }

    fn leave_network(
        &mut self,
        keep_records: bool,
        rows: &mut Vec<RowChange>,
    ) -> Result<(), Fault> {
        let leaves = |table| match table {
            Table::Contacts | Table::Tenures => true,
            Table::Records | Table::Kept | Table::KeptValues => !keep_records,
            Table::Meta | Table::Identity | Table::Pins => false,
        };
        let all = self.storage.load().map_err(fault)?;
        rows.extend(
            all.iter().filter(|row| leaves(row.table)).map(|row| remove(row.table, row.key)),
        );
        Ok(())
    }

    fn push(&mut self, change: &Change, rows: &mut Vec<RowChange>) -> Result<(), Fault> {
        match change {
            Change::PutRecord { key, value, row, bill } => {
                rows.push(put(Table::Records, *key, encode_record(*row, bill.as_ref(), value)));
            }
            Change::RemoveRecord(key) => rows.push(remove(Table::Records, *key)),
            Change::PutKept { row, value } => {
                let key = row.key.to_bytes();
                rows.push(put(Table::Kept, key, schema::encode_kept(row).to_vec()));
                rows.extend(value.clone().map(|value| put(Table::KeptValues, key, value)));
            }
            Change::RemoveKept(key) => {
                rows.extend([remove(Table::Kept, *key), remove(Table::KeptValues, *key)]);
            }
            Change::PutContact(contact) => {
                let address = contact.address.to_bytes().to_vec();
                rows.push(put(Table::Contacts, contact.id.to_bytes(), address));
            }
            Change::PutTenure { node, seconds } => {
                rows.push(put(Table::Tenures, node.to_bytes(), seconds.to_be_bytes().to_vec()));
            }
            Change::RemoveContact(id) => {
                let id = id.to_bytes();
                rows.extend([remove(Table::Contacts, id), remove(Table::Tenures, id)]);
            }
            Change::LeaveNetwork { keep_records } => self.leave_network(*keep_records, rows)?,
            own => push_own(own, rows),
        }
        Ok(())
    }
}

impl Backend for Rows {
    fn commit(
        &mut self,
        changes: &mut dyn Iterator<Item = &Change>,
        stamp: &Stamp,
        _stale: Age,
        _sweep: usize,
    ) -> Result<usize, Fault> {
        let mut rows = self.stale.clone();
        for change in changes {
            self.push(change, &mut rows)?;
        }
        rows.push(put(Table::Meta, META_CLOCK, schema::encode_stamp(stamp).to_vec()));
        self.storage.commit(&rows).map_err(fault)?;
        self.stale.clear();
        Ok(0)
    }

    fn close(mut self: Box<Self>) -> Result<(), Fault> {
        self.storage.close().map_err(fault)
    }
}

/// Changes of what a node remembers of itself and of its peers' certificates; no others.
fn push_own(change: &Change, rows: &mut Vec<RowChange>) {
    match change {
        Change::PutPin(pin) => {
            rows.push(put(Table::Pins, pin.node_id.to_bytes(), schema::encode_pin(pin)));
        }
        Change::RemovePin(id) => rows.push(remove(Table::Pins, id.to_bytes())),
        Change::RememberNode(id) => {
            rows.push(put(Table::Meta, META_NODE, id.to_bytes().to_vec()));
        }
        Change::PutIdentity(identity) => {
            rows.push(put(Table::Identity, OWN, encode_identity(identity)));
        }
        Change::RememberNetwork(network) if network.is_empty() => {
            rows.push(remove(Table::Meta, META_NETWORK));
        }
        Change::RememberNetwork(network) => {
            rows.push(put(Table::Meta, META_NETWORK, network.concat()));
        }
        _ => {}
    }
}

/// Rows as they are read.
#[derive(Default)]
struct Read {
    node: Option<NodeId>,
    network: Vec<[u8; schema::FINGERPRINT_BYTES]>,
    last_stamp: Option<Stamp>,
    identity: Option<StoredIdentity>,
    pins: Vec<crate::loaded::Pin>,
    contacts: BTreeMap<Id, StoredContact>,
    tenures: BTreeMap<Id, Duration>,
    records: Vec<(LiveRow, Age)>,
    kept: BTreeMap<Id, KeptRow>,
    kept_values: BTreeMap<Id, Bytes>,
}

impl Read {
    fn row(&mut self, row: Row) -> Result<(), Fault> {
        let Row { table, key, value } = row;
        let malformed =
            || Fault::Damaged(format!("a row of the table {} is malformed", table.name()));
        match table {
            Table::Meta => self.meta(key, &value).ok_or_else(malformed)?,
            Table::Identity => {
                self.identity = Some(decode_identity(&value).ok_or_else(malformed)?);
            }
            Table::Records => {
                self.records.push(decode_record(key, &value).ok_or_else(malformed)?);
            }
            Table::Kept => {
                let row = value.first_chunk().filter(|row| row.len() == value.len());
                let row = row.and_then(|row| schema::decode_kept(Key::from_bytes(key), row));
                self.kept.insert(key, row.ok_or_else(malformed)?);
            }
            Table::KeptValues => drop(self.kept_values.insert(key, value)),
            Table::Contacts => {
                let address: &[u8; ADDRESS_BYTES] =
                    value.as_ref().try_into().map_err(|_| malformed())?;
                let address = PeerAddress::from_bytes(address);
                let info = NodeInfo { id: NodeId::from_bytes(key), address };
                self.contacts.insert(key, StoredContact { info, tenure: Duration::ZERO });
            }
            Table::Tenures => {
                let seconds: [u8; 8] = value.as_ref().try_into().map_err(|_| malformed())?;
                self.tenures.insert(key, Duration::from_secs(u64::from_be_bytes(seconds)));
            }
            Table::Pins => {
                let pin = schema::decode_pin(NodeId::from_bytes(key), &value);
                self.pins.push(pin.ok_or_else(malformed)?);
            }
        }
        Ok(())
    }

    /// `None` if it is malformed. What a later version remembers is left alone.
    fn meta(&mut self, key: Id, value: &[u8]) -> Option<()> {
        match key {
            META_NODE => self.node = Some(NodeId::from_bytes(value.try_into().ok()?)),
            META_CLOCK => self.last_stamp = Some(schema::decode_stamp(value)?),
            META_NETWORK => match value.as_chunks() {
                (fingerprints @ [_, ..], []) => self.network = fingerprints.to_vec(),
                _ => return None,
            },
            _ => {}
        }
        Some(())
    }

    /// Joins rows that belong together, and takes out those that have lost the other one.
    fn drain_orphans(&mut self) -> Vec<RowChange> {
        let mut stale = Vec::new();
        for (id, tenure) in std::mem::take(&mut self.tenures) {
            match self.contacts.get_mut(&id) {
                Some(contact) => contact.tenure = tenure,
                None => stale.push(remove(Table::Tenures, id)),
            }
        }
        let (kept, values) = (&mut self.kept, &mut self.kept_values);
        kept.retain(|key, _| {
            values.contains_key(key) || {
                stale.push(remove(Table::Kept, *key));
                false
            }
        });
        values.retain(|key, _| {
            kept.contains_key(key) || {
                stale.push(remove(Table::KeptValues, *key));
                false
            }
        });
        let now = self.last_stamp.map_or(Age(0), |stamp| stamp.age);
        self.records.retain(|(row, deadline)| {
            *deadline > now || {
                stale.push(remove(Table::Records, row.key));
                false
            }
        });
        stale
    }
}

const fn named(name: &[u8]) -> Id {
    let mut key = [0; ID_BYTES];
    let (start, _) = key.split_at_mut(name.len());
    start.copy_from_slice(name);
    key
}

fn put(table: Table, key: Id, value: impl Into<Bytes>) -> RowChange {
    RowChange::Put(Row::new(table, key, value))
}

fn remove(table: Table, key: Id) -> RowChange {
    RowChange::Remove { table, key }
}

fn fault(error: StorageError) -> Fault {
    match error.downcast::<io::Error>() {
        Ok(error) => Fault::Io(*error),
        Err(error) => Fault::Io(io::Error::other(error)),
    }
}

fn encode_record(row: RecordRow, bill: Option<&Bill>, value: &[u8]) -> Bytes {
    let fixed = schema::RECORD_BYTES + schema::ACCOUNT_BYTES;
    let mut bytes = BytesMut::with_capacity(fixed + value.len());
    bytes.extend_from_slice(&row.encode());
    bytes.extend_from_slice(&bill.map_or(NO_ACCOUNT, schema::encode_bill));
    bytes.extend_from_slice(value);
    bytes.freeze()
}

fn decode_record(key: Id, bytes: &Bytes) -> Option<(LiveRow, Age)> {
    let (row, rest) = bytes.split_first_chunk::<{ schema::RECORD_BYTES }>()?;
    let (account, value) = rest.split_first_chunk::<{ schema::ACCOUNT_BYTES }>()?;
    let RecordRow { version, deadline, class } = RecordRow::decode(row);
    let bill = schema::decode_bill(account);
    let value = bytes.slice_ref(value);
    Some((LiveRow { key, value, version, class, bill }, deadline))
}

/// `node ID 32 · length of the key u16 · key · certificate`.
fn encode_identity(identity: &StoredIdentity) -> Vec<u8> {
    let StoredIdentity { node_id, private_key_der, certificate_der } = identity;
    let length = u16::try_from(private_key_der.len()).unwrap_or(u16::MAX);
    [&node_id.to_bytes()[..], &length.to_be_bytes(), private_key_der, certificate_der].concat()
}

fn decode_identity(bytes: &[u8]) -> Option<StoredIdentity> {
    let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (key, certificate) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some(StoredIdentity {
        node_id: NodeId::from_bytes(*id),
        private_key_der: Zeroizing::new(key.to_vec()),
        certificate_der: certificate.to_vec(),
    })
}

#[cfg(test)]
mod tests;
