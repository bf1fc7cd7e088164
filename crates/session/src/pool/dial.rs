//! A dial in progress, and the requests that go out with it.
//!
//! Requests wait for the connection. In a private network they may be sent once TLS has authenticated
//! the peer, before the peer has proved its membership: its certificate was sealed by a member, and to
//! wait for the proof would cost each first request a round trip. Whatever the peer answers is read only
//! after its proof.

use voiddht_core::event::Destination;
use voiddht_wire::RpcId;
use voiddht_wire::peer::Message;

#[derive(Debug)]
pub(super) struct Dial {
    pub(super) to: Destination,
    /// What goes out when there is a connection.
    pub(super) waiting: Vec<Message>,
    /// What was sent before the connection was opened; set once requests may be sent.
    early: Option<Vec<RpcId>>,
}

/// What a dial does with one more request.
#[derive(Debug)]
pub(super) enum Taken {
    /// It waits for the connection.
    Waits,
    /// It is to be sent now.
    Goes(Message),
    /// Too many have been sent, or wait.
    TooMany,
}

impl Dial {
    pub(super) fn new(to: Destination, message: Message) -> Self {
        Self { to, waiting: vec![message], early: None }
    }

    /// A dial whose connection is to take the place of another one.
    pub(super) fn renewal(to: Destination) -> Self {
        Self { to, waiting: Vec::new(), early: None }
    }

    /// Takes a request along, unless there are `most` already.
    pub(super) fn request(&mut self, message: Message, most: usize) -> Taken {
        let sent = self.early.as_ref().map_or(0, Vec::len);
        if self.waiting.len() + sent >= most {
            return Taken::TooMany;
        }
        match &mut self.early {
            None => {
                self.waiting.push(message);
                Taken::Waits
            }
            Some(sent) => {
                sent.push(message.header.rpc_id);
                Taken::Goes(message)
            }
        }
    }

    pub(super) fn has_sent(&self) -> bool {
        self.early.as_ref().is_some_and(|sent| !sent.is_empty())
    }

    /// Notes that a request was not sent after all. Whether it was counted as sent.
    pub(super) fn take_back(&mut self, rpc_id: &RpcId) -> bool {
        let Some(sent) = &mut self.early else { return false };
        let index = sent.iter().position(|one| one == rpc_id);
        index.map(|index| sent.swap_remove(index)).is_some()
    }

    /// What is still to be sent, and what was.
    pub(super) fn into_requests(self) -> (Vec<Message>, Vec<RpcId>) {
        (self.waiting, self.early.unwrap_or_default())
    }

    /// Requests may be sent: those that waited, which are to go out now.
    pub(super) fn may_send(&mut self) -> Vec<Message> {
        let waiting = std::mem::take(&mut self.waiting);
        self.early = Some(waiting.iter().map(|message| message.header.rpc_id).collect());
        waiting
    }

    /// Ends it; the answer is which requests have failed.
    pub(super) fn give_up(self) -> impl Iterator<Item = RpcId> {
        let (waiting, sent) = self.into_requests();
        waiting.into_iter().map(|message| message.header.rpc_id).chain(sent)
    }
}
