//! One redb database: open it, commit a group of changes, read all of it.
//!
//! redb refuses all further work after a failed write until its database is closed and opened
//! again; so a failure here closes it, and the next group opens it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use redb::{Builder, ReadableDatabase, ReadableTable, Table, TableHandle, WriteTransaction};
use voiddht_core::event::StoredContact;
use voiddht_core::kept::KeptRow;
use voiddht_wire::address::ADDRESS_BYTES;
use voiddht_wire::id::ID_BYTES;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId, PeerAddress};

use crate::backend::{Backend, Change, Content, Fingerprint};
use crate::clock::{Age, Stamp};
use crate::error::Fault;
use crate::loaded::{LiveRow, Pin};
use crate::medium::Medium;
use crate::schema::{self, RecordRow, tables};

/// redb's own cache: its default is a gigabyte. Everything is read once, at the start; afterwards
/// only the inner pages of six small trees are wanted again. Half of this may hold the pages of a
/// group on their way to disk; more leave early. With 16 MiB it was no faster than with one.
const CACHE_BYTES: usize = 1024 * 1024;

/// What must lie on a medium when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing, or a database that may still be without tables.
    Anything,
    /// A whole database: an empty one has lost what it held.
    Database,
}

/// A database and what it lies on.
pub(crate) struct Database {
    medium: Box<dyn Medium>,
    open: Option<redb::Database>,
}

impl Database {
    /// Opens what lies on the medium and reads all of it. Every checksum of every page is verified:
    /// others may have touched it since, and a page that is read anyway costs little to verify.
    pub(crate) fn open(medium: Box<dyn Medium>, expect: Expect) -> Result<(Self, Content), Fault> {
        let mut database = Self { medium, open: None };
        let content = database.guarded(|this| {
            let mut builder = builder();
            builder.set_check_integrity_on_open(true);
            let opened = this.medium.open(&builder).map_err(redb::Error::from)?;
            check_schema(&opened, expect)?;
            read(this.open.insert(opened))
        })?;
        Ok((database, content))
    }

    /// Opens again what an earlier failure closed, without the long look that [`Self::open`] took:
    /// this process alone has written here since.
    fn ensure_open(&mut self) -> Result<&redb::Database, Fault> {
        if self.open.is_none() {
            let opened = self.medium.open(&builder()).map_err(redb::Error::from)?;
            check_schema(&opened, Expect::Database)?;
            self.open = Some(opened);
        }
        self.open.as_ref().ok_or_else(|| Fault::Damaged("it did not open".to_owned()))
    }

    /// Runs `work`; whatever fails closes the database. redb does not promise to meet a damaged
    /// file without a panic, and the writer must outlive that: a panic is a damaged file here.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)))
            .unwrap_or_else(|_| Err(Fault::Damaged("reading it made no sense".to_owned())));
        if result.is_err() {
            let broken = self.open.take();
            // Closing writes too, and can meet the same damage.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        }
        result
    }
}

impl Backend for Database {
    fn commit(
        &mut self,
        changes: &mut dyn Iterator<Item = &Change>,
        stamp: &Stamp,
        stale: Age,
        sweep: usize,
    ) -> Result<usize, Fault> {
        self.guarded(|this| {
            let transaction = begin(this.ensure_open()?)?;
            let swept = apply(&transaction, changes, stamp, stale, sweep)?;
            transaction.commit().map_err(redb::Error::from)?;
            Ok(swept)
        })
    }

    /// In good order, so that the next start has nothing to mend.
    fn close(self: Box<Self>) -> Result<(), Fault> {
        match self.open {
            Some(database) => Ok(database.close().map_err(redb::Error::from)?),
            None => Ok(()),
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Begins a transaction as all of them must be: after a kill, the database opens at once instead
/// of being walked, and a commit is one only when its last byte is on disk.
fn begin(database: &redb::Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write().map_err(redb::Error::from)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Finds the version of the tables; makes them where there may be none.
fn check_schema(database: &redb::Database, expect: Expect) -> Result<(), Fault> {
    let reading = database.begin_read().map_err(redb::Error::from)?;
    let names = reading.list_tables().map_err(redb::Error::from)?;
    let names: Vec<String> = names.map(|table| table.name().to_owned()).collect();
    if names.is_empty() {
        return match expect {
            Expect::Anything => create_tables(database),
            Expect::Database => Err(Fault::Damaged("it is empty".to_owned())),
        };
    }
    if !names.iter().any(|name| name == tables::META.name()) {
        return Err(Fault::Damaged("its tables are those of another program".to_owned()));
    }
    let meta = reading.open_table(tables::META).map_err(redb::Error::from)?;
    let row = meta.get(tables::META_SCHEMA).map_err(redb::Error::from)?;
    let found = row
        .and_then(|row| Some(u32::from_be_bytes(row.value().try_into().ok()?)))
        .ok_or_else(|| Fault::Damaged("it does not say its version".to_owned()))?;
    match found {
        schema::SCHEMA_VERSION => Ok(()),
        schema::SCHEMA_WITHOUT_KEPT => {
            drop((meta, reading));
            upgrade(database)
        }
        0 => Err(Fault::Damaged("its version is 0".to_owned())),
        found => Err(Fault::Newer { found }),
    }
}

fn create_tables(database: &redb::Database) -> Result<(), Fault> {
    let transaction = begin(database)?;
    {
        let mut tables = Tables::open(&transaction)?;
        let version = schema::SCHEMA_VERSION.to_be_bytes();
        tables.meta.insert(tables::META_SCHEMA, version.as_slice()).map_err(redb::Error::from)?;
    }
    Ok(transaction.commit().map_err(redb::Error::from)?)
}

/// Brings the tables of [`schema::SCHEMA_WITHOUT_KEPT`] to the version of today, all or nothing.
fn upgrade(database: &redb::Database) -> Result<(), Fault> {
    let transaction = begin(database)?;
    upgrade_tables(&transaction)?;
    transaction.commit().map_err(redb::Error::from)?;
    tracing::info!(
        from = schema::SCHEMA_WITHOUT_KEPT,
        to = schema::SCHEMA_VERSION,
        "upgraded the database; earlier versions of this program can no longer open it"
    );
    Ok(())
}

fn upgrade_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tables = Tables::open(transaction)?;
    {
        let old = transaction.open_table(tables::OLD_RECORDS)?;
        for row in old.iter()? {
            let (key, row) = row?;
            let row = RecordRow::decode_old(row.value());
            tables.records.insert(key.value(), &row.encode())?;
        }
    }
    transaction.delete_table(tables::OLD_RECORDS)?;
    let version = schema::SCHEMA_VERSION.to_be_bytes();
    tables.meta.insert(tables::META_SCHEMA, version.as_slice())?;
    Ok(())
}

/// All tables of one write transaction.
struct Tables<'a> {
    meta: Table<'a, &'static str, &'static [u8]>,
    values: Table<'a, &'static [u8; ID_BYTES], &'static [u8]>,
    records: Table<'a, &'static [u8; ID_BYTES], &'static [u8; schema::RECORD_BYTES]>,
    expiry: Table<'a, &'static [u8; schema::EXPIRY_BYTES], ()>,
    accounts: Table<'a, &'static [u8; ID_BYTES], &'static [u8; schema::ACCOUNT_BYTES]>,
    contacts: Table<'a, &'static [u8; ID_BYTES], &'static [u8; ADDRESS_BYTES]>,
    tenures: Table<'a, &'static [u8; ID_BYTES], u64>,
    pins: Table<'a, &'static [u8; ID_BYTES], &'static [u8]>,
    kept: Table<'a, &'static [u8; ID_BYTES], &'static [u8; schema::KEPT_BYTES]>,
    kept_values: Table<'a, &'static [u8; ID_BYTES], &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: transaction.open_table(tables::META)?,
            values: transaction.open_table(tables::VALUES)?,
            records: transaction.open_table(tables::RECORDS)?,
            expiry: transaction.open_table(tables::EXPIRY)?,
            accounts: transaction.open_table(tables::ACCOUNTS)?,
            contacts: transaction.open_table(tables::CONTACTS)?,
            tenures: transaction.open_table(tables::TENURES)?,
            pins: transaction.open_table(tables::PINS)?,
            kept: transaction.open_table(tables::KEPT)?,
            kept_values: transaction.open_table(tables::KEPT_VALUES)?,
        })
    }

    fn apply(&mut self, change: &Change) -> Result<(), redb::StorageError> {
        match change {
            Change::PutRecord { key, value, row, bill } => {
                self.put_record(key, value, *row)?;
                match bill {
                    Some(bill) => self.accounts.insert(key, &schema::encode_bill(bill))?,
                    None => self.accounts.remove(key)?,
                };
            }
            Change::RemoveRecord(key) => self.remove_record(key)?,
            Change::PutKept { row, value } => self.put_kept(row, value.as_ref())?,
            Change::RemoveKept(key) => {
                self.kept.remove(key)?;
                self.kept_values.remove(key)?;
            }
            Change::PutContact(contact) => {
                let address = contact.address.to_bytes();
                self.contacts.insert(&contact.id.to_bytes(), &address)?;
            }
            Change::PutTenure { node, seconds } => {
                self.tenures.insert(&node.to_bytes(), seconds)?;
            }
            Change::RemoveContact(id) => {
                self.contacts.remove(&id.to_bytes())?;
                self.tenures.remove(&id.to_bytes())?;
            }
            Change::PutPin(pin) => {
                let row = schema::encode_pin(pin);
                self.pins.insert(&pin.node_id.to_bytes(), row.as_slice())?;
            }
            Change::RemovePin(id) => {
                self.pins.remove(&id.to_bytes())?;
            }
            Change::RememberNode(id) => {
                self.meta.insert(tables::META_NODE, id.to_bytes().as_slice())?;
            }
            // A data directory has a file for it.
            Change::PutIdentity(_) => {}
            Change::RememberNetwork(fingerprints) => self.remember_network(fingerprints)?,
            Change::LeaveNetwork { keep_records } => self.leave_network(*keep_records)?,
        }
        Ok(())
    }

    fn remember_network(&mut self, network: &[Fingerprint]) -> Result<(), redb::StorageError> {
        if network.is_empty() {
            self.meta.remove(tables::META_NETWORK)?;
        } else {
            self.meta.insert(tables::META_NETWORK, network.concat().as_slice())?;
        }
        Ok(())
    }

    fn leave_network(&mut self, keep_records: bool) -> Result<(), redb::StorageError> {
        self.contacts.retain(|_, _| false)?;
        self.tenures.retain(|_, _| false)?;
        if !keep_records {
            self.values.retain(|_, _| false)?;
            self.records.retain(|_, _| false)?;
            self.expiry.retain(|_, ()| false)?;
            self.accounts.retain(|_, _| false)?;
            self.kept.retain(|_, _| false)?;
            self.kept_values.retain(|_, _| false)?;
        }
        Ok(())
    }

    fn put_record(
        &mut self,
        key: &[u8; ID_BYTES],
        value: &[u8],
        row: RecordRow,
    ) -> Result<(), redb::StorageError> {
        let replaced = self.records.insert(key, &row.encode())?;
        let replaced = replaced.map(|old| RecordRow::decode(old.value()));
        if let Some(old) = replaced {
            self.expiry.remove(&schema::encode_expiry(old.deadline, key))?;
        }
        self.expiry.insert(&schema::encode_expiry(row.deadline, key), ())?;
        self.values.insert(key, value)?;
        Ok(())
    }

    /// Without a value, the one that lies there stays; a row alone would be a value that is not kept.
    fn put_kept(&mut self, row: &KeptRow, value: Option<&Bytes>) -> Result<(), redb::StorageError> {
        let key = row.key.to_bytes();
        match value {
            Some(value) => drop(self.kept_values.insert(&key, &**value)?),
            None if self.kept.get(&key)?.is_none() => return Ok(()),
            None => {}
        }
        self.kept.insert(&key, &schema::encode_kept(row))?;
        Ok(())
    }

    fn remove_record(&mut self, key: &[u8; ID_BYTES]) -> Result<(), redb::StorageError> {
        let removed = self.records.remove(key)?.map(|old| RecordRow::decode(old.value()));
        if let Some(old) = removed {
            self.expiry.remove(&schema::encode_expiry(old.deadline, key))?;
            self.values.remove(key)?;
            self.accounts.remove(key)?;
        }
        Ok(())
    }

    /// Removes records whose deadline lies before `stale`, at most `limit`: a look at the head of
    /// the expiry index, whatever the number of records.
    fn sweep(&mut self, stale: Age, limit: usize) -> Result<usize, redb::StorageError> {
        let end = schema::encode_expiry(stale, &[0; ID_BYTES]);
        let mut expired = Vec::new();
        for row in self.expiry.range::<&[u8; schema::EXPIRY_BYTES]>(..&end)?.take(limit) {
            expired.push(schema::decode_expiry(row?.0.value()));
        }
        for (deadline, key) in &expired {
            self.expiry.remove(&schema::encode_expiry(*deadline, key))?;
            self.records.remove(key)?;
            self.values.remove(key)?;
        }
        Ok(expired.len())
    }
}

fn apply<'a>(
    transaction: &WriteTransaction,
    changes: impl Iterator<Item = &'a Change>,
    stamp: &Stamp,
    stale: Age,
    sweep: usize,
) -> Result<usize, redb::Error> {
    let mut tables = Tables::open(transaction)?;
    for change in changes {
        tables.apply(change)?;
    }
    let swept = tables.sweep(stale, sweep)?;
    tables.meta.insert(tables::META_CLOCK, schema::encode_stamp(stamp).as_slice())?;
    Ok(swept)
}

fn read(database: &redb::Database) -> Result<Content, Fault> {
    let reading = database.begin_read().map_err(redb::Error::from)?;
    let meta = reading.open_table(tables::META).map_err(redb::Error::from)?;
    let row = |name| -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(meta.get(name)?.map(|row| row.value().to_vec()))
    };
    let node = match row(tables::META_NODE)? {
        None => None,
        Some(id) => {
            let id = id.try_into().map_err(|_| malformed("the node's ID"))?;
            Some(NodeId::from_bytes(id))
        }
    };
    let last_stamp = match row(tables::META_CLOCK)? {
        None => None,
        Some(stamp) => {
            Some(schema::decode_stamp(&stamp).ok_or_else(|| malformed("the clock's row"))?)
        }
    };
    let network = read_network(row(tables::META_NETWORK)?)?;
    Ok(Content {
        node,
        network,
        last_stamp,
        pins: read_pins(&reading)?,
        contacts: read_contacts(&reading)?,
        records: read_records(&reading)?,
        kept: read_kept(&reading)?,
    })
}

fn malformed(what: &str) -> Fault {
    Fault::Damaged(format!("{what} is malformed"))
}

/// A row that cannot be read must not make a private node a public one.
fn read_network(row: Option<Vec<u8>>) -> Result<Vec<Fingerprint>, Fault> {
    let Some(row) = row else { return Ok(Vec::new()) };
    match row.as_chunks() {
        (fingerprints @ [_, ..], []) => Ok(fingerprints.to_vec()),
        _ => Err(malformed("the private network's row")),
    }
}

fn read_contacts(reading: &redb::ReadTransaction) -> Result<Vec<StoredContact>, Fault> {
    let table = reading.open_table(tables::CONTACTS).map_err(redb::Error::from)?;
    // An earlier version has written no such table.
    let tenures = match reading.open_table(tables::TENURES) {
        Ok(table) => Some(table),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(redb::Error::from(error).into()),
    };
    let mut contacts = Vec::new();
    for row in table.iter().map_err(redb::Error::from)? {
        let (id, address) = row.map_err(redb::Error::from)?;
        let address = PeerAddress::from_bytes(address.value());
        let seconds = match &tenures {
            Some(tenures) => tenures.get(id.value()).map_err(redb::Error::from)?,
            None => None,
        };
        let tenure = seconds.map_or(Duration::ZERO, |row| Duration::from_secs(row.value()));
        let info = NodeInfo { id: NodeId::from_bytes(*id.value()), address };
        contacts.push(StoredContact { info, tenure });
    }
    Ok(contacts)
}

fn read_pins(reading: &redb::ReadTransaction) -> Result<Vec<Pin>, Fault> {
    let table = reading.open_table(tables::PINS).map_err(redb::Error::from)?;
    let mut pins = Vec::new();
    for row in table.iter().map_err(redb::Error::from)? {
        let (id, pin) = row.map_err(redb::Error::from)?;
        let pin = schema::decode_pin(NodeId::from_bytes(*id.value()), pin.value());
        pins.push(pin.ok_or_else(|| malformed("a pin"))?);
    }
    Ok(pins)
}

/// Both tables of kept values lie in the order of their keys: they are read side by side.
fn read_kept(reading: &redb::ReadTransaction) -> Result<Vec<(KeptRow, Bytes)>, Fault> {
    let rows = reading.open_table(tables::KEPT).map_err(redb::Error::from)?;
    let values = reading.open_table(tables::KEPT_VALUES).map_err(redb::Error::from)?;
    let mut values = values.iter().map_err(redb::Error::from)?;
    let mut kept = Vec::new();
    for row in rows.iter().map_err(redb::Error::from)? {
        let (key, row) = row.map_err(redb::Error::from)?;
        let value = values.next().ok_or_else(|| malformed("a kept value's row"))?;
        let (value_key, value) = value.map_err(redb::Error::from)?;
        if value_key.value() != key.value() {
            return Err(malformed("a kept value's row"));
        }
        let row = schema::decode_kept(Key::from_bytes(*key.value()), row.value());
        let row = row.ok_or_else(|| malformed("a kept value's row"))?;
        kept.push((row, Bytes::copy_from_slice(value.value())));
    }
    if values.next().is_some() {
        return Err(malformed("a kept value without its row"));
    }
    Ok(kept)
}

/// Both tables of records lie in the order of their keys: they are read side by side.
fn read_records(reading: &redb::ReadTransaction) -> Result<Vec<(LiveRow, Age)>, Fault> {
    let rows = reading.open_table(tables::RECORDS).map_err(redb::Error::from)?;
    // An earlier version has written no such table.
    let accounts = match reading.open_table(tables::ACCOUNTS) {
        Ok(table) => Some(table),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(redb::Error::from(error).into()),
    };
    let values = reading.open_table(tables::VALUES).map_err(redb::Error::from)?;
    let mut values = values.iter().map_err(redb::Error::from)?;
    let mut records = Vec::new();
    for row in rows.iter().map_err(redb::Error::from)? {
        let (key, row) = row.map_err(redb::Error::from)?;
        let value = values.next().ok_or_else(|| malformed("a record without a value"))?;
        let (value_key, value) = value.map_err(redb::Error::from)?;
        if value_key.value() != key.value() {
            return Err(malformed("a value without its record"));
        }
        let RecordRow { version, deadline, class } = RecordRow::decode(row.value());
        let value = Bytes::copy_from_slice(value.value());
        let bill = match &accounts {
            Some(table) => table.get(key.value()).map_err(redb::Error::from)?,
            None => None,
        };
        let bill = bill.and_then(|row| schema::decode_bill(row.value()));
        records.push((LiveRow { key: *key.value(), value, version, class, bill }, deadline));
    }
    if values.next().is_some() {
        return Err(malformed("a value without its record"));
    }
    Ok(records)
}
