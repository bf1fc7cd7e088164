//! A node opens the port for peers, and no other: alone in this process, so that its sockets are countable.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

use voiddht::Node;

/// The sockets of this process that listen: of TCP, and of the Unix domain.
fn listening() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let own: BTreeSet<String> = links
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let count = |file: &str, state: usize, listens: &str, inode: usize| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.get(state) == Some(&listens))
            .filter(|row| row.get(inode).is_some_and(|inode| own.contains(*inode)))
            .count()
    };
    // proc(5): state 0A is LISTEN; flags 00010000 is a socket that accepts.
    count("/proc/self/net/tcp", 3, "0A", 9)
        + count("/proc/self/net/tcp6", 3, "0A", 9)
        + count("/proc/self/net/unix", 3, "00010000", 6)
}

#[tokio::test]
async fn only_the_port_for_peers_is_opened_unless_asked() {
    let before = listening();
    let loopback = ([127, 0, 0, 1], 0).into();
    let node = Node::builder().listen(loopback).start().await.unwrap();
    assert_eq!(listening() - before, 1);
    assert_eq!(node.module_api_address(), None);
    node.shutdown().await;

    let node = Node::builder().listen(loopback).module_api(loopback).start().await.unwrap();
    assert_eq!(listening() - before, 2);
    assert!(node.module_api_address().is_some());
    node.shutdown().await;
    assert_eq!(listening(), before);
}
