//! Peers of the original that misbehave, among others that do not: values are put and got through
//! the others, and nothing waits longer for the bad one than a request may take.

use std::time::Duration;

use bytes::Bytes;
use voiddht_core::config::FAIL_AFTER;
use voiddht_node::Node;

use crate::common::{key, soon, start, stop};
use crate::peer::{LegacyPeer, python};
use crate::{has_contact, our_network, tofu};
use voiddht_wire::Publication;

/// What an operation may take in which every kind of request to the bad peer fails once: finding
/// nodes, storing, and being asked for what was stored.
const PATIENCE: Duration = Duration::from_secs(3 * FAIL_AFTER.1.as_secs());

/// Puts and gets so many values through a network of five of ours, a good peer of the original, and one
/// that misbehaves in this way; the answer is our first node.
async fn puts_and_gets(mode: &str, values: u64) -> Option<(Vec<Node>, LegacyPeer)> {
    let python = python()?;
    let nodes = our_network(5).await;
    let good = LegacyPeer::start(&python, Some(nodes[0].p2p_address()), &[]).await;
    // It knows the good one, which will name it to others.
    let bad = LegacyPeer::start(&python, Some(good.address), &["--misbehave", mode]).await;
    has_contact(&nodes[1], good.address).await;
    for number in 0..values {
        let value = Bytes::from(format!("{mode} {number}"));
        let handle = nodes[1].handle();
        let put = soon(handle.put(Publication::new(key(number), value.clone()).replication(20)))
            .await
            .unwrap();
        assert!(put.stored >= nodes.len(), "{mode}: on {} nodes", put.stored);
        assert!(put.report.took < PATIENCE, "{mode}: {:?}", put.report.took);
        // One that has just come, and holds nothing.
        let got = soon(nodes[2].handle().get(key(number))).await.unwrap();
        assert_eq!(got.value, Some(value), "{mode}");
        assert!(got.report.took < PATIENCE, "{mode}: {:?}", got.report.took);
    }
    let newcomer = start(tofu(&[&nodes[3]])).await;
    soon(newcomer.joined()).await;
    let got = soon(newcomer.handle().get(key(0))).await.unwrap();
    assert_eq!(got.value, Some(Bytes::from(format!("{mode} 0"))));
    stop(vec![newcomer]).await;
    drop(good);
    Some((nodes, bad))
}

#[tokio::test]
async fn a_wrong_value_is_outvoted() {
    let Some((nodes, bad)) = puts_and_gets("wrong-value", 5).await else { return };
    has_contact(&nodes[0], bad.address).await;
    stop(nodes).await;
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_a_request() {
    let Some((nodes, bad)) = puts_and_gets("silent", 1).await else { return };
    is_no_contact(&nodes, &bad).await;
    stop(nodes).await;
}

#[tokio::test]
async fn garbage_is_refused() {
    let Some((nodes, bad)) = puts_and_gets("garbage", 5).await else { return };
    is_no_contact(&nodes, &bad).await;
    let mut broken = 0;
    for node in &nodes {
        broken += node.handle().status().await.unwrap().counts.misbehaved;
    }
    assert!(broken > 0, "a node has met it");
    stop(nodes).await;
}

#[tokio::test]
async fn another_certificate_inside_tls_is_refused() {
    let Some((nodes, bad)) = puts_and_gets("swap-cert", 5).await else { return };
    is_no_contact(&nodes, &bad).await;
    for node in &nodes {
        let pins = node.handle().pins().await.unwrap();
        assert!(pins.iter().all(|pin| pin.id != bad.id.to_string()), "nothing was proved");
    }
    stop(nodes).await;
}

async fn is_no_contact(nodes: &[Node], bad: &LegacyPeer) {
    for node in nodes {
        let contacts = node.handle().status().await.unwrap().core.contacts;
        assert!(contacts.iter().all(|contact| contact.id != bad.id));
    }
}
