//! A node's data directory: identity, pinned certificates, contacts and records, kept across
//! restarts.
//!
//! At run time memory is authoritative: the core holds every record and emits writes;
//! [`Store::submit`] accepts them without waiting, one thread commits them in groups, and a
//! callback reports which group is durable. Data reported as durable survives SIGKILL and power
//! loss. The disk is read once, in [`DataDir::open`].
//!
//! `docs/storage.md` describes the directory byte by byte, the handling of damage, and how
//! lifetimes stay correct when the wall clock is wrong.
//!
//! Not here: what to store and for how long (the core decides), and whether a key, a certificate
//! and a node ID belong together (the identity crate checks).

mod clock;
mod data_dir;
mod database;
mod end;
mod error;
mod identity_file;
mod loaded;
mod medium;
mod schema;
mod store;
mod writer;

#[cfg(any(test, feature = "faulty"))]
pub mod faulty;
#[cfg(any(test, feature = "faulty"))]
pub mod memory;

pub use clock::{BootId, Reading, TimeSource};
pub use data_dir::DataDir;
pub use error::{Failure, Full, OpenError, SaveIdentityError, WriteFailed};
pub use identity_file::{IDENTITY_NAME, StoredIdentity};
pub use loaded::{Condition, Loaded, LoadedRecord, Pin};
pub use medium::Medium;
pub use store::{Committing, Completion, INBOX_BYTES, INBOX_JOBS, OnCompletion, Store};
