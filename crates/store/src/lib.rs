//! A node's data directory: identity, pinned certificates, contacts and records, kept across
//! restarts.
//!
//! At run time memory is authoritative: the core holds every record and emits writes;
//! [`Store::submit`] accepts them without waiting, one thread commits them in groups, and a
//! callback reports which group is durable. Data reported as durable survives SIGKILL and power
//! loss. The disk is read once, in [`DataDir::open`] or [`Store::on`].
//!
//! `docs/storage.md` describes the directory byte by byte, the handling of damage, and how
//! lifetimes stay correct when the wall clock is wrong.
//!
//! Not here: what to store and for how long (the core decides), and whether a key, a certificate
//! and a node ID belong together (the identity crate checks).
//!
//! An embedding program may bring its own [`Storage`] in place of the directory: an ordered list of rows,
//! each some bytes under a table and a key. [`MemoryStorage`] is one.
//!
//! # Features
//!
//! * `redb` (default): [`DataDir`], the directory with its redb database.
//! * `faulty`: media that live in memory or fail on request, for tests.

mod backend;
mod clock;
mod completion;
#[cfg(feature = "redb")]
mod data_dir;
#[cfg(feature = "redb")]
mod database;
#[cfg(feature = "redb")]
mod end;
mod error;
#[cfg(feature = "redb")]
mod identity_file;
mod inbox;
mod loaded;
#[cfg_attr(
    not(any(test, feature = "faulty")),
    allow(unreachable_pub, reason = "exported for tests, with the media in memory")
)]
#[cfg(feature = "redb")]
mod medium;
mod memory_storage;
mod rows;
#[cfg_attr(
    not(feature = "redb"),
    allow(dead_code, reason = "tables, their version and the index of expiry are the database's")
)]
mod schema;
mod storage;
mod store;
mod writer;

#[cfg(any(test, feature = "faulty"))]
pub mod faulty;
#[cfg(any(test, feature = "faulty"))]
pub mod memory;

pub use clock::{BootId, Reading, TimeSource};
pub use completion::{Completion, OnCompletion};
#[cfg(feature = "redb")]
pub use data_dir::DataDir;
pub use error::{Failure, Full, OpenError, SaveIdentityError, StorageOpenError, WriteFailed};
#[cfg(feature = "redb")]
pub use identity_file::IDENTITY_NAME;
pub use inbox::{INBOX_BYTES, INBOX_JOBS};
pub use loaded::{Condition, Loaded, LoadedRecord, Pin, StoredIdentity};
#[cfg(any(test, feature = "faulty"))]
pub use medium::Medium;
pub use memory_storage::MemoryStorage;
pub use storage::{Row, RowChange, Storage, StorageError, Table};
pub use store::{Committing, Store};
