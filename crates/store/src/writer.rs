//! The one thread that writes: it takes what lies in its inbox, brings it to disk in one
//! transaction, and says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use voiddht_core::event::Ticket;
use voiddht_wire::NodeId;

use crate::backend::{Backend, Change};
use crate::clock::{Age, AgeClock};
use crate::completion::{Completion, OnCompletion};
use crate::error::WriteFailed;
use crate::inbox::{INBOX_JOBS, InboxBytes};

/// How long the writer is idle before it notes the time all the same. Across a boot of the machine
/// only the wall clock tells how long it was off; a correction of that clock misleads by no more
/// than what passed between it and the last note. A guess: one small commit a minute.
const STAMP_INTERVAL: Duration = Duration::from_secs(60);
/// How long after its deadline a record is swept. The core removes what expires by itself; this is
/// for removals that were lost to a full inbox, a failed disk, or an end in between.
const SWEEP_AFTER: u64 = 60_000;
/// Records swept in one transaction: some 20 ms of work, so that a PUT behind it does not notice.
const SWEEP_RECORDS: usize = 512;
/// Pins that wait for a disk that fails. A pin has no ticket; it is tried again until it is on
/// disk, and above this number the newest are forgotten, with a line in the log.
const MAX_UNSAVED_PINS: usize = 1024;

/// One thing for the writer to do.
pub(crate) enum Job {
    /// A group of the core's.
    Writes { ticket: Ticket, changes: Vec<Change>, bytes: usize },
    /// A pin made, moved or removed.
    Pin { node: NodeId, change: Box<Change> },
    /// What a caller waits for: all of it, in one transaction.
    Awaited { changes: Vec<Change>, answer: SyncSender<Result<(), WriteFailed>> },
}

/// The state of the thread.
pub(crate) struct Writer {
    pub(crate) database: Box<dyn Backend>,
    pub(crate) clock: Arc<AgeClock>,
    pub(crate) inbox: Receiver<Job>,
    pub(crate) inbox_bytes: Arc<InboxBytes>,
    pub(crate) on_completion: OnCompletion,
    pub(crate) unsaved_pins: BTreeMap<NodeId, Change>,
    /// Pins that found no slot there since the last successful commit.
    pub(crate) dropped_pins: u64,
    /// The same, until they are counted.
    pub(crate) unsaved: Arc<AtomicU64>,
}

impl Writer {
    /// Works until every sender is gone and the inbox empty; then closes the database.
    pub(crate) fn run(mut self) -> Result<(), WriteFailed> {
        let mut group = Vec::new();
        let mut wait = STAMP_INTERVAL;
        loop {
            match self.inbox.recv_timeout(wait) {
                Ok(job) => group.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while group.len() < INBOX_JOBS
                && let Ok(job) = self.inbox.try_recv()
            {
                group.push(job);
            }
            let swept = self.commit(&mut group);
            // A full sweep means that more is waiting: go on as soon as there is nothing else.
            wait = if swept == SWEEP_RECORDS { Duration::ZERO } else { STAMP_INTERVAL };
        }
        let last = self.transact(&[]).map(|_| ());
        let closed = self.database.close().map_err(WriteFailed::from);
        last.and(closed)
    }

    /// Commits one group and answers all its requesters. Says how many records were swept.
    fn commit(&mut self, group: &mut Vec<Job>) -> usize {
        let result = self.transact(group);
        for job in group.drain(..) {
            let result = result.clone().map(|_| ());
            match job {
                Job::Writes { ticket, changes, bytes } => {
                    drop(changes);
                    self.inbox_bytes.release(bytes);
                    (self.on_completion)(Completion { ticket, result });
                }
                Job::Awaited { answer, .. } => {
                    // The caller waits for it: if it is gone, so is its interest.
                    let _ = answer.send(result);
                }
                Job::Pin { node, change } if result.is_err() => self.keep_pin(node, *change),
                Job::Pin { .. } => {}
            }
        }
        result.unwrap_or(0)
    }

    fn transact(&mut self, group: &[Job]) -> Result<usize, WriteFailed> {
        let stamp = self.clock.stamp();
        let stale = Age(stamp.age.0.saturating_sub(SWEEP_AFTER));
        let in_group = group.iter().flat_map(|job| match job {
            Job::Writes { changes, .. } | Job::Awaited { changes, .. } => changes.as_slice(),
            Job::Pin { change, .. } => std::slice::from_ref(&**change),
        });
        let mut changes = self.unsaved_pins.values().chain(in_group);
        let swept = self.database.commit(&mut changes, &stamp, stale, SWEEP_RECORDS)?;
        self.unsaved_pins.clear();
        let dropped = std::mem::take(&mut self.dropped_pins);
        if dropped > 0 {
            tracing::warn!(dropped, "pins were not saved while the disk refused writes");
        }
        Ok(swept)
    }

    fn keep_pin(&mut self, node: NodeId, change: Change) {
        if self.unsaved_pins.len() < MAX_UNSAVED_PINS || self.unsaved_pins.contains_key(&node) {
            self.unsaved_pins.insert(node, change);
        } else {
            // One line for the first, and one with their number when the disk works again.
            if self.dropped_pins == 0 {
                tracing::warn!(node = %node.short(), "could not save pin: too many wait for the disk");
            }
            self.dropped_pins += 1;
            self.unsaved.fetch_add(1, Ordering::Relaxed);
        }
    }
}
