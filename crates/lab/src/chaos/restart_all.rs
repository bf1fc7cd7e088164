//! Every node is killed in the middle of a stream of PUTs, and all are started again without
//! configured peers: every acknowledged value is found. Then once more, with the last page of one
//! node's database cut off. Then one node alone, which serves at once.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use voiddht_cli::outcome::Failure;

use super::report::{Report, seconds};
use super::trial::{AT_ONCE, Trial};
use crate::fleet::Damaged;

/// Default number of nodes.
const NODES: usize = 32;
/// A page of the database.
const PAGE_BYTES: u64 = 4096;
/// A node that is started again serves within this.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let (nodes, values) = (trial.nodes(NODES), trial.options.values);
    let title = format!("all of {nodes} nodes killed amid PUTs and started again, twice");
    let mut report = Report::new("restart-all", title);
    trial.found(nodes).await?;
    let all = trial.fleet.running();

    kill_amid_puts(trial, &all, values / 2).await?;
    let stored = trial.load.stored().len();
    report.tell("values acknowledged until the first kill", stored);
    start_and_get(trial, &all, &mut report, "").await?;

    kill_amid_puts(trial, &all, stored + values / 2).await?;
    report.tell("until the second", trial.load.stored().len());
    let damaged = trial.random.random_range(..nodes);
    let cut = trial.random.random_range(1..PAGE_BYTES);
    let database = trial.fleet.data_of(damaged).join("records.redb");
    let kept = cut_off(&database, cut)?;
    report.tell("cut off from one database", format!("{cut} bytes of {}", kept + cut));
    let outcome = match trial.fleet.restart_damaged(damaged, &database).await? {
        Damaged::Mended => "started, and has lost nothing",
        Damaged::Refused => "refused to start, and was started without it as it said",
    };
    report.tell("its node", outcome);
    start_and_get(trial, &all, &mut report, ", one database cut short").await?;
    restart_one(trial, &mut report).await?;
    Ok(report)
}

/// One node alone is killed and started again: it serves at once, with its values.
async fn restart_one(trial: &mut Trial, report: &mut Report) -> Result<(), Failure> {
    let one = trial.random.random_range(..trial.fleet.running().len());
    trial.progress.step("restarting one node alone", 1);
    trial.fleet.kill(&[one]).await?;
    let took = trial.fleet.restart(&[one]).await?.0;
    trial.promise_within(report, "one node, restarted alone, served after", took, SERVES_WITHIN);
    let stored = trial.load.stored();
    trial.progress.step("getting every value there", stored.len());
    let gets = trial.load.get_through(&stored, AT_ONCE, Some(one)).await?;
    report.promise_all_found("values found there", &gets);
    Ok(())
}

async fn kill_amid_puts(trial: &mut Trial, all: &[usize], after: usize) -> Result<(), Failure> {
    trial.progress.step("putting values until all nodes are killed", 1);
    let load = trial.load.clone();
    let fleet = &mut trial.fleet;
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
    trial: &mut Trial,
    all: &[usize],
    report: &mut Report,
    how: &str,
) -> Result<(), Failure> {
    trial.progress.step("starting all nodes again, without any peer", all.len());
    let slowest = trial.fleet.restart(all).await?.0;
    // All at once share the machine's processors: nothing is promised.
    report.tell(&format!("slowest of all at once until it served{how}"), seconds(slowest));
    let stored = trial.load.stored();
    trial.progress.step("getting every value once", stored.len());
    let gets = trial.load.get(&stored, AT_ONCE).await?;
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
