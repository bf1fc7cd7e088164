//! Small networks of real nodes on loopback, for the tests beside this.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub(crate) mod http;
pub(crate) mod ports;
pub(crate) mod tools;

use std::future::Future;
use std::time::Duration;

use voiddht_node::{Node, Settings};
use voiddht_wire::Key;

/// Longer than anything here takes on a loaded machine: reached only where something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Fails the test instead of hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("something hangs")
}

/// A key that is the hash of no value.
pub(crate) fn key(number: u64) -> Key {
    Key::of_value(&number.to_be_bytes())
}

/// A node on loopback that knows these peers.
pub(crate) async fn node(peers: &[&Node]) -> Node {
    start(settings(peers)).await
}

pub(crate) fn settings(peers: &[&Node]) -> Settings {
    let mut settings = Settings::loopback();
    settings.peers = peers.iter().map(|peer| peer.p2p_address().into()).collect();
    settings
}

pub(crate) async fn start(settings: Settings) -> Node {
    Node::start(settings).await.expect("a node starts on loopback")
}

/// Nodes that have joined through the first, and all know each other.
pub(crate) async fn network(count: usize) -> Vec<Node> {
    let mut nodes = vec![node(&[]).await];
    for _ in 1..count {
        let next = node(&[&nodes[0]]).await;
        nodes.push(next);
    }
    for node in &nodes {
        soon(node.joined()).await;
        knows(node, count - 1).await;
    }
    nodes
}

/// Waits until a node has as many contacts.
pub(crate) async fn knows(node: &Node, contacts: usize) {
    let handle = node.handle();
    until(|| async { handle.status().await.unwrap().core.contacts.len() >= contacts }).await;
}

pub(crate) async fn stop(nodes: Vec<Node>) {
    for node in nodes {
        soon(node.shutdown()).await;
    }
}

/// Waits until something holds, looking again at every turn of the scheduler.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    soon(async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
