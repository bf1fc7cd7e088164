//! `dht sim`, from the file to the exit status.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::dht;
use tempfile::TempDir;

const SCENARIO: &str = r#"
about = "small"

[vary]
dead = [0.1, 0.2]

[[setup]]
grow = { nodes = 24 }

[[step]]
put = { values = 10 }

[[step]]
kill = { share = "$dead" }

[[step]]
get = {}

[[step]]
wait = { span = "5min", sample = "1min" }

[[plot]]
file = "replicas"
title = "Replicas"
x = { label = "minutes" }
y = { label = "replicas", from = 0 }
line = [{ label = "{dead%} dead", series = "replicas", by = "dead" }]

[[promise]]
figure = "found"
at-least = 1.0
"#;

fn simulate(folder: &Path, text: &str, arguments: &[&str]) -> (Output, String) {
    fs::write(folder.join("small.toml"), text).unwrap();
    let mut command = dht();
    let output = command.current_dir(folder).args(["sim", "small.toml"]).args(arguments).output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// What does not depend on how quick the machine is.
fn lasting(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains(" of virtual time")).collect()
}

#[test]
fn a_seed_is_printed_first_and_repeats_the_run_with_tables_and_pictures() {
    let folder = TempDir::new().unwrap();
    let (output, first) = simulate(folder.path(), SCENARIO, &["--out", "."]);
    assert!(output.status.success(), "{output:?}");
    let seed = first.lines().next().unwrap().strip_prefix("seed ").unwrap();
    assert!(first.contains("\n  found") && first.contains("\n  trace "), "{first}");
    let read = |file: &str| fs::read(folder.path().join(file)).unwrap();
    let (svg, png, csv) = (read("replicas.svg"), read("replicas.png"), read("small.csv"));
    assert!(svg.starts_with(b"<svg") && String::from_utf8_lossy(&svg).contains("20 % dead"));
    assert!(png.starts_with(b"\x89PNG") && png.len() > 2000);
    assert!(csv.starts_with(b"dead,joined,") && csv.split(|byte| *byte == b'\n').count() == 4);

    let (_, again) = simulate(folder.path(), SCENARIO, &["--seed", seed, "--out", "."]);
    assert_eq!(lasting(&first), lasting(&again));
    assert_eq!((read("replicas.svg"), read("replicas.png"), read("small.csv")), (svg, png, csv));
}

#[test]
fn a_broken_promise_ends_with_status_1_and_says_how_to_see_it_again() {
    let folder = TempDir::new().unwrap();
    let text = SCENARIO.replace("at-least = 1.0", "at-most = 0.5\nwhere = { dead = 0.2 }");
    let (output, text) = simulate(folder.path(), &text, &["--seed", "5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("BROKEN with dead=0.2: found is 1, and should be at most 0.5"), "{text}");
    assert!(text.contains("again: dht sim small.toml --seed 5 --only dead=0.2"), "{text}");

    let text = SCENARIO.replace("at-least = 1.0", "at-most = 0.5\nwhere = { dead = 0.2 }");
    let (output, _) = simulate(folder.path(), &text, &["--seed", "5", "--only", "dead=0.1"]);
    assert!(output.status.success());
}

#[test]
fn what_is_no_scenario_is_refused_and_what_there_is_is_listed() {
    let folder = TempDir::new().unwrap();
    for (text, arguments, complaint) in [
        ("about = 1", &[][..], "small.toml: "),
        (SCENARIO, &["--only", "dead=0.3"], "small has no world with dead=0.3"),
        (SCENARIO, &["--out", "nowhere"], "nowhere: there is no such directory"),
        (SCENARIO, &["--only", "dead"], "must be NAME=VALUE"),
    ] {
        let (output, _) = simulate(folder.path(), text, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(complaint), "{text}");
    }
    let output = dht().args(["sim", "mass-kil"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("is mass-kill meant?"));
    let output = dht().args(["sim", "--list"]).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("  mass-kill "));
}
