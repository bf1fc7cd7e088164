//! voiddht: `crates/node`, as `dht testnet` starts it. TCP, TLS 1.3 with both sides authenticated,
//! 20 replicas, five agreeing votes. Everything is at its default; keys are random, so no value
//! proves itself. PUT returns when every replica has confirmed or failed.
//!
//! A node that holds the record counts it as one vote, and still asks others.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use voiddht_node::{Descriptors, Handle, Node, Settings};
use voiddht_wire::{Key, Publication};

use crate::network::{Death, Found, Item, Network};
use crate::threads::Threads;

/// As in `dht testnet`: more at once would learn of one another later, not sooner.
const JOINING_AT_ONCE: usize = 8;
/// Peers that a node is started with.
const KNOWN_PEERS: usize = 3;
/// Contacts of a node that has joined: as many as a bucket holds.
const ENOUGH_CONTACTS: usize = 20;

#[derive(Debug)]
pub(super) struct Nodes {
    handles: Vec<Handle>,
    /// A node that is dropped stops.
    _running: Vec<Node>,
    threads: Threads,
}

impl Network for Nodes {
    async fn start(count: usize, doomed: usize) -> Result<Self> {
        let threads = Threads::start(count, doomed)?;
        let mut nodes: Vec<Option<Node>> = (0..count).map(|_| None).collect();
        let descriptors = Descriptors::of_process();
        let mut joining = JoinSet::new();
        let mut known = Vec::new();
        for next in 0..count {
            // No node can join before the first one is up.
            while joining.len() >= JOINING_AT_ONCE || next == 1 && known.is_empty() {
                arrived(&mut joining, &mut nodes, &mut known).await?;
            }
            let peers = (0..KNOWN_PEERS.min(known.len()))
                .map(|offset| known[(KNOWN_PEERS * next + offset) % known.len()].into())
                .collect();
            let descriptors = descriptors.clone();
            let settings = Settings { peers, descriptors, ..Settings::loopback() };
            joining.spawn_on(join(next, settings), threads.of(next));
        }
        while !joining.is_empty() {
            arrived(&mut joining, &mut nodes, &mut known).await?;
        }
        let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
        let handles: Vec<Handle> = nodes.iter().map(Node::handle).collect();
        for handle in &handles {
            while handle.status().await?.core.contacts.len() < ENOUGH_CONTACTS.min(count - 1) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(Self { handles, _running: nodes, threads })
    }

    async fn put(&self, node: usize, item: &Item) -> Result<()> {
        let publication = Publication::new(Key::from_bytes(item.key), item.value.clone());
        let put = self.handles[node].put(publication).await?;
        ensure!(put.stored > 0, "no node has taken it");
        Ok(())
    }

    async fn get(&self, node: usize, item: &Item) -> Result<Option<Found>> {
        let got = self.handles[node].get(Key::from_bytes(item.key)).await?;
        let own_store = Some(got.report.asked == 0);
        Ok(got.value.map(|value| Found { value, own_store }))
    }

    async fn kill(&mut self, death: Death) -> Result<()> {
        self.threads.kill(death)
    }
}

type Joining = JoinSet<Result<(usize, Node)>>;

async fn join(index: usize, settings: Settings) -> Result<(usize, Node)> {
    let node = Node::start(settings).await?;
    node.joined().await;
    Ok((index, node))
}

/// Waits for one of them.
async fn arrived(
    joining: &mut Joining,
    nodes: &mut [Option<Node>],
    known: &mut Vec<std::net::SocketAddr>,
) -> Result<()> {
    if let Some(ended) = joining.join_next().await {
        let (index, node) = ended??;
        known.push(node.p2p_address());
        nodes[index] = Some(node);
    }
    Ok(())
}
