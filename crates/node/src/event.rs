//! Events of the driver, received through its one bounded inbox.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use voiddht_core::configured::{PeerName, ResolveError};
use voiddht_core::event::{Command, Outcome, Undelivered};
use voiddht_core::kept::KeptView;
use voiddht_core::peer::ConnectionId;
use voiddht_identity::ProvedPeer;
use voiddht_identity::network::Membership;
use voiddht_session::{Ending, Opened, ProbeEnd};
use voiddht_wire::peer::{ErrorCode, Message, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use crate::api::answer::{ApiAnswer, ApiRequest};
use crate::network::{NetworkReloadError, Remembering};
use crate::observation::Observation;
use crate::outbox::Outbox;
use crate::pins::PinView;
use crate::snapshot::SnapshotRequest;
use crate::status::CoreStatus;

/// One thing that happened outside the driver.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message came from a peer.
    Received {
        /// On which connection.
        connection: ConnectionId,
        /// What it says.
        message: Message,
    },
    /// A legacy ERROR came, which names no request.
    BareError {
        /// On which connection.
        connection: ConnectionId,
        /// What it says.
        code: ErrorCode,
    },
    /// TLS has authenticated a dialled peer, which has yet to prove its membership of the private
    /// network: requests may be sent.
    MaySend {
        /// The connection to be.
        connection: ConnectionId,
        /// What is written to it.
        outbox: Arc<Outbox>,
    },
    /// A handshake ended well. Boxed: it is large and rare.
    Opened {
        /// What the session wants to know.
        opened: Box<Opened>,
        /// What is written to it.
        outbox: Arc<Outbox>,
        /// The peer; `None` for a client that showed no certificate.
        proof: Option<ProvedPeer>,
    },
    /// A dial brought no connection.
    DialFailed {
        /// The name that the connection would have had.
        connection: ConnectionId,
        /// Why.
        why: Undelivered,
    },
    /// A connection ended.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// How.
        ending: Ending,
    },
    /// A probe ended.
    Probed {
        /// The probed node, and its address.
        contact: NodeInfo,
        /// What was found.
        found: ProbeEnd,
    },
    /// The name service has answered, or has not.
    Resolved {
        /// The name.
        name: PeerName,
        /// Its addresses.
        found: Result<Vec<PeerAddress>, ResolveError>,
    },
    /// A client connected to the listening port, from there.
    Called(IpAddr),
    /// The node is reached at another address from now on, or connections from its address are lost.
    AddressChanged(PeerAddress),
    /// A command.
    Command {
        /// What.
        command: Command,
        /// The receiver of the answer.
        answer: AnswerTo,
    },
    /// A GET with all its steps in the report.
    Explain {
        /// Of which key.
        key: Key,
        /// The receiver of the answer.
        answer: oneshot::Sender<Outcome>,
    },
    /// A request for a snapshot of the node.
    Observe {
        /// At what.
        request: SnapshotRequest,
        /// The receiver of the answer.
        asking: oneshot::Sender<Box<Observation>>,
    },
    /// Lists the pinned certificates.
    ListPins(oneshot::Sender<Vec<PinView>>),
    /// Lists the values that the node keeps.
    ListKept(oneshot::Sender<Vec<KeptView>>),
    /// Forgets a pin; the answer is whether there was one.
    ForgetPin {
        /// The pinned ID.
        id: NodeId,
        /// The receiver of the answer.
        asking: oneshot::Sender<bool>,
    },
    /// Another process with this node's key has connected from this address.
    Duplicate(PeerAddress),
    /// Asks whether a program put a value under this key here, and its TTL has not ended.
    HasPublished {
        /// Under which key.
        key: Key,
        /// Who gets the answer.
        asking: oneshot::Sender<bool>,
    },
    /// The secrets of the private network were read again.
    ReloadNetwork {
        /// What new connections begin with.
        membership: Arc<Membership>,
        /// Who gets the answer.
        asking: oneshot::Sender<Result<Remembering, NetworkReloadError>>,
    },
    /// Asks for the status of the core.
    Status(oneshot::Sender<CoreStatus>),
}

/// The receiver of the answer to a command.
#[derive(Debug)]
pub(crate) enum AnswerTo {
    /// A handle of this process.
    Handle(oneshot::Sender<Outcome>),
    /// A local program.
    Api(ApiAnswer),
    /// No requester waits.
    Nobody,
}

impl From<ApiRequest> for Event {
    fn from(ApiRequest { command, answer }: ApiRequest) -> Self {
        Self::Command { command, answer: AnswerTo::Api(answer) }
    }
}
