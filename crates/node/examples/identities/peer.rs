//! One hostile peer: an identity, and its connections to nodes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};
use voiddht_identity::{Certificate, Identity, KeyKind, Policy, client_config};
use voiddht_wire::RpcId;
use voiddht_wire::peer::{Body, Decoded, Dialect, Header, Message};

/// The end of an attack that cannot go on.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A new identity, as any node makes one.
pub(crate) fn identity() -> Result<Identity, Failure> {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, host)?)
}

/// A connection of a hostile peer to a node.
pub(crate) struct Connection {
    header: Header,
    tls: client::TlsStream<TcpStream>,
}

impl Connection {
    /// Connects, and says that it listens on `port`.
    pub(crate) async fn open(
        identity: &Identity,
        node: SocketAddr,
        port: u16,
    ) -> Result<Self, Failure> {
        let mut tcp = TcpStream::connect(node).await?;
        tcp.set_nodelay(true)?;
        let length = tcp.read_u32().await?;
        let mut pushed = vec![0; usize::try_from(length.min(8192))?];
        tcp.read_exact(&mut pushed).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let pushed = Certificate::parse_pushed(&pushed, identity.policy(), now)?;
        let config = client_config(identity, pushed, None)?;
        let name = ServerName::IpAddress(node.ip().into());
        let tls = TlsConnector::from(config).connect(name, tcp).await?;
        let header =
            Header { sender: identity.node_id(), port, rpc_id: RpcId::from_bytes([7; 32]) };
        Ok(Self { header, tls })
    }

    /// Says from now on that it listens elsewhere; 0 is nowhere.
    pub(crate) fn set_port(&mut self, port: u16) {
        self.header.port = port;
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, body: Body) -> Result<(), Failure> {
        self.answer(self.header.rpc_id, body).await
    }

    /// Sends a reply to a request.
    pub(crate) async fn answer(&mut self, rpc_id: RpcId, body: Body) -> Result<(), Failure> {
        let mut buffer = BytesMut::new();
        let message = Message { header: Header { rpc_id, ..self.header }, body };
        message.encode(Dialect::V1, &mut buffer)?;
        self.send_bytes(&buffer).await
    }

    /// Sends any bytes.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.tls.write_all(bytes).await?;
        Ok(self.tls.flush().await?)
    }

    /// Sends a request and waits for its answer; requests of the node meanwhile are not answered.
    pub(crate) async fn ask(&mut self, body: Body) -> Result<Body, Failure> {
        self.send(body).await?;
        loop {
            let message = tokio::time::timeout(PATIENCE, self.receive()).await??;
            if message.header.rpc_id == self.header.rpc_id && !message.body.is_request() {
                return Ok(message.body);
            }
        }
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Result<Message, Failure> {
        let size = usize::from(self.tls.read_u16().await?);
        let kind = self.tls.read_u16().await?;
        let rest = match size {
            0 => usize::try_from(self.tls.read_u32().await?)?.saturating_sub(8),
            size => size.saturating_sub(4),
        };
        let mut body = vec![0; rest];
        self.tls.read_exact(&mut body).await?;
        match Message::decode(Dialect::V1, kind, Bytes::from(body))? {
            Decoded::Message(message) => Ok(message),
            Decoded::BareError(code) => Err(format!("a bare error: {code:?}").into()),
        }
    }
}
