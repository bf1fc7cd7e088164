//! What a node does with its data directory, as its operator sees it: which it refuses, and how;
//! what it does when the disk fills while it runs; and that it comes back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Server, complaint, server};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tempfile::TempDir;

/// `dht_server` on ports that the system chooses, with this directory.
fn with(directory: &Path) -> Command {
    let mut command = server();
    command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0", "--data-dir"]).arg(directory);
    command
}

/// A directory of a node that has run.
fn used() -> TempDir {
    let directory = TempDir::new().unwrap();
    let mut node = Server::spawn(with(&directory.path().join("data")));
    assert!(node.dht(&["put", "key", "value"]).status.success());
    node.signal(Signal::TERM);
    assert!(node.wait().success());
    directory
}

/// What a node says that does not start in the directory `data` of this one.
#[track_caller]
fn refused(directory: &TempDir) -> String {
    complaint(&mut with(&directory.path().join("data")), 1)
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let directory = TempDir::new().unwrap();
    let node = Server::spawn(with(&directory.path().join("data")));
    let text = refused(&directory);
    assert!(text.contains(&format!("is in use by process {}", node.process.id())), "{text}");
    assert!(
        text.contains("data directory") && text.contains("one a directory of its own"),
        "{text}"
    );
}

#[test]
fn a_damaged_database_is_named_and_may_be_moved_away() {
    let directory = used();
    let database = directory.path().join("data/records.redb");
    fs::write(&database, "not a database").unwrap();
    let text = refused(&directory);
    assert!(text.contains("data/records.redb is damaged") && text.contains("move it"), "{text}");
    assert_eq!(fs::read(&database).unwrap(), b"not a database");
    fs::remove_file(&database).unwrap();
    let node = Server::spawn(with(&directory.path().join("data")));
    assert_eq!(node.get("key"), None);
}

#[test]
fn a_damaged_lost_or_exposed_key_never_makes_another_node() {
    use std::os::unix::fs::PermissionsExt;
    let directory = used();
    let identity = directory.path().join("data/identity.pem");
    let good = fs::read(&identity).unwrap();
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    let text = refused(&directory);
    assert!(text.contains("identity.pem is open to other users"), "{text}");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&identity, &good[..good.len() / 2]).unwrap();
    let text = refused(&directory);
    assert!(text.contains("identity.pem is damaged") && text.contains("backup"), "{text}");
    fs::remove_file(&identity).unwrap();
    let text = refused(&directory);
    assert!(text.contains("identity.pem is missing") && text.contains("backup"), "{text}");
    fs::write(&identity, good).unwrap();
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    let node = Server::spawn(with(&directory.path().join("data")));
    assert_eq!(node.get("key").unwrap(), b"value");
}

#[test]
fn a_newer_directory_and_one_that_cannot_be_written_are_named() {
    let directory = used();
    let identity = directory.path().join("data/identity.pem");
    let text = fs::read_to_string(&identity).unwrap();
    fs::write(&identity, text.replace("format 1\n", "format 2\n")).unwrap();
    let text = refused(&directory);
    assert!(text.contains("identity.pem has format 2") && text.contains("newer version"), "{text}");

    let text = complaint(&mut with(Path::new("/proc/voiddht")), 1);
    assert!(text.contains("/proc/voiddht"), "{text}");
}

/// How long a node's files may be from now on: stands in for a disk that fills, and needs none of
/// its own.
fn limit_files(node: &Server, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum };
    prlimit(Some(Pid::from_child(&node.process)), Resource::Fsize, limit).unwrap();
}

#[test]
fn a_node_whose_disk_fills_serves_on_says_so_once_and_recovers() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let node = Server::spawn(with(&data));
    let peer = node.peer("127.0.0.1");
    assert!(node.dht(&["put", "before", "value"]).status.success());

    limit_files(&node, Some(4096));
    for number in 0..5 {
        let key = format!("meanwhile {number}");
        let put = peer.dht(&["put", &key, "value"]);
        let said = String::from_utf8(put.stdout).unwrap();
        assert_eq!(said, "stored on 1 node\n", "the peer alone has room");
        assert_eq!(node.get(&key).unwrap(), b"value");
        assert_eq!(node.get("before").unwrap(), b"value");
    }
    limit_files(&node, getrlimit(Resource::Fsize).current);
    let put = node.dht(&["put", "after", "value"]);
    assert_eq!(String::from_utf8(put.stdout).unwrap(), "stored on 2 nodes\n");
    let log = node.lines_until("can be written again");
    let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!((said(" ERROR "), said("new ones are refused")), (1, 1), "{log:#?}");

    drop((peer, node));
    let node = Server::spawn(with(&data));
    for key in ["before", "after"] {
        assert_eq!(node.get(key).unwrap(), b"value", "{key}");
    }
}

#[test]
fn a_network_that_was_killed_comes_back_without_being_told_of_any_peer() {
    let directory = TempDir::new().unwrap();
    // Each on an address of its own, with the usual ports: the same in the next run.
    let start = |number: u8| {
        let mut command = server();
        let host = format!("127.77.{}.{number}", std::process::id() % 250);
        command.args(["-a", &host, "--api-address", &host]);
        command.arg("--data-dir").arg(directory.path().join(number.to_string()));
        command
    };
    let mut nodes = vec![Server::spawn(start(1))];
    for number in 2..=4 {
        let mut command = start(number);
        command.args(["--peer", &nodes[0].p2p.to_string()]);
        nodes.push(Server::spawn(command).joined());
    }
    for number in 0..8 {
        let put = nodes[number % 4].dht(&["put", &format!("key {number}"), "value"]);
        assert!(put.status.success());
    }
    // SIGKILL, one after the other: the last has seen all others die.
    for mut node in nodes {
        node.signal(Signal::KILL);
        node.wait();
    }
    let nodes: Vec<Server> = (1..=4).map(|number| Server::spawn(start(number))).collect();
    let nodes: Vec<Server> = nodes.into_iter().map(Server::joined).collect();
    for node in &nodes {
        for number in 0..8 {
            assert_eq!(node.get(&format!("key {number}")).unwrap(), b"value");
        }
    }
}

#[test]
fn isolation_is_told_and_ends_by_itself() {
    let node = Server::start(&["-a", "127.0.0.1"]);
    let peer = node.peer("127.0.0.1");
    let (host, port) = (peer.p2p.ip().to_string(), peer.p2p.port().to_string());
    // A node without contacts can lose none.
    node.line_with("joined the network");
    drop(peer);
    node.line_with("no contact is left: trying to find the network again");
    node.line_with("none of the known peers answered: trying again");
    let known = node.p2p.to_string();
    let mut command = server();
    command.args(["-a", &host, "-p", &port, "-m", "0", "--peer", &known]);
    let _back = Server::spawn(command).joined();
    node.line_with("joined the network");
}
