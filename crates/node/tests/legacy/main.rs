//! One network of nodes of ours and of the original: `legacy_peer.py` speaks the original's dialect
//! over OpenSSL, and shares nothing with this project.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod misbehaving;
mod mixed;
mod one_peer;
mod peer;
mod private;
mod takeover;

use std::net::SocketAddr;

use common::{knows, settings, soon, start, until};
use voiddht_identity::Policy;
use voiddht_node::{Node, Settings};

/// A node that trusts on first use.
pub(crate) fn tofu(peers: &[&Node]) -> Settings {
    Settings { policy: Policy::Tofu, ..settings(peers) }
}

/// As many nodes of ours, which all know each other.
pub(crate) async fn our_network(count: usize) -> Vec<Node> {
    let mut nodes = vec![start(tofu(&[])).await];
    for _ in 1..count {
        let next = start(tofu(&[&nodes[0]])).await;
        nodes.push(next);
    }
    for node in &nodes {
        soon(node.joined()).await;
        knows(node, count - 1).await;
    }
    nodes
}

/// Waits until a node has a contact that listens there.
pub(crate) async fn has_contact(node: &Node, address: SocketAddr) {
    let handle = node.handle();
    until(|| async {
        let contacts = handle.status().await.unwrap().core.contacts;
        contacts.iter().any(|contact| contact.address == address.into())
    })
    .await;
}
