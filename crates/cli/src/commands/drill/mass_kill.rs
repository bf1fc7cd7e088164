//! Half of all nodes die at once: every value is found by the first GET, and within one upkeep
//! interval it lies again on as many nodes as it should.

use std::time::Instant;

use rand::seq::SliceRandom;

use super::report::{Report, seconds};
use super::{AT_ONCE, Drill};
use crate::outcome::Failure;

/// Default number of nodes.
const NODES: usize = 32;

pub(super) async fn run(drill: &mut Drill) -> Result<Report, Failure> {
    let (nodes, values) = (drill.nodes(NODES), drill.options.values);
    let title = format!("{} of {nodes} nodes killed at once, {values} values", nodes / 2);
    let mut report = Report::new("mass-kill", title);
    drill.found(nodes).await?;
    drill.put_values(values).await?;

    let mut victims = drill.fleet.running();
    victims.shuffle(&mut drill.random);
    victims.truncate(nodes / 2);
    let killed = Instant::now();
    drill.fleet.kill(&victims).await?;
    drill.progress.step("getting every value once", values);
    let stored = drill.load.stored();
    let gets = drill.load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("found by the first GET after it", &gets);
    report.tell("all of them within", seconds(killed.elapsed()));

    drill.promise_replicas(&stored, killed, &mut report).await?;
    Ok(report)
}
