//! The network is partitioned into two halves, values are put on both, and it heals: within one
//! upkeep interval all are found from both sides.
//!
//! Each half is on a machine of its own, made of a network namespace; frames between the machines are
//! dropped.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_cli::arguments::ports::{MODULE_PORT, P2P_PORT};
use voiddht_cli::outcome::Failure;

use super::load::{Load, Tally};
use super::report::{Report, seconds};
use super::trial::{AT_ONCE, Trial};
use crate::fleet::entries::Entries;
use crate::namespaces::{Link, ip};

/// Default number of nodes.
const NODES: usize = 16;
/// Default duration of the partition: long enough for the halves to give each other up.
const SECONDS: u64 = 60;
/// Second bytes of the networks 10.N.0.0/16 that are tried.
const NETWORKS: std::ops::RangeInclusive<u8> = 100..=250;

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let nodes = trial.nodes(NODES);
    let apart = Duration::from_secs(trial.options.seconds.unwrap_or(SECONDS));
    let title = format!("{nodes} nodes in two halves that are apart for {}", seconds(apart));
    let mut report = Report::new("partition", title);
    let mut link = Link::make().map_err(Failure::Failed)?;
    let numbers = add_nodes(trial, &mut link, nodes).map_err(Failure::Failed)?;
    trial.progress.step("starting nodes", nodes);
    trial.fleet.found_of(&numbers, || trial.progress.advance()).await?;
    let (left, right) = numbers.split_at(nodes / 2);
    let halves = [left, right].map(|half| load_through(trial, half));

    let third = (trial.options.values / 3).max(1);
    trial.put_values(third).await?;
    link.set_cut(true).map_err(Failure::Failed)?;
    let cut = Instant::now();
    trial.progress.step("putting values on both sides", 2 * third);
    for half in &halves {
        half.put(third, AT_ONCE, &trial.progress).await?;
    }
    check_apart(&halves, &mut report).await?;
    let rest = apart.saturating_sub(cut.elapsed());
    trial.progress.wait("waiting while the halves are apart", rest).await;
    for (half, name) in halves.iter().zip(["left", "right"]) {
        let gets = half.get(&trial.load.stored(), AT_ONCE).await?;
        report.promise_all_found(&format!("found on the {name} while apart"), &gets);
    }
    link.set_cut(false).map_err(Failure::Failed)?;
    check_healed(trial, &halves, &mut report).await?;
    Ok(report)
}

/// Two machines, with half of the nodes each, every node with an address of its own.
fn add_nodes(trial: &mut Trial, link: &mut Link, nodes: usize) -> Result<Vec<usize>, String> {
    let routes = ip(&["-4", "-oneline", "route", "show", "table", "all"])?;
    let is_free = |network: &u8| !routes.contains(&format!("10.{network}."));
    let network = NETWORKS.into_iter().find(is_free).ok_or("no network 10.N.0.0/16 is free")?;
    link.add_uplink(&format!("10.{network}.0.1/16"))?;
    let mut numbers = Vec::new();
    for (side, name, count) in [(0, "left", nodes / 2), (1, "right", nodes - nodes / 2)] {
        let machine = link.machine(name)?;
        for number in 1..=count {
            let [high, low] = [2 * (number / 250) + side + 2, number % 250 + 1];
            let [high, low] = [high, low].map(|byte| u8::try_from(byte).unwrap_or(u8::MAX));
            let host = IpAddr::from(Ipv4Addr::new(10, network, high, low));
            machine.ip(&["address", "add", &format!("{host}/16"), "dev", "eth0"])?;
            let (p2p, api) = ((host, P2P_PORT).into(), (host, MODULE_PORT).into());
            let namespace = Some(machine.namespace().to_owned());
            let added = trial.fleet.add_at(p2p, api, namespace);
            numbers.push(added.map_err(|why| why.message().unwrap_or_default().to_owned())?);
        }
    }
    Ok(numbers)
}

/// What is put and got through these nodes alone.
fn load_through(trial: &mut Trial, nodes: &[usize]) -> Rc<Load> {
    let entries = Rc::new(Entries::new(ChaCha8Rng::from_rng(&mut trial.random)));
    for node in nodes {
        entries.open(*node, trial.fleet.api_of(*node));
    }
    let random = ChaCha8Rng::from_rng(&mut trial.random);
    Load::new(entries, trial.options.value_size, random)
}

/// Makes sure that there is a partition: else what follows would show nothing.
async fn check_apart([left, right]: &[Rc<Load>; 2], report: &mut Report) -> Result<(), Failure> {
    let gets = left.get(&right.stored(), AT_ONCE).await?;
    let value = format!("{} of {}", gets.found, gets.gets());
    report.promise("the right's new values found on the left", value, gets.found == 0);
    Ok(())
}

async fn check_healed(
    trial: &mut Trial,
    halves: &[Rc<Load>; 2],
    report: &mut Report,
) -> Result<(), Failure> {
    let healed = Instant::now();
    let mut all = trial.load.stored();
    all.extend(halves.iter().flat_map(|half| half.stored()));
    trial.promise_replicas(&all, healed, report).await?;
    let mut gets = Tally::default();
    for half in halves {
        trial.progress.step("getting every value on either side", all.len());
        gets = gets.and(&half.get(&all, AT_ONCE).await?);
    }
    report.promise_all_found("then found from both sides", &gets);
    Ok(())
}
