//! What a program that embeds nodes relies on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use voiddht::{
    Descriptors, HandleError, Key, MemoryStorage, Node, NodeBuilder, NodeEvent, Put, PutError,
    StartFailure, Storage, Table,
};

/// Longer than anything here takes on a loaded machine.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("something hangs")
}

fn builder(peers: &[&Node]) -> NodeBuilder {
    let loopback = ([127, 0, 0, 1], 0).into();
    Node::builder().listen(loopback).peers(peers.iter().map(|peer| peer.address()))
}

async fn joined(builder: NodeBuilder) -> Node {
    let node = builder.start().await.unwrap();
    soon(node.joined()).await;
    node
}

async fn has_contact(node: &Node) {
    soon(async {
        while node.status().await.unwrap().contacts.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn values_and_identity_survive_in_storage_of_the_program() {
    let storage = MemoryStorage::default();
    let first = joined(builder(&[])).await;
    let durable = joined(builder(&[&first]).storage(storage.clone())).await;
    has_contact(&first).await;
    let (id, key) = (durable.id(), Key::of_value(b"name"));
    let receipt =
        soon(first.put(Put::new(key, "value").ttl(Duration::from_secs(600)))).await.unwrap();
    assert_eq!(receipt.stored, 2);
    // The other copy goes at once, without being handed over.
    drop(first);
    soon(durable.shutdown()).await;
    let rows = storage.clone().load().unwrap();
    assert!(rows.iter().any(|row| row.table == Table::Records && row.key == key.to_bytes()));

    let reader = joined(builder(&[])).await;
    let back = joined(builder(&[&reader]).storage(storage)).await;
    assert_eq!(back.id(), id);
    has_contact(&reader).await;
    let found = soon(reader.get(key)).await.unwrap().expect("it was stored");
    assert_eq!(found.value, "value");
}

#[tokio::test]
async fn contacts_are_announced_and_the_stream_ends_with_the_node() {
    let node = joined(builder(&[])).await;
    let mut events = node.events();
    let other = joined(builder(&[&node])).await;
    let id = other.id();
    loop {
        if let NodeEvent::ContactJoined(contact) = soon(events.next()).await.expect("it runs") {
            assert_eq!(contact.id, id);
            break;
        }
    }
    soon(other.shutdown()).await;
    loop {
        if let NodeEvent::ContactLeft(contact) = soon(events.next()).await.expect("the node runs") {
            assert_eq!(contact.id, id);
            break;
        }
    }
    let handle = node.handle();
    soon(node.shutdown()).await;
    while soon(events.next()).await.is_some() {}
    assert_eq!(handle.status().await.unwrap_err(), HandleError::Stopped);
}

#[tokio::test]
async fn wrong_settings_and_values_are_refused_with_the_reason() {
    let error = Node::builder().peer("nowhere").start().await.unwrap_err();
    assert_eq!(error.failure(), StartFailure::Settings);
    assert!(error.to_string().contains("\"nowhere\" is no peer"), "{error}");

    let node = joined(builder(&[])).await;
    let taken = Node::builder().listen(node.address()).start().await.unwrap_err();
    assert_eq!(taken.failure(), StartFailure::Listen);

    let empty = node.put(Put::new(Key::of_value(b"x"), "")).await.unwrap_err();
    assert_eq!(empty, PutError::Handle(HandleError::ValueSize(0)));
    assert_eq!(node.get(Key::of_value(b"nothing here")).await.unwrap(), None);
}

#[tokio::test]
async fn nodes_share_the_open_files_that_they_are_given() {
    let budget = Descriptors::new(64);
    let one = joined(builder(&[]).descriptors(budget.clone())).await;
    let two = joined(builder(&[&one]).descriptors(budget.clone())).await;
    assert_eq!(budget.nodes(), 2);
    soon(two.shutdown()).await;
    soon(one.shutdown()).await;
    assert_eq!(budget.nodes(), 0);
}
