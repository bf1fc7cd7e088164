//! From a TCP connection to an authenticated peer, in both directions (PROTOCOL, section 2).
//!
//! The server pushes its certificate, then both sides speak TLS 1.3; in a private network the
//! certificate is sealed, and both sides prove their `membership` inside TLS. `voiddht_identity` checks
//! the certificate and the result of the handshake; this module has the sockets, the order of the
//! phases, and their deadlines. Each deadline is absolute: partial data does not extend it.

mod deadlines;
pub(crate) mod error;
pub(crate) mod membership;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{Connect, LazyConfigAcceptor, TlsConnector, TlsStream};
use voiddht_core::config::PEER_KEEPALIVE;
use voiddht_core::event::Destination;
use voiddht_identity::certificate::pushed_length;
use voiddht_identity::network::{Fingerprint, ProvenBy, exporter};
use voiddht_identity::{
    AcceptedPeer, AwaitedPush, Certificate, KeyExchangeGroup, Policy, ProvedPeer, Refusal,
    accepted_peer, dialed_peer, early_client_config,
};

pub use self::deadlines::{ACCEPT_DEADLINE, CERTIFICATE_DEADLINE, TLS_DEADLINE};
use self::error::HandshakeError;
use self::membership::{AwaitedProof, OpenedPush, Rules};
use crate::clock::wall_seconds;
use crate::context::Context;
use crate::sockets;

/// A handshake that went well.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: TlsStream<TcpStream>,
    /// The other end; `None` for a client that showed no certificate.
    pub(crate) proved: Option<ProvedPeer>,
    pub(crate) remote: SocketAddr,
    /// How the keys of the connection were agreed on.
    pub(crate) group: Option<KeyExchangeGroup>,
    /// What is known of the peer's membership.
    pub(crate) standing: Standing,
    /// The secret that the peer's push was sealed with, where this node dialled it in a private
    /// network.
    pub(crate) sealed_with: Option<Fingerprint>,
}

impl Established {
    /// Refuses a peer with this node's own key: this very node, or another process. Under trust on
    /// first use an ID says nothing of the key, and the peer is taken for this node.
    pub(crate) async fn not_oneself(self, context: &Context) -> Result<Self, HandshakeError> {
        let own = context.own.id;
        if self.proved.as_ref().is_none_or(|peer| peer.node_id() != own) {
            return Ok(self);
        }
        let exporter = match &self.stream {
            TlsStream::Client(stream) => exporter(stream.get_ref().1),
            TlsStream::Server(stream) => exporter(stream.get_ref().1),
        };
        match exporter {
            Ok(exporter) if context.identity.policy() == Policy::SelfCertifying => {
                // Both ends wait for each other.
                let is_own = Box::pin(context.own_sessions.has_both_ends(exporter)).await;
                Err(if is_own {
                    HandshakeError::OwnNode
                } else {
                    HandshakeError::DuplicateIdentity
                })
            }
            _ => Err(HandshakeError::OwnNode),
        }
    }
}

/// How far the proof of membership has come.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The network is public: there is none.
    Public,
    /// This node has proved its own, and the peer's proof is awaited. Requests may be sent; nothing
    /// that comes may be used.
    Awaited(AwaitedProof),
    /// Both sides have.
    Proven(ProvenBy),
}

/// What a dial has found out by the time at which it failed.
#[derive(Debug)]
pub(crate) struct DialFailure {
    pub(crate) error: HandshakeError,
    /// The secret that the peer's push was sealed with, if it was opened.
    pub(crate) sealed_with: Option<Fingerprint>,
}

/// Connects, and authenticates the peer. In a private network the result still awaits
/// the peer's proof of membership.
pub(crate) async fn dial(context: &Context, to: &Destination) -> Result<Established, DialFailure> {
    let early = |error| DialFailure { error, sealed_with: None };
    let rules = Rules::of(context);
    let address = to.address.socket_addr();
    let (tls, awaited, pushed) = timeout(CERTIFICATE_DEADLINE, async {
        let tcp = connect(context.own_address.now().source, address).await?;
        sockets::prepare(&tcp, PEER_KEEPALIVE);
        begin_tls(context, &rules, address, tcp).await
    })
    .await
    .map_err(|_| early(HandshakeError::LateCertificate))?
    .map_err(early)?;
    let sealed_with = pushed.sealed_with;
    let dialed = authenticate(context, rules, to, pushed, (tls, awaited)).await;
    dialed.map_err(|error| DialFailure { error, sealed_with })
}

/// Sends the ClientHello, and reads what the server pushes. Sent at once, the ClientHello and the
/// pushed certificate pass each other, which saves a round trip; nothing else is sent before the
/// certificate has been accepted. A member of a private network sends nothing to a server that has
/// not pushed what a member seals.
async fn begin_tls(
    context: &Context,
    rules: &Rules<'_>,
    address: SocketAddr,
    mut tcp: TcpStream,
) -> Result<(Connect<TcpStream>, AwaitedPush, OpenedPush), HandshakeError> {
    let (config, awaited) = early_client_config(&context.identity);
    let name = ServerName::IpAddress(address.ip().into());
    let connector = TlsConnector::from(config);
    if rules.membership.is_some() {
        let pushed = read_pushed(&mut tcp, rules).await?;
        return Ok((connector.connect(name, tcp), awaited, pushed));
    }
    let (mut hello, mut written) = (Vec::new(), Ok(0));
    let mut tls = connector.connect_with(name, tcp, |tls| written = tls.write_tls(&mut hello));
    written.map_err(HandshakeError::NoSocket)?;
    let Some(tcp) = tls.get_mut() else {
        return Err(HandshakeError::Cut(io::ErrorKind::NotConnected.into()));
    };
    tcp.write_all(&hello).await.map_err(HandshakeError::Cut)?;
    let pushed = read_pushed(tcp, rules).await?;
    Ok((tls, awaited, pushed))
}

/// The TLS handshake with a node that has pushed this certificate, and this node's proof of
/// membership.
async fn authenticate(
    context: &Context,
    rules: Rules<'_>,
    to: &Destination,
    pushed: OpenedPush,
    (tls, awaited): (Connect<TcpStream>, AwaitedPush),
) -> Result<Established, HandshakeError> {
    let OpenedPush { certificate: pushed, sealed_with } = pushed;
    let deadline = Instant::now() + TLS_DEADLINE;
    awaited.accept(pushed.clone(), to.id)?;
    let remote = to.address.socket_addr();
    let mut stream = timeout_at(deadline, tls)
        .await
        .map_err(|_| HandshakeError::LateTls)?
        .map_err(tls_failed)?;
    let proved = dialed_peer(stream.get_ref().1, &pushed, &context.identity)?;
    let group = KeyExchangeGroup::negotiated(stream.get_ref().1);
    let standing = match rules.membership {
        None => Standing::Public,
        Some(membership) => {
            let proving = membership::prove(membership, &mut stream, proved.node_id(), deadline);
            Standing::Awaited(proving.await?)
        }
    };
    let (stream, proved) = (stream.into(), Some(proved));
    Ok(Established { stream, proved, remote, group, standing, sealed_with })
}

/// Pushes the certificate to a client that connected, and authenticates it; in a private network,
/// exchanges the proofs of membership too. `on_hello` is called when its ClientHello has arrived: up
/// to there the client has cost next to nothing, and shown nothing.
pub(crate) async fn accept(
    context: &Context,
    tcp: TcpStream,
    remote: SocketAddr,
    on_hello: impl FnOnce(),
) -> Result<Established, HandshakeError> {
    sockets::prepare(&tcp, PEER_KEEPALIVE);
    let deadline = Instant::now() + ACCEPT_DEADLINE;
    let rules = Rules::of(context);
    let mut stream = timeout_at(deadline, accept_tls(context, &rules, tcp, on_hello))
        .await
        .map_err(|_| HandshakeError::LateTls)?
        .map_err(tls_failed)?;
    let proved = match accepted_peer(stream.get_ref().1, &context.identity, wall_seconds())? {
        AcceptedPeer::Proved(proved) => Some(proved),
        AcceptedPeer::Unproved => None,
    };
    let group = KeyExchangeGroup::negotiated(stream.get_ref().1);
    let standing = match (rules.membership, &proved) {
        (None, _) => Standing::Public,
        (Some(membership), Some(client)) => {
            let exchange =
                membership::exchange(&membership, &mut stream, client.node_id(), deadline);
            Standing::Proven(exchange.await?)
        }
        // A proof names both sides.
        (Some(_), None) => return Err(Refusal::NoCertificate.into()),
    };
    let stream = stream.into();
    Ok(Established { stream, proved, remote, group, standing, sealed_with: None })
}

async fn accept_tls(
    context: &Context,
    rules: &Rules<'_>,
    mut tcp: TcpStream,
    on_hello: impl FnOnce(),
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    tcp.write_all(&rules.pushed()).await?;
    let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    on_hello();
    hello.into_stream(Arc::clone(&context.server_config)).await
}

/// Connects and reads the pushed certificate, no more: what a probe needs.
pub(crate) async fn fetch_certificate(
    context: &Context,
    address: SocketAddr,
) -> Result<Certificate, HandshakeError> {
    Ok(fetch_push(context, address).await?.certificate)
}

/// The same, with the secret that the certificate was sealed with.
pub(crate) async fn fetch_push(
    context: &Context,
    address: SocketAddr,
) -> Result<OpenedPush, HandshakeError> {
    timeout(CERTIFICATE_DEADLINE, async {
        let mut tcp = connect(context.own_address.now().source, address).await?;
        read_pushed(&mut tcp, &Rules::of(context)).await
    })
    .await
    .map_err(|_| HandshakeError::LateCertificate)?
}

pub(crate) async fn connect(
    source: Option<IpAddr>,
    to: SocketAddr,
) -> Result<TcpStream, HandshakeError> {
    let socket = sockets::outgoing(source, to).map_err(HandshakeError::NoSocket)?;
    socket.connect(to).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
            HandshakeError::NoSocket(error)
        }
        _ => HandshakeError::Unreachable(error),
    })
}

/// Reads exactly the pushed certificate: what may follow in the same segment belongs to TLS.
async fn read_pushed(tcp: &mut TcpStream, rules: &Rules<'_>) -> Result<OpenedPush, HandshakeError> {
    let mut length = [0; 4];
    tcp.read_exact(&mut length).await.map_err(HandshakeError::Cut)?;
    let length = pushed_length(length).map_err(Refusal::from)?;
    let mut pushed = vec![0; length];
    tcp.read_exact(&mut pushed).await.map_err(HandshakeError::Cut)?;
    rules.open(&pushed)
}

fn tls_failed(error: io::Error) -> HandshakeError {
    if let Some(refusal) = Refusal::of_io(&error) {
        HandshakeError::Refused(refusal)
    } else if error.kind() == io::ErrorKind::InvalidData {
        HandshakeError::Tls(error)
    } else {
        HandshakeError::Cut(error)
    }
}

#[cfg(test)]
mod tests;
