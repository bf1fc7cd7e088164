//! Networks whose nodes are processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::Read;
use std::process::Stdio;

use common::dht_lab;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn every_value_is_found_and_nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = dht_lab();
    command.args(["testnet", "--nodes", "4", "--values", "20", "--load-seconds", "0"]);
    command.args(["--seed", "1"]).env("TMPDIR", directory.path());

    let exiting = command.arg("--exit").output().unwrap();
    let text = String::from_utf8(exiting.stdout).unwrap();
    assert!(exiting.status.success(), "{text}");
    assert!(text.contains("4 processes, all joined") && text.contains("20 of 20"), "{text}");
    assert!(
        text.contains("memory of a node, just joined: ") && text.contains("seed 1\n"),
        "{text}"
    );
    assert!(String::from_utf8(exiting.stderr).unwrap().contains("4 of 4 nodes joined"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let mut command = dht_lab();
    command.args(["testnet", "--nodes", "3", "--values", "3", "--load-seconds", "0"]);
    command.env("TMPDIR", directory.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut network = command.spawn().unwrap();
    let (mut table, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&table).contains("Ctrl-C") {
        assert_eq!(network.stdout.as_mut().unwrap().read(&mut byte).unwrap(), 1);
        table.extend(byte);
    }
    assert_eq!(String::from_utf8_lossy(&table).matches("\n  127.").count(), 3);
    kill_process(Pid::from_child(&network), Signal::INT).unwrap();
    assert_eq!(network.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
