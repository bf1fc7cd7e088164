//! A dial in progress, and the requests that go out with it.
//!
//! Requests wait for the connection. In a private network they may be sent once TLS has authenticated
//! the peer, before the peer has proved its membership: its certificate was sealed by a member, and to
//! wait for the proof would cost each first request a round trip. Whatever the peer answers is read only
//! after its proof.

use std::sync::Arc;

use voiddht_core::event::{Destination, Input, Undelivered};
use voiddht_core::peer::ConnectionId;
use voiddht_wire::RpcId;
use voiddht_wire::peer::{Dialect, Message};

use super::{Effect, Pool};
use crate::counters::Limit;
use crate::outbox::{Outbox, PushError};

#[derive(Debug)]
pub(super) struct Dial {
    pub(super) to: Destination,
    /// What goes out when there is a connection.
    pub(super) waiting: Vec<Message>,
    /// Set once requests may be sent.
    early: Option<Early>,
}

/// A connection that is not opened yet.
#[derive(Debug)]
struct Early {
    outbox: Arc<Outbox>,
    sent: Vec<RpcId>,
}

/// Why a request was not taken along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Limit(Limit),
    Closed,
    DoesNotFit,
}

impl Dial {
    pub(super) fn new(to: Destination, message: Message) -> Self {
        Self { to, waiting: vec![message], early: None }
    }

    /// A dial whose connection is to take the place of another one.
    pub(super) fn renewal(to: Destination) -> Self {
        Self { to, waiting: Vec::new(), early: None }
    }

    /// Takes a request along, or sends it if that is possible already.
    pub(super) fn request(&mut self, message: Message, most: usize) -> Result<(), NotTaken> {
        let sent = self.early.as_ref().map_or(0, |early| early.sent.len());
        if self.waiting.len() + sent >= most {
            return Err(NotTaken::Limit(Limit::RequestsPerPeer));
        }
        match &mut self.early {
            None => {
                self.waiting.push(message);
                Ok(())
            }
            Some(early) => early.send(&message),
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.early.as_ref().is_some_and(|early| !early.sent.is_empty())
    }

    /// What is still to be sent, and what was.
    pub(super) fn into_requests(self) -> (Vec<Message>, Vec<RpcId>) {
        (self.waiting, self.early.map(|early| early.sent).unwrap_or_default())
    }

    /// Ends it; the answer is which requests have failed.
    pub(super) fn give_up(self) -> impl Iterator<Item = RpcId> {
        if let Some(early) = &self.early {
            early.outbox.kill();
        }
        let (waiting, sent) = self.into_requests();
        waiting.into_iter().map(|message| message.header.rpc_id).chain(sent)
    }
}

impl Early {
    fn send(&mut self, message: &Message) -> Result<(), NotTaken> {
        match self.outbox.push(|buffer| message.encode(Dialect::V1, buffer)) {
            Ok(()) => {
                self.sent.push(message.header.rpc_id);
                Ok(())
            }
            Err(PushError::Full) => Err(NotTaken::Limit(Limit::QueuedBytes)),
            Err(PushError::Closed) => Err(NotTaken::Closed),
            Err(PushError::Encode(_)) => Err(NotTaken::DoesNotFit),
        }
    }
}

impl Pool {
    /// TLS has authenticated the peer of a dial: what waits goes out, though the connection is not
    /// opened before the peer has proved its membership.
    pub(crate) fn may_send(&mut self, connection: ConnectionId, outbox: Arc<Outbox>) {
        let Some(dial) = self.dials.get_mut(&connection) else { return outbox.kill() };
        let early = dial.early.insert(Early { outbox, sent: Vec::new() });
        let mut refused = Vec::new();
        for message in std::mem::take(&mut dial.waiting) {
            if let Err(why) = early.send(&message) {
                refused.push((message.header.rpc_id, why));
            }
        }
        for (rpc_id, why) in refused {
            let why = self.dial_refused(why);
            self.effects.push_back(Effect::Input(Input::Undelivered { rpc_id, why }));
        }
    }

    /// What the core is told of a request that a dial did not take along.
    pub(super) fn dial_refused(&self, why: NotTaken) -> Undelivered {
        match why {
            NotTaken::Limit(limit) => {
                self.counters.limit_reached(limit);
                Undelivered::LocalLimit
            }
            NotTaken::Closed => Undelivered::ConnectionLost,
            NotTaken::DoesNotFit => Undelivered::DoesNotFit,
        }
    }
}
