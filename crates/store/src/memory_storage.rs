//! A storage in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use voiddht_wire::id::ID_BYTES;

use crate::storage::{Row, RowChange, Storage, StorageError, Table};

/// A [`Storage`] in memory. Clones share their rows, so a node that starts with a clone comes back as
/// the one before: for tests, and for programs that save the rows themselves. Unbounded: a node's
/// own limits bound what it writes.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Rows>>);

type Rows = BTreeMap<(Table, [u8; ID_BYTES]), Bytes>;

impl MemoryStorage {
    /// Rows now, of all tables.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no node has written anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> Result<Vec<Row>, StorageError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((table, key), value): (&(Table, _), &Bytes)| Row {
            table: *table,
            key: *key,
            value: value.clone(),
        };
        Ok(rows.iter().map(row).collect())
    }

    fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                RowChange::Put(row) => rows.insert((row.table, row.key), row.value.clone()),
                RowChange::Remove { table, key } => rows.remove(&(*table, *key)),
            };
        }
        Ok(())
    }
}
