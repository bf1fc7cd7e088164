//! The network is partitioned into two halves, values are put on both, and it heals: within one
//! upkeep interval all are found from both sides.
//!
//! With root and iproute2 the halves are in two network namespaces, and frames between them are
//! dropped. Otherwise the halves are frozen in turn (SIGSTOP), so that each finds the other
//! unresponsive with its sockets open; the difference is that they never put at the same time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rustix::process::Signal;

use super::super::fleet::entries::Entries;
use super::load::{Load, Stored, Tally};
use super::namespaces::{Namespaces, Side};
use super::report::{Report, seconds};
use super::{AT_ONCE, Drill};
use crate::arguments::ports::{MODULE_PORT, P2P_PORT};
use crate::outcome::Failure;

/// Default number of nodes.
const NODES: usize = 16;
/// Default duration of the partition: long enough for the halves to give each other up.
const SECONDS: u64 = 60;

pub(super) async fn run(drill: &mut Drill) -> Result<Report, Failure> {
    let nodes = drill.nodes(NODES);
    let apart = Duration::from_secs(drill.options.seconds.unwrap_or(SECONDS));
    let title = format!("{nodes} nodes in two halves that are apart for {}", seconds(apart));
    let mut report = Report::new("partition", title);
    match Namespaces::make(nodes.div_ceil(2)) {
        Ok(namespaces) => {
            report.tell("partitioned by", "network namespaces, frames dropped between them");
            let halves = found_in(drill, &namespaces, nodes).await?;
            put_parted(drill, &namespaces, &halves, apart, &mut report).await?;
        }
        Err(why) => {
            report.tell("no network namespaces", why);
            report.tell("partitioned by", "freezing one half at a time");
            drill.found(nodes).await?;
            let running = drill.fleet.running();
            let halves = Halves::of(drill, &running);
            put_frozen(drill, &halves, apart, &mut report).await?;
        }
    }
    Ok(report)
}

/// The nodes of both sides, and what is put and got through each.
struct Halves {
    left: Half,
    right: Half,
}

struct Half {
    nodes: Vec<usize>,
    load: Rc<Load>,
}

impl Halves {
    /// The first half of these nodes, and the second.
    fn of(drill: &mut Drill, nodes: &[usize]) -> Self {
        let (left, right) = nodes.split_at(nodes.len() / 2);
        Self { left: Half::of(drill, left), right: Half::of(drill, right) }
    }

    fn each(&self) -> [&Half; 2] {
        [&self.left, &self.right]
    }

    fn stored(&self) -> Vec<Stored> {
        self.each().iter().flat_map(|half| half.load.stored()).collect()
    }
}

impl Half {
    fn of(drill: &mut Drill, nodes: &[usize]) -> Self {
        let entries = Rc::new(Entries::new(ChaCha8Rng::from_rng(&mut drill.random)));
        for node in nodes {
            entries.open(*node, drill.fleet.api_of(*node));
        }
        let random = ChaCha8Rng::from_rng(&mut drill.random);
        let load = Load::new(entries, drill.options.value_size, random);
        Self { nodes: nodes.to_vec(), load }
    }
}

async fn found_in(
    drill: &mut Drill,
    namespaces: &Namespaces,
    nodes: usize,
) -> Result<Halves, Failure> {
    let mut numbers = Vec::new();
    for side in Side::BOTH {
        let of_side = match side {
            Side::Left => nodes / 2,
            Side::Right => nodes - nodes / 2,
        };
        for number in 0..of_side {
            let host = namespaces.address(side, number);
            let (p2p, api) = ((host, P2P_PORT).into(), (host, MODULE_PORT).into());
            numbers.push(drill.fleet.add_at(p2p, api, Some(namespaces.name(side)))?);
        }
    }
    drill.progress.step("starting nodes", nodes);
    drill.fleet.found_of(&numbers, || drill.progress.advance()).await?;
    Ok(Halves::of(drill, &numbers))
}

async fn put_parted(
    drill: &mut Drill,
    namespaces: &Namespaces,
    halves: &Halves,
    apart: Duration,
    report: &mut Report,
) -> Result<(), Failure> {
    let third = (drill.options.values / 3).max(1);
    drill.put_values(third).await?;
    namespaces.part().map_err(Failure::Failed)?;
    let parted = Instant::now();
    drill.progress.step("putting values on both sides", 2 * third);
    for half in halves.each() {
        half.load.put(third, AT_ONCE, &drill.progress).await?;
    }
    check_apart(halves, report).await?;
    let rest = apart.saturating_sub(parted.elapsed());
    drill.progress.wait("waiting while the halves are apart", rest).await;
    for (half, name) in halves.each().into_iter().zip(["left", "right"]) {
        let gets = half.load.get(&drill.load.stored(), AT_ONCE).await?;
        report.promise_all_found(&format!("found on the {name} while apart"), &gets);
    }
    namespaces.heal().map_err(Failure::Failed)?;
    check_healed(drill, halves, report).await
}

async fn put_frozen(
    drill: &mut Drill,
    halves: &Halves,
    apart: Duration,
    report: &mut Report,
) -> Result<(), Failure> {
    let third = (drill.options.values / 3).max(1);
    drill.put_values(third).await?;
    let [left, right] = halves.each();
    for (awake, frozen) in [(left, right), (right, left)] {
        signal_all(drill, frozen, Signal::STOP)?;
        signal_all(drill, awake, Signal::CONT)?;
        drill.progress.wait("waiting while one half is frozen", apart / 2).await;
        drill.progress.step("putting values on the other", third);
        awake.load.put(third, AT_ONCE, &drill.progress).await?;
        let gets = awake.load.get(&drill.load.stored(), AT_ONCE).await?;
        report.promise_all_found("found while the other half is frozen", &gets);
    }
    signal_all(drill, left, Signal::CONT)?;
    check_healed(drill, halves, report).await
}

fn signal_all(drill: &mut Drill, half: &Half, signal: Signal) -> Result<(), Failure> {
    half.nodes.iter().try_for_each(|node| drill.fleet.signal(*node, signal))
}

/// Makes sure that there is a partition: else what follows would show nothing.
async fn check_apart(halves: &Halves, report: &mut Report) -> Result<(), Failure> {
    let of_right = halves.right.load.stored();
    let gets = halves.left.load.get(&of_right, AT_ONCE).await?;
    let value = format!("{} of {}", gets.found, gets.gets());
    report.promise("the right's new values found on the left", value, gets.found == 0);
    Ok(())
}

async fn check_healed(
    drill: &mut Drill,
    halves: &Halves,
    report: &mut Report,
) -> Result<(), Failure> {
    let healed = Instant::now();
    let mut all = drill.load.stored();
    all.extend(halves.stored());
    drill.promise_replicas(&all, healed, report).await?;
    let mut gets = Tally::default();
    for half in halves.each() {
        drill.progress.step("getting every value on either side", all.len());
        gets = gets.and(&half.load.get(&all, AT_ONCE).await?);
    }
    report.promise_all_found("then found from both sides", &gets);
    Ok(())
}
