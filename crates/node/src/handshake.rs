//! From a TCP connection to an authenticated peer, in both directions (PROTOCOL, section 2).
//!
//! The server pushes its certificate, then both sides speak TLS 1.3. `voiddht_identity` checks the
//! certificate and the result of the handshake; this module has the sockets, the order of the
//! phases, and their deadlines. Each deadline is absolute: partial data does not extend it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};
use voiddht_core::configured::Service;
use voiddht_core::event::{Destination, Undelivered};
use voiddht_identity::certificate::{CertificateError, pushed_length};
use voiddht_identity::{
    AcceptedPeer, Certificate, Policy, ProvedPeer, Refusal, accepted_peer, client_config,
    dialed_peer,
};

use crate::clock::wall_seconds;
use crate::context::Context;
use crate::service;
use crate::sockets::{self, PEER_KEEPALIVE};

/// From the dial to the last byte of the pushed certificate (PROTOCOL, section 2).
pub const CERTIFICATE_DEADLINE: Duration = Duration::from_secs(3);
/// From there to the end of the TLS handshake (PROTOCOL, section 2).
pub const TLS_DEADLINE: Duration = Duration::from_secs(5);
/// The longest that an accepted connection may take until its handshake is over.
pub const ACCEPT_DEADLINE: Duration = TLS_DEADLINE;

/// A handshake that went well.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: TlsStream<TcpStream>,
    /// The other end; `None` for a client that showed no certificate.
    pub(crate) proved: Option<ProvedPeer>,
    pub(crate) remote: SocketAddr,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// This process or machine could not even try.
    #[error("no socket: {0}")]
    NoSocket(io::Error),
    /// No connection: no process listens there, or there is no route.
    #[error("{0}")]
    Unreachable(io::Error),
    /// Something else than a node listens there.
    #[error("this is not a node's port for peers, but {0}")]
    NoNode(Service),
    /// This very node listens there.
    #[error("this node itself is there")]
    OwnNode,
    /// Too slow.
    #[error("no certificate within {CERTIFICATE_DEADLINE:?}")]
    LateCertificate,
    /// Too slow.
    #[error("no TLS handshake within {TLS_DEADLINE:?}")]
    LateTls,
    /// The other side went away.
    #[error("the connection ended during the handshake: {0}")]
    Cut(io::Error),
    /// The other side broke a rule of TLS.
    #[error("{0}")]
    Tls(io::Error),
    /// The other side is not the expected node, or did not authenticate.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

impl HandshakeError {
    /// What the core is notified of.
    pub(crate) fn undelivered(&self) -> Undelivered {
        match self {
            Self::NoSocket(_) => Undelivered::LocalLimit,
            Self::Unreachable(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Undelivered::Refused,
                io::ErrorKind::TimedOut => Undelivered::DialTimeout,
                _ => Undelivered::Unreachable,
            },
            Self::NoNode(service) => Undelivered::NotAPeerPort(*service),
            Self::OwnNode => Undelivered::OwnNode,
            Self::LateCertificate | Self::LateTls => Undelivered::DialTimeout,
            Self::Cut(_) => Undelivered::ConnectionLost,
            Self::Tls(_) => Undelivered::WrongIdentity,
            Self::Refused(refusal) => refused(refusal),
        }
    }

    /// Whether the other side broke a rule, rather than being slow or gone.
    pub(crate) fn is_violation(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Refused(_))
    }
}

/// What a refused peer is, as far as its refusal tells.
fn refused(refusal: &Refusal) -> Undelivered {
    match refusal {
        Refusal::Certificate(CertificateError::IdNotKeyHash)
        | Refusal::LegacyDialect
        | Refusal::NoCertificate => Undelivered::OtherPolicy { option: "--identity tofu" },
        // A length that no certificate has: other bytes stood in its place.
        Refusal::Certificate(CertificateError::TooLong(length)) => {
            let bytes = u32::try_from(*length).unwrap_or(u32::MAX).to_be_bytes();
            Undelivered::NotAPeerPort(service::of_first_bytes(bytes))
        }
        Refusal::Certificate(CertificateError::Empty) => Undelivered::NotAPeerPort(Service::Other),
        // As long as it says it is, and no certificate: sealed, perhaps.
        Refusal::Certificate(CertificateError::NeitherPemNorDer) => Undelivered::OtherNetwork,
        _ => Undelivered::WrongIdentity,
    }
}

/// Connects, and authenticates the peer.
pub(crate) async fn dial(
    context: &Context,
    to: &Destination,
) -> Result<Established, HandshakeError> {
    let address = to.address.socket_addr();
    let (tcp, pushed) = timeout(CERTIFICATE_DEADLINE, async {
        let mut tcp = connect(context.own_address.now().source, address).await?;
        let pushed = read_pushed(&mut tcp, context.identity.policy()).await?;
        Ok::<_, HandshakeError>((tcp, pushed))
    })
    .await
    .map_err(|_| HandshakeError::LateCertificate)??;
    sockets::prepare(&tcp, PEER_KEEPALIVE);
    let config = client_config(&context.identity, pushed.clone(), to.id)?;
    let name = ServerName::IpAddress(address.ip().into());
    let stream = timeout(TLS_DEADLINE, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| HandshakeError::LateTls)?
        .map_err(tls_failed)?;
    let proved = dialed_peer(stream.get_ref().1, &pushed, &context.identity)?;
    Ok(Established { stream: stream.into(), proved: Some(proved), remote: address })
}

/// Pushes the certificate to a client that connected, and authenticates it. `on_hello` is called
/// when its ClientHello has arrived: up to there the client has cost next to nothing, and shown
/// nothing.
pub(crate) async fn accept(
    context: &Context,
    mut tcp: TcpStream,
    remote: SocketAddr,
    on_hello: impl FnOnce(),
) -> Result<Established, HandshakeError> {
    sockets::prepare(&tcp, PEER_KEEPALIVE);
    let stream = timeout(ACCEPT_DEADLINE, async {
        tcp.write_all(&context.identity.pushed()).await?;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        on_hello();
        hello.into_stream(Arc::clone(&context.server_config)).await
    })
    .await
    .map_err(|_| HandshakeError::LateTls)?
    .map_err(tls_failed)?;
    let proved = match accepted_peer(stream.get_ref().1, &context.identity, wall_seconds())? {
        AcceptedPeer::Proved(proved) => Some(proved),
        AcceptedPeer::Unproved => None,
    };
    Ok(Established { stream: stream.into(), proved, remote })
}

/// Connects and reads the pushed certificate, no more: what a probe needs.
pub(crate) async fn fetch_certificate(
    context: &Context,
    address: SocketAddr,
) -> Result<Certificate, HandshakeError> {
    timeout(CERTIFICATE_DEADLINE, async {
        let mut tcp = connect(context.own_address.now().source, address).await?;
        read_pushed(&mut tcp, context.identity.policy()).await
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
async fn read_pushed(tcp: &mut TcpStream, policy: Policy) -> Result<Certificate, HandshakeError> {
    let mut length = [0; 4];
    tcp.read_exact(&mut length).await.map_err(HandshakeError::Cut)?;
    let length = pushed_length(length).map_err(Refusal::from)?;
    let mut pushed = vec![0; length];
    tcp.read_exact(&mut pushed).await.map_err(HandshakeError::Cut)?;
    let certificate = Certificate::parse_pushed(&pushed, policy, wall_seconds());
    Ok(certificate.map_err(Refusal::from)?)
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
