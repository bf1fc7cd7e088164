//! Errors of the store. Each message names the file and the remedy.

use std::io;
#[cfg(feature = "redb")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use voiddht_wire::NodeId;

/// Why a data directory was not opened. Nothing in it has been replaced or removed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error(
        "the data directory {} is in use by {}: stop that process, or give this one a directory \
         of its own",
        path.display(),
        holder(*process)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, where it said so.
        process: Option<u32>,
    },
    /// Something in the directory cannot be written or read by this user.
    #[error(
        "cannot write {}: {source}; run as the user that owns it, or make it writable",
        path.display()
    )]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left.
    #[error("no space left for {}: make room on that disk or raise its quota", path.display())]
    DiskFull {
        /// The file or directory.
        path: PathBuf,
    },
    /// The disk failed in another way.
    #[error("cannot use {}: {source}; check the disk and its mount", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version of this program wrote it.
    #[error(
        "{} has format {found} and this version knows {known}: run the newer version that wrote \
         it, or give this one a directory of its own",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The directory belongs to a node whose key is gone.
    #[error(
        "{} is missing, and {} belongs to {}: restore that file from a backup, or, to become a \
         new node, move the directory away",
        identity.display(),
        database.display(),
        owner(*node)
    )]
    IdentityMissing {
        /// Where the key should be.
        identity: PathBuf,
        /// The database beside it.
        database: PathBuf,
        /// The node of the database, if known.
        node: Option<NodeId>,
    },
    /// The identity file cannot be read as one.
    #[error(
        "{} is damaged ({why}): restore it from a backup, or, to become a new node, move the \
         directory away",
        path.display()
    )]
    IdentityDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The private key can be read or changed by other users.
    #[error(
        "{path} is open to other users (mode {mode:04o}): make sure that it was not taken or \
         changed, then chmod {wanted} {path}",
        path = path.display(),
        wanted = if *directory { "o-w" } else { "600" }
    )]
    Exposed {
        /// The identity file, or the directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whether it is the directory.
        directory: bool,
    },
    /// The identity file is another node's.
    #[error(
        "{} is the key of node {file}, and the database beside it belongs to node {database}: put \
         the right file back, or move the database away",
        path.display()
    )]
    IdentitySwapped {
        /// The identity file.
        path: PathBuf,
        /// The node of the key.
        file: NodeId,
        /// The node of the database.
        database: NodeId,
    },
    /// The database is damaged. What is left of it cannot be believed: it could be any values, and
    /// any pins.
    #[error(
        "{} is damaged ({why}): restore it from a backup, or move it away to start without the \
         records, pins and contacts in it; the identity stays, and records come back from other \
         nodes",
        path.display()
    )]
    DatabaseDamaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The database is damaged, and there is no identity beside it that would make it ours to
    /// replace.
    #[error(
        "{} is damaged or not a database of this program ({why}), and no identity file lies beside \
         it: restore the directory from a backup, or, to become a new node, move it away",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

fn owner(node: Option<NodeId>) -> String {
    node.map_or_else(|| "a node it does not name".to_owned(), |id| format!("node {id}"))
}

impl OpenError {
    /// Sorts what the system said about a path by what the operator can do about it.
    #[cfg(feature = "redb")]
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            kind if is_full(kind) => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Whether the disk, or what this user may have of it, is used up.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Why the database could not be opened or written.
#[derive(Debug)]
#[cfg_attr(not(feature = "redb"), allow(dead_code, reason = "some are the database's alone"))]
pub(crate) enum Fault {
    /// Another process has it open.
    Busy,
    /// The disk said no.
    Io(io::Error),
    /// What was read makes no sense.
    Damaged(String),
    /// A newer version of this program wrote it.
    Newer { found: u32 },
}

#[cfg(feature = "redb")]
impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Busy,
            // redb's word for a wrong magic number, and a read past a file's end: both speak of
            // the file's content, not of the disk.
            redb::Error::Io(io)
                if matches!(
                    io.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Damaged(io.to_string())
            }
            redb::Error::Io(io) => Self::Io(io),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                Self::Io(io::Error::other(error.to_string()))
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// The inbox of the writer is full: the disk is slower than the writes come. Nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk does not keep up: the store's inbox is full")]
pub struct Full;

/// What kind of failure kept writes from the disk. All of them can pass: the next group of writes
/// is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No room is left on the disk.
    DiskFull,
    /// The disk failed in another way.
    Io,
    /// The database is damaged; the next start will say what can be done.
    Damaged,
}

/// Writes that are not on disk, and may or may not be found at the next start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data directory cannot be written: {detail}")]
pub struct WriteFailed {
    /// What kind of failure.
    pub failure: Failure,
    detail: Arc<str>,
}

impl WriteFailed {
    pub(crate) fn new(failure: Failure, detail: &str) -> Self {
        Self { failure, detail: detail.into() }
    }
}

impl From<Fault> for WriteFailed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy => Self::new(Failure::Io, "the database is open in another process"),
            Fault::Io(source) if is_full(source.kind()) => {
                Self::new(Failure::DiskFull, &source.to_string())
            }
            Fault::Io(source) => Self::new(Failure::Io, &source.to_string()),
            Fault::Damaged(why) => Self::new(Failure::Damaged, &why),
            Fault::Newer { found } => {
                Self::new(Failure::Damaged, &format!("its format became {found}"))
            }
        }
    }
}

/// Why the [`Storage`](crate::Storage) of an embedding program was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage cannot be opened: {detail}")]
pub struct StorageOpenError {
    /// What kind of failure.
    pub failure: Failure,
    detail: Arc<str>,
}

impl From<Fault> for StorageOpenError {
    fn from(fault: Fault) -> Self {
        let WriteFailed { failure, detail } = fault.into();
        Self { failure, detail }
    }
}

/// Why an identity was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveIdentityError {
    /// The directory already belongs to another node, and stays its own.
    #[error("the data directory already belongs to node {0}")]
    BelongsTo(NodeId),
    /// The file could not be written. An earlier one is untouched.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is written, but the database did not remember whose it is; the next start mends
    /// that.
    #[error(transparent)]
    Database(#[from] WriteFailed),
}
