//! Writes on their way to the disk, and the requesters that wait for them.

use std::collections::BTreeMap;

use voiddht_wire::Key;
use voiddht_wire::peer::Header;

use crate::event::{CommandId, Ticket, Write};
use crate::peer::ConnectionId;

/// Groups of writes that the disk has not confirmed. Beyond it, new STOREs are refused with
/// ERROR 13; each takes about 150 bytes.
const MAX_UNSYNCED: usize = 8192;

/// A requester that waits for the disk.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The acknowledgement of a peer's STORE.
    Reply { connection: ConnectionId, request: Header },
    /// This node's own copy of a PUT.
    Operation(u64),
    /// The command by which a value is kept.
    Keep,
    /// The command by which a value is kept no longer.
    Unkeep(CommandId),
}

/// Writes that the disk has not confirmed.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    waiting: BTreeMap<Ticket, (Key, Waiting)>,
    next: u64,
    /// Records that are held and not on disk as they are held, each with the last write that was
    /// to bring it there. No more of them than records.
    volatile: BTreeMap<Key, Ticket>,
}

impl Unsynced {
    /// The ticket of writes that no requester waits for.
    pub(super) fn begin(&mut self, writes: &[Write]) -> Ticket {
        for write in writes {
            if let Write::RemoveRecord(key) = write {
                self.volatile.remove(key);
            }
        }
        self.next_ticket()
    }

    /// The ticket of writes that a requester waits for; `None` if too many wait already.
    pub(super) fn begin_for(&mut self, key: Key, waiting: Waiting) -> Option<Ticket> {
        let ticket = self.next_ticket();
        if self.waiting.len() >= MAX_UNSYNCED {
            return None;
        }
        self.waiting.insert(ticket, (key, waiting));
        Some(ticket)
    }

    /// The next write is to bring the record of this key to the disk.
    pub(super) fn note_volatile(&mut self, key: Key) {
        self.volatile.insert(key, Ticket(self.next));
    }

    /// Whether a record that is held will be found after a restart.
    pub(super) fn is_durable(&self, key: &Key) -> bool {
        !self.volatile.contains_key(key)
    }

    /// Writes have ended: whose they were.
    pub(super) fn end(&mut self, ticket: Ticket, durable: bool) -> Option<(Key, Waiting)> {
        let (key, waiting) = self.waiting.remove(&ticket)?;
        if durable && self.volatile.get(&key) == Some(&ticket) {
            self.volatile.remove(&key);
        }
        Some((key, waiting))
    }

    fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }
}
