//! Who holds what: each node is asked for each value, as a peer asks it, over TLS. A node that
//! holds a value answers FIND_VALUE with it; one that does not names other nodes.
//!
//! The census is no part of the network: it says that it listens nowhere, so that nobody takes it
//! for a contact.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use voiddht_identity::certificate::pushed_length;
use voiddht_identity::{Certificate, Identity, KeyKind, Policy, client_config, dialed_peer};
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::limits::{FRAME_HEADER_BYTES, LONG_LENGTH_BYTES};
use voiddht_wire::peer::{Body, Decoded, Dialect, ErrorCode, Header, Message};
use voiddht_wire::{Key, RpcId};

use super::load::Stored;
use crate::outcome::Failure;

/// Requests to one node that are unanswered at once: fewer than it allows a peer.
const AT_ONCE: usize = 64;
/// How long a node may take for one batch of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a node is asked again that was busy.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Why a node could not be asked.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// On how many nodes each value lies, in the order of the values.
pub(super) async fn holders(
    nodes: &[SocketAddr],
    values: &[Stored],
    random: &mut ChaCha8Rng,
) -> Result<Vec<usize>, Failure> {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let identity = Identity::generate(KeyKind::default(), Policy::default(), host);
    let identity = Arc::new(identity.map_err(Failure::failed)?);
    let values: Arc<[Stored]> = values.into();
    let mut asking = JoinSet::new();
    for node in nodes {
        let (identity, values, node) = (Arc::clone(&identity), Arc::clone(&values), *node);
        let random: ChaCha8Rng = rand::SeedableRng::from_rng(random);
        asking.spawn(async move {
            let asked = ask(node, &identity, &values, random).await;
            asked.map_err(|error| Failure::Failed(format!("asking the node at {node}: {error}")))
        });
    }
    let mut holders = vec![0; values.len()];
    while let Some(asked) = asking.join_next().await {
        for (count, holds) in holders.iter_mut().zip(asked.map_err(Failure::failed)??) {
            *count += usize::from(holds);
        }
    }
    Ok(holders)
}

/// Whether a node holds each of these values.
async fn ask(
    node: SocketAddr,
    identity: &Identity,
    values: &[Stored],
    random: ChaCha8Rng,
) -> Result<Vec<bool>, Error> {
    let mut peer = Peer::connect(node, identity, random).await?;
    let mut held: BTreeMap<Key, bool> = BTreeMap::new();
    for some in values.chunks(AT_ONCE) {
        let mut open: Vec<&Stored> = some.iter().collect();
        while !open.is_empty() {
            let batch = peer.find(&open);
            let answers = tokio::time::timeout(PATIENCE, batch).await??;
            open.retain(|stored| match answers.get(&stored.key) {
                Some(Some(holds)) => {
                    held.insert(stored.key, *holds);
                    false
                }
                _ => true,
            });
            if !open.is_empty() {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
        }
    }
    Ok(values.iter().map(|stored| held.get(&stored.key) == Some(&true)).collect())
}

/// A connection with a node.
struct Peer {
    stream: BufStream<TlsStream<TcpStream>>,
    own: Header,
    random: ChaCha8Rng,
}

impl Peer {
    async fn connect(
        node: SocketAddr,
        identity: &Identity,
        random: ChaCha8Rng,
    ) -> Result<Self, Error> {
        let mut tcp = TcpStream::connect(node).await?;
        tcp.set_nodelay(true)?;
        let mut length = [0; 4];
        tcp.read_exact(&mut length).await?;
        let mut pushed = vec![0; pushed_length(length)?];
        tcp.read_exact(&mut pushed).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let pushed = Certificate::parse_pushed(&pushed, identity.policy(), now)?;
        let config = client_config(identity, pushed.clone(), None)?;
        let name = ServerName::IpAddress(node.ip().into());
        let tls = TlsConnector::from(config).connect(name, tcp).await?;
        dialed_peer(tls.get_ref().1, &pushed, identity)?;
        let own = Header { sender: identity.node_id(), port: 0, rpc_id: RpcId::default() };
        Ok(Self { stream: BufStream::new(tls), own, random })
    }

    /// Whether the node holds each of these; `None` for what it was too busy to say.
    async fn find(&mut self, wanted: &[&Stored]) -> Result<BTreeMap<Key, Option<bool>>, Error> {
        let mut awaited = BTreeMap::new();
        let mut buffer = BytesMut::new();
        for stored in wanted {
            let rpc_id = RpcId::from_bytes(self.random.random());
            awaited.insert(rpc_id, *stored);
            let header = Header { rpc_id, ..self.own };
            let message = Message { header, body: Body::FindValue { key: stored.key } };
            message.encode(Dialect::V1, &mut buffer)?;
        }
        self.stream.write_all(&buffer).await?;
        self.stream.flush().await?;
        let mut answers = BTreeMap::new();
        while !awaited.is_empty() {
            let Message { header, body } = self.receive().await?;
            // The node may ask us something, too; it can do without an answer.
            let Some(stored) = awaited.remove(&header.rpc_id) else { continue };
            let holds = match body {
                Body::FindValueReply(record) => Some(record.value == stored.value),
                Body::Error(ErrorCode::Busy) => None,
                _ => Some(false),
            };
            answers.insert(stored.key, holds);
        }
        Ok(answers)
    }

    async fn receive(&mut self) -> Result<Message, Error> {
        let mut start = [0; FRAME_HEADER_BYTES];
        self.stream.read_exact(&mut start).await?;
        let (kind, body_bytes) = match frame::parse_start(start, true)? {
            FrameStart::Short { kind, body_bytes } => (kind, body_bytes),
            FrameStart::Long { kind } => {
                let mut length = [0; LONG_LENGTH_BYTES];
                self.stream.read_exact(&mut length).await?;
                (kind, frame::long_body_bytes(length)?)
            }
        };
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body).await?;
        match Message::decode(Dialect::V1, kind, body.into())? {
            Decoded::Message(message) => Ok(message),
            Decoded::BareError(_) => Err("it speaks another dialect".into()),
        }
    }
}
