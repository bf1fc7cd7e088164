//! Private networks as an operator meets them: making, showing, rotating and moving with `dht network`,
//! and what nodes say when one is started or reloaded in the wrong way, or meets a node outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Server, complaint, dht, server};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// A directory for one test: secret files and data directories.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A secret as `dht network new` makes it; what it prints goes to the file, as a shell does it.
    fn new_secret(&self, name: &str) -> String {
        let file = fs::File::create(self.path(name)).unwrap();
        let made = dht().args(["network", "new"]).stdout(Stdio::from(file)).status().unwrap();
        assert!(made.success());
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A node of a private network with a data directory of its own.
    fn node(&self, name: &str, secret: &Path, peers: &[&Server]) -> Server {
        let mut command = server();
        command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0"]);
        command.arg("--data-dir").arg(self.path(name)).arg("--network-secret").arg(secret);
        for peer in peers {
            command.args(["--peer", &peer.p2p.to_string()]);
        }
        Server::spawn(command)
    }

    fn network(&self, command: &str, name: &str, more: &[&str]) -> Output {
        let mut dht = dht();
        dht.args(["network", command]).args(more).arg("--data-dir").arg(self.path(name));
        dht.output().unwrap()
    }

    fn shown(&self, name: &str) -> Vec<Value> {
        let output = self.network("show", name, &["--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        json["secrets"].as_array().unwrap().clone()
    }
}

fn write(path: &Path, secrets: &[&str]) {
    fs::write(path, secrets.concat()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn words(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_secret_is_made_used_rotated_and_shown() {
    let machine = Machine::new();
    let (old, new) = (machine.new_secret("one.secret"), machine.new_secret("new"));
    assert_ne!(old, new);
    let mode = fs::metadata(machine.path("new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "what a shell makes is readable by all");
    let files = ["one.secret", "two.secret"].map(|name| machine.path(name));
    write(&files[1], &[&old]);
    let one = machine.node("one", &files[0], &[]);
    let two = machine.node("two", &files[1], &[&one]).joined();
    assert!(two.dht(&["put", "greeting", "hello"]).status.success());
    assert_eq!(one.get("greeting").as_deref(), Some(&b"hello"[..]));
    let shown = machine.shown("one");
    let fingerprint = old.split_whitespace().nth(4).unwrap();
    assert_eq!(shown[0]["fingerprint"], fingerprint);
    assert!(shown[0]["connections"].as_u64() >= Some(1), "{shown:?}");

    // By the command on one node, and by SIGHUP on the other.
    for (step, secrets) in [&[&old[..], &new][..], &[&new, &old], &[&new]].iter().enumerate() {
        for file in &files {
            write(file, secrets);
        }
        let reloaded = machine.network("reload", "one", &[]);
        assert!(reloaded.status.success(), "{}", words(&reloaded));
        assert_eq!(words(&reloaded).lines().count(), secrets.len());
        two.signal(Signal::HUP);
        two.line_with("network secrets reloaded");
        assert_eq!(one.get("greeting").as_deref(), Some(&b"hello"[..]), "step {step}");
        assert_eq!(two.get("greeting").as_deref(), Some(&b"hello"[..]), "step {step}");
    }
    let shown = machine.shown("two");
    let fingerprint = new.split_whitespace().nth(4).unwrap();
    assert_eq!((shown.len(), &shown[0]["fingerprint"]), (1, &Value::from(fingerprint)));
    let text = words(&machine.network("show", "two", &[]));
    assert!(text.contains(fingerprint) && text.contains("first: proves membership"), "{text}");
    // A status has it too.
    let status = dht().arg("status").arg("--data-dir").arg(machine.path("two")).output().unwrap();
    let text = words(&status);
    assert!(text.contains("private: ") && text.contains("by x25519mlkem768"), "{text}");
}

#[test]
fn a_wrong_file_stops_a_start_and_changes_no_running_node() {
    let machine = Machine::new();
    let secret = machine.new_secret("net.secret");
    let file = machine.path("net.secret");
    let node = machine.node("data", &file, &[]);
    let before = machine.shown("data");
    fs::write(&file, "password\n").unwrap();
    let refused = machine.network("reload", "data", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(words(&refused).contains("line 1: a secret is exactly 64"), "{}", words(&refused));
    node.line_with("network secrets not reloaded, the old ones stay");
    fs::remove_file(&file).unwrap();
    node.signal(Signal::HUP);
    node.line_with("cannot read the network secrets");
    assert_eq!(machine.shown("data"), before);
    drop(node);

    let start = |more: &[&str]| {
        let mut command = server();
        command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0"]).args(more);
        command
    };
    let path = file.to_str().unwrap();
    write(&file, &[&secret]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = complaint(&mut start(&["--network-secret", path, "--check"]), 1);
    assert!(exposed.contains("mode 0644") && exposed.contains("chmod 600"), "{exposed}");
    let tofu = complaint(&mut start(&["--network-secret", path, "--identity", "tofu"]), 2);
    assert!(tofu.contains("--identity tofu and --network-secret exclude each other"), "{tofu}");
}

#[test]
fn a_data_directory_changes_its_network_by_command_only() {
    let machine = Machine::new();
    let (one, two) = (machine.new_secret("one.secret"), machine.new_secret("two.secret"));
    let files = ["one.secret", "two.secret"].map(|name| machine.path(name));
    assert_ne!(one, two);
    let other = machine.node("other", &files[0], &[]);
    let node = machine.node("data", &files[0], &[&other]).joined();
    assert!(node.dht(&["put", "greeting", "hello"]).status.success());
    let in_use = machine.network("move", "data", &["--public"]);
    assert!(words(&in_use).contains("in use"), "{}", words(&in_use));
    node.signal(Signal::TERM);
    drop(node);

    let data = machine.path("data");
    let start = |more: &[&str]| {
        let mut command = server();
        command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0"]).args(more);
        command.arg("--data-dir").arg(&data);
        command
    };
    let lost = complaint_of(&mut start(&[]));
    assert!(lost.contains("belongs to a private network, and no secret is given"), "{lost}");
    let wrong = complaint_of(&mut start(&["--network-secret", files[1].to_str().unwrap()]));
    assert!(wrong.contains("dht network move"), "{wrong}");
    let unsaid = machine.network("move", "data", &[]);
    assert_eq!(unsaid.status.code(), Some(2), "which network is to be said");

    let to_two = ["--network-secret", files[1].to_str().unwrap(), "--keep-values"];
    let moved = machine.network("move", "data", &to_two);
    assert!(moved.status.success(), "{}", words(&moved));
    assert!(words(&moved).contains("1 contact forgotten, 1 value kept"), "{}", words(&moved));
    let node = machine.node("data", &files[1], &[]);
    assert_eq!(node.get("greeting").as_deref(), Some(&b"hello"[..]), "it keeps its values");
    node.signal(Signal::TERM);
    drop(node);
    let moved = machine.network("move", "data", &["--public"]);
    assert!(words(&moved).contains("moved to a public network"), "{}", words(&moved));
    let mut public = start(&[]);
    let node = Server::spawn(std::mem::replace(&mut public, server()));
    assert_eq!(node.get("greeting"), None, "values of a private network stay behind");
}

/// A start may say more before it ends.
fn complaint_of(command: &mut Command) -> String {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    words(&output)
}

#[test]
fn the_dialling_side_says_what_it_met() {
    let machine = Machine::new();
    machine.new_secret("net.secret");
    machine.new_secret("other.secret");
    let [file, other] = ["net.secret", "other.secret"].map(|name| machine.path(name));
    let public = Server::start(&["-a", "127.0.0.1"]);
    let member = machine.node("member", &file, &[&public]);
    let line = member.line_with("a dialled peer was refused");
    assert!(line.contains("a node of a public network"), "{line}");
    member.line_with("Start the peer with this network's secret");
    let elsewhere = machine.node("elsewhere", &other, &[&member]);
    let line = elsewhere.line_with("a dialled peer was refused");
    assert!(line.contains("a node of another network, or no node"), "{line}");
    let outside = Server::start(&["-a", "127.0.0.1", "--peer", &member.p2p.to_string()]);
    outside.line_with("belongs to another network, or is no node");

    // And so does a ping, unless it has the secret.
    let ping = |more: &[&str]| {
        let mut dht = dht();
        dht.args(["ping", &member.p2p.to_string()]).args(more);
        let output = dht.output().unwrap();
        (output.status.code(), words(&output))
    };
    let (status, text) = ping(&[]);
    assert!(status == Some(1) && text.contains("seals its own"), "{text}");
    let (status, text) = ping(&["--network-secret", file.to_str().unwrap()]);
    assert!(status == Some(0) && text.contains("a voiddht node"), "{text}");
    let (status, text) = ping(&["--network-secret", other.to_str().unwrap()]);
    assert!(status == Some(1) && text.contains("another network, or no node"), "{text}");
}

/// The others have moved on, and this node has not.
#[test]
fn doctor_names_the_step_that_a_node_has_missed() {
    let machine = Machine::new();
    let (old, new) = (machine.new_secret("old"), machine.new_secret("new"));
    let names = ["one", "two", "late"];
    let files = names.map(|name| machine.path(&format!("{name}.secret")));
    files.iter().for_each(|file| write(file, &[&old]));
    let one = machine.node("one", &files[0], &[]);
    let two = machine.node("two", &files[1], &[&one]).joined();
    let late = machine.node("late", &files[2], &[&one, &two]).joined();
    // It is stopped when it has taken the first step, and not the second and third.
    write(&files[2], &[&old, &new]);
    assert!(machine.network("reload", "late", &[]).status.success());
    late.signal(Signal::TERM);
    drop(late);
    for secrets in [&[&old[..], &new][..], &[&new, &old], &[&new]] {
        for (name, file) in [("one", &files[0]), ("two", &files[1])] {
            write(file, secrets);
            assert!(machine.network("reload", name, &[]).status.success());
        }
    }
    // It can open what they push, and its proof by the old secret is refused.
    let late = machine.node("late", &files[2], &[&one, &two]);
    late.line_with("instead of proving its membership");
    let doctor = || {
        let mut dht = dht();
        dht.args(["doctor", "--json", "--data-dir"]).arg(machine.path("late"));
        let output = dht.output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = json["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "membership").unwrap()
    };
    let told = doctor();
    assert!(told["text"].as_str().unwrap().contains("missed step 2"), "{told}");
    write(&files[2], &[&new]);
    let reloaded = machine.network("reload", "late", &[]);
    assert!(reloaded.status.success(), "{}", words(&reloaded));
}
