//! Every node is killed in the middle of a stream of PUTs, and all are started again, without
//! being told of any peer: every value that was acknowledged is found. Then once more, with the
//! last page of one node's database cut off.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;

use super::report::{Report, seconds};
use super::{AT_ONCE, Drill};
use crate::outcome::Failure;

/// How many nodes, where nobody says.
const NODES: usize = 32;
/// A page of the database.
const PAGE_BYTES: u64 = 4096;
/// A node that was started again serves within this.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(drill: &mut Drill) -> Result<Report, Failure> {
    let (nodes, values) = (drill.nodes(NODES), drill.options.values);
    let title = format!("all of {nodes} nodes killed amid PUTs and started again, twice");
    let mut report = Report::new("restart-all", title);
    drill.found(nodes).await?;
    let all = drill.fleet.running();

    kill_amid_puts(drill, &all, values / 2).await?;
    let stored = drill.load.stored().len();
    report.tell("values acknowledged until the first kill", stored);
    start_and_get(drill, &all, &mut report, "").await?;

    kill_amid_puts(drill, &all, stored + values / 2).await?;
    report.tell("until the second", drill.load.stored().len());
    let damaged = drill.random.random_range(..nodes);
    let cut = drill.random.random_range(1..PAGE_BYTES);
    let kept = cut_off(&drill.fleet.data_of(damaged).join("records.redb"), cut)?;
    report.tell("cut off from one database", format!("{cut} bytes of {}", kept + cut));
    start_and_get(drill, &all, &mut report, ", one database cut short").await?;
    Ok(report)
}

async fn kill_amid_puts(drill: &mut Drill, all: &[usize], after: usize) -> Result<(), Failure> {
    drill.progress.step("putting values until all nodes are killed", 1);
    let load = drill.load.clone();
    let fleet = &mut drill.fleet;
    let kill = async {
        load.until_stored(after).await;
        let killed = fleet.kill(all).await;
        load.stop();
        killed
    };
    let (put, killed) = tokio::join!(load.run(AT_ONCE, 0), kill);
    put.and(killed)
}

async fn start_and_get(
    drill: &mut Drill,
    all: &[usize],
    report: &mut Report,
    how: &str,
) -> Result<(), Failure> {
    drill.progress.step("starting all nodes again, without any peer", all.len());
    let slowest = drill.fleet.restart(all).await?.0;
    let what = format!("slowest until it served{how}");
    report.promise(&what, seconds(slowest), slowest < SERVES_WITHIN);
    let stored = drill.load.stored();
    drill.progress.step("getting every value once", stored.len());
    let gets = drill.load.get(&stored, AT_ONCE).await?;
    report.promise_all_found(&format!("acknowledged values found{how}"), &gets);
    Ok(())
}

/// Cuts off the end of a file. The answer is its new length.
fn cut_off(path: &Path, bytes: u64) -> Result<u64, Failure> {
    let failed = |error| Failure::Failed(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
    let left = file.metadata().map_err(failed)?.len().saturating_sub(bytes);
    file.set_len(left).map_err(failed)?;
    Ok(left)
}
