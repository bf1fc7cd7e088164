//! The end of a node: connections are closed after what waits has been written, but not for
//! longer than a bound.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Driver;
use crate::event::Event;

/// How long connections may take to write what waits for them.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

impl Driver {
    /// Closes everything. The listeners, dials and handshakes have ended by the same token that
    /// brought the driver here.
    pub(super) async fn shut_down(mut self) {
        for (connection, dial) in self.dials.drain() {
            dial.cancel();
            self.outboxes.kill(connection);
        }
        self.outboxes.close_all();
        let deadline = Instant::now() + FLUSH_DEADLINE;
        while !self.outboxes.is_empty() {
            match timeout_at(deadline, self.inbox.recv()).await {
                Ok(Some(event)) => self.handle_last(event),
                Ok(None) | Err(_) => break,
            }
        }
        self.outboxes.kill_all();
        // From here on tasks that still send events find the inbox closed, and end.
        drop(self.inbox);
        self.persistence.close().await;
        self.context.subscribers.end();
    }

    fn handle_last(&mut self, event: Event) {
        match event {
            Event::Closed { connection, .. } => self.outboxes.remove(connection),
            Event::Opened { outbox, .. } => outbox.kill(),
            _ => {}
        }
    }
}
