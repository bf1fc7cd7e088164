//! One node of ours and one peer of the original: each as server and as client of the other.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use voiddht_wire::limits::{MAX_LEGACY_VALUE_BYTES, MAX_VALUE_BYTES};
use voiddht_wire::{Key, Publication};

use crate::common::{key, soon, start, stop, until};
use crate::peer::{LegacyPeer, call, python, try_call};
use crate::{has_contact, tofu};

#[tokio::test]
async fn it_joins_is_given_values_and_answers_for_them() {
    let Some(python) = python() else { return };
    let node = start(tofu(&[])).await;
    let mut peer = LegacyPeer::start(&python, Some(node.p2p_address()), &[]).await;
    has_contact(&node, peer.address).await;

    let value = Bytes::from_static(b"a value for both");
    let put = soon(node.handle().put(Publication::new(key(1), value.clone()).replication(20)))
        .await
        .unwrap();
    assert_eq!(put.stored, 2, "this node, and the other, which was asked for what it took");
    let stored = peer.event("stored").await;
    assert_eq!(stored["key"], key(1).to_string());
    assert_eq!(stored["value"], HEXLOWER.encode(&value));

    // Another node of ours, which holds nothing: what it gets comes from both.
    let other = start(tofu(&[&node])).await;
    soon(other.joined()).await;
    has_contact(&other, peer.address).await;
    let got = soon(other.handle().get(key(1))).await.unwrap();
    assert_eq!(got.value, Some(value));
    assert!(got.report.dissenting == 0 && got.report.agreeing >= 1);
    let asked = |event: &serde_json::Value| event["kind"] == "FIND_VALUE";
    peer.event_where(asked).await;
    stop(vec![other, node]).await;
}

#[tokio::test]
async fn a_node_of_ours_joins_through_it() {
    let Some(python) = python() else { return };
    let peer = LegacyPeer::start(&python, None, &[]).await;
    let mut settings = tofu(&[]);
    settings.peers = vec![peer.address.into()];
    let node = start(settings).await;
    soon(node.joined()).await;
    has_contact(&node, peer.address).await;
    let contacts = node.handle().status().await.unwrap().core.contacts;
    assert_eq!(contacts[0].id, peer.id);
    let pins = node.handle().pins().await.unwrap();
    assert_eq!(pins.len(), 1);
    assert_eq!((&pins[0].id, pins[0].address), (&peer.id.to_string(), Some(peer.address)));
    assert_eq!(pins[0].member, Some(true));
    stop(vec![node]).await;
}

/// The wire format allows port 0 in a header: the sender does not listen.
#[tokio::test]
async fn a_client_of_ours_uses_it_and_announces_no_port() {
    let Some(python) = python() else { return };
    let mut peer = LegacyPeer::start(&python, None, &[]).await;
    let mut settings = tofu(&[]);
    settings.peers = vec![peer.address.into()];
    settings.core.client = true;
    let node = start(settings).await;
    soon(node.joined()).await;
    has_contact(&node, peer.address).await;
    let value = Bytes::from_static(b"a value for the other alone");
    let put = soon(node.handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
    assert_eq!(put.stored, 1, "not on the client");
    assert_eq!(soon(node.handle().get(key(1))).await.unwrap().value, Some(value));
    assert_eq!(node.handle().status().await.unwrap().core.records, 0);
    let own = node.id().to_string();
    let asked = |event: &serde_json::Value| event["kind"] == "FIND_VALUE" && event["id"] == own;
    assert_eq!(peer.event_where(asked).await["port"], 0);
    stop(vec![node]).await;
}

#[tokio::test]
async fn its_clients_ask_and_store_here() {
    let Some(python) = python() else { return };
    let node = start(tofu(&[])).await;
    let (address, handle) = (node.p2p_address(), node.handle());

    let answer = call(&python, address, &["ping"]).await;
    assert_eq!((&answer["kind"], &answer["tls"]), (&"PING_REPLY".into(), &"TLSv1.3".into()));
    assert_eq!(answer["pushed_certificate_is_the_tls_one"], true);
    assert_eq!(answer["rpc_id_echoed"], true);
    assert_eq!(answer["id"], node.id().to_string());
    assert_eq!(answer["port"], address.port());

    let (wanted, value) = (key(1).to_string(), HEXLOWER.encode(b"stored by the original"));
    let answer = call(&python, address, &["store", &wanted, &value, "300"]).await;
    assert_eq!(answer["kind"], serde_json::Value::Null, "a STORE has no answer");
    until(|| async { handle.status().await.unwrap().core.records == 1 }).await;
    let got = soon(handle.get(key(1))).await.unwrap();
    assert_eq!(got.value, Some(Bytes::from_static(b"stored by the original")));
    assert!(got.version.is_some(), "this node's clock is its version");

    let answer = call(&python, address, &["find_value", &wanted]).await;
    assert_eq!(answer["kind"], "FIND_VALUE_REPLY");
    assert_eq!((&answer["key"], &answer["value"]), (&wanted.into(), &value.into()));
    let answer = call(&python, address, &["find_node", &key(2).to_string()]).await;
    assert_eq!(answer["kind"], "FIND_NODE_REPLY");
    assert_eq!(answer["nodes"][0]["id"], node.id().to_string(), "the answering node is among them");

    let contacts = handle.status().await.unwrap().core.contacts;
    assert!(contacts.is_empty(), "who claims to listen and does not is no contact");
    assert!(handle.pins().await.unwrap().is_empty(), "and nothing is pinned without a certificate");
    stop(vec![node]).await;
}

#[tokio::test]
async fn a_value_too_large_for_its_frames_passes_it_over() {
    let Some(python) = python() else { return };
    let (node, other) = {
        let node = start(tofu(&[])).await;
        let other = start(tofu(&[&node])).await;
        (node, other)
    };
    let mut peer = LegacyPeer::start(&python, Some(node.p2p_address()), &[]).await;
    for node in [&node, &other] {
        has_contact(node, peer.address).await;
    }
    let keys = [MAX_VALUE_BYTES, MAX_LEGACY_VALUE_BYTES].map(|bytes| {
        let value = Bytes::from(vec![7; bytes]);
        (Key::of_value(&value), value)
    });
    for ((key, value), holders) in keys.iter().zip([2, 3]) {
        let put = soon(node.handle().put(Publication::new(*key, value.clone()).replication(20)))
            .await
            .unwrap();
        assert_eq!(put.stored, holders, "{} bytes", value.len());
        assert_eq!(soon(other.handle().get(*key)).await.unwrap().value.as_ref(), Some(value));
    }
    let stored = peer.event("stored").await;
    assert_eq!(stored["key"], keys[1].0.to_string(), "the smaller one, and no other");

    // What it asks for and its dialect cannot express is an ERROR, as the original has them.
    let answer = call(&python, node.p2p_address(), &["find_value", &keys[0].0.to_string()]).await;
    assert_eq!((&answer["kind"], &answer["code"]), (&"ERROR".into(), &12.into()));
    stop(vec![other, node]).await;
}

#[tokio::test]
async fn where_ids_certify_themselves_it_is_refused_in_both_directions() {
    let Some(python) = python() else { return };
    let node = start(crate::common::settings(&[])).await;
    let output = try_call(&python, node.p2p_address(), &["ping"]).await;
    assert!(!output.status.success());
    let handle = node.handle();
    until(|| async { handle.status().await.unwrap().counts.handshakes_failed == 1 }).await;

    let peer = LegacyPeer::start(&python, None, &[]).await;
    let mut settings = crate::common::settings(&[&node]);
    settings.peers.push(peer.address.into());
    let other = start(settings).await;
    soon(other.joined()).await;
    let handle = other.handle();
    until(|| async { handle.status().await.unwrap().counts.dials_failed >= 1 }).await;
    let contacts = handle.status().await.unwrap().core.contacts;
    assert_eq!(contacts.len(), 1, "the node of ours");
    stop(vec![other, node]).await;
}
