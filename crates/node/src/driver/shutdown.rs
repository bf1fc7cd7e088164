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
        self.pool.close_all(false);
        let deadline = Instant::now() + FLUSH_DEADLINE;
        while self.pool.has_connections() {
            match timeout_at(deadline, self.inbox.recv()).await {
                Ok(Some(event)) => self.handle_last(event),
                Ok(None) | Err(_) => break,
            }
        }
        self.pool.close_all(true);
        // From here on tasks that still send events find the inbox closed, and end.
        drop(self.inbox);
        self.persistence.close().await;
        self.context.subscribers.end();
    }

    fn handle_last(&mut self, event: Event) {
        match event {
            Event::Closed { connection, ending } => {
                self.pool.closed(self.clock.now().mono, connection, ending);
            }
            Event::Opened { opened, .. } => opened.outbox.kill(),
            _ => {}
        }
    }
}
