//! Connections of which both ends authenticated with this node's key: to itself, or to another process
//! that has a copy of the key.
//!
//! TLS's exporter (RFC 8446, section 7.5) is the same at both ends of a session, and at no other. So
//! each end that meets its own identity brings its exporter here, and waits for the other: of a
//! connection to itself both ends come to this place, of one to another process only one does. That
//! holds behind address translation too, where the addresses of the two ends say nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long one end waits for the other: the server is done a flight after the client.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ends that wait at the same time. The network reaches this with the node's own key alone.
const MAX_WAITING: usize = 16;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct OwnSessions {
    waiting: Mutex<Vec<[u8; 32]>>,
    met: Notify,
}

impl OwnSessions {
    /// Whether the other end of the session with this exporter is in this process too. Waits some
    /// seconds for it. With too many ends waiting, it is taken to be.
    pub(crate) async fn has_both_ends(&self, exporter: [u8; 32]) -> bool {
        {
            let mut waiting = self.lock();
            if let Some(place) = waiting.iter().position(|other| *other == exporter) {
                waiting.swap_remove(place);
                self.met.notify_waiters();
                return true;
            }
            if waiting.len() >= MAX_WAITING {
                return true;
            }
            waiting.push(exporter);
        }
        let end = End { sessions: self, exporter };
        let met = timeout(PATIENCE, end.met()).await;
        met.is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<[u8; 32]>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end that waits; it stops when dropped.
struct End<'a> {
    sessions: &'a OwnSessions,
    exporter: [u8; 32],
}

impl End<'_> {
    async fn met(&self) {
        loop {
            let notified = self.sessions.met.notified();
            if !self.sessions.lock().contains(&self.exporter) {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.sessions.lock().retain(|other| *other != self.exporter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_ends_of_a_session_meet_and_one_alone_does_not() {
        let sessions = OwnSessions::default();
        let [one, other] = [[1; 32], [2; 32]];
        let both = async { tokio::join!(sessions.has_both_ends(one), sessions.has_both_ends(one)) };
        let (both, alone) = tokio::join!(both, sessions.has_both_ends(other));
        assert_eq!((both, alone), ((true, true), false));
        assert!(sessions.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn ends_that_wait_are_bounded_and_accuse_no_process() {
        let sessions = Arc::new(OwnSessions::default());
        let mut ends = JoinSet::new();
        for end in 0..=MAX_WAITING as u8 {
            let sessions = Arc::clone(&sessions);
            ends.spawn(async move { sessions.has_both_ends([end; 32]).await });
        }
        let alone = ends.join_all().await.iter().filter(|both| !**both).count();
        assert_eq!(alone, MAX_WAITING);
    }
}
