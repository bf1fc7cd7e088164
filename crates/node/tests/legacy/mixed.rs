//! Four nodes of ours and four of the original: values are kept whichever side puts and gets.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use voiddht_node::Node;
use voiddht_wire::{Key, Publication};

use crate::common::{key, knows, soon, stop, until};
use crate::our_network;
use crate::peer::{LegacyPeer, LegacyUser, python};

const OF_EACH: usize = 4;
const VALUES: usize = 100;

fn value(number: usize) -> Bytes {
    Bytes::from(format!("value {number} of a mixed network"))
}

fn name(number: usize) -> Key {
    key(number as u64)
}

/// Puts half of the values through nodes of ours.
async fn put_ours(nodes: &[Node]) {
    for number in (0..VALUES).step_by(2) {
        let node = &nodes[number / 2 % nodes.len()];
        let handle = node.handle();
        let put = handle.put(Publication::new(name(number), value(number)).replication(20));
        let stored = soon(put).await.unwrap().stored;
        assert!(stored > OF_EACH, "value {number} lies on {stored} nodes");
    }
}

/// And the other half through the original's.
async fn put_theirs(user: &mut LegacyUser, peers: &[LegacyPeer]) {
    for number in (1..VALUES).step_by(2) {
        user.put(peers[number / 2 % peers.len()].address, name(number), &value(number));
    }
    for number in (1..VALUES).step_by(2) {
        let stored = user.answer().await["stored"].as_u64();
        assert_eq!(stored, Some(2 * OF_EACH as u64), "value {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_found_whichever_side_puts_and_gets() {
    let Some(python) = python() else { return };
    let nodes = our_network(OF_EACH).await;
    let mut peers = Vec::new();
    for _ in 0..OF_EACH {
        peers.push(LegacyPeer::start(&python, Some(nodes[0].p2p_address()), &[]).await);
    }
    for node in &nodes {
        knows(node, 2 * OF_EACH - 1).await;
    }
    let mut user = LegacyUser::start(&python);
    put_ours(&nodes).await;
    put_theirs(&mut user, &peers).await;
    // A STORE of the original is over before it is executed.
    for node in &nodes {
        let handle = node.handle();
        until(|| async { handle.status().await.unwrap().core.records == VALUES }).await;
    }

    let mut ours = 0;
    for number in 0..VALUES {
        let got = soon(nodes[number % nodes.len()].handle().get(name(number))).await.unwrap();
        ours += usize::from(got.value == Some(value(number)));
    }
    for number in 0..VALUES {
        let starts = [nodes[number % OF_EACH].p2p_address(), peers[number % OF_EACH].address];
        user.get(starts[number / 2 % 2], name(number));
    }
    let mut theirs = 0;
    for number in 0..VALUES {
        theirs += usize::from(user.answer().await["value"] == HEXLOWER.encode(&value(number)));
    }
    assert_eq!((ours, theirs), (VALUES, VALUES), "found by ours, and by the original's");
    stop(nodes).await;
}
