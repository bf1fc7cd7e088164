//! State shared by all tasks of a node.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voiddht_core::peer::ConnectionId;
use voiddht_identity::Identity;
use voiddht_session::names;
use voiddht_wire::peer::{Body, Dialect, ErrorCode, Message, NodeInfo};

use crate::callers::Callers;
use crate::clock::Clock;
use crate::counters::{Counters, Limit};
use crate::event::Event;
use crate::limits::{Limits, QUEUED_BYTES_GUARANTEED};
use crate::network::Network;
use crate::node_events::Subscribers;
use crate::outbox::{Budget, Outbox, OutboxLimits};
use crate::own_address::OwnAddress;
use crate::own_sessions::OwnSessions;

/// State that all tasks of a node share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) identity: Identity,
    pub(crate) server_config: Arc<ServerConfig>,
    /// The private network that it belongs to; `None` in a public one.
    pub(crate) network: Option<Network>,
    /// This node's ID, and its address when it started.
    pub(crate) own: NodeInfo,
    /// Where it listens, dials from and is reached now.
    pub(crate) own_address: OwnAddress,
    pub(crate) own_sessions: OwnSessions,
    /// The data directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether there is a data directory, or storage of the embedding program.
    pub(crate) is_durable: bool,
    /// Who hears of events.
    pub(crate) subscribers: Subscribers,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) callers: Callers,
    pub(crate) budget: Arc<Budget>,
    pub(crate) inbox: mpsc::Sender<Event>,
    /// Every task of the node, so that its end can be awaited.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the node is asked to stop: local programs are answered what they have asked,
    /// and are not listened to any more.
    pub(crate) finish: CancellationToken,
    /// Cancelled when the node stops: tasks that accept, dial or shake hands end then.
    pub(crate) stop: CancellationToken,
    /// Connections accepted so far, which are named by their number.
    pub(crate) accepted: AtomicU64,
}

impl Context {
    /// Names one more accepted connection.
    pub(crate) fn next_accepted(&self) -> ConnectionId {
        names::accepted(self.accepted.fetch_add(1, Ordering::Relaxed))
    }

    /// An outbox for a connection with a peer. In the legacy dialect one request is answered before
    /// the next is read: what is said there names no request.
    pub(crate) fn peer_outbox(&self, dialect: Dialect) -> Arc<Outbox> {
        let unanswered = match dialect {
            Dialect::Legacy => 1,
            Dialect::V1 => self.limits.requests_per_peer,
        };
        let limits = OutboxLimits {
            bytes: self.limits.queued_bytes_per_connection,
            guaranteed: QUEUED_BYTES_GUARANTEED,
            unanswered,
        };
        Outbox::new(limits, Arc::clone(&self.budget))
    }

    /// Hands an event to the driver, waiting for a place. `false`: the driver has ended.
    ///
    /// The wait is boxed: it is rare, and every connection's task would carry it otherwise.
    pub(crate) async fn tell(&self, event: Event) -> bool {
        match self.inbox.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.counters.limit_reached(Limit::InboxEvents);
                Box::pin(self.inbox.send(event)).await.is_ok()
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// The answer to a request that is not executed.
    pub(crate) fn error(&self, request: &Message, code: ErrorCode) -> Message {
        let header = voiddht_wire::peer::Header {
            sender: self.own.id,
            port: self.own_address.header_port(),
            rpc_id: request.header.rpc_id,
        };
        Message { header, body: Body::Error(code) }
    }
}
