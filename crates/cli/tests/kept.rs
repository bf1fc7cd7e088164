//! Kept values through real nodes and the tool: they outlive their TTL and the death of all nodes, end
//! with `dht unkeep`, and follow their owner.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Server, dht, server};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Nodes with data directories, that can be killed and started again.
struct Network {
    folder: TempDir,
    nodes: Vec<Server>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Network {
    fn start(count: usize) -> Self {
        let mut network = Self { folder: tempfile::tempdir().unwrap(), nodes: Vec::new() };
        for number in 0..count {
            let node = network.spawn(number, 0);
            network.nodes.push(node);
        }
        network
    }

    fn directory(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    fn spawn(&self, number: usize, port: u16) -> Server {
        let mut command = server();
        command.args(["-m", "0", "-p", &port.to_string(), "-a", "127.0.0.1", "--data-dir"]);
        command.arg(self.directory(number));
        if let Some(first) = self.nodes.first().filter(|_| number > 0) {
            command.args(["--peer", &first.p2p.to_string()]);
            return Server::spawn(command).joined();
        }
        Server::spawn(command)
    }

    /// Kills every node at once, and starts all of them again where they were.
    fn kill_and_restart(&mut self) {
        let ports: Vec<u16> = self.nodes.iter().map(|node| node.p2p.port()).collect();
        self.nodes.iter().for_each(|node| node.signal(Signal::KILL));
        for mut node in std::mem::take(&mut self.nodes) {
            node.wait();
        }
        for (number, port) in ports.into_iter().enumerate() {
            let node = self.spawn(number, port);
            self.nodes.push(node);
        }
    }

    /// Runs the tool at a node's control socket.
    fn tool(&self, node: usize, arguments: &[&str]) -> Output {
        dht().args(arguments).arg("--data-dir").arg(self.directory(node)).output().unwrap()
    }

    /// The same, which must succeed: what it prints.
    fn done(&self, node: usize, arguments: &[&str]) -> String {
        let output = self.tool(node, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a node keeps.
    fn kept(&self, node: usize) -> Vec<Value> {
        serde_json::from_slice(&self.tool(node, &["kept", "--json"]).stdout).unwrap()
    }

    /// Waits until the only kept value of a node is as wanted.
    fn kept_until(&self, node: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let kept = self.kept(node);
            assert_eq!(kept.len(), 1, "{kept:?}");
            if wanted(&kept[0]) {
                return kept[0].clone();
            }
        }
    }

    fn key(&self, name: &str) -> (String, String) {
        let path = self.folder.path().join(name).display().to_string();
        let output = dht().args(["key", "new", &path]).output().unwrap();
        (path, text(&output.stdout).trim().to_owned())
    }
}

fn published(kept: &Value) -> u64 {
    kept["published_ms"].as_u64().unwrap_or(0)
}

#[test]
fn a_kept_value_outlives_its_ttl_until_it_is_kept_no_longer() {
    let network = Network::start(3);
    let kept = network.done(0, &["keep", "--ttl", "2", "greeting", "hello"]);
    assert_eq!(kept, "kept; stored on 3 nodes\n");
    let first = published(&network.kept(0)[0]);
    network.kept_until(0, |kept| published(kept) > first + 4_000);
    assert_eq!(network.nodes[2].get("greeting").as_deref(), Some(&b"hello"[..]));
    let listed = network.done(0, &["kept"]);
    assert!(listed.contains("kept") && listed.contains(" ago"), "{listed}");

    network.done(0, &["unkeep", "greeting"]);
    assert_eq!(network.tool(0, &["unkeep", "greeting"]).status.code(), Some(1));
    assert_eq!(network.tool(0, &["kept"]).status.code(), Some(1));
    while network.nodes[2].get("greeting").is_some() {}
}

#[test]
fn every_signed_and_every_kept_value_is_back_after_all_nodes_were_killed() {
    let mut network = Network::start(5);
    let (owner, owner_key) = network.key("owner.pem");
    let (other, other_key) = network.key("other.pem");
    network.done(1, &["keep", "greeting", "hello"]);
    network.done(2, &["keep", "--sign", &owner, "--salt", "a", "signed and kept"]);
    let put = network.nodes[3].dht(&["put", "--sign", &other, "signed"]);
    assert!(put.status.success(), "{put:?}");

    network.kill_and_restart();
    for node in &network.nodes {
        assert_eq!(node.get("greeting").as_deref(), Some(&b"hello"[..]));
        let signed = node.dht(&["get", "--signed-by", &owner_key, "--salt", "a"]).stdout;
        assert_eq!(signed, b"signed and kept");
        assert_eq!(node.dht(&["get", "--signed-by", &other_key]).stdout, b"signed");
    }
    // Both are published again at once, and by their own nodes.
    for node in [1, 2] {
        network.kept_until(node, |kept| kept["replicas"].as_u64() >= Some(2));
    }
    let signed = &network.kept(2)[0];
    assert_eq!((&signed["owner"], &signed["verified"]), (&owner_key.into(), &"signature".into()));
}

#[test]
fn a_friend_keeps_a_name_alive_and_follows_its_owner() {
    let network = Network::start(3);
    let (owner, owner_key) = network.key("owner.pem");
    let get = ["get", "--signed-by", &owner_key];
    network.done(0, &["keep", "--sign", &owner, "--ttl", "2", "one"]);
    let key = network.kept(0)[0]["key"].as_str().unwrap().to_owned();
    let envelope = network.folder.path().join("envelope");
    std::fs::write(&envelope, network.nodes[1].get(&key).unwrap()).unwrap();
    let file = envelope.display().to_string();
    network.done(1, &["keep", "--ttl", "2", &key, "--file", &file]);
    network.done(0, &["unkeep", &key]);
    // Before the next value: the friend may adopt that at once.
    let first = network.kept(1)[0]["seq"].clone();

    // The owner writes again, and goes: the friend has the new value.
    let put = network.nodes[0].dht(&["put", "--sign", &owner, "two"]);
    assert!(put.status.success(), "{put:?}");
    let adopted = network.kept_until(1, |kept| kept["seq"] != first && kept["replicas"] == 3);
    assert_eq!(adopted["state"], "kept");
    assert_eq!(network.nodes[2].dht(&get).stdout, b"two");
    // What it keeps now cannot be replaced by the older value.
    let refused = network.tool(1, &["keep", &key, "--file", &file]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("newer signed value"), "{refused:?}");
}

#[test]
fn a_plain_value_that_another_publisher_replaced_is_kept_no_longer() {
    let network = Network::start(3);
    network.done(0, &["keep", "--ttl", "3", "greeting", "hello"]);
    assert!(network.nodes[1].dht(&["put", "greeting", "mine"]).status.success());
    network.kept_until(0, |kept| kept["state"] == "superseded");
    assert_eq!(network.nodes[2].get("greeting").as_deref(), Some(&b"mine"[..]));
    network.done(0, &["unkeep", "greeting"]);
}

#[test]
fn a_withdrawal_is_kept_by_the_node_that_published_it() {
    let network = Network::start(2);
    let (owner, owner_key) = network.key("owner.pem");
    let put = network.nodes[0].dht(&["put", "--sign", &owner, "value"]);
    assert!(put.status.success(), "{put:?}");
    let api = network.nodes[0].api.to_string();
    let withdrawn = network.tool(0, &["withdraw", "--sign", &owner, "--node", &api]);
    assert!(withdrawn.status.success(), "{withdrawn:?}");
    let kept = network.kept(0);
    assert_eq!((&kept[0]["withdrawal"], &kept[0]["state"]), (&true.into(), &"kept".into()));
    let get = network.nodes[1].dht(&["get", "--signed-by", &owner_key]);
    assert_eq!(get.status.code(), Some(1));
}

/// The same command, which finds and makes control sockets in this directory.
fn command_with_sockets(mut command: Command, directory: &Path) -> Command {
    command.env("XDG_RUNTIME_DIR", directory);
    command
}

#[test]
fn without_a_data_directory_the_tool_says_that_the_value_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let mut command = server();
    command.args(["-m", "0", "-p", "0", "-a", "127.0.0.1"]);
    let _node = Server::spawn(command_with_sockets(command, folder.path()));
    let keep = |path: &Path| {
        let mut keep = command_with_sockets(dht(), folder.path());
        keep.args(["keep", "greeting", "hello", "--data-dir"]).arg(path).output().unwrap()
    };
    let mut sockets = std::fs::read_dir(folder.path().join("voiddht")).unwrap();
    let kept = keep(&sockets.next().unwrap().unwrap().path());
    assert!(kept.status.success(), "{kept:?}");
    assert!(text(&kept.stderr).contains("until it stops"), "{kept:?}");
    assert_eq!(keep(folder.path().parent().unwrap()).status.code(), Some(3));
}
