//! Writes of the core to the store's thread, and their completions back to the driver. Without a
//! data directory nothing is written, and every write counts as done at once.

#[cfg(feature = "redb")]
use std::path::Path;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use voiddht_core::event::{Ticket, Write};
use voiddht_store::{
    Completion, INBOX_JOBS, Loaded, OnCompletion, Storage, StorageOpenError, Store,
};
#[cfg(feature = "redb")]
use voiddht_store::{DataDir, OpenError};

/// Groups of writes whose end the driver has not heard of: what the store's inbox takes, and the
/// one group that its thread has in hand. Beyond it, writes fail as on a full disk.
const UNFINISHED: usize = 2 * INBOX_JOBS;

/// The node's access to its data directory or storage, if it has one.
#[derive(Debug)]
pub(crate) enum Persistence {
    /// Nothing is kept.
    Nowhere,
    /// A data directory, or storage of the embedding program.
    Directory(Directory),
}

/// An open data directory or storage.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Store,
    completions: mpsc::Receiver<Completion>,
    unfinished: usize,
    /// Whether the last write failed: said once, and once when it is over.
    failing: bool,
}

/// The end of a group of writes, as the core wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Persisted {
    pub(crate) ticket: Ticket,
    pub(crate) durable: bool,
}

impl Persistence {
    /// Opens a data directory, and reads all of it. Blocks.
    #[cfg(feature = "redb")]
    pub(crate) fn open(path: &Path) -> Result<(Self, Loaded), OpenError> {
        let (tell, completions) = completions();
        let (store, loaded) = DataDir::open(path, tell)?;
        Ok((Self::new(store, completions), loaded))
    }

    /// Opens storage of the embedding program, and reads all of it. Blocks.
    pub(crate) fn open_storage(
        storage: Box<dyn Storage>,
    ) -> Result<(Self, Loaded), StorageOpenError> {
        let (tell, completions) = completions();
        let (store, loaded) = Store::on(storage, tell)?;
        Ok((Self::new(store, completions), loaded))
    }

    fn new(store: Store, completions: mpsc::Receiver<Completion>) -> Self {
        Self::Directory(Directory { store, completions, unfinished: 0, failing: false })
    }

    /// The store, where there is one.
    pub(crate) fn store(&self) -> Option<&Store> {
        match self {
            Self::Nowhere => None,
            Self::Directory(directory) => Some(&directory.store),
        }
    }

    /// Brings writes to disk. The answer is how it went, if that is known at once.
    pub(crate) fn submit(&mut self, ticket: Ticket, writes: Vec<Write>) -> Option<bool> {
        let Self::Directory(directory) = self else { return Some(true) };
        if directory.unfinished >= UNFINISHED || directory.store.submit(ticket, writes).is_err() {
            return Some(false);
        }
        directory.unfinished += 1;
        None
    }

    /// The next group whose end is known.
    pub(crate) fn poll_completed(&mut self, cx: &mut Context<'_>) -> Poll<Persisted> {
        let Self::Directory(directory) = self else { return Poll::Pending };
        match ready!(directory.completions.poll_recv(cx)) {
            Some(completion) => Poll::Ready(directory.note(completion)),
            // The store's thread has ended, and said why in the log: its `submit` refuses now.
            None => Poll::Pending,
        }
    }

    /// The same, if it is known already.
    pub(crate) fn try_completed(&mut self) -> Option<Persisted> {
        let Self::Directory(directory) = self else { return None };
        let completion = directory.completions.try_recv().ok()?;
        Some(directory.note(completion))
    }

    /// Writes what was submitted, and closes the database.
    pub(crate) async fn close(self) {
        let Self::Directory(directory) = self else { return };
        let closed = tokio::task::spawn_blocking(|| directory.store.close()).await;
        if let Ok(Err(error)) = closed {
            tracing::error!(%error, "the data directory was not closed cleanly");
        }
    }
}

/// What the store's thread calls, and where it is heard.
fn completions() -> (OnCompletion, mpsc::Receiver<Completion>) {
    let (sender, completions) = mpsc::channel(UNFINISHED);
    // There is room: no more than that are unfinished. It must not block.
    (Box::new(move |completion| drop(sender.try_send(completion))), completions)
}

impl Directory {
    fn note(&mut self, completion: Completion) -> Persisted {
        let Completion { ticket, result } = completion;
        self.unfinished -= 1;
        match &result {
            Err(error) if !self.failing => tracing::error!(
                %error,
                "values are served, new ones are refused until the disk accepts writes"
            ),
            Ok(()) if self.failing => {
                tracing::warn!("the data directory can be written again: new values are accepted");
            }
            _ => {}
        }
        self.failing = result.is_err();
        Persisted { ticket, durable: result.is_ok() }
    }
}
