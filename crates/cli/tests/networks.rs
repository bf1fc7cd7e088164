//! Networks of `dht_server` processes, and what they promise to local programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::Server;
use common::ports::free_address;
use rustix::process::Signal;

/// Four nodes that the first has brought together.
fn four(hosts: [&str; 4]) -> Vec<Server> {
    let first = Server::start(&["-a", hosts[0]]);
    let mut nodes: Vec<_> = hosts[1..].iter().map(|host| first.peer(host)).collect();
    nodes.insert(0, first);
    nodes
}

fn check_each_finds_what_another_was_given(nodes: &[Server]) {
    for (index, node) in nodes.iter().enumerate() {
        let (key, value) = (format!("key {index}"), format!("value {index}"));
        let put = node.dht(&["put", &key, &value]);
        assert_eq!(String::from_utf8(put.stdout).unwrap(), "stored on 4 nodes\n");
    }
    for node in nodes {
        for index in 0..nodes.len() {
            let found = node.get(&format!("key {index}"));
            assert_eq!(found.unwrap(), format!("value {index}").as_bytes());
        }
    }
}

#[test]
fn on_the_ipv6_loopback_address() {
    check_each_finds_what_another_was_given(&four(["::1"; 4]));
}

#[test]
fn on_the_ipv4_loopback_address() {
    check_each_finds_what_another_was_given(&four(["127.0.0.1"; 4]));
}

#[test]
fn on_an_address_for_each_node() {
    check_each_finds_what_another_was_given(&four([
        "127.0.0.11",
        "127.0.0.12",
        "127.0.0.13",
        "127.0.0.14",
    ]));
}

#[test]
fn peers_may_be_named_and_one_that_lives_is_enough() {
    let first = Server::start(&["-a", "127.0.0.1"]);
    let dead = free_address();
    let (live, dead) = (format!("localhost:{}", first.p2p.port()), dead.to_string());
    let second = Server::start(&["--peer", &dead, "--peer", &live, "-a", "127.0.0.1"]).joined();
    assert!(second.dht(&["put", "key", "value"]).status.success());
    assert_eq!(first.get("key").unwrap(), b"value");
}

#[test]
fn a_value_lives_as_long_as_its_ttl_at_every_node() {
    let nodes = four(["127.0.0.1"; 4]);
    let before = Instant::now();
    assert!(nodes[0].dht(&["put", "key", "value", "--ttl", "2"]).status.success());
    let stored = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    for node in &nodes {
        let found = node.get("key");
        // On a machine so slow that the two seconds are over, nothing is shown.
        if before.elapsed() < Duration::from_secs(2) {
            assert_eq!(found.unwrap(), b"value");
        }
    }
    std::thread::sleep(Duration::from_secs(3).saturating_sub(stored.elapsed()));
    for node in &nodes {
        assert_eq!(node.get("key"), None);
    }
}

/// The second publication, of another node and with a TTL of one second, deleted the value from four
/// of five nodes.
#[test]
fn a_stranger_cannot_shorten_the_life_of_a_content_addressed_value() {
    let nodes = four(["127.0.0.1"; 4]);
    let put = |node: &Server, ttl| {
        let put = node.dht(&["put", "-c", "-t", ttl, "a value that is its key's preimage"]);
        assert!(put.status.success());
        String::from_utf8(put.stdout).unwrap()
    };
    let key = put(&nodes[0], "3600");
    assert_eq!(put(&nodes[1], "1"), key);
    std::thread::sleep(Duration::from_millis(2500));
    for node in &nodes {
        assert_eq!(node.get(key.trim()).unwrap(), b"a value that is its key's preimage");
    }
}

/// It was "stored on 1 node", with status 0: on the one that no other could reach.
#[test]
fn a_node_that_has_lost_its_network_says_that_a_put_has_failed() {
    let mut first = Server::start(&["-a", "127.0.0.1"]);
    let second = first.peer("127.0.0.1");
    let put = second.dht(&["put", "key", "value"]);
    assert_eq!(String::from_utf8(put.stdout).unwrap(), "stored on 2 nodes\n");
    first.signal(Signal::KILL);
    first.wait();
    let put = second.dht(&["put", "key", "another"]);
    assert_eq!(put.status.code(), Some(1));
    let why = String::from_utf8(put.stderr).unwrap();
    assert!(why.contains("cannot reach its network"), "{why}");
}

#[test]
fn the_smallest_and_the_largest_value_are_found_everywhere() {
    let nodes = four(["127.0.0.1"; 4]);
    for bytes in [1, 65_495] {
        let value: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &value).unwrap();
        let put = nodes[3].dht(&["put", "-c", "--file", file.path().to_str().unwrap()]);
        let key = String::from_utf8(put.stdout).unwrap();
        for node in &nodes {
            assert_eq!(node.get(key.trim()).unwrap(), value);
        }
    }
}

#[test]
fn an_absent_key_is_told_promptly() {
    let nodes = four(["127.0.0.1"; 4]);
    // The best of several, so that a busy machine cannot spoil it: no timeout is as short.
    let fastest = (0..5).map(|number| {
        let started = Instant::now();
        assert_eq!(nodes[1].get(&format!("absent {number}")), None);
        started.elapsed()
    });
    let fastest = fastest.min().unwrap();
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    check_second_signal(Signal::INT, 130);
    check_second_signal(Signal::TERM, 143);
}

fn check_second_signal(again: Signal, status: i32) {
    let first = Server::start(&["-a", "127.0.0.1"]);
    let mut second = first.peer("127.0.0.1");
    assert!(second.dht(&["put", "key", "value"]).status.success());
    // A peer that neither answers nor closes makes saying goodbye long.
    first.signal(Signal::STOP);
    second.signal(Signal::TERM);
    second.line_with("stopping");
    second.signal(again);
    assert_eq!(second.wait().code(), Some(status));
}

/// The Python package, and the module API byte by byte.
#[test]
fn the_python_package_speaks_to_real_nodes() {
    let nodes = four(["127.0.0.1"; 4]);
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/python");
    let addresses: Vec<String> = nodes.iter().map(|node| node.api.to_string()).collect();
    let output = Command::new("python3")
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(package.join("tests"))
        .env("PYTHONPATH", package.join("src"))
        .env("VOIDDHT_TEST_NODES", addresses.join(" "))
        .output()
        .expect("python3 is what this test needs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("Ran 0 tests"), "{text}");
}
