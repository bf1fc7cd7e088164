//! A random node is killed and another, empty one, started every two seconds, under load: no value
//! is lost. How many GETs failed meanwhile is told.

use std::time::{Duration, Instant};

use rand::seq::{IndexedRandom, SliceRandom};
use voiddht_cli::outcome::Failure;

use super::report::Report;
use super::trial::{AT_ONCE, Trial};

/// Default number of nodes.
const NODES: usize = 32;
/// Default duration.
const SECONDS: u64 = 180;
/// The time from one death to the next.
const EVERY: Duration = Duration::from_secs(2);
/// Programs that put, and that get, all the while.
const PROGRAMS: usize = 4;
/// Peers that a node is started with.
const KNOWN_PEERS: usize = 3;

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let (nodes, values) = (trial.nodes(NODES), trial.options.values);
    let lasts = Duration::from_secs(trial.options.seconds.unwrap_or(SECONDS));
    let title = format!(
        "a random one of {nodes} nodes killed and another started every {} s, for {} s",
        EVERY.as_secs(),
        lasts.as_secs()
    );
    let mut report = Report::new("churn", title);
    trial.found(nodes).await?;
    trial.put_values(values).await?;
    trial.load.take_tally();

    let load = trial.load.clone();
    let mut replaced = 0;
    let churn = async {
        let churned = replace_for(trial, lasts, &mut replaced).await;
        load.stop();
        churned
    };
    let (ran, churned) = tokio::join!(load.run(PROGRAMS, PROGRAMS), churn);
    ran.and(churned)?;

    report.tell("nodes replaced", replaced);
    let tally = load.take_tally();
    let share = 100.0 * tally.failed_gets() as f64 / tally.gets().max(1) as f64;
    let failed = format!("{} of {} ({share:.3} %)", tally.failed_gets(), tally.gets());
    report.promise("GETs meanwhile that failed", failed, tally.failed_gets() == 0);
    report.tell("PUTs meanwhile that were acknowledged", tally.stored);
    report.tell("PUTs meanwhile that were refused", tally.refused);
    report.tell("taken to another node because theirs was killed", tally.moved);
    let stored = load.stored();
    trial.progress.step("getting every value once", stored.len());
    let gets = load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("values found in the end", &gets);
    Ok(report)
}

async fn replace_for(
    trial: &mut Trial,
    lasts: Duration,
    replaced: &mut usize,
) -> Result<(), Failure> {
    let times = (lasts.as_millis() / EVERY.as_millis()).max(1);
    trial.progress.step("replacing nodes", usize::try_from(times).unwrap_or(usize::MAX));
    let started = Instant::now();
    for time in 1..=times {
        let mut living = trial.fleet.running();
        let Some(victim) = living.choose(&mut trial.random).copied() else { break };
        trial.fleet.kill(&[victim]).await?;
        living.retain(|number| *number != victim);
        living.shuffle(&mut trial.random);
        living.truncate(KNOWN_PEERS);
        let new = trial.fleet.add()?;
        trial.fleet.start(new, &trial.fleet.p2p_of(&living))?;
        match trial.options.untimed {
            // A node answers what it can after two seconds, even where the machine has not let it
            // join by then.
            true => trial.fleet.joined(new).await?,
            false => trial.fleet.listening(new).await?,
        };
        *replaced += 1;
        trial.progress.advance();
        let next = started + EVERY * u32::try_from(time).unwrap_or(u32::MAX);
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(())
}
