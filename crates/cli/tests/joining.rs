//! Configured peers of real processes: those that start late, return as another node, have names,
//! or are no peers at all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::Server;
use common::ports::free_address;

/// A split network is one again within this time.
const A_MINUTE: Duration = Duration::from_secs(60);

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A node on this port.
fn node(port: u16, arguments: &[&str]) -> Server {
    let mut command = common::server();
    let port = port.to_string();
    command.args(["-a", "127.0.0.1", "-m", "0", "-p", &port]).args(arguments);
    Server::spawn(command)
}

/// Waits until a node finds what is under this key, for a minute at most.
fn finds(node: &Server, key: &str, value: &[u8]) {
    let begun = Instant::now();
    while node.get(key).as_deref() != Some(value) {
        assert!(begun.elapsed() < A_MINUTE, "{key} is not found");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn put(node: &Server, key: &str, value: &str) {
    assert!(node.dht(&["put", key, value]).status.success());
}

/// Node 2 knows node 1, node 3 knows 1 and 2, node 1 starts last and knows none: it was a network of
/// its own for ever.
#[test]
fn a_first_node_that_starts_last_is_part_of_the_network() {
    let [one, two] = [free_address().port(), free_address().port()];
    let second = node(two, &["--peer", &at(one)]);
    second.line_with("cannot join through a configured peer");
    let third =
        Server::start(&["-a", "127.0.0.1", "--peer", &at(one), "--peer", &at(two)]).joined();
    put(&third, "old", "of the two");
    let first = node(one, &[]);
    finds(&first, "old", b"of the two");
    put(&first, "new", "of the first");
    finds(&third, "new", b"of the first");
    second.line_with("configured peer is part of the network");
}

/// The first node has lost its data and returns as another, at the same address.
#[test]
fn a_first_node_that_returns_with_a_new_identity_is_part_of_the_network() {
    let port = free_address().port();
    let mut first = node(port, &[]);
    let others: Vec<_> =
        (0..3).map(|_| Server::start(&["-a", "127.0.0.1", "--peer", &at(port)]).joined()).collect();
    put(&others[0], "old", "from before");
    first.process.kill().unwrap();
    first.wait();
    others[0].line_with("cannot join through a configured peer");
    let again = node(port, &[]);
    finds(&again, "old", b"from before");
    put(&again, "new", "from now");
    others.iter().for_each(|other| finds(other, "new", b"from now"));
}

/// `localhost` is ::1 first, and the peer listens on 127.0.0.1 alone.
#[test]
fn all_addresses_of_a_name_are_tried() {
    let first = Server::start(&["-a", "127.0.0.1"]);
    let name = format!("localhost:{}", first.p2p.port());
    let second = Server::start(&["-a", "::1", "--peer", &name]).joined();
    put(&second, "key", "value");
    finds(&first, "key", b"value");
}

#[test]
fn a_name_that_cannot_be_resolved_prevents_no_start() {
    let alone = Server::start(&["-a", "127.0.0.1", "--peer", "peer.invalid:7402"]);
    alone.line_with("cannot join through a configured peer peer=peer.invalid:7402");
    let without_address = Server::start(&["--peer", "peer.invalid:7402"]);
    without_address.line_with("cannot join through a configured peer");
    let check = common::server().args(["--check", "--peer", "peer.invalid:7402"]).output().unwrap();
    assert!(check.status.success() && check.stderr.is_empty(), "{check:?}");
}

/// Each reason is in the log, in `/readyz` and in `dht doctor`.
#[test]
fn the_log_says_why_a_peer_cannot_be_joined_through() {
    let tofu = Server::start(&["-a", "127.0.0.1", "--identity", "tofu", "--http", "127.0.0.1:0"]);
    let module_api = tofu.api.to_string();
    let dashboard = tofu.http();
    let refused = at(free_address().port());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let own = free_address().port();
    for (peer, reason) in [
        (&refused, "the connection was refused"),
        (&silent, "did not complete a connection in time"),
        (&module_api, "a module API"),
        (&dashboard, "an HTTP server"),
        (&tofu.p2p.to_string(), "--identity tofu"),
        (&at(own), "is this node itself"),
    ] {
        let node = node(own, &["--peer", peer, "--http", "127.0.0.1:0"]);
        let http = node.http();
        let line = node.line_with(&format!("peer={peer}"));
        assert!(line.contains(reason), "{peer}: {line}");
        let ready = get(&http, "/readyz");
        if *peer == at(own) {
            assert!(ready.contains("200 OK"), "{ready}");
        } else {
            assert!(ready.contains("503") && ready.contains(reason), "{ready}");
            let doctor = common::dht().args(["doctor", "--http", &http]).output().unwrap();
            let text = String::from_utf8(doctor.stdout).unwrap();
            assert!(text.contains(reason), "{text}");
        }
    }
}

fn get(http: &str, path: &str) -> String {
    let mut tcp = TcpStream::connect(http.parse::<SocketAddr>().unwrap()).unwrap();
    std::io::Write::write_all(
        &mut tcp,
        format!("GET {path} HTTP/1.0\r\nhost: {http}\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    answer
}
