//! Scenarios from the file to the verdict: the short one that is shipped, and that a seed repeats
//! a run to the last message.

use voiddht_sim::run::{self, Ran};
use voiddht_sim::scenario::{Plan, shipped};

/// Adversaries, deaths, returns, a partition, and nodes that come and go.
const ALL_STEPS: &str = r#"
about = "a little of everything"

[vary]
start = ["joined", "warm"]

[within]
adversaries = [0.0, 0.2]

[node]
disjoint-paths = 8

[network]
latency = { uniform = { from = "5ms", to = "50ms" } }
loss = 0.02

[[setup]]
grow = { nodes = 40, start = "$start" }

[[setup]]
put = { values = 20, ttl = "6h" }

[[step]]
infiltrate = { kind = "dropping", share = "$adversaries" }

[[step]]
lookup = { lookups = 20, siblings = 16 }

[[step]]
kill = { share = 0.1, how = "silent" }

[[step]]
return = {}

[[step]]
split = {}

[[step]]
wait = { span = "2min", sample = "30s" }

[[step]]
heal = {}

[[step]]
live = { span = "10min", sessions = { mean = "30min", leaving = 0.3, returning = 0.5 }, gets-per-s = 0.1 }

[[step]]
get = {}
"#;

fn run_all(text: &str, seed: u64) -> (Plan, Vec<Ran>) {
    let plan = Plan::parse("test", text).expect("it is a scenario");
    let run = |(point, repetition)| {
        run::run_point(point, seed, repetition, &mut |_| {}).expect("its settings hold")
    };
    let ran = plan.jobs().map(run).collect();
    (plan, ran)
}

fn traces(ran: &[Ran]) -> Vec<u64> {
    ran.iter().map(|one| one.trace_hash).collect()
}

#[test]
fn the_short_scenario_keeps_its_promises() {
    let (plan, ran) = run_all(shipped::text("smoke").expect("it is shipped"), 1);
    let broken = run::broken(&plan, &ran);
    assert!(broken.is_empty(), "{broken:#?}");
    let row = &ran[0].rows[0];
    assert!(row.figure("sessions") > Some(10.0) && row.figure("gets") > Some(100.0), "{row:?}");
}

#[test]
fn what_a_node_sends_is_divided_by_kind_and_by_purpose() {
    let (_, ran) = run_all(ALL_STEPS, 3);
    let row = &ran[0].rows[0];
    let sum = |figure: &str| -> f64 {
        let parts = row.figures.iter().filter(|(name, _)| name.starts_with(&format!("{figure}.")));
        parts.map(|(_, value)| value).sum()
    };
    for figure in ["messages-per-s", "bytes-per-s"] {
        let all = row.figure(figure).expect("it is measured");
        assert!((sum(figure) - all).abs() < 1e-6 * all, "{figure}: {} of {all}", sum(figure));
    }
    // The background, not the GETs, and every request is of one purpose.
    let of = |purpose: &str| row.figure(&format!("requests-per-s.{purpose}")).unwrap_or(0.0);
    assert!(of("refresh-lookup") > 0.0 && of("liveness") > 0.0 && of("command") > 0.0, "{row:?}");
}

#[test]
fn a_seed_repeats_figures_and_trace_and_another_does_not() {
    let (_, first) = run_all(ALL_STEPS, 7);
    let (_, again) = run_all(ALL_STEPS, 7);
    let (_, other) = run_all(ALL_STEPS, 8);
    assert_eq!(traces(&first), traces(&again));
    let rows = |ran: &[Ran]| ran.iter().flat_map(|one| one.rows.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&first), rows(&again));
    assert_ne!(traces(&first), traces(&other));
    // No violation, whatever happened.
    assert!(first.iter().chain(&other).all(|one| one.violations.is_empty()), "{first:#?}");
    let hostile = rows(&first)[1].figure("adversaries");
    assert!(hostile.is_some_and(|share| (0.15..0.25).contains(&share)), "{hostile:?}");
}

#[test]
fn a_world_alone_is_the_same_as_among_others() {
    let (mut plan, all) = run_all(ALL_STEPS, 9);
    let last = plan.points.pop().expect("there are some");
    let alone = run::run_point(&last, 9, 0, &mut |_| {}).expect("its settings hold");
    assert_eq!(Some(alone.trace_hash), traces(&all).pop());
}

#[test]
fn a_promise_that_does_not_hold_is_told_with_its_world() {
    let text = r#"
        about = "broken"
        [vary]
        nodes = [4, 8]
        [[setup]]
        grow = { nodes = "$nodes" }
        [[step]]
        lookup = { lookups = 4 }
        [[promise]]
        figure = "hops"
        at-most = 0.5
        where = { nodes = 8 }
        [[promise]]
        figure = "gold"
        at-least = 1
        where = { nodes = 4 }
    "#;
    let (plan, ran) = run_all(text, 1);
    let broken: Vec<_> = run::broken(&plan, &ran).into_iter().map(|one| one.what).collect();
    assert_eq!(
        broken,
        ["gold was not measured, and should be at least 1", "hops is 1, and should be at most 0.5"]
    );
}
