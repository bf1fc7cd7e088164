//! Every node in turn is stopped by SIGTERM and started again, while PUTs and GETs run: no GET
//! fails.

use std::time::Duration;

use voiddht_cli::outcome::Failure;

use super::report::{Report, seconds};
use super::trial::{AT_ONCE, Trial};

/// Default number of nodes.
const NODES: usize = 16;
/// Programs that put, and that get, all the while.
const PROGRAMS: usize = 8;
/// A node that was asked to stop has ended within this: what `--leave-deadline` allows, and what
/// closing its connections and its database may take.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let (nodes, values) = (trial.nodes(NODES), trial.options.values);
    let title = format!("{nodes} nodes restarted by SIGTERM one at a time, under load");
    let mut report = Report::new("rolling-restart", title);
    trial.found(nodes).await?;
    trial.put_values(values).await?;
    trial.load.take_tally();

    trial.progress.step("restarting the nodes one at a time", nodes);
    let load = trial.load.clone();
    let mut restarts = Restarts::default();
    let roll = async {
        let rolled = restart_each(trial, &mut restarts).await;
        load.stop();
        rolled
    };
    let (ran, rolled) = tokio::join!(load.run(PROGRAMS, PROGRAMS), roll);
    ran.and(rolled)?;

    let tally = load.take_tally();
    report.promise_all_found("GETs meanwhile that brought their value", &tally);
    report.promise("PUTs meanwhile that were refused", tally.refused, tally.refused == 0);
    report.tell("PUTs meanwhile that were acknowledged", tally.stored);
    report.tell("taken to another node because theirs stopped", tally.moved);
    trial.promise_within(&mut report, "slowest to end", restarts.slowest_end, ENDS_WITHIN);
    report.promise("ended with status 0", restarts.clean, restarts.clean == nodes);
    report.tell("slowest until it served", seconds(restarts.slowest_start));
    let stored = load.stored();
    trial.progress.step("getting every value once", stored.len());
    let gets = load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("found in the end", &gets);
    Ok(report)
}

#[derive(Default)]
struct Restarts {
    clean: usize,
    slowest_end: Duration,
    slowest_start: Duration,
}

async fn restart_each(trial: &mut Trial, restarts: &mut Restarts) -> Result<(), Failure> {
    for number in trial.fleet.running() {
        let (status, took) = trial.fleet.stop(number).await?;
        restarts.clean += usize::from(status.success());
        restarts.slowest_end = restarts.slowest_end.max(took);
        trial.fleet.start(number, &[])?;
        let took = trial.fleet.joined(number).await?;
        restarts.slowest_start = restarts.slowest_start.max(took);
        trial.progress.advance();
    }
    Ok(())
}
