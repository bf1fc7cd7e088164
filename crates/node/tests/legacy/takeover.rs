//! An owner of the original network, asked in its own dialect whether it still lives.

use std::process::Command;
use std::time::Duration;

use voiddht_identity::pin::TAKEOVER_GRACE;
use voiddht_identity::{Identity, KeyKind};
use voiddht_node::Settings;
use voiddht_store::{DataDir, StoredIdentity};

use crate::common::{soon, start, stop, until};
use crate::peer::{LegacyPeer, python};
use crate::{has_contact, tofu};

/// How long the owner does nothing at all.
const OVERLOAD: Duration = Duration::from_secs(3);

fn signal(peer: &LegacyPeer, name: &str) {
    let sent = Command::new("kill").args([name, &peer.process().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn an_owner_that_does_nothing_for_three_seconds_keeps_its_id() {
    let Some(python) = python() else { return };
    assert!(OVERLOAD < TAKEOVER_GRACE);
    let node = start(tofu(&[])).await;
    let owner = LegacyPeer::start(&python, Some(node.p2p_address()), &[]).await;
    has_contact(&node, owner.address).await;

    let directory = tempfile::tempdir().unwrap();
    let host = owner.address.ip();
    let identity = Identity::generate_with_id(KeyKind::Ed25519, owner.id, host).unwrap();
    let (store, _) = DataDir::open(directory.path(), Box::new(drop)).unwrap();
    let stored = StoredIdentity {
        node_id: owner.id,
        private_key_der: identity.private_key_der(),
        certificate_der: identity.certificate().der().to_vec(),
    };
    store.save_identity(&stored).unwrap();
    store.close().unwrap();

    signal(&owner, "-STOP");
    let data_dir = Some(directory.path().to_owned());
    let thief = start(Settings { data_dir, ..tofu(&[&node]) }).await;
    let handle = node.handle();
    until(|| async { handle.counts().pins.conflicts >= 1 }).await;
    tokio::time::sleep(OVERLOAD).await;
    signal(&owner, "-CONT");
    until(|| async { handle.counts().pins.owner_answered == 1 }).await;
    let counts = handle.counts().pins;
    assert_eq!((counts.owner_silent, counts.replaced), (0, 0));
    let pins = handle.pins().await.unwrap();
    let pin = pins.iter().find(|pin| pin.id == owner.id.to_string()).unwrap();
    assert_eq!(pin.address, Some(owner.address));
    soon(thief.shutdown()).await;
    stop(vec![node]).await;
}
