//! What the routes share: the nodes that are looked at, and how much is done concurrently.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::answer::{Refusal, busy, refusal};
use super::history::History;
use super::view::{ViewError, Viewer};
use super::watched::Watched;
use crate::counters::Limit;

/// Concurrent live streams. Each costs a view a second.
const STREAMS: usize = 16;
/// Concurrent questions, each of which is real work for several nodes: GETs that a user wants
/// explained, examinations.
const QUESTIONS: usize = 4;

/// What every route works on: the nodes, their recent past, and the bounds.
#[derive(Clone, Debug)]
pub(super) struct RouterState {
    pub(super) watched: Arc<[Watched]>,
    history: Option<Arc<History>>,
    pub(super) stop: CancellationToken,
    pub(super) streams: Arc<Semaphore>,
    questions: Arc<Semaphore>,
}

impl RouterState {
    pub(super) fn new(
        watched: Arc<[Watched]>,
        history: Option<Arc<History>>,
        stop: CancellationToken,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS));
        let questions = Arc::new(Semaphore::new(QUESTIONS));
        Self { watched, history, stop, streams, questions }
    }

    /// Counts a limit of what is served; of several nodes, with the first.
    pub(super) fn note(&self, limit: Limit) {
        if let Some(first) = self.watched.first() {
            first.handle.limit_reached(limit);
        }
    }

    /// The node of that number, the first without one.
    pub(super) fn watched(&self, node: Option<usize>) -> Result<&Watched, Refusal> {
        let found = self.watched.get(node.unwrap_or(0));
        found.ok_or(ViewError::NoSuchNode).map_err(refusal)
    }

    /// A place for a question that makes the network work.
    pub(super) fn question(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.questions.try_acquire().map_err(|_| {
            self.note(Limit::HttpQuestions);
            busy("Too many questions are being answered already.")
        })
    }

    pub(super) fn viewer(&self, node: Option<usize>) -> Result<Viewer, ViewError> {
        Viewer::new(Arc::clone(&self.watched), self.history.clone(), node)
    }
}
