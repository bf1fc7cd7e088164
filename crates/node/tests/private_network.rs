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
use voiddht_wire::Publication;

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
    let put = soon(nodes[1].handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
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

/// What `dht network show` has: each fingerprint, and how many connections it authenticated.
async fn connections_by_secret(node: &Node) -> Vec<(String, usize)> {
    let snapshot = node.handle().snapshot(Default::default()).await.unwrap();
    let secrets = snapshot.network.unwrap().secrets.into_iter();
    secrets.map(|secret| (secret.fingerprint, secret.connections)).collect()
}

async fn reload(node: &Node, file: &Path, bytes: &[u8]) {
    write(file, bytes);
    let reloaded = node.handle().reload_network().await.unwrap();
    assert_eq!(reloaded.fingerprints.len(), bytes.len());
    assert!(reloaded.remembered);
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let secrets = Secrets::new();
    let file = secrets.file("net.secret", &[1]);
    let nodes = network(2, &file).await;
    let before = connections_by_secret(&nodes[0]).await;
    let handle = nodes[0].handle();
    let refused = || async { handle.reload_network().await.unwrap_err().to_string() };
    fs::remove_file(&file).unwrap();
    assert!(refused().await.contains("cannot read"));
    write(&file, &[]);
    assert!(refused().await.contains("no secret"));
    fs::write(&file, "password").unwrap();
    assert!(refused().await.contains("line 1"));
    write(&file, &[2]);
    assert!(refused().await.contains("none of the secrets"), "another network's");
    write(&file, &[1]);
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, None, Some(4_000)).unwrap();
    assert!(refused().await.contains("mode 0640"));
    assert_eq!(connections_by_secret(&nodes[0]).await, before);
    let public = start(settings(&[])).await;
    let error = public.handle().reload_network().await.unwrap_err();
    assert!(error.to_string().contains("--network-secret"), "{error}");
    stop(nodes).await;
    stop(vec![public]).await;
}

/// The three steps, with values put and got meanwhile. Connections themselves are renewed within ten
/// minutes (`pool/renewal`); here a new one is made after each step.
#[tokio::test]
async fn a_secret_is_rotated_without_a_failed_get() {
    let secrets = Secrets::new();
    let files: Vec<_> =
        (0..4).map(|number| secrets.file(&format!("{number}.secret"), &[1])).collect();
    let mut nodes = vec![member(&files[0], &[]).await];
    for file in &files[1..] {
        let next = member(file, &[&nodes[0]]).await;
        nodes.push(next);
    }
    for node in &nodes {
        knows(node, 3).await;
    }
    let value = Bytes::from_static(b"value");
    for (step, lines) in [&[1, 2][..], &[2, 1], &[2]].into_iter().enumerate() {
        for (node, file) in nodes.iter().zip(&files) {
            let number = step as u64;
            soon(node.handle().put(Publication::new(key(number), value.clone()))).await.unwrap();
            reload(node, file, lines).await;
            for other in &nodes {
                let got = soon(other.handle().get(key(number))).await.unwrap();
                assert_eq!(got.value, Some(value.clone()), "step {step}");
            }
        }
        // A node that joins now does so by the first secret.
        let late = secrets.file("late.secret", lines);
        let newcomer = member(&late, &[&nodes[0]]).await;
        soon(newcomer.joined()).await;
        stop(vec![newcomer]).await;
    }
    for node in &nodes {
        assert_eq!(connections_by_secret(node).await.len(), 1);
        knows(node, 3).await;
    }
    let leaked = secrets.file("leaked.secret", &[1]);
    let outsider = member(&leaked, &[&nodes[0]]).await;
    assert_eq!(state_of_peer(&outsider).await, "other_network");
    stop(nodes).await;
    stop(vec![outsider]).await;
}

#[tokio::test]
async fn a_removed_secret_has_its_connections_replaced_at_once() {
    let secrets = Secrets::new();
    let files = ["one", "two"].map(|name| secrets.file(name, &[1]));
    let one = member(&files[0], &[]).await;
    let two = member(&files[1], &[&one]).await;
    knows(&one, 1).await;
    knows(&two, 1).await;
    for lines in [&[1, 2][..], &[2, 1], &[2]] {
        reload(&one, &files[0], lines).await;
        reload(&two, &files[1], lines).await;
    }
    // The next request is on a connection by the new one.
    let value = Bytes::from_static(b"value");
    assert_eq!(soon(one.handle().put(Publication::new(key(1), value))).await.unwrap().stored, 2);
    let [(_, connections)] = &connections_by_secret(&one).await[..] else { panic!("one secret") };
    assert!(*connections >= 1);
    stop(vec![one, two]).await;
}

#[tokio::test]
async fn a_data_directory_remembers_its_network() {
    let secrets = Secrets::new();
    let file = secrets.file("net.secret", &[1]);
    let directory = secrets.0.path().join("data");
    let with = |file: Option<&Path>| Settings {
        data_dir: Some(directory.clone()),
        network_secret: file.map(Path::to_owned),
        ..settings(&[])
    };
    let node = start(with(Some(&file))).await;
    let id = node.id();
    reload(&node, &file, &[2, 1]).await;
    stop(vec![node]).await;
    // A lost variable must not turn a private node public.
    let error = Node::start(with(None)).await.unwrap_err();
    assert!(matches!(error, StartError::Directory(_)), "{error}");
    assert!(error.to_string().contains("VOIDDHT_NETWORK_SECRET"), "{error}");
    let other = secrets.file("other.secret", &[3]);
    let error = Node::start(with(Some(&other))).await.unwrap_err();
    assert!(error.to_string().contains("dht network move"), "{error}");
    // The reload was remembered, and one in common is enough.
    write(&file, &[2]);
    let node = start(with(Some(&file))).await;
    assert_eq!(node.id(), id);
    stop(vec![node]).await;
    write(&file, &[1]);
    assert!(Node::start(with(Some(&file))).await.is_err(), "replaced by the file's at each start");
}

#[tokio::test]
async fn a_public_nodes_directory_stays_public() {
    let secrets = Secrets::new();
    let directory = secrets.0.path().join("data");
    let public = Settings { data_dir: Some(directory.clone()), ..settings(&[]) };
    stop(vec![start(public).await]).await;
    let file = secrets.file("net.secret", &[1]);
    let private = Settings { data_dir: Some(directory), ..private(&file, &[]) };
    let error = Node::start(private).await.unwrap_err();
    assert!(error.to_string().contains("public network"), "{error}");
}

#[tokio::test]
async fn key_exchange_is_hybrid_in_a_private_network_and_classical_in_a_public_one() {
    let secrets = Secrets::new();
    let file = secrets.file("net.secret", &[1]);
    let groups = |node: &Node| {
        let handle = node.handle();
        async move {
            let snapshot = handle.snapshot(Default::default()).await.unwrap();
            let groups = snapshot.connections.groups.into_iter();
            groups.map(|one| one.group).collect::<Vec<_>>()
        }
    };
    let classical = Some(voiddht_identity::KeyExchange::classical());
    let of = |settings: Settings, key_exchange| Settings { key_exchange, ..settings };
    for (settings, dialler, expected) in [
        (private(&file, &[]), None, "x25519mlkem768"),
        (settings(&[]), None, "x25519"),
        // The dialler's order decides.
        (private(&file, &[]), classical, "x25519"),
    ] {
        let node = start(settings.clone()).await;
        let peers = vec![node.p2p_address().into()];
        let other = start(of(Settings { peers, ..settings }, dialler)).await;
        soon(other.joined()).await;
        assert_eq!(groups(&other).await, [expected]);
        stop(vec![node, other]).await;
    }
}
