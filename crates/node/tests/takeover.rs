//! Whose an ID is: what becomes of a node that authenticates a known ID with another key, before
//! and after the owner is gone, and what a node remembers of it when it comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use common::{settings, soon, start, stop, until};
use voiddht_identity::{Identity, KeyKind, PinLimits, Policy};
use voiddht_node::pins::PinView;
use voiddht_node::{Counts, Node, Settings};
use voiddht_store::{DataDir, StoredIdentity};
use voiddht_wire::NodeId;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn tofu(peers: &[&Node]) -> Settings {
    Settings { policy: Policy::Tofu, ..settings(peers) }
}

/// A data directory of a node with this ID, and a key of its own.
fn claim(id: NodeId, directory: &Path) {
    let identity = Identity::generate_with_id(KeyKind::Ed25519, id, HOST).unwrap();
    let (store, _) = DataDir::open(directory, Box::new(drop)).unwrap();
    let stored = StoredIdentity {
        node_id: id,
        private_key_der: identity.private_key_der(),
        certificate_der: identity.certificate().der().to_vec(),
    };
    store.save_identity(&stored).unwrap();
    store.close().unwrap();
}

/// A node that claims another one's ID, and joins through these.
async fn thief(id: NodeId, peers: &[&Node], directory: &Path) -> Node {
    claim(id, directory);
    start(Settings { data_dir: Some(directory.to_owned()), ..tofu(peers) }).await
}

async fn counts_until(node: &Node, holds: impl Fn(&Counts) -> bool) -> Counts {
    let handle = node.handle();
    until(|| async { holds(&handle.counts()) }).await;
    node.handle().counts()
}

async fn pin_of(node: &Node, id: NodeId) -> Option<PinView> {
    let pins = node.handle().pins().await.unwrap();
    pins.into_iter().find(|pin| pin.id == id.to_string())
}

async fn has_contact(node: &Node, other: &Node) {
    let handle = node.handle();
    let wanted = other.p2p_address().into();
    until(|| async {
        let contacts = handle.status().await.unwrap().core.contacts;
        contacts.iter().any(|contact| contact.id == other.id() && contact.address == wanted)
    })
    .await;
}

#[tokio::test]
async fn an_id_is_its_owners_while_it_lives_and_the_next_ones_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let owner = start(tofu(&[])).await;
    let id = owner.id();
    // Short, so that the owner's silence does not last; no test waits for an answer within it.
    let limits = PinLimits {
        takeover_grace: Duration::from_secs(2),
        cool_down: Duration::from_millis(1),
        ..PinLimits::default()
    };
    let node = start(Settings { pins: limits, ..tofu(&[&owner]) }).await;
    has_contact(&node, &owner).await;
    let pinned = pin_of(&node, id).await.unwrap();
    assert_eq!(pinned.address, Some(owner.p2p_address()));

    let thief = thief(id, &[&node], directory.path()).await;
    let counts = counts_until(&node, |counts| counts.pins.owner_answered >= 1).await;
    assert!(counts.pins.conflicts >= 1 && counts.pins.pings >= 1);
    assert_eq!((counts.pins.owner_silent, counts.pins.replaced), (0, 0));
    has_contact(&node, &owner).await;
    assert_eq!(pin_of(&node, id).await, Some(pinned.clone()));
    let contacts = thief.handle().status().await.unwrap().core.contacts;
    assert!(contacts.is_empty(), "no node speaks to it");

    soon(owner.shutdown()).await;
    // It comes again by itself, as every node does that has not found its network.
    let counts = counts_until(&node, |counts| counts.pins.replaced == 1).await;
    assert_eq!(counts.pins.owner_silent, 1);
    has_contact(&node, &thief).await;
    let now = pin_of(&node, id).await.unwrap();
    assert_ne!(now.certificate_sha256, pinned.certificate_sha256);
    assert_eq!(now.member, Some(true));
    stop(vec![thief, node]).await;
}

#[tokio::test]
async fn where_ids_certify_themselves_none_is_ever_taken() {
    let directory = tempfile::tempdir().unwrap();
    let owner = start(settings(&[])).await;
    let node = start(settings(&[&owner])).await;
    has_contact(&node, &owner).await;
    let id = owner.id();
    let thief = thief(id, &[&node], directory.path()).await;
    counts_until(&node, |counts| counts.handshakes_failed >= 1).await;
    soon(owner.shutdown()).await;
    let failed = node.handle().counts().handshakes_failed;
    let counts = counts_until(&node, |counts| counts.handshakes_failed > failed).await;
    assert_eq!((counts.pins.conflicts, counts.pins.pings), (0, 0), "refused before it is judged");
    assert!(thief.handle().status().await.unwrap().core.contacts.is_empty());
    stop(vec![thief, node]).await;
}

#[tokio::test]
async fn pins_outlive_the_process_and_are_forgotten_by_command() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let owner = start(tofu(&[])).await;
    let id = owner.id();
    let kept = || Settings { data_dir: Some(home.path().to_owned()), ..tofu(&[]) };
    let first = start(Settings { peers: vec![owner.p2p_address().into()], ..kept() }).await;
    has_contact(&first, &owner).await;
    let pinned = pin_of(&first, id).await.unwrap();
    soon(first.shutdown()).await;

    let again = start(kept()).await;
    let restored = pin_of(&again, id).await.unwrap();
    assert_eq!(restored.certificate_sha256, pinned.certificate_sha256);
    assert_eq!(restored.address, pinned.address);
    let thief = thief(id, &[&again], elsewhere.path()).await;
    counts_until(&again, |counts| counts.pins.conflicts >= 1).await;
    soon(thief.shutdown()).await;

    soon(owner.shutdown()).await;
    let handle = again.handle();
    assert!(handle.forget_pin(id).await.unwrap());
    assert!(!handle.forget_pin(id).await.unwrap());
    soon(again.shutdown()).await;
    let (store, loaded) = DataDir::open(home.path(), Box::new(drop)).unwrap();
    assert!(loaded.pins.iter().all(|pin| pin.node_id != id), "on disk too");
    store.close().unwrap();
}
