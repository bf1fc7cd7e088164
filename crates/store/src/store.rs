//! The handle on an open data directory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use voiddht_core::event::{StoredRecord, Ticket, Write};
use voiddht_wire::NodeId;

use crate::backend::{Backend, Change, Content, IdentityHome};
#[cfg(any(test, feature = "faulty"))]
use crate::clock::TimeSource;
use crate::clock::{Age, AgeClock, SystemClocks};
use crate::completion::OnCompletion;
use crate::error::{Failure, Fault, Full, SaveIdentityError, StorageOpenError, WriteFailed};
use crate::inbox::{INBOX_JOBS, InboxBytes};
use crate::loaded::{Condition, Loaded, LoadedRecord, Pin, StoredIdentity};
#[cfg(any(test, feature = "faulty"))]
use crate::medium::Medium;
use crate::rows::Rows;
use crate::schema::RecordRow;
use crate::storage::Storage;
use crate::writer::{Job, Writer};

/// What a change costs in memory beside its value.
const CHANGE_BYTES: usize = size_of::<Change>();

/// An open data directory. One thread writes to it; this handle feeds that thread.
///
/// Dropping it writes what was submitted and closes the database, and waits for that;
/// [`Store::close`] does the same and says how it went.
pub struct Store {
    /// `None` once closed.
    inbox: Option<SyncSender<Job>>,
    inbox_bytes: Arc<InboxBytes>,
    clock: Arc<AgeClock>,
    writer: Option<JoinHandle<Result<(), WriteFailed>>>,
    unsaved_pins: Arc<AtomicU64>,
    /// Holds the lock on the directory until after the writer has ended.
    directory: Option<Box<dyn IdentityHome>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the storage of an embedding program, and reads all of it. Blocks.
    ///
    /// # Errors
    /// If the storage fails, or what it returns was not written by a node.
    pub fn on(
        storage: Box<dyn Storage>,
        on_completion: OnCompletion,
    ) -> Result<(Self, Loaded), StorageOpenError> {
        let (rows, content, identity) = Rows::open(storage)?;
        let is_new = identity.is_none() && content.is_empty();
        let clock = AgeClock::resume(Arc::new(SystemClocks::new()), content.last_stamp);
        let (store, mut loaded) =
            Self::begin(Box::new(rows), clock, content, identity, None, on_completion)?;
        if is_new {
            loaded.condition = Condition::New;
        }
        Ok((store, loaded))
    }

    /// Opens a database that lies on a medium of the caller's, without a directory around it and
    /// so without an identity file. For tests: a node's data is opened by [`DataDir::open`].
    ///
    /// [`DataDir::open`]: crate::DataDir::open
    ///
    /// # Errors
    /// If the medium fails, or what lies on it is no database of this program.
    #[cfg(any(test, feature = "faulty"))]
    pub fn on_medium(
        medium: impl Medium,
        clocks: Arc<dyn TimeSource>,
        on_completion: OnCompletion,
    ) -> Result<(Self, Loaded), WriteFailed> {
        use crate::database::{Database, Expect};
        let (database, content) = Database::open(Box::new(medium), Expect::Anything)?;
        let clock = AgeClock::resume(clocks, content.last_stamp);
        Ok(Self::begin(Box::new(database), clock, content, None, None, on_completion)?)
    }

    /// Goes on with what was read. The first commit notes the time and the owner: a disk on which
    /// that fails is not one to start on.
    pub(crate) fn begin(
        mut database: Box<dyn Backend>,
        clock: AgeClock,
        content: Content,
        identity: Option<StoredIdentity>,
        directory: Option<Box<dyn IdentityHome>>,
        on_completion: OnCompletion,
    ) -> Result<(Self, Loaded), Fault> {
        let owner = match (&identity, content.node) {
            (Some(identity), None) => Some(Change::RememberNode(identity.node_id)),
            _ => None,
        };
        database.commit(&mut owner.iter(), &clock.stamp(), Age(0), 0)?;
        // Last of all, so that the time that reading took is counted.
        let now = clock.stamp();
        let records = content.records.into_iter().filter_map(|(row, deadline)| {
            let left = deadline.0.checked_sub(now.age.0).filter(|left| *left > 0)?;
            Some(LoadedRecord::new(row, Duration::from_millis(left), now.reading.wall))
        });
        let loaded = Loaded {
            identity,
            network: content.network,
            pins: content.pins,
            contacts: content.contacts,
            kept: content.kept,
            records: records.collect(),
            condition: Condition::Intact,
        };
        let store = Self::start(database, clock, directory, on_completion).map_err(Fault::Io)?;
        Ok((store, loaded))
    }

    fn start(
        database: Box<dyn Backend>,
        clock: AgeClock,
        directory: Option<Box<dyn IdentityHome>>,
        on_completion: OnCompletion,
    ) -> io::Result<Self> {
        let (sender, inbox) = sync_channel(INBOX_JOBS);
        let clock = Arc::new(clock);
        let inbox_bytes = Arc::new(InboxBytes::default());
        let unsaved_pins = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            database,
            clock: clock.clone(),
            inbox,
            inbox_bytes: inbox_bytes.clone(),
            on_completion,
            unsaved_pins: BTreeMap::new(),
            dropped_pins: 0,
            unsaved: Arc::clone(&unsaved_pins),
        };
        let thread =
            thread::Builder::new().name("voiddht-store".to_owned()).spawn(move || writer.run())?;
        let (inbox, writer) = (Some(sender), Some(thread));
        Ok(Self { inbox, inbox_bytes, clock, writer, unsaved_pins, directory })
    }

    /// Hands writes to the writer, without waiting; how it went comes to the callback given at
    /// opening, once for every ticket that was taken. Everything that waits when the writer is
    /// free goes into one transaction, in the order of submission.
    ///
    /// A record's lifetime is `expires` less `written`; only the difference counts.
    ///
    /// # Errors
    /// [`Full`] if too much waits for the disk; nothing was taken, and no completion will come.
    pub fn submit(&self, ticket: Ticket, writes: Vec<Write>) -> Result<(), Full> {
        let age = self.clock.age();
        let changes: Vec<Change> = writes.into_iter().map(|write| change(write, age)).collect();
        let bytes = changes.iter().map(cost).sum();
        self.inbox_bytes.reserve(bytes)?;
        let sent = self.send(Job::Writes { ticket, changes, bytes });
        if sent.is_err() {
            self.inbox_bytes.release(bytes);
        }
        sent
    }

    /// Remembers the certificate of a node, replacing any of the same ID. Returns at once; a pin
    /// that cannot be written is tried again with every later group.
    ///
    /// # Errors
    /// [`Full`] if too much waits for the disk.
    pub fn put_pin(&self, pin: Pin) -> Result<(), Full> {
        self.send(Job::Pin { node: pin.node_id, change: Box::new(Change::PutPin(pin)) })
    }

    /// How many pins were not saved since this was last asked, because too many waited for a disk that
    /// refuses writes.
    pub fn take_unsaved_pins(&self) -> u64 {
        self.unsaved_pins.swap(0, Ordering::Relaxed)
    }

    /// Forgets the certificate of a node. As [`Store::put_pin`].
    ///
    /// # Errors
    /// [`Full`] if too much waits for the disk.
    pub fn remove_pin(&self, node: NodeId) -> Result<(), Full> {
        self.send(Job::Pin { node, change: Box::new(Change::RemovePin(node)) })
    }

    /// Makes the directory this node's own, or renews its certificate. Blocks until it is on disk:
    /// a node must not be seen by others under an identity that it can still lose.
    ///
    /// # Errors
    /// [`SaveIdentityError`] names the file and the reason.
    pub fn save_identity(&self, identity: &StoredIdentity) -> Result<(), SaveIdentityError> {
        let mut changes = vec![Change::RememberNode(identity.node_id)];
        match &self.directory {
            Some(directory) => directory.save_identity(identity)?,
            None => changes.push(Change::PutIdentity(identity.clone())),
        }
        Ok(self.commit(changes)?)
    }

    /// Remembers the secrets of the node's private network by their fingerprints, in place of those
    /// that were remembered; none: the network is public. Blocks until it is on disk.
    ///
    /// # Errors
    /// If it may not be found at the next start.
    pub fn remember_network(&self, fingerprints: &[[u8; 8]]) -> Result<(), WriteFailed> {
        self.commit(vec![Change::RememberNetwork(fingerprints.to_vec())])
    }

    /// The same without waiting: what is returned says later how it went.
    ///
    /// # Errors
    /// [`Full`] if too much waits for the disk; nothing was taken.
    pub fn begin_remember_network(&self, fingerprints: &[[u8; 8]]) -> Result<Committing, Full> {
        let (answer, answered) = sync_channel(1);
        let changes = vec![Change::RememberNetwork(fingerprints.to_vec())];
        self.send(Job::Awaited { changes, answer })?;
        Ok(Committing(answered))
    }

    /// Makes the directory that of another network, in one transaction: forgets the contacts, and the
    /// records and kept values unless they are to stay, and remembers the fingerprints of its secrets,
    /// none for a public network. Pins stay. Blocks until it is on disk.
    ///
    /// # Errors
    /// If it may not be found at the next start.
    pub fn move_to_network(
        &self,
        fingerprints: &[[u8; 8]],
        keep_records: bool,
    ) -> Result<(), WriteFailed> {
        let network = Change::RememberNetwork(fingerprints.to_vec());
        self.commit(vec![Change::LeaveNetwork { keep_records }, network])
    }

    /// Has the writer make changes, and waits until they are on disk.
    fn commit(&self, changes: Vec<Change>) -> Result<(), WriteFailed> {
        let (answer, answered) = sync_channel(1);
        let inbox = self.inbox.as_ref().ok_or_else(writer_ended)?;
        inbox.send(Job::Awaited { changes, answer }).map_err(|_| writer_ended())?;
        Committing(answered).wait()
    }

    /// Writes everything that was submitted, closes the database, gives the directory free.
    ///
    /// # Errors
    /// If the last writes or the closing failed. The completions have said which writes.
    pub fn close(mut self) -> Result<(), WriteFailed> {
        self.end()
    }

    fn end(&mut self) -> Result<(), WriteFailed> {
        self.inbox = None;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let result = writer
            .join()
            .unwrap_or_else(|_| Err(WriteFailed::new(Failure::Io, "the writer panicked")));
        self.directory = None;
        result
    }

    fn send(&self, job: Job) -> Result<(), Full> {
        // A writer that has ended takes nothing, as a full one does.
        let inbox = self.inbox.as_ref().ok_or(Full)?;
        inbox.try_send(job).map_err(|_| Full)
    }
}

/// Changes on their way to disk.
#[derive(Debug)]
pub struct Committing(Receiver<Result<(), WriteFailed>>);

impl Committing {
    /// Blocks until they are there.
    ///
    /// # Errors
    /// If they may not be found at the next start.
    pub fn wait(self) -> Result<(), WriteFailed> {
        self.0.recv().map_err(|_| writer_ended())?
    }
}

fn writer_ended() -> WriteFailed {
    WriteFailed::new(Failure::Io, "the writer has ended")
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the data directory was not closed cleanly");
        }
    }
}

fn change(write: Write, age: Age) -> Change {
    match write {
        Write::PutRecord(StoredRecord { key, value, version, class, written, expires, bill }) => {
            let life = u64::try_from(expires.since(written).as_millis()).unwrap_or(u64::MAX);
            let deadline = Age(age.0.saturating_add(life));
            let row = RecordRow { version, deadline, class };
            Change::PutRecord { key: key.to_bytes(), value, row, bill }
        }
        Write::RemoveRecord(key) => Change::RemoveRecord(key.to_bytes()),
        Write::PutKept { row, value } => Change::PutKept { row, value },
        Write::RemoveKept(key) => Change::RemoveKept(key.to_bytes()),
        Write::PutContact(contact) => Change::PutContact(contact),
        Write::PutTenure { node, tenure } => Change::PutTenure { node, seconds: tenure.as_secs() },
        Write::RemoveContact(id) => Change::RemoveContact(id),
    }
}

fn cost(change: &Change) -> usize {
    let value = match change {
        Change::PutRecord { value, .. } | Change::PutKept { value: Some(value), .. } => value.len(),
        _ => 0,
    };
    CHANGE_BYTES + value
}
