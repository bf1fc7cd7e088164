//! What happens to a node, for the program that embeds it: a bounded queue for each subscriber.
//!
//! The driver never waits for a subscriber. What finds a queue full is dropped and counted, and the
//! subscriber is told the number before the next event.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc::{self, error::TrySendError};
use voiddht_core::configured::PeerState;
use voiddht_core::event::Notice;
use voiddht_core::peer_clocks::ClockEstimate;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node is part of a network.
    Joined {
        /// Contacts in its routing table.
        contacts: usize,
    },
    /// The last contact is lost; the node looks for the network again by itself.
    Isolated,
    /// None of the configured and remembered peers answered.
    JoinFailed {
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// A configured peer could not be used.
    PeerFailed {
        /// The peer, as it was configured.
        peer: String,
        /// Why, in words.
        reason: String,
    },
    /// A configured peer is in another network: the node joins both, which merges them.
    NetworkSplit {
        /// The peer, as it was configured.
        peer: String,
    },
    /// A node entered the routing table: it has answered at this address.
    ContactJoined(NodeInfo),
    /// A node left the routing table: it no longer responds, said goodbye, or was replaced.
    ContactLeft(NodeInfo),
    /// A peer dialled this node: others can reach it.
    Reachable,
    /// No contact could dial this node back: it acts as a client until one does. Its values are stored
    /// on other nodes.
    Unreachable {
        /// Contacts that were asked to dial back.
        asked: usize,
    },
    /// This machine's clock is wrong by those of its contacts: peers will refuse its values.
    ClockWrong {
        /// How far it is ahead, in milliseconds; negative if behind.
        ahead_ms: i64,
    },
    /// This machine's clock is right again.
    ClockRight,
    /// Another process has this node's identity: peers reach one or the other.
    DuplicateIdentity,
    /// A kept value is republished no longer: it has ended, or another value has won its key.
    KeepEnded {
        /// Its key.
        key: Key,
    },
    /// A newer signed value of the same name is kept in place of the one that was.
    KeepAdopted {
        /// Its key.
        key: Key,
    },
    /// A peer broke the protocol's rules often enough to be banned.
    Banned {
        /// The peer.
        peer: NodeId,
        /// For how long.
        lasts: Duration,
    },
    /// Events were dropped here, because the subscriber did not take them.
    Missed {
        /// How many.
        events: u64,
    },
}

impl NodeEvent {
    /// `None` for what is counted only: requests, lookups and limits.
    fn of(notice: &Notice) -> Option<Self> {
        Some(match notice {
            Notice::Joined { contacts } => Self::Joined { contacts: *contacts },
            Notice::Isolated => Self::Isolated,
            Notice::JoinFailed { retry_in } => Self::JoinFailed { retry_in: *retry_in },
            Notice::PeerChanged { peer, state: PeerState::Failed(reason) } => {
                Self::PeerFailed { peer: peer.to_string(), reason: reason.to_string() }
            }
            Notice::PeerChanged { peer, state: PeerState::Split { .. } } => {
                Self::NetworkSplit { peer: peer.to_string() }
            }
            Notice::ContactAdded(contact) => Self::ContactJoined(*contact),
            Notice::ContactRemoved(contact) => Self::ContactLeft(*contact),
            Notice::Reachable => Self::Reachable,
            Notice::Unreachable { asked } => Self::Unreachable { asked: *asked },
            Notice::ClockWrong(ClockEstimate { ahead_ms, .. }) => {
                Self::ClockWrong { ahead_ms: *ahead_ms }
            }
            Notice::ClockRight => Self::ClockRight,
            Notice::DuplicateIdentity { .. } => Self::DuplicateIdentity,
            Notice::KeepEnded { key, .. } => Self::KeepEnded { key: *key },
            Notice::KeepAdopted { key } => Self::KeepAdopted { key: *key },
            Notice::Banned { peer, lasts } => Self::Banned { peer: *peer, lasts: *lasts },
            Notice::PeerChanged { .. }
            | Notice::RequestEnded { .. }
            | Notice::LookupEnded { .. }
            | Notice::KeepPublished { .. }
            | Notice::LimitReached { .. }
            | Notice::AccountLimited { .. }
            | Notice::StoreRefused { .. }
            | Notice::StoreRejected { .. }
            | Notice::Misbehaviour { .. } => return None,
        })
    }
}

/// Events of a node from the subscription on: a [`Stream`], or one by one through [`Self::next`]. Ends
/// after the node has stopped.
#[derive(Debug)]
pub struct NodeEvents(mpsc::Receiver<NodeEvent>);

impl NodeEvents {
    /// Events that wait for a subscriber; what comes when that many do is dropped, and
    /// [`NodeEvent::Missed`] says how many were. Some 20 KiB, allocated as they are needed.
    pub const CAPACITY: usize = 256;

    /// The next event; `None` after the node has stopped. Cancel-safe: dropping the future loses no
    /// event.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        self.0.recv().await
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<NodeEvent> {
        self.0.try_recv().ok()
    }
}

impl Stream for NodeEvents {
    type Item = NodeEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        self.0.poll_recv(cx)
    }
}

/// The subscribers of a node.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Option<Vec<Subscriber>>>);

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<NodeEvent>,
    missed: u64,
}

impl Subscribers {
    /// For a node that is about to run.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Events from now on; none where the node has stopped.
    pub(crate) fn subscribe(&self) -> NodeEvents {
        let (queue, events) = mpsc::channel(NodeEvents::CAPACITY);
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subscribers) = subscribers.as_mut() {
            // Those whose streams were dropped leave, so that there are no more than streams.
            subscribers.retain(|one| !one.queue.is_closed());
            subscribers.push(Subscriber { queue, missed: 0 });
        }
        NodeEvents(events)
    }

    /// Tells all subscribers, and waits for none.
    pub(crate) fn notice(&self, notice: &Notice) {
        let Some(event) = NodeEvent::of(notice) else { return };
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = subscribers.as_mut() else { return };
        subscribers.retain_mut(|subscriber| subscriber.push(&event));
    }

    /// The node has stopped: the streams end.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Subscriber {
    /// `false`: it has gone.
    fn push(&mut self, event: &NodeEvent) -> bool {
        if self.missed > 0 {
            match self.queue.try_send(NodeEvent::Missed { events: self.missed }) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => self.missed += 1,
                Err(TrySendError::Closed(_)) => return false,
            }
            if self.missed > 0 {
                return true;
            }
        }
        match self.queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_latest_and_says_how_many() {
        let subscribers = Subscribers::new();
        let mut events = subscribers.subscribe();
        for _ in 0..NodeEvents::CAPACITY + 3 {
            subscribers.notice(&Notice::Reachable);
        }
        for _ in 0..NodeEvents::CAPACITY {
            assert_eq!(events.try_next(), Some(NodeEvent::Reachable));
        }
        assert_eq!(events.try_next(), None);
        subscribers.notice(&Notice::Isolated);
        assert_eq!(events.try_next(), Some(NodeEvent::Missed { events: 3 }));
        assert_eq!(events.try_next(), Some(NodeEvent::Isolated));
    }

    #[tokio::test]
    async fn streams_end_with_the_node_after_what_was_queued() {
        let subscribers = Subscribers::new();
        let mut events = subscribers.subscribe();
        subscribers.notice(&Notice::ClockRight);
        subscribers.end();
        assert_eq!(events.next().await, Some(NodeEvent::ClockRight));
        assert_eq!(events.next().await, None);
        assert_eq!(subscribers.subscribe().next().await, None);
    }

    #[test]
    fn subscribers_that_have_gone_are_forgotten() {
        let subscribers = Subscribers::new();
        drop(subscribers.subscribe());
        subscribers.notice(&Notice::Isolated);
        assert_eq!(subscribers.0.lock().unwrap().as_ref().map(Vec::len), Some(0));
    }
}
