//! A connection with a node as one of its peers, over TLS: for tools that ask what only peers are
//! told.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use voiddht_identity::certificate::pushed_length;
use voiddht_identity::network::{NetworkSecrets, PROOF_BYTES, Session, Side, exporter};
use voiddht_identity::{Certificate, Identity, client_config, dialed_peer};
use voiddht_wire::RpcId;
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::limits::{FRAME_HEADER_BYTES, LONG_LENGTH_BYTES};
use voiddht_wire::peer::{Body, Decoded, Dialect, Header, Message};

/// Why a node could not be asked.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A TLS connection to a peer port, as a client without a node.
pub struct PeerConnection {
    stream: BufStream<TlsStream<TcpStream>>,
    own: Header,
    dialect: Dialect,
}

impl PeerConnection {
    /// Connects as the node of this identity, which listens on `port`; 0: nowhere, so that no node
    /// takes it for a contact.
    pub async fn connect(node: SocketAddr, identity: &Identity, port: u16) -> Result<Self, Error> {
        let mut tcp = TcpStream::connect(node).await?;
        let pushed = read_pushed(&mut tcp).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let pushed = Certificate::parse_pushed(&pushed, identity.policy(), now)?;
        Self::over(tcp, &pushed, identity, port, None).await
    }

    /// The same, over a connection on which the node has pushed this certificate. With the secrets of
    /// a private network, both sides prove that they have one.
    pub async fn over(
        tcp: TcpStream,
        pushed: &Certificate,
        identity: &Identity,
        port: u16,
        secrets: Option<&NetworkSecrets>,
    ) -> Result<Self, Error> {
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(tcp.peer_addr()?.ip().into());
        let config = client_config(identity, pushed.clone(), None)?;
        let mut tls = TlsConnector::from(config).connect(name, tcp).await?;
        let dialect = dialed_peer(tls.get_ref().1, pushed, identity)?.dialect();
        if let Some(secrets) = secrets {
            prove_membership(&mut tls, pushed, identity, secrets).await?;
        }
        let own = Header { sender: identity.node_id(), port, rpc_id: RpcId::default() };
        Ok(Self { stream: BufStream::new(tls), own, dialect })
    }

    /// How the node speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Sends these requests, each with its ID, in one write.
    pub async fn send(
        &mut self,
        requests: impl IntoIterator<Item = (RpcId, Body)>,
    ) -> Result<(), Error> {
        let mut buffer = BytesMut::new();
        for (rpc_id, body) in requests {
            let message = Message { header: Header { rpc_id, ..self.own }, body };
            message.encode(self.dialect, &mut buffer)?;
        }
        self.stream.write_all(&buffer).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message.
    pub async fn receive(&mut self) -> Result<Message, Error> {
        let mut start = [0; FRAME_HEADER_BYTES];
        self.stream.read_exact(&mut start).await?;
        let (kind, body_bytes) = match frame::parse_start(start, self.dialect.has_long_frames())? {
            FrameStart::Short { kind, body_bytes } => (kind, body_bytes),
            FrameStart::Long { kind } => {
                let mut length = [0; LONG_LENGTH_BYTES];
                self.stream.read_exact(&mut length).await?;
                (kind, frame::long_body_bytes(length)?)
            }
        };
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body).await?;
        match Message::decode(self.dialect, kind, body.into())? {
            Decoded::Message(message) => Ok(message),
            Decoded::BareError(code) => Err(format!("it answered with an error: {code:?}").into()),
        }
    }
}

/// Proves membership of a private network, and has the node prove its own.
async fn prove_membership(
    tls: &mut TlsStream<TcpStream>,
    pushed: &Certificate,
    identity: &Identity,
    secrets: &NetworkSecrets,
) -> Result<(), Error> {
    let (client, server) = (identity.node_id(), pushed.node_id());
    let session = Session { exporter: &exporter(tls.get_ref().1)?, client, server };
    tls.write_all(&secrets.prove(&session, Side::Client)).await?;
    tls.flush().await?;
    let mut proof = [0; PROOF_BYTES];
    let read = tls.read_exact(&mut proof).await;
    read.map_err(|error| {
        format!(
            "it closed the connection instead of proving its membership ({error}): it may not \
                 have the first secret of the file"
        )
    })?;
    secrets.verify(&session, Side::Server, &proof)?;
    Ok(())
}

/// The certificate that a node pushes to a client at once.
pub async fn read_pushed(tcp: &mut TcpStream) -> Result<Vec<u8>, Error> {
    let mut length = [0; 4];
    tcp.read_exact(&mut length).await?;
    let mut pushed = vec![0; pushed_length(length)?];
    tcp.read_exact(&mut pushed).await?;
    Ok(pushed)
}
