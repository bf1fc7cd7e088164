//! The census: which node holds which value. Each node is asked for each value over TLS, as by a
//! peer. A node that holds a value answers FIND_VALUE with it; one that does not names other nodes.
//!
//! The census is no part of the network: it announces port 0, so that no node takes it for a
//! contact.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use tokio::task::JoinSet;
use voiddht_cli::outcome::Failure;
use voiddht_cli::peer_connection::{Error, PeerConnection};
use voiddht_identity::{Identity, KeyKind, Policy};
use voiddht_wire::peer::{Body, ErrorCode, Message};
use voiddht_wire::{Key, RpcId};

use super::load::Stored;

/// Requests to one node that are outstanding: fewer than it allows a peer.
const AT_ONCE: usize = 64;
/// How long a node may take for one batch of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a node is asked again that was busy.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

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
    mut random: ChaCha8Rng,
) -> Result<Vec<bool>, Error> {
    let mut peer = PeerConnection::connect(node, identity, 0).await?;
    let mut held: BTreeMap<Key, bool> = BTreeMap::new();
    for some in values.chunks(AT_ONCE) {
        let mut open: Vec<&Stored> = some.iter().collect();
        while !open.is_empty() {
            let batch = find(&mut peer, &open, &mut random);
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

/// Whether the node holds each of these; `None` for what it was too busy to say.
async fn find(
    peer: &mut PeerConnection,
    wanted: &[&Stored],
    random: &mut ChaCha8Rng,
) -> Result<BTreeMap<Key, Option<bool>>, Error> {
    let mut awaited = BTreeMap::new();
    for stored in wanted {
        awaited.insert(RpcId::from_bytes(random.random()), *stored);
    }
    let ask = |(rpc_id, stored): (&RpcId, &&Stored)| (*rpc_id, Body::FindValue { key: stored.key });
    peer.send(awaited.iter().map(ask)).await?;
    let mut answers = BTreeMap::new();
    while !awaited.is_empty() {
        let Message { header, body } = peer.receive().await?;
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
