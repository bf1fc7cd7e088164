//! How much may wait for the writer.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Full;

/// Groups of writes that may wait for the disk; above it, [`Full`]. The writer takes all of them
/// into one transaction: a thousand small records in 40 ms.
pub const INBOX_JOBS: usize = 1024;
/// Bytes of keys and values that may wait for the disk, those being written included; above it,
/// [`Full`]. Bounds the memory that a slow disk can cost, except that one group always finds room.
pub const INBOX_BYTES: usize = 16 * 1024 * 1024;

/// Counts the bytes that wait for the disk.
#[derive(Debug, Default)]
pub(crate) struct InboxBytes(AtomicUsize);

impl InboxBytes {
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), Full> {
        let add = |waiting: usize| {
            let total = waiting.saturating_add(bytes);
            // A group that is larger than the bound would otherwise never find room.
            (waiting == 0 || total <= INBOX_BYTES).then_some(total)
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).map(drop).map_err(|_| Full)
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::AcqRel);
    }
}
