//! Nodes that find each other and keep each other's values, over real sockets and TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{key, network, soon, stop, until};
use voiddht_wire::Publication;
use voiddht_wire::limits::MAX_VALUE_BYTES;

#[tokio::test]
async fn two_nodes_keep_each_others_values() {
    let nodes = network(2).await;
    let (one, two) = (nodes[0].handle(), nodes[1].handle());
    let small = Bytes::from_static(b"v");
    let large = Bytes::from(vec![7; MAX_VALUE_BYTES]);
    for (number, value) in [(1, small), (2, large)] {
        let put = soon(one.put(Publication::new(key(number), value.clone()))).await.unwrap();
        assert_eq!(put.stored, 2);
        for handle in [&one, &two] {
            let got = soon(handle.get(key(number))).await.unwrap();
            assert_eq!(got.value.as_ref(), Some(&value));
        }
    }
    assert_eq!(soon(two.get(key(3))).await.unwrap().value, None);
    stop(nodes).await;
}

#[tokio::test]
async fn one_connection_serves_each_pair() {
    let nodes = network(8).await;
    for (number, node) in nodes.iter().enumerate() {
        let value = Bytes::from(vec![number as u8 + 1]);
        soon(node.handle().put(Publication::new(key(number as u64), value))).await.unwrap();
    }
    for node in &nodes {
        for number in 0..nodes.len() {
            let got = soon(node.handle().get(key(number as u64))).await.unwrap();
            assert_eq!(got.value.as_deref(), Some(&[number as u8 + 1][..]));
        }
    }
    for node in &nodes {
        let handle = node.handle();
        until(|| async { handle.status().await.unwrap().counts.connections == 7 }).await;
    }
    stop(nodes).await;
}
