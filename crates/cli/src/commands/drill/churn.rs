//! A random node is killed and another, empty one, started every two seconds, under load: no value
//! is lost. How many GETs failed meanwhile is told.

use std::time::{Duration, Instant};

use rand::seq::{IndexedRandom, SliceRandom};

use super::report::Report;
use super::{AT_ONCE, Drill};
use crate::outcome::Failure;

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

pub(super) async fn run(drill: &mut Drill) -> Result<Report, Failure> {
    let (nodes, values) = (drill.nodes(NODES), drill.options.values);
    let lasts = Duration::from_secs(drill.options.seconds.unwrap_or(SECONDS));
    let title = format!(
        "a random one of {nodes} nodes killed and another started every {} s, for {} s",
        EVERY.as_secs(),
        lasts.as_secs()
    );
    let mut report = Report::new("churn", title);
    drill.found(nodes).await?;
    drill.put_values(values).await?;
    drill.load.take_tally();

    let load = drill.load.clone();
    let mut replaced = 0;
    let churn = async {
        let churned = replace_for(drill, lasts, &mut replaced).await;
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
    drill.progress.step("getting every value once", stored.len());
    let gets = load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("values found in the end", &gets);
    Ok(report)
}

async fn replace_for(
    drill: &mut Drill,
    lasts: Duration,
    replaced: &mut usize,
) -> Result<(), Failure> {
    let times = (lasts.as_millis() / EVERY.as_millis()).max(1);
    drill.progress.step("replacing nodes", usize::try_from(times).unwrap_or(usize::MAX));
    let started = Instant::now();
    for time in 1..=times {
        let mut living = drill.fleet.running();
        let Some(victim) = living.choose(&mut drill.random).copied() else { break };
        drill.fleet.kill(&[victim]).await?;
        living.retain(|number| *number != victim);
        living.shuffle(&mut drill.random);
        living.truncate(KNOWN_PEERS);
        let new = drill.fleet.add()?;
        drill.fleet.start(new, &drill.fleet.p2p_of(&living))?;
        match drill.options.untimed {
            // A node answers what it can after two seconds, even where the machine has not let it
            // join by then.
            true => drill.fleet.joined(new).await?,
            false => drill.fleet.listening(new).await?,
        };
        *replaced += 1;
        drill.progress.advance();
        let next = started + EVERY * u32::try_from(time).unwrap_or(u32::MAX);
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(())
}
