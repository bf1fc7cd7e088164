//! One connection with a peer: the task that reads its messages and writes its outbox.
//!
//! Decodes frames into messages. A message that violates the protocol ends the connection, with one
//! log line that names the peer and the rule. The core interprets the messages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsStream;
use voiddht_core::event::Misbehaviour;
use voiddht_core::peer::ConnectionId;
use voiddht_identity::network::ProvenBy;
use voiddht_session::{Ending, Opened, Proved};
use voiddht_wire::limits::FRAME_HEADER_BYTES;
use voiddht_wire::message_type::may_be_of_later_version;
use voiddht_wire::peer::{Decoded, Dialect, ErrorCode, Message, MessageError};
use voiddht_wire::{MessageType, NodeId};

use crate::context::Context;
use crate::event::Event;
use crate::frame_reader::{Frame, FrameRules};
use crate::handshake::error::HandshakeError;
use crate::handshake::membership::AwaitedProof;
use crate::handshake::{Established, Standing};
use crate::link::{FRAME_DEADLINE, Link, LinkEnd};
use crate::log_limit::{Line, log_limited};

/// How long a connection of the legacy dialect may be silent: it is there for one request, and the
/// frame's own deadline is long enough for that to come, or to be answered.
const LEGACY_PATIENCE: Duration = FRAME_DEADLINE;

/// One connection with a peer, and what its task needs.
pub(crate) struct Connection {
    context: Arc<Context>,
    id: ConnectionId,
    proved: Option<NodeId>,
    remote: SocketAddr,
    /// Boxed: a TLS session is two kilobytes that the task need not move about.
    link: Box<PeerLink>,
}

type PeerLink = Link<TlsStream<TcpStream>, PeerRules>;

/// Why a connection ended.
enum End {
    Link(LinkEnd<MessageError>),
    Broken(Misbehaviour),
    /// Nothing came for as long as a connection of the legacy dialect waits.
    Silent,
    /// The driver is gone.
    Stopped,
}

impl Connection {
    /// Announces a connection to the driver. In a private network, requests are sent at once on one
    /// that was dialled, and it is announced when the peer has proved its membership. `None`: there is
    /// no driver any more, or the dial was given up.
    ///
    /// # Errors
    /// Why the peer's membership is not proved. The connection is closed.
    pub(crate) async fn open(
        context: Arc<Context>,
        id: ConnectionId,
        established: Established,
        dialed: bool,
    ) -> Result<Option<Self>, HandshakeError> {
        let Established { stream, proved: proof, remote, group, standing, .. } = established;
        let dialect = proof.as_ref().map_or(Dialect::Legacy, |proved| proved.dialect());
        let outbox = context.peer_outbox(dialect);
        let mut link = Box::new(Link::new(stream, PeerRules { dialect }, Arc::clone(&outbox)));
        let proven_by = match standing {
            Standing::Public => None,
            Standing::Proven(by) => Some(by),
            Standing::Awaited(proof) => {
                let outbox = Arc::clone(&outbox);
                if !context.tell(Event::MaySend { connection: id, outbox }).await {
                    return Ok(None);
                }
                match await_proof(&mut link, &proof).await? {
                    Some(by) => Some(by),
                    None => return Ok(None),
                }
            }
        };
        let proved = proof.as_ref().map(|proof| Proved {
            id: proof.node_id(),
            fingerprint: proof.certificate().fingerprint(),
        });
        let opened = Opened {
            connection: id,
            proved,
            remote: remote.into(),
            dialed: dialed.then(|| remote.into()),
            dialect,
            group,
            proven_by,
        };
        let proved = proved.map(|proved| proved.id);
        let told = context.tell(Event::Opened { opened: Box::new(opened), outbox, proof }).await;
        Ok(told.then_some(Self { context, id, proved, remote, link }))
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.context.counters.connections.add();
        let end = loop {
            match self.next().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        self.log(&end);
        let ending = ending_of(&end);
        let event = Event::Closed { connection: self.id, ending };
        match end {
            // A STORE is followed by nothing that would tell that it has arrived. Who has seen the
            // other side's end knows at least that it has read to this one.
            End::Link(LinkEnd::Ours) if self.link.rules().dialect == Dialect::Legacy => {
                Box::pin(self.link.close_and_linger()).await;
                self.context.tell(event).await;
            }
            End::Link(LinkEnd::Ours) | End::Broken(_) | End::Silent => {
                self.context.tell(event).await;
                // Boxed, as above: the task would carry the room for it from its beginning.
                Box::pin(self.link.close()).await;
            }
            _ => {
                self.context.tell(event).await;
            }
        }
        self.context.counters.connections.subtract();
    }

    /// Takes one message to the driver.
    async fn next(&mut self) -> Result<(), End> {
        let frame = match self.link.rules().dialect {
            Dialect::V1 => self.link.next().await,
            // Boxed, so that the many that need no deadline do not carry its room.
            Dialect::Legacy => Box::pin(timeout(LEGACY_PATIENCE, self.link.next()))
                .await
                .map_err(|_| End::Silent)?,
        };
        let frame = frame.map_err(End::Link)?;
        let bytes = FRAME_HEADER_BYTES + frame.body.len();
        self.context.counters.bytes_received.add_many(bytes as u64);
        let event = match self.decode(frame)? {
            Decoded::BareError(code) => Event::BareError { connection: self.id, code },
            Decoded::Message(message) if self.admits(&message) => {
                Event::Received { connection: self.id, message }
            }
            Decoded::Message(request) => return self.refuse(&request),
        };
        self.context.counters.messages_received.add();
        if self.context.tell(event).await { Ok(()) } else { Err(End::Stopped) }
    }

    fn decode(&self, frame: Frame) -> Result<Decoded, End> {
        let dialect = self.link.rules().dialect;
        let decoded = Message::decode(dialect, frame.kind, frame.body)
            .map_err(|error| End::Broken(error.into()))?;
        match (&decoded, self.proved) {
            (Decoded::Message(message), Some(proved)) if message.header.sender != proved => {
                Err(End::Broken(Misbehaviour::ForeignSender))
            }
            // Nothing is ever asked of a peer that has not authenticated.
            (Decoded::Message(message), None) if !message.body.is_request() => {
                Err(End::Broken(Misbehaviour::UnawaitedReply))
            }
            (Decoded::BareError(_), None) => Err(End::Broken(Misbehaviour::UnawaitedReply)),
            _ => Ok(decoded),
        }
    }

    /// Whether a message may go to the driver: a reply, or a request within the limit.
    fn admits(&self, message: &Message) -> bool {
        !message.body.is_request() || self.link.outbox().begin_request()
    }

    /// Too many of the peer's requests are unanswered: this one is refused here and now.
    fn refuse(&self, request: &Message) -> Result<(), End> {
        self.context.counters.limit_reached(crate::counters::Limit::RequestsPerPeer);
        let busy = self.context.error(request, ErrorCode::Busy);
        let dialect = self.link.rules().dialect;
        // A peer that does not even read its refusals has its connection closed by the write's
        // own deadline.
        let _ = self.link.outbox().push_small(|buffer| busy.encode(dialect, buffer));
        Ok(())
    }

    fn log(&self, end: &End) {
        let peer = self.proved.map(|peer| peer.short());
        let peer = peer.as_deref().unwrap_or("unauthenticated");
        let address = self.remote;
        let rule = match end {
            End::Broken(rule) => Some(*rule),
            End::Link(LinkEnd::Broken(rule)) => Some((*rule).into()),
            End::Link(LinkEnd::StalledFrame) => Some(Misbehaviour::StalledFrame),
            _ => None,
        };
        let logs = &self.context.counters.logs;
        if let Some(rule) = rule {
            log_limited!(logs, Line::RuleBroken, warn, peer, %address, %rule,
                "a peer broke a rule: connection closed");
            return;
        }
        match end {
            End::Link(LinkEnd::StalledWrite) => {
                log_limited!(logs, Line::Stalled, info, peer, %address,
                    "a peer does not read: connection closed");
            }
            End::Link(LinkEnd::Io(error)) => {
                tracing::debug!(peer, %address, %error, "connection failed");
            }
            End::Link(end) => {
                tracing::debug!(peer, %address, ?end, "connection ended");
            }
            End::Silent => tracing::debug!(peer, %address, "nothing was asked: closed"),
            End::Broken(_) | End::Stopped => {}
        }
    }
}

/// Reads what the dialled peer has to send first, while requests go out. `None`: this node has given
/// the dial up.
async fn await_proof(
    link: &mut PeerLink,
    awaited: &AwaitedProof,
) -> Result<Option<ProvenBy>, HandshakeError> {
    let proof = timeout_at(awaited.deadline, link.preamble()).await;
    match proof.map_err(|_| HandshakeError::LateProof)? {
        Ok(proof) => awaited.verify(&proof).map(Some),
        Err(LinkEnd::Killed | LinkEnd::Ours) => Ok(None),
        Err(end) => Err(HandshakeError::NoProof(io_error(end))),
    }
}

fn io_error(end: LinkEnd<MessageError>) -> io::Error {
    match end {
        LinkEnd::Io(error) => error,
        LinkEnd::StalledWrite => io::ErrorKind::TimedOut.into(),
        _ => io::ErrorKind::UnexpectedEof.into(),
    }
}

fn ending_of(end: &End) -> Ending {
    let (clean, broken) = match end {
        End::Link(LinkEnd::Theirs | LinkEnd::Ours | LinkEnd::Killed)
        | End::Silent
        | End::Stopped => (true, None),
        End::Link(LinkEnd::Broken(rule)) => (false, Some((*rule).into())),
        End::Link(LinkEnd::StalledFrame) => (false, Some(Misbehaviour::StalledFrame)),
        End::Link(LinkEnd::CutOff | LinkEnd::Io(_) | LinkEnd::StalledWrite) => (false, None),
        End::Broken(rule) => (false, Some(*rule)),
    };
    let written = matches!(end, End::Link(LinkEnd::Ours));
    Ending { clean, written, broken }
}

/// What can be said of a peer's frame before its body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerRules {
    /// How the peer speaks.
    pub(crate) dialect: Dialect,
}

impl FrameRules for PeerRules {
    type Broken = MessageError;

    fn has_long_frames(&self) -> bool {
        self.dialect.has_long_frames()
    }

    /// Yes: two nodes that both stopped reading while they write would wait for each other.
    fn reads_while_writing(&self) -> bool {
        true
    }

    fn admit(&self, kind: u16, body_bytes: usize) -> Result<(), MessageError> {
        let Some(of_type) = MessageType::of(kind) else {
            // Passed over once it is read: no longer than the longest that is known.
            let is_later = may_be_of_later_version(self.dialect, kind);
            return if is_later { Ok(()) } else { Err(MessageError::UnknownType(kind)) };
        };
        let most = of_type.most_bytes(self.dialect);
        if body_bytes <= most { Ok(()) } else { Err(MessageError::WrongSize { kind, body_bytes }) }
    }
}
