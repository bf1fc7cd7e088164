//! Alert rules and the Grafana dashboard name metrics and labels that a node exposes, and every alert
//! has a severity and a runbook.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::http::get;
use common::{settings, soon, start};
use serde_json::Value;
use voiddht_node::Settings;

fn shipped(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

/// The series that a node exposes, each with the values of its labels.
async fn exposed() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let directory = tempfile::tempdir().unwrap();
    let node = start(Settings {
        http: Some(([127, 0, 0, 1], 0).into()),
        data_dir: Some(directory.path().to_owned()),
        ..settings(&[])
    })
    .await;
    let metrics = get(node.http_address().unwrap(), "/metrics").await.body;
    soon(node.shutdown()).await;
    let mut series = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
    for line in metrics.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            series.entry(declared.split(' ').next().unwrap().to_owned()).or_default();
            continue;
        }
        let Some((sample, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let known = series.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            known.entry(name.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    series
}

/// Every metric in an expression, with what is asked of its labels: `name{label="value"}`.
fn selectors(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_name = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let starts = ["voiddht_", "process_"];
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = starts.iter().filter_map(|start| rest.find(start)).min() {
        let begins = !rest[..at].chars().next_back().is_some_and(is_name);
        let text = &rest[at..];
        let end = text.find(|one| !is_name(one)).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let mut labels = Vec::new();
        if let Some(list) = after.strip_prefix('{') {
            for label in list[..list.find('}').unwrap()].split(',') {
                let (name, value) = label.split_once('=').unwrap();
                labels.push((name.to_owned(), value.trim_matches('"').to_owned()));
            }
        }
        if begins {
            found.push((name.to_owned(), labels));
        }
        rest = after;
    }
    found
}

async fn assert_exposed(expressions: &[String]) {
    let exposed = exposed().await;
    assert!(!expressions.is_empty());
    for expression in expressions {
        for (name, labels) in selectors(expression) {
            let known = exposed.get(&name).unwrap_or_else(|| panic!("no {name}: {expression}"));
            for (label, value) in labels {
                // What Prometheus adds to all.
                if label == "job" || label == "instance" {
                    continue;
                }
                let values = known.get(&label).unwrap_or_else(|| panic!("{name} has no {label}"));
                assert!(values.contains(&value), "{name}{{{label}={value}}}: {values:?}");
            }
        }
    }
}

/// The alerts, each as its lines.
fn alerts(rules: &str) -> Vec<(String, String)> {
    let alerts = rules.split("- alert: ").skip(1);
    alerts.map(|text| (text.lines().next().unwrap().trim().to_owned(), text.to_owned())).collect()
}

#[tokio::test]
async fn alerts_are_about_what_a_node_exposes_and_say_what_to_do() {
    let rules = shipped("packaging/prometheus/voiddht.rules.yml");
    let manual = shipped("docs/operating.md");
    let tests = shipped("packaging/prometheus/voiddht.rules.test.yml");
    let alerts = alerts(&rules);
    for (name, text) in &alerts {
        let severity = ["{severity: critical}", "{severity: warning}"];
        assert!(severity.iter().any(|severity| text.contains(severity)), "{name}");
        let anchor = name.to_lowercase();
        let link = format!("runbook_url: docs/operating.md#{anchor}\n");
        assert!(text.contains(&link), "{name}");
        assert!(manual.contains(&format!("\n### {name}\n")), "no runbook for {name}");
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "no test in which {name} fires");
        let silent = format!("alertname: {name}\n        exp_alerts: []\n");
        assert!(tests.contains(&silent), "no test in which {name} is silent");
    }
    let expression = |(_, text): &(String, String)| {
        let text = text.split_once("expr:").unwrap().1;
        text[..text.find("labels: {severity").unwrap()].to_owned()
    };
    assert_exposed(&alerts.iter().map(expression).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn the_dashboard_draws_what_a_node_exposes() {
    let dashboard: Value =
        serde_json::from_str(&shipped("packaging/grafana/voiddht.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let drawn = panels.iter().filter(|panel| panel["type"] != "row");
    let mut expressions = Vec::new();
    for panel in drawn {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let expression = target["expr"].as_str().unwrap().to_owned();
            assert!(!selectors(&expression).is_empty(), "{expression}");
            expressions.push(expression);
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            expressions.push(query.to_owned());
        }
    }
    assert_exposed(&expressions).await;
}

#[test]
fn selectors_are_found_in_expressions() {
    let found = selectors("rate(voiddht_a_total{x=\"y\"}[5m]) / voiddht_b + my_voiddht_c");
    let label = ("x".to_owned(), "y".to_owned());
    assert_eq!(found, [("voiddht_a_total".into(), vec![label]), ("voiddht_b".into(), vec![])]);
}
