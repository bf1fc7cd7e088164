//! Sending on a connection, and what becomes of what was not sent.

use voiddht_core::event::{Input, Undelivered};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_wire::peer::{Body, Dialect, ErrorCode, Message};
use voiddht_wire::{NodeId, RpcId};

use super::Pool;
use crate::event::{Limit, NotSent, Output};

impl Pool {
    /// TLS has authenticated the peer of a dial: what waits goes out, though the connection is not
    /// opened before the peer has proved its membership.
    pub(crate) fn may_send(&mut self, connection: ConnectionId) {
        let Some(dial) = self.dials.get_mut(&connection) else {
            return self.effects.output(Output::CancelDial { connection });
        };
        let dialect = Dialect::V1;
        for message in dial.may_send() {
            self.effects.output(Output::Send { connection, dialect, message });
        }
    }

    /// Sends a reply on the connection of its request; if that is closing or gone, drops it.
    pub(crate) fn reply(&mut self, connection: ConnectionId, message: Message) {
        let entry = self.connections.get_mut(&connection).filter(|entry| !entry.closing);
        let Some(entry) = entry else { return };
        entry.unanswered = entry.unanswered.saturating_sub(1);
        if std::mem::take(&mut entry.mute) {
            return self.effects.output(Output::NoAnswer { connection });
        }
        let dialect = entry.dialect;
        self.effects.output(Output::Send { connection, dialect, message });
    }

    /// Sends what waited for a dial.
    pub(super) fn send_waiting(&mut self, now: Moment, peer: NodeId, message: Message) {
        let rpc_id = message.header.rpc_id;
        let current = self.peers.get(&peer).map(|peer| peer.current);
        let sent = match current {
            Some(connection) => self.send_request(now, connection, message),
            None => Err(Undelivered::ConnectionLost),
        };
        if let Err(why) = sent {
            self.effects.input(Input::Undelivered { rpc_id, why });
        }
    }

    pub(super) fn send_request(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        message: Message,
    ) -> Result<(), Undelivered> {
        let Some(entry) = self.connections.get_mut(&connection) else {
            return Err(Undelivered::ConnectionLost);
        };
        if !entry.awaited.has_room(now, self.limits.requests_per_peer) {
            self.limit_reached(Limit::RequestsPerPeer);
            return Err(Undelivered::LocalLimit);
        }
        entry.awaited.insert(now, message.header.rpc_id);
        entry.last_used = now;
        let dialect = entry.dialect;
        self.effects.output(Output::Send { connection, dialect, message });
        Ok(())
    }

    /// Reports that an [`Output::Send`] was not executed.
    pub(crate) fn not_sent(&mut self, connection: ConnectionId, message: &Message, why: NotSent) {
        if why == NotSent::Full {
            self.limit_reached(Limit::QueuedBytes);
        }
        if message.body.is_request() {
            self.request_not_sent(connection, message.header.rpc_id, why);
        } else {
            self.reply_not_sent(connection, message, why);
        }
    }

    fn request_not_sent(&mut self, connection: ConnectionId, rpc_id: RpcId, why: NotSent) {
        // If it is awaited no more, the core has been told already.
        if let Some(entry) = self.connections.get_mut(&connection) {
            if !entry.awaited.remove(&rpc_id) {
                return;
            }
            if entry.is_legacy() && entry.awaited.is_empty() {
                self.close(connection);
            }
        } else if !self.dials.get_mut(&connection).is_some_and(|dial| dial.take_back(&rpc_id)) {
            return;
        }
        let why = match why {
            NotSent::Full => Undelivered::LocalLimit,
            NotSent::Closed => Undelivered::ConnectionLost,
            NotSent::DoesNotFit => Undelivered::DoesNotFit,
        };
        self.effects.input(Input::Undelivered { rpc_id, why });
    }

    /// Answers a request by an error instead of the reply that could not be sent.
    fn reply_not_sent(&mut self, connection: ConnectionId, reply: &Message, why: NotSent) {
        let code = match why {
            NotSent::Full => ErrorCode::Busy,
            NotSent::DoesNotFit => ErrorCode::NotAcceptable,
            NotSent::Closed => return,
        };
        let Some(entry) = self.connections.get(&connection).filter(|entry| !entry.closing) else {
            return;
        };
        let error = Message { header: reply.header, body: Body::Error(code) };
        self.effects.output(Output::Refuse { connection, dialect: entry.dialect, error });
    }
}
