//! Pins as an operator meets them: listed and forgotten in the data directory of a node, whether or
//! not it runs; and what a node says when a peer of the original network comes where it may not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Server, complaint, dht, server};
use rustix::process::Signal;
use serde_json::Value;

fn node(data_dir: Option<&Path>, peers: &[&Server], more: &[&str]) -> Server {
    let mut command = server();
    command.args(["-a", "127.0.0.1", "-m", "0", "-p", "0"]).args(more);
    if let Some(directory) = data_dir {
        command.arg("--data-dir").arg(directory);
    }
    for peer in peers {
        command.args(["--peer", &peer.p2p.to_string()]);
    }
    Server::spawn(command)
}

fn pins(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = dht();
    command.arg("pins").args(arguments).arg("--data-dir").arg(directory);
    command
}

fn listed(directory: &Path) -> Vec<Value> {
    let output = pins(directory, &["list", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn they_are_listed_and_forgotten_whether_or_not_the_node_runs() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let (first, second) = (node(None, &[], &[]), node(None, &[], &[]));
    let mut keeper = node(Some(&directory), &[&first, &second], &[]).joined();
    // It runs: its own list is asked for.
    let mut running = Vec::new();
    while running.len() < 2 {
        running = listed(&directory);
    }
    let address = |pin: &Value| pin["address"].as_str().unwrap().to_owned();
    let mut addresses: Vec<String> = running.iter().map(address).collect();
    let mut expected = [first.p2p.to_string(), second.p2p.to_string()];
    addresses.sort();
    expected.sort();
    assert_eq!(addresses, expected);
    assert!(running.iter().all(|pin| pin["member"].is_boolean()));
    // No node comes back, so that what is forgotten stays so.
    drop((first, second));
    let id = running[0]["id"].as_str().unwrap();
    let output = pins(&directory, &["forget", &id[..12]]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("forgotten {id}\n"));
    let text = complaint(&mut pins(&directory, &["forget", id]), 1);
    assert!(text.contains("there is no pin of"), "{text}");
    assert_eq!(listed(&directory).len(), 1);

    keeper.signal(Signal::TERM);
    assert!(keeper.wait().success());
    let kept = listed(&directory);
    assert_eq!((kept.len(), &kept[0]["id"]), (1, &running[1]["id"]));
    assert_eq!(kept[0]["certificate_sha256"], running[1]["certificate_sha256"]);
    let output = pins(&directory, &["list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The ID is whole, and no line is wider than a terminal is usually.
    assert!(text.contains(kept[0]["id"].as_str().unwrap()), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let last = kept[0]["id"].as_str().unwrap();
    let output = pins(&directory, &["forget", last, "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["forgotten"], last);
    assert!(listed(&directory).is_empty());
}

#[test]
fn what_is_no_data_directory_is_not_made_into_one() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = home.path().join("nowhere");
    let text = complaint(&mut pins(&nowhere, &["list"]), 1);
    assert!(text.contains("no node's data directory"), "{text}");
    assert!(!nowhere.exists());
    let text = complaint(&mut pins(&nowhere, &["forget", "abc"]), 1);
    assert!(text.contains("no node's data directory"), "{text}");
    // Without it, the node of this machine is meant; here there is none.
    let mut command = dht();
    command.env("XDG_RUNTIME_DIR", home.path()).args(["pins", "list"]);
    let text = complaint(&mut command, 3);
    assert!(text.contains("--data-dir"), "{text}");
}

#[test]
fn a_directory_in_use_by_a_node_that_does_not_answer_is_said_to_be() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let _running = node(Some(&directory), &[], &[]);
    std::fs::remove_file(directory.join("control")).unwrap();
    let text = complaint(&mut pins(&directory, &["list"]), 3);
    assert!(text.contains("in use by") && text.contains("no control socket"), "{text}");
}

/// Python with what `legacy_peer.py` needs.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|place| place.join("python3"));
    let found = found.filter(|it| it.exists()).find(|python| {
        let imported = Command::new(python).args(["-c", "import cryptography"]).output();
        imported.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        let missing = "python3 with the package cryptography is not installed";
        assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "{missing}");
        #[allow(clippy::print_stderr, reason = "for the person who runs the tests")]
        {
            eprintln!("SKIPPED: {missing}");
        }
    }
    found
}

fn legacy_peer(python: &Path, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/tests/legacy/legacy_peer.py");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn the_refusal_of_a_peer_of_the_original_names_the_option_that_admits_it() {
    let Some(python) = python() else { return };
    let strict = node(None, &[], &[]);
    let called = legacy_peer(&python, &["--call", &strict.p2p.to_string(), "ping"]).output();
    assert!(!called.unwrap().status.success());
    let line = strict.line_with("--identity tofu");
    assert!(line.contains("WARN") && line.contains("refused"), "{line}");

    let open = node(None, &[], &["--identity", "tofu"]);
    let called = legacy_peer(&python, &["--call", &open.p2p.to_string(), "ping"]).output().unwrap();
    assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stderr));
    let answer: Value = serde_json::from_slice(&called.stdout).unwrap();
    assert_eq!(answer["kind"], "PING_REPLY");
}
