//! A disk in memory, for tests: it can be opened again, as after a crash.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::medium::Medium;

/// The bytes of a database, shared by all that open it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// A disk with this content.
    pub fn with_content(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(content)))
    }

    /// What lies there now.
    pub fn content(&self) -> Vec<u8> {
        self.locked(|bytes| bytes.clone())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // A panic elsewhere leaves bytes, as a crash leaves them on a disk.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Medium for Memory {
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(self.clone())
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.locked(|bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.locked(|bytes| {
            let range = range(offset, out.len())?;
            out.copy_from_slice(bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.locked(|bytes| bytes.resize(len, 0));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.locked(|bytes| {
            let range = range(offset, data.len())?;
            bytes.get_mut(range).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
            Ok(())
        })
    }
}

fn range(offset: u64, length: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    let end = start.checked_add(length).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(start..end)
}
