//! The outboxes of all connections, by which the driver sends and closes.
//!
//! An outbox is here from the moment at which its connection may be sent something until its task
//! has ended, though the session may have forgotten the connection before.

use std::collections::HashMap;
use std::sync::Arc;

use voiddht_core::peer::ConnectionId;
use voiddht_session::NotSent;
use voiddht_wire::peer::{Dialect, Message};

use crate::outbox::{Outbox, PushError};

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Outboxes(HashMap<ConnectionId, Arc<Outbox>>);

impl Outboxes {
    pub(super) fn insert(&mut self, connection: ConnectionId, outbox: Arc<Outbox>) {
        self.0.insert(connection, outbox);
    }

    /// A connection's task has ended.
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Queues a message. A reply counts as the answer to one request, unless it is not sent.
    pub(super) fn send(
        &self,
        connection: ConnectionId,
        dialect: Dialect,
        message: &Message,
    ) -> Result<(), NotSent> {
        let Some(outbox) = self.0.get(&connection) else { return Err(NotSent::Closed) };
        outbox.push(|buffer| message.encode(dialect, buffer)).map_err(|error| match error {
            PushError::Full => NotSent::Full,
            PushError::Closed => NotSent::Closed,
            PushError::Encode(_) => NotSent::DoesNotFit,
        })?;
        if !message.body.is_request() {
            outbox.end_request();
        }
        Ok(())
    }

    /// Queues an ERROR, for which there is room beyond the bounds.
    pub(super) fn refuse(&self, connection: ConnectionId, dialect: Dialect, error: &Message) {
        let Some(outbox) = self.0.get(&connection) else { return };
        // Where not even this fits, the request stays unanswered: its sender does not read.
        let _ = outbox.push_small(|buffer| error.encode(dialect, buffer));
        outbox.end_request();
    }

    /// A request of the other side needs no answer.
    pub(super) fn end_request(&self, connection: ConnectionId) {
        if let Some(outbox) = self.0.get(&connection) {
            outbox.end_request();
        }
    }

    /// Closes a connection after what is queued has been written.
    pub(super) fn close(&self, connection: ConnectionId) {
        if let Some(outbox) = self.0.get(&connection) {
            outbox.close();
        }
    }

    /// Closes a connection now: in good order only where nothing is queued or unanswered.
    pub(super) fn drop_now(&self, connection: ConnectionId) {
        match self.0.get(&connection) {
            Some(outbox) if outbox.is_idle() => outbox.close(),
            Some(outbox) => outbox.kill(),
            None => {}
        }
    }

    /// Closes a connection that is not used.
    pub(super) fn turn_away(&mut self, connection: ConnectionId) {
        if let Some(outbox) = self.0.remove(&connection) {
            outbox.close();
        }
    }

    /// Ends what a dial has sent: it brings no connection, or is needed no more.
    pub(super) fn kill(&mut self, connection: ConnectionId) {
        if let Some(outbox) = self.0.remove(&connection) {
            outbox.kill();
        }
    }

    /// Closes every connection after what is queued has been written.
    pub(super) fn close_all(&self) {
        self.0.values().for_each(|outbox| outbox.close());
    }

    /// Closes every connection now.
    pub(super) fn kill_all(&self) {
        self.0.values().for_each(|outbox| outbox.kill());
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use bytes::BytesMut;
    use voiddht_wire::peer::{Body, ErrorCode, Header};
    use voiddht_wire::{NodeId, RpcId};

    use super::*;
    use crate::outbox::{Budget, OutboxLimits, Taken};

    const HERE: ConnectionId = ConnectionId(2);

    fn outboxes(bytes: usize) -> (Outboxes, Arc<Outbox>) {
        let limits = OutboxLimits { bytes, guaranteed: 0, unanswered: 1 };
        let outbox = Outbox::new(limits, Budget::new(1000));
        let mut outboxes = Outboxes::default();
        outboxes.insert(HERE, Arc::clone(&outbox));
        (outboxes, outbox)
    }

    fn message(body: Body) -> Message {
        let header =
            Header { sender: NodeId::default(), port: 1, rpc_id: RpcId::from_bytes([1; 32]) };
        Message { header, body }
    }

    fn next(outbox: &Outbox) -> Taken {
        let taken = outbox.take(&Context::from_waker(Waker::noop()), &mut BytesMut::new());
        outbox.written();
        taken
    }

    #[test]
    fn a_reply_lets_the_next_request_be_read_and_so_does_a_refusal() {
        let (outboxes, outbox) = outboxes(1);
        let reply = message(Body::PingReply { observed: None });
        assert!(outbox.begin_request());
        assert_eq!(outboxes.send(HERE, Dialect::V1, &reply), Ok(()));
        assert!(outbox.begin_request());
        assert_eq!(outboxes.send(HERE, Dialect::V1, &reply), Err(NotSent::Full));
        assert!(!outbox.has_room(), "it is still to be answered");
        outboxes.refuse(HERE, Dialect::V1, &message(Body::Error(ErrorCode::Busy)));
        assert!(outbox.has_room());
        assert!(outbox.begin_request());
        outboxes.end_request(HERE);
        assert!(outbox.has_room());
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let (mut outboxes, outbox) = outboxes(1000);
        let ping = message(Body::Ping);
        assert!(outbox.begin_request());
        assert_eq!(outboxes.send(HERE, Dialect::V1, &ping), Ok(()));
        assert!(!outbox.has_room(), "a request answers none");
        outboxes.close(HERE);
        assert_eq!(outboxes.send(HERE, Dialect::V1, &ping), Err(NotSent::Closed));
        outboxes.remove(HERE);
        assert_eq!(outboxes.send(HERE, Dialect::V1, &ping), Err(NotSent::Closed));
    }

    #[test]
    fn what_is_queued_is_dropped_only_with_its_connection() {
        let (mut idle, outbox) = outboxes(1000);
        idle.drop_now(HERE);
        assert_eq!(next(&outbox), Taken::Finished, "in good order");
        assert!(!idle.is_empty(), "until its task has ended");
        let (busy, outbox) = outboxes(1000);
        busy.send(HERE, Dialect::V1, &message(Body::Ping)).unwrap();
        busy.drop_now(HERE);
        assert_eq!(next(&outbox), Taken::Killed);
        let (mut early, outbox) = outboxes(1000);
        early.kill(HERE);
        assert_eq!((next(&outbox), early.is_empty()), (Taken::Killed, true));
        idle.turn_away(HERE);
        assert!(idle.is_empty());
    }
}
