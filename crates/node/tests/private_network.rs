//! Private networks: who is let in, who learns what, and what a rotation of the secret does to
//! connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::{key, knows, settings, soon, start, stop, until};
use tempfile::TempDir;
use voiddht_node::{Node, Settings, StartError};

/// Secret files of one test.
struct Secrets(TempDir);

impl Secrets {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file with these secrets, one a line.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        write(&path, bytes);
        path
    }
}

fn write(path: &Path, bytes: &[u8]) {
    let lines = bytes.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn private(file: &Path, peers: &[&Node]) -> Settings {
    Settings { network_secret: Some(file.to_owned()), ..settings(peers) }
}

async fn member(file: &Path, peers: &[&Node]) -> Node {
    start(private(file, peers)).await
}

/// Nodes with these secrets that all know each other.
async fn network(count: usize, file: &Path) -> Vec<Node> {
    let mut nodes = vec![member(file, &[]).await];
    for _ in 1..count {
        let next = member(file, &[&nodes[0]]).await;
        nodes.push(next);
    }
    for node in &nodes {
        knows(node, count - 1).await;
    }
    nodes
}

async fn contacts(node: &Node) -> Vec<voiddht_wire::NodeId> {
    let status = node.handle().status().await.unwrap();
    status.core.contacts.iter().map(|contact| contact.id).collect()
}

/// The state that a configured peer has come to.
async fn state_of_peer(node: &Node) -> &'static str {
    let handle = node.handle();
    let state = || async { handle.snapshot(Default::default()).await.unwrap().peers[0].state };
    until(|| async { state().await != "untried" }).await;
    state().await
}

#[tokio::test]
async fn a_private_network_stores_and_finds_values() {
    let secrets = Secrets::new();
    let nodes = network(4, &secrets.file("net.secret", &[1])).await;
    let value = Bytes::from_static(b"value");
    let put = soon(nodes[1].handle().put(key(1), value.clone(), None, None)).await.unwrap();
    assert_eq!(put.stored, 4);
    for node in &nodes {
        assert_eq!(soon(node.handle().get(key(1))).await.unwrap().value, Some(value.clone()));
    }
    stop(nodes).await;
}

#[tokio::test]
async fn two_networks_with_each_others_peers_exchange_no_contact() {
    let secrets = Secrets::new();
    let (one, two) = (secrets.file("one", &[1]), secrets.file("two", &[2]));
    let (first, second) = (network(3, &one).await, network(3, &two).await);
    // Each of these knows a peer of both.
    let mut between = Vec::new();
    for (file, own, other) in [(&one, &first, &second), (&two, &second, &first)] {
        let node = member(file, &[&other[0], &own[0]]).await;
        knows(&node, 3).await;
        assert_eq!(state_of_peer(&node).await, "other_network");
        between.push(node);
    }
    let third = between.pop().unwrap();
    let halves = [(first, between.pop().unwrap()), (second, third)];
    for (nodes, joined) in &halves {
        let own: Vec<_> = nodes.iter().chain([joined]).map(Node::id).collect();
        for node in nodes.iter().chain([joined]) {
            knows(node, 3).await;
            let known = contacts(node).await;
            assert!(known.iter().all(|id| own.contains(id)), "{known:?} beyond {own:?}");
        }
    }
    for (nodes, joined) in halves {
        stop(nodes).await;
        stop(vec![joined]).await;
    }
}

#[tokio::test]
async fn public_nodes_and_private_ones_refuse_each_other() {
    let secrets = Secrets::new();
    let file = secrets.file("net.secret", &[1]);
    let (private, public) = (member(&file, &[]).await, start(settings(&[])).await);
    let from_outside = start(settings(&[&private])).await;
    assert_eq!(state_of_peer(&from_outside).await, "other_network");
    let from_inside = member(&file, &[&public]).await;
    assert_eq!(state_of_peer(&from_inside).await, "public_network");
    for node in [&private, &public, &from_outside, &from_inside] {
        assert!(contacts(node).await.is_empty());
    }
    let refused = from_inside.handle().counts();
    assert_eq!((refused.dialed, refused.misbehaved, refused.banned), (0, 0, 0));
    stop(vec![private, public, from_outside, from_inside]).await;
}

#[tokio::test]
async fn nodes_with_eight_secrets_meet_those_with_any_one_of_them() {
    let secrets = Secrets::new();
    let all = member(&secrets.file("all", &[1, 2, 3, 4, 5, 6, 7, 8]), &[]).await;
    // Each proves by its own first secret, and knows that of the other.
    let nodes = [
        member(&secrets.file("last", &[8, 1]), &[&all]).await,
        member(&secrets.file("middle", &[4, 1]), &[&all]).await,
    ];
    for node in &nodes {
        soon(node.joined()).await;
        assert_eq!(contacts(node).await, [all.id()]);
    }
    stop(Vec::from(nodes)).await;
    stop(vec![all]).await;
}

#[tokio::test]
async fn a_start_that_would_be_wrong_is_refused_with_its_reason() {
    let secrets = Secrets::new();
    let file = secrets.file("net.secret", &[1]);
    let refused = |settings| async { Node::start(settings).await.unwrap_err() };
    let tofu = Settings { policy: voiddht_identity::Policy::Tofu, ..private(&file, &[]) };
    assert!(matches!(refused(tofu).await, StartError::PrivateTofu));
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let error = refused(private(&file, &[])).await;
    assert!(matches!(error, StartError::NetworkSecret(_)), "{error}");
    assert!(error.to_string().contains("mode 0644"), "{error}");
    let error = refused(private(&file.with_extension("missing"), &[])).await;
    assert!(error.to_string().contains("net.missing"), "{error}");
}
