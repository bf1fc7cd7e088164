//! The storage medium of a database: a file, or in tests one that fails on request.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

/// Somewhere a database can be opened, again and again: after a failed write redb wants its
/// database closed and opened again.
pub trait Medium: Send + 'static {
    /// Opens the database that lies here, or begins one if there is nothing.
    ///
    /// # Errors
    /// As redb says.
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError>;
}

/// A file that only this user can read.
#[derive(Debug)]
pub(crate) struct FileMedium {
    pub(crate) path: PathBuf,
}

impl Medium for FileMedium {
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        builder.create_with_backend(FileBackend::new(file)?)
    }
}
