//! Half of all nodes die at once: every value is found by the first GET, and within one upkeep
//! interval it lies again on as many nodes as it should.

use std::time::Instant;

use rand::seq::SliceRandom;
use voiddht_cli::outcome::Failure;

use super::report::{Report, seconds};
use super::trial::{AT_ONCE, Trial};

/// Default number of nodes.
const NODES: usize = 32;

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let (nodes, values) = (trial.nodes(NODES), trial.options.values);
    let title = format!("{} of {nodes} nodes killed at once, {values} values", nodes / 2);
    let mut report = Report::new("mass-kill", title);
    trial.found(nodes).await?;
    trial.put_values(values).await?;

    let mut victims = trial.fleet.running();
    victims.shuffle(&mut trial.random);
    victims.truncate(nodes / 2);
    let killed = Instant::now();
    trial.fleet.kill(&victims).await?;
    trial.progress.step("getting every value once", values);
    let stored = trial.load.stored();
    let gets = trial.load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("found by the first GET after it", &gets);
    report.tell("all of them within", seconds(killed.elapsed()));

    trial.promise_replicas(&stored, killed, &mut report).await?;
    Ok(report)
}
