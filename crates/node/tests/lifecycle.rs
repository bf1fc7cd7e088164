//! A node's start and end, what it takes along through a data directory, and its bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::ports::free_address;
use common::{key, knows, network, node, settings, soon, start, stop, until};
use tokio::net::{TcpListener, TcpStream};
use voiddht_core::operation::PutFailure;
use voiddht_node::snapshot::SnapshotRequest;
use voiddht_node::{HandleError, Node, StartError};
use voiddht_wire::Publication;

/// Tasks of this test's runtime that are alive. The test itself is none.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn a_clean_shutdown_leaves_no_task_and_no_port() {
    let nodes = network(4).await;
    let idle_program = TcpStream::connect(nodes[0].api_address().unwrap()).await.unwrap();
    let silent_peer = TcpStream::connect(nodes[0].p2p_address()).await.unwrap();
    let addresses: Vec<SocketAddr> =
        nodes.iter().flat_map(|node| [node.p2p_address(), node.api_address().unwrap()]).collect();
    let handle = nodes[0].handle();
    soon(handle.put(Publication::new(key(1), Bytes::from_static(b"value")))).await.unwrap();
    stop(nodes).await;
    assert_eq!(tasks(), 0);
    for address in addresses {
        TcpListener::bind(address).await.unwrap();
    }
    assert_eq!(handle.get(key(1)).await.unwrap_err(), HandleError::Stopped);
    assert_eq!(handle.status().await.unwrap_err(), HandleError::Stopped);
    drop((idle_program, silent_peer));
}

#[tokio::test]
async fn a_dropped_node_ends_too() {
    let nodes = network(2).await;
    let handle = nodes[0].handle();
    drop(nodes);
    until(|| async { tasks() == 0 }).await;
    assert_eq!(handle.get(key(1)).await.unwrap_err(), HandleError::Stopped);
}

#[tokio::test]
async fn one_that_leaves_hands_over_what_it_holds() {
    let mut nodes = network(3).await;
    let value = Bytes::from_static(b"handed over");
    // One replica: it lies on the closest node, whichever that is.
    soon(nodes[0].handle().put(Publication::new(key(5), value.clone()).replication(1)))
        .await
        .unwrap();
    let mut holder = None;
    for (index, node) in nodes.iter().enumerate() {
        if node.handle().status().await.unwrap().core.records > 0 {
            holder = Some(index);
        }
    }
    let holder = nodes.remove(holder.expect("a node holds it"));
    soon(holder.shutdown()).await;
    for node in &nodes {
        assert_eq!(soon(node.handle().get(key(5))).await.unwrap().value, Some(value.clone()));
    }
    stop(nodes).await;
}

#[tokio::test]
async fn a_node_comes_back_with_its_identity_contacts_and_records() {
    let directory = tempfile::tempdir().unwrap();
    let friend = node(&[]).await;
    let with_directory = |peers: &[&Node]| {
        let mut settings = settings(peers);
        settings.data_dir = Some(directory.path().join("node"));
        settings
    };
    let first = start(with_directory(&[&friend])).await;
    knows(&first, 1).await;
    knows(&friend, 1).await;
    let (id, p2p_port) = (first.id(), first.p2p_address().port());
    let value = Bytes::from_static(b"kept");
    let put = soon(first.handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
    assert_eq!(put.stored, 2);

    let second = Node::start(with_directory(&[])).await;
    assert!(matches!(second, Err(StartError::DataDir(_))), "one node for one directory");

    soon(first.shutdown()).await;
    let mut back = with_directory(&[]);
    back.p2p_port = p2p_port;
    let back = start(back).await;
    assert_eq!(back.id(), id);
    assert_eq!(back.handle().status().await.unwrap().core.records, 1);
    soon(back.joined()).await;
    knows(&back, 1).await;
    soon(friend.shutdown()).await;
    assert_eq!(soon(back.handle().get(key(1))).await.unwrap().value, Some(value));
    stop(vec![back]).await;
}

#[tokio::test]
async fn what_cannot_start_says_why_and_leaves_nothing() {
    let running = node(&[]).await;
    let before = tasks();
    for p2p in [true, false] {
        let mut taken = settings(&[]);
        if p2p {
            taken.p2p_port = running.p2p_address().port();
        } else {
            taken.api = running.api_address();
        }
        let port = if p2p { running.p2p_address() } else { running.api_address().unwrap() }.port();
        let error = Node::start(taken).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
    let mut contradiction = settings(&[]);
    contradiction.core.alpha = 0;
    assert!(matches!(Node::start(contradiction).await, Err(StartError::Config(_))));
    assert_eq!(tasks(), before);
    stop(vec![running]).await;
}

#[tokio::test]
async fn a_small_pool_serves_a_network_that_is_larger() {
    let hub = node(&[]).await;
    let mut nodes = Vec::new();
    for _ in 0..6 {
        let mut settings = settings(&[&hub]);
        settings.limits.connections = 3;
        nodes.push(start(settings).await);
    }
    for node in &nodes {
        knows(node, 6).await;
    }
    for number in 0..20 {
        let value = Bytes::from(vec![number as u8; 10]);
        let from = nodes[number as usize % 6].handle();
        // With so few connections a store may find none free: it counts the others.
        let put = soon(from.put(Publication::new(key(number), value.clone()))).await.unwrap();
        assert!(put.stored > 0);
        let got = soon(nodes[(number as usize + 3) % 6].handle().get(key(number))).await.unwrap();
        assert_eq!(got.value, Some(value));
    }
    for node in &nodes {
        let handle = node.handle();
        until(|| async { handle.status().await.unwrap().counts.connections <= 3 }).await;
    }
    nodes.push(hub);
    stop(nodes).await;
}

#[tokio::test]
async fn nodes_that_dial_each_other_at_once_keep_one_connection() {
    // Each is configured with the other, and both start to dial as they start to listen.
    let ports = [free_address().port(), free_address().port()];
    let both = [0, 1].map(|this| {
        let mut settings = settings(&[]);
        settings.p2p_port = ports[this];
        settings.peers = vec![SocketAddr::new(settings.host, ports[1 - this]).into()];
        settings
    });
    let [one, two] = both;
    let (one, two) = tokio::join!(start(one), start(two));
    for node in [&one, &two] {
        soon(node.joined()).await;
        let handle = node.handle();
        until(|| async { handle.status().await.unwrap().counts.connections == 1 }).await;
    }
    let value = Bytes::from_static(b"over the one that stayed");
    soon(one.handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
    assert_eq!(soon(two.handle().get(key(1))).await.unwrap().value, Some(value));
    stop(vec![one, two]).await;
}

#[tokio::test]
async fn one_that_knows_only_itself_and_the_dead_starts_all_the_same() {
    let dead = free_address();
    let mut alone = settings(&[]);
    alone.p2p_port = free_address().port();
    alone.peers = vec![dead.into(), SocketAddr::new(alone.host, alone.p2p_port).into()];
    let node = start(alone).await;
    let value = Bytes::from_static(b"mine");
    // Other nodes could not fetch it: the PUT has failed, and its own node reads it all the same.
    let put = soon(node.handle().put(Publication::new(key(1), value.clone()))).await.unwrap();
    assert_eq!((put.stored, put.failure), (0, Some(PutFailure::Unreachable)));
    assert_eq!(soon(node.handle().get(key(1))).await.unwrap().value, Some(value));
    let joined = tokio::time::timeout(Duration::from_millis(50), node.joined()).await;
    assert!(joined.is_err(), "there is no peer to join");
    stop(vec![node]).await;
}

#[tokio::test]
async fn two_processes_with_one_identity_find_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let homes = ["first", "copy"].map(|name| directory.path().join(name));
    let friend = node(&[]).await;
    let at_home = |home: &std::path::Path, peers: &[&Node]| {
        let mut settings = settings(peers);
        settings.data_dir = Some(home.to_owned());
        settings
    };
    soon(start(at_home(&homes[0], &[])).await.shutdown()).await;
    std::fs::create_dir(&homes[1]).unwrap();
    for file in std::fs::read_dir(&homes[0]).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), homes[1].join(file.file_name())).unwrap();
        }
    }
    let first = start(at_home(&homes[0], &[&friend])).await;
    knows(&friend, 1).await;
    assert!(!has_duplicate(&first).await);
    let second = start(at_home(&homes[1], &[&friend])).await;
    assert_eq!(first.handle().id(), second.handle().id());
    for node in [&first, &second] {
        until(|| has_duplicate(node)).await;
    }
    stop(vec![friend, first, second]).await;
}

async fn has_duplicate(node: &Node) -> bool {
    let snapshot = node.handle().snapshot(SnapshotRequest::default()).await.unwrap();
    snapshot.health.reasons.iter().any(|reason| reason.code == "duplicate")
}
