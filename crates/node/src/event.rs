//! Everything that reaches the driver, through its one bounded inbox.

use std::net::IpAddr;

use tokio::sync::oneshot;
use voiddht_core::configured::{PeerName, ResolveError};
use voiddht_core::event::{Command, Misbehaviour, Outcome, Undelivered};
use voiddht_core::kept::KeptView;
use voiddht_core::peer::ConnectionId;
use voiddht_identity::{Certificate, ProvedPeer};
use voiddht_wire::peer::{ErrorCode, Message, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use crate::api::ApiAnswer;
use crate::driver::observe::Observation;
use crate::pins::PinView;
use crate::pool::Opened;
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
    /// A handshake ended well. Boxed: it is large and rare.
    Opened {
        /// What the pool wants to know.
        opened: Box<Opened>,
        /// Who is there; `None` for a client that showed no certificate.
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
        /// Who was probed, and where.
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
    /// Somebody came to the listening port, from there.
    Called(IpAddr),
    /// The node is reached at another address from now on, or connections from its address are lost.
    AddressChanged(PeerAddress),
    /// Somebody wants something.
    Command {
        /// What.
        command: Command,
        /// Who gets the answer.
        answer: AnswerTo,
    },
    /// Somebody wants a GET with all its steps.
    Explain {
        /// Of which key.
        key: Key,
        /// Who gets the answer.
        answer: oneshot::Sender<Outcome>,
    },
    /// Somebody wants to look at the node.
    Observe {
        /// At what.
        request: SnapshotRequest,
        /// Who gets the answer.
        asking: oneshot::Sender<Box<Observation>>,
    },
    /// Somebody wants to know whose certificates are pinned.
    ListPins(oneshot::Sender<Vec<PinView>>),
    /// The caller wants to know which values are kept.
    ListKept(oneshot::Sender<Vec<KeptView>>),
    /// Somebody wants a pin forgotten; the answer is whether there was one.
    ForgetPin {
        /// Whose.
        id: NodeId,
        /// Who gets the answer.
        asking: oneshot::Sender<bool>,
    },
    /// Somebody wants to know how the core is.
    Status(oneshot::Sender<CoreStatus>),
}

/// How a probe ended.
#[derive(Debug)]
pub(crate) enum ProbeEnd {
    /// This certificate is pushed there, and it is the proved one.
    Listens(Certificate),
    /// Nobody, or somebody else, listens there.
    ListensNot,
    /// This node had no room to find out.
    NotTried,
}

/// How a connection ended, as far as the core wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Whether it was closed in good order, by either side.
    pub(crate) clean: bool,
    /// Whether this node closed it, after all that waited had been written.
    pub(crate) written: bool,
    /// The rule that the peer broke, if that was the reason.
    pub(crate) broken: Option<Misbehaviour>,
}

/// Who gets the answer to a command.
#[derive(Debug)]
pub(crate) enum AnswerTo {
    /// A handle of this process.
    Handle(oneshot::Sender<Outcome>),
    /// A local program.
    Api(ApiAnswer),
    /// Nobody waits.
    Nobody,
}
