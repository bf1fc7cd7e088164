//! Detects what listens at an address.
//!
//! A peer port pushes a certificate at once; other services wait for their client. So the probe
//! reads first. If nothing arrives, it queries the service as a node does whose dial has failed
//! (`voiddht_node::service`), and then by HTTP, which tells a dashboard from other servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::LengthLimitError;
use hyper::Method;
use hyper::header::HeaderValue;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use voiddht_identity::network::NetworkSecrets;
use voiddht_identity::{Certificate, CertificateError, Identity, KeyKind, Policy};
use voiddht_node::service::{self, Service};
use voiddht_wire::peer::{Body, Dialect};
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use crate::arguments::values::HostPort;
use crate::http;
use crate::peer_connection::{Error, PeerConnection, read_pushed};

/// How long a server may take to push its certificate before it counts as one that waits.
const PUSH_PATIENCE: Duration = Duration::from_secs(1);

/// What a dashboard says of its health takes less.
const MAX_HEALTH_BYTES: usize = 4096;

/// What is at an address.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing that accepts connections.
    Nothing {
        /// Why not.
        why: String,
    },
    /// A node, at its port for peers.
    Peer(Peer),
    /// A port for peers, whose node refuses this one or breaks off.
    SilentPeer {
        /// What it did.
        why: String,
    },
    /// A node's dashboard.
    Dashboard,
    /// Another service.
    Service(Service),
}

/// A node that has answered a PING.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) policy: Policy,
    pub(super) key: KeyKind,
    /// Whether it speaks the original's dialect.
    pub(super) original: bool,
    pub(super) rtt: Duration,
    /// Where it sees this machine.
    pub(super) observed: Option<PeerAddress>,
    /// Whether it dialled back.
    pub(super) dialed_back: bool,
    /// The port at which it was expected.
    pub(super) port: u16,
}

/// Looks at each address of a name until something accepts a connection.
pub(super) async fn probe(
    address: &HostPort,
    port: u16,
    patience: Duration,
    secrets: Option<&NetworkSecrets>,
) -> Found {
    let addresses = timeout(patience, address.resolve()).await;
    let addresses = match addresses {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            return Found::Nothing { why: format!("the name cannot be resolved: {error}") };
        }
        Err(_) => return Found::Nothing { why: "the name is not resolved in time".into() },
    };
    let mut why = String::new();
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return look(tcp, address, port, patience, secrets).await,
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer within {} s", patience.as_secs()),
        }
    }
    Found::Nothing { why }
}

async fn look(
    mut tcp: TcpStream,
    address: SocketAddr,
    port: u16,
    patience: Duration,
    secrets: Option<&NetworkSecrets>,
) -> Found {
    match timeout(PUSH_PATIENCE.min(patience), read_pushed(&mut tcp)).await {
        Ok(Ok(pushed)) => {
            match timeout(2 * patience, ask(tcp, &pushed, port, patience, secrets)).await {
                Ok(Ok(peer)) => Found::Peer(peer),
                Ok(Err(error)) => Found::SilentPeer { why: error.to_string() },
                Err(_) => Found::SilentPeer { why: "it takes too long".into() },
            }
        }
        // It spoke first, and said something else.
        Ok(Err(error)) if !is_end(&error) => Found::Service(Service::Other),
        _ => waiting(address, patience).await,
    }
}

/// Whether a connection ended before anything was said.
fn is_end(error: &Error) -> bool {
    error.downcast_ref::<io::Error>().is_some()
}

/// What waits for its client to speak.
async fn waiting(address: SocketAddr, patience: Duration) -> Found {
    let service = service::identify(None, address, patience).await;
    match service {
        Some(Service::ModuleApi | Service::Tls) => {}
        // Not every HTTP server answers what is no HTTP.
        _ => {
            if let Some(head) = http(address, patience).await {
                return head;
            }
        }
    }
    Found::Service(service.unwrap_or(Service::Silent))
}

/// What the headers of an HTTP server show, if it is one.
async fn http(address: SocketAddr, patience: Duration) -> Option<Found> {
    let host = address.to_string();
    let request = http::request(Method::GET, &host, "/healthz", Bytes::new()).ok()?;
    let asked = async {
        let tcp = TcpStream::connect(address).await?;
        http::exchange(tcp, request, MAX_HEALTH_BYTES).await
    };
    let answer = match timeout(patience, asked).await.ok()? {
        Ok(answer) => answer,
        Err(error) if error.is::<LengthLimitError>() => return Some(Found::Service(Service::Http)),
        Err(_) => return None,
    };
    // Two headers that every answer of a dashboard has together.
    let has = |name: &str, value| {
        let is = |it: &HeaderValue| it.as_bytes().eq_ignore_ascii_case(value);
        answer.headers.get(name).is_some_and(is)
    };
    let is_ours = has("x-frame-options", &b"deny"[..])
        && has("cross-origin-resource-policy", &b"same-origin"[..]);
    Some(if is_ours { Found::Dashboard } else { Found::Service(Service::Http) })
}

/// Pings the node that has pushed this certificate, and waits for it to dial back.
async fn ask(
    tcp: TcpStream,
    pushed: &[u8],
    port: u16,
    patience: Duration,
    secrets: Option<&NetworkSecrets>,
) -> Result<Peer, Error> {
    let certificate = read_certificate(pushed, secrets)?;
    let is_self_certifying = certificate.check_policy(Policy::SelfCertifying).is_ok();
    let policy = if is_self_certifying { Policy::SelfCertifying } else { Policy::Tofu };
    let (own, remote) = (tcp.local_addr()?.ip(), tcp.peer_addr()?.ip());
    let identity = Identity::generate(KeyKind::default(), policy, own)?;
    let listener = TcpListener::bind((own, port)).await?;
    let port = listener.local_addr()?.port();
    let mut peer = PeerConnection::over(tcp, &certificate, &identity, port, secrets).await?;
    let begun = Instant::now();
    let observed = ping(&mut peer).await?;
    let rtt = begun.elapsed();
    let original = peer.dialect() == Dialect::Legacy;
    let dialed_back = !original && timeout(patience, dialed_back(&listener, remote)).await.is_ok();
    let (id, key) = (certificate.node_id(), certificate.key_kind());
    Ok(Peer { id, policy, key, original, rtt, observed, dialed_back, port })
}

/// Reads what was pushed: sealed in a private network, in the clear in a public one.
fn read_certificate(pushed: &[u8], secrets: Option<&NetworkSecrets>) -> Result<Certificate, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(secrets) = secrets {
        let opened = secrets.open_push(pushed)?;
        return Ok(Certificate::parse_der(&opened.certificate_der, Policy::SelfCertifying, now)?);
    }
    let certificate = Certificate::parse_pushed(pushed, Policy::SelfCertifying, now)
        .or_else(|_| Certificate::parse_pushed(pushed, Policy::Tofu, now));
    certificate.map_err(|error| match error {
        CertificateError::NeitherPemNorDer => {
            "what it pushed is no certificate; a node of a private network seals its own: name the \
             secret file with --network-secret"
                .into()
        }
        error => error.into(),
    })
}

/// Sends a PING, and waits for its reply. The node may ask something, too; it can do without an
/// answer.
async fn ping(peer: &mut PeerConnection) -> Result<Option<PeerAddress>, Error> {
    let mut rpc_id = [0; 32];
    SysRng.try_fill_bytes(&mut rpc_id)?;
    let rpc_id = RpcId::from_bytes(rpc_id);
    peer.send([(rpc_id, Body::Ping)]).await?;
    loop {
        let message = peer.receive().await?;
        match message.body {
            Body::PingReply { observed } if message.header.rpc_id == rpc_id => return Ok(observed),
            Body::Error(code) if message.header.rpc_id == rpc_id => {
                return Err(format!("it answered with an error: {code:?}").into());
            }
            _ => {}
        }
    }
}

/// Waits until the node comes. It is shown no certificate: so it takes this side for no contact, which
/// would be gone in a moment.
async fn dialed_back(listener: &TcpListener, remote: IpAddr) {
    loop {
        match listener.accept().await {
            Ok((_, from)) if from.ip().to_canonical() == remote.to_canonical() => return,
            Ok(_) => {}
            // Out of files, mostly: the caller's patience ends this.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
