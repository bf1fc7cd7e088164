//! Storage of an embedding program's own, in place of the data directory.

use bytes::Bytes;
use voiddht_wire::id::ID_BYTES;

/// What a [`Storage`] may fail with. The text is logged, and part of the error of a start; an
/// [`std::io::Error`] in it is told apart as a full disk where it is one.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// Where a node keeps what it needs to come back: rows of bytes, each under a table and a key.
///
/// The node encodes and decodes the rows; a storage need not know what is in them. They hold a private
/// key ([`Table::Identity`]): keep them from other users. One storage belongs to one node at a time.
///
/// All methods block. [`Self::load`] is called when the node starts, and again only by
/// [`Store::move_to_network`](crate::Store::move_to_network); the others from a thread of the node's
/// own, one call at a time, with what has gathered since the last: some hundred changes under load.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use voiddht_store::{Row, RowChange, Storage, StorageError, Table};
///
/// #[derive(Default)]
/// struct InMemory(BTreeMap<(Table, [u8; 32]), Vec<u8>>);
///
/// impl Storage for InMemory {
///     fn load(&mut self) -> Result<Vec<Row>, StorageError> {
///         let rows = self.0.iter();
///         Ok(rows.map(|((table, key), value)| Row::new(*table, *key, value.clone())).collect())
///     }
///
///     fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError> {
///         for change in changes {
///             match change {
///                 RowChange::Put(row) => self.0.insert((row.table, row.key), row.value.to_vec()),
///                 RowChange::Remove { table, key } => self.0.remove(&(*table, *key)),
///             };
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Storage: Send + 'static {
    /// Returns every row, in any order.
    ///
    /// # Errors
    /// The node does not start.
    fn load(&mut self) -> Result<Vec<Row>, StorageError>;

    /// Applies the changes in their order, all or none, and returns once they would be found after
    /// a crash: the node acknowledges a STORE of a peer after that. Removing a row that is not there is
    /// no error.
    ///
    /// # Errors
    /// The values in it are refused to their publishers, and an error is logged. The node goes on, and
    /// commits again with the next changes.
    fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError>;

    /// Called after the last commit, when the node stops in good order.
    ///
    /// # Errors
    /// Logged.
    fn close(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its table.
    pub table: Table,
    /// Its key: a DHT key, a node ID, or a name that the table knows.
    pub key: [u8; ID_BYTES],
    /// Its content, at most 65 600 bytes.
    pub value: Bytes,
}

impl Row {
    /// A row of this content.
    pub fn new(table: Table, key: [u8; ID_BYTES], value: impl Into<Bytes>) -> Self {
        Self { table, key, value: value.into() }
    }
}

/// One change of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// Adds a row, or replaces the one of the same table and key.
    Put(Row),
    /// Removes a row, if there is one.
    Remove {
        /// Its table.
        table: Table,
        /// Its key.
        key: [u8; ID_BYTES],
    },
}

/// A kind of rows. Later versions may add some; a storage treats all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Single rows: of which node and network the storage is, and when it was written last.
    Meta,
    /// The private key and the certificate of the node: one row.
    Identity,
    /// Records of the DHT, by key.
    Records,
    /// What is remembered of kept values beside their bytes, by key.
    Kept,
    /// The bytes of kept values, by key.
    KeptValues,
    /// Addresses of contacts, by node ID.
    Contacts,
    /// For how long contacts have been known, by node ID.
    Tenures,
    /// Pinned certificates, by node ID.
    Pins,
}

impl Table {
    /// Every table, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Identity,
        Self::Records,
        Self::Kept,
        Self::KeptValues,
        Self::Contacts,
        Self::Tenures,
        Self::Pins,
    ];

    /// A number that stays the same in later versions, for storages that write it down.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The table of a code; `None` for one that this version does not know.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name, in lower case, such as `kept_values`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Identity => "identity",
            Self::Records => "records",
            Self::Kept => "kept",
            Self::KeptValues => "kept_values",
            Self::Contacts => "contacts",
            Self::Tenures => "tenures",
            Self::Pins => "pins",
        }
    }
}
