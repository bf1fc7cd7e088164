//! Each chaos test, small: a handful of nodes, for a few seconds. Nothing here passes or fails by speed:
//! what takes time is told, and waited for. The full size is in docs/durability.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says why")]

mod common;
#[path = "../src/namespaces.rs"]
#[allow(dead_code, reason = "only asked whether it can be used")]
mod namespaces;

use common::dht_lab;

/// Runs a test, and returns its table.
#[track_caller]
fn passes(case: &str, more: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = dht_lab();
    command.args(["chaos", case, "--untimed", "--nodes", "6", "--values", "60"]);
    command.args(["--upkeep-interval", "4", "--seed", "7"]).args(more);
    let output = command.arg("--directory").arg(directory.path()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let text = format!("{table}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(table.contains("  ok  ") && !table.contains("  NO  "), "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
    table
}

#[test]
fn half_of_the_nodes_may_die_at_once() {
    assert!(passes("mass-kill", &[]).contains("60 of 60, the fewest on 3"));
}

#[test]
fn all_nodes_may_be_killed_amid_puts_and_one_lose_its_last_page() {
    assert!(passes("restart-all", &[]).contains("one database cut short"));
}

#[test]
fn every_node_may_be_restarted_under_load() {
    assert!(passes("rolling-restart", &[]).contains("ended with status 0"));
}

#[test]
fn nodes_may_be_replaced_all_the_time() {
    assert!(passes("churn", &["--seconds", "6"]).contains("values found in the end"));
}

#[test]
fn the_network_may_fall_apart_and_heal() {
    if let Err(why) = namespaces::check() {
        let output = dht_lab().args(["chaos", "partition"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("network namespaces"));
        assert!(std::env::var_os("VOIDDHT_REQUIRE_TOOLS").is_none(), "{why}");
        eprintln!("passed over: {why}");
        return;
    }
    assert!(passes("partition", &["--seconds", "4"]).contains("then found from both sides"));
}

/// Without waiting for connections to be renewed: those by the removed secret are replaced at once.
#[test]
fn the_secret_of_a_private_network_may_be_replaced_under_load() {
    let table = passes("rotation", &["--seconds", "1"]);
    assert!(table.contains("GETs meanwhile that failed"), "{table}");
    assert!(table.contains("other_network"), "{table}");
}

#[test]
fn a_test_that_cannot_begin_says_why() {
    let output = dht_lab().args(["chaos", "churn", "--directory", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere: there is no such"));
}
