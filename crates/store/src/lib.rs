//! A node's data directory: its identity, the certificates it pinned, the contacts it knew and the
//! records it holds, so that it can come back.
//!
//! Memory is the truth, the disk is for coming back: the core holds every record and emits writes;
//! [`Store::submit`] takes them without waiting, one thread commits them in groups, and a callback
//! says which group is durable. What was said to be durable survives a kill and a power cut.
//! Reading happens once, in [`DataDir::open`].
//!
//! What a directory holds, byte by byte, what is done about damage, and how lifetimes are kept
//! right when the wall clock is not, is drawn in `docs/storage.md`.
//!
//! Not here: what is worth keeping, and for how long (the core's decision), and whether a key, a
//! certificate and a node ID belong together (the identity crate's).

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
