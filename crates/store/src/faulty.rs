//! A disk for tests that fails on request, and loses what was not synced. redb itself runs on it:
//! the tests exercise the code that ships.
//!
//! It models the worst case. A sync that fails loses its data for good, and still shows it to
//! readers, as Linux treats pages that it could not write back. And after a crash any part of the
//! unsynced data may have survived, not only the first writes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::medium::Medium;
use crate::memory::Memory;

/// A disk shared by all that open it, and by the test that injects faults.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    visible: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What a power cut may or may not leave.
    unsynced: Vec<Change>,
    /// Writes, changes of length and syncs so far.
    operations: u64,
    fault: Option<Fault>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

/// When a disk fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The first operation that fails, counted from 0 over the disk's life. Writes, changes of
    /// length and syncs count; reads do not.
    pub at: u64,
    /// How many operations fail.
    pub operations: u64,
    /// What they say.
    pub kind: io::ErrorKind,
}

impl FaultyDisk {
    /// Makes the disk fail; `None` mends it.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Writes, changes of length and syncs so far, those that failed among them.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether every operation from now on succeeds, as far as has been told.
    pub fn is_healthy(&self) -> bool {
        let state = self.state();
        let over = |fault: Fault| state.operations >= fault.at.saturating_add(fault.operations);
        state.fault.is_none_or(over)
    }

    /// What is on disk after a power cut now, where `survives` says of each change that was not
    /// synced, in their order, whether it came through.
    pub fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Memory {
        let state = self.state();
        let mut content = state.durable.clone();
        for change in state.unsynced.iter().filter(|_| survives()) {
            change.apply(&mut content);
        }
        Memory::with_content(content)
    }

    /// What a reader sees now: what is left after a kill of the process alone.
    pub fn after_kill(&self) -> Memory {
        Memory::with_content(self.state().visible.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves bytes, as a crash leaves them on a disk.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one operation; says whether it fails.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some(Fault { at, operations, kind })
                if (at..at.saturating_add(operations)).contains(&number) =>
            {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                // Of a file that was lengthened and written, the writing alone may survive.
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
            Self::Length(length) => content.resize(*length, 0),
        }
    }
}

impl Medium for FaultyDisk {
    fn open(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(self.clone())
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::InvalidInput)?;
        let state = self.state();
        out.copy_from_slice(state.visible.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).map_err(io::Error::other)?;
        let mut state = self.state();
        state.operate()?;
        state.change(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        let result = state.operate();
        let unsynced = std::mem::take(&mut state.unsynced);
        if result.is_ok() {
            unsynced.iter().for_each(|change| change.apply(&mut state.durable));
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = self.state();
        state.operate()?;
        state.change(Change::Write { offset, data: data.to_vec() });
        Ok(())
    }
}
