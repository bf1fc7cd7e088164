//! Peers of the original network and a private one: neither gets anything of the other.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use voiddht_node::Settings;

use crate::common::{settings, start, stop, until};
use crate::peer::{LegacyPeer, python, try_call};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_the_original_is_refused_on_both_sides() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("net.secret");
    fs::write(&secret, "ab".repeat(32)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let peer = LegacyPeer::start(&python, None, &[]).await;
    let mut private = Settings { network_secret: Some(secret), ..settings(&[]) };
    private.peers = vec![peer.address.into()];
    let node = start(private).await;
    let handle = node.handle();
    let state = || async { handle.snapshot(Default::default()).await.unwrap().peers[0].state };
    until(|| async { state().await != "untried" }).await;
    assert_eq!(state().await, "public_network", "what it pushes is a certificate in the clear");

    // The other way round: it reads a sealed certificate, and cannot.
    let called = try_call(&python, node.p2p_address(), &["ping"]).await;
    assert!(!called.status.success(), "{called:?}");
    let counts = node.handle().counts();
    assert_eq!((counts.dialed, counts.accepted, counts.misbehaved), (0, 0, 0));
    assert!(node.handle().status().await.unwrap().core.contacts.is_empty());
    stop(vec![node]).await;
}
