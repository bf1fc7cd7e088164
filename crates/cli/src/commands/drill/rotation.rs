//! The secret of a private network is replaced in three steps while GETs run and values are put: no GET
//! fails, and in the end no node joins with the old one.
//!
//! In each step every node gets its new secret file and is told to reload it, one after the other. After
//! the second step the drill waits until no connection is authenticated by the old secret any more: nodes
//! renew their connections within ten minutes.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::connection::NodeConnection;
use super::super::shown::{Reloaded, Status};
use super::load::Load;
use super::report::{Report, seconds};
use super::{AT_ONCE, Drill};
use crate::outcome::Failure;

/// How many nodes, where no option says.
const NODES: usize = 20;
/// Programs that get all the while.
const PROGRAMS: usize = 4;
/// Values that are put after each reload. Not all the while: in the minutes of waiting the stores would
/// fill.
const PUT_EACH_TIME: usize = 5;
/// How long the drill waits for renewed connections, where no option says: the ten minutes in which nodes
/// renew them, and a little for the handshakes of the last.
const SECONDS: u64 = 630;
/// The secrets of the drill: worth nothing anywhere else.
const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// What each step leaves in the file.
const STEPS: [&[&str]; 3] = [&[OLD, NEW], &[NEW, OLD], &[NEW]];

/// The secrets with which the nodes of this drill start.
pub(super) fn first_secrets() -> String {
    text(&[OLD])
}

pub(super) async fn run(drill: &mut Drill) -> Result<Report, Failure> {
    let (nodes, values) = (drill.nodes(NODES), drill.options.values);
    let title = format!("{nodes} nodes of a private network get another secret, under load");
    let mut report = Report::new("rotation", title);
    drill.found(nodes).await?;
    drill.put_values(values).await?;
    drill.load.take_tally();

    let load = drill.load.clone();
    let rotate = async {
        let rotated = rotate(drill, &mut report).await;
        load.stop();
        rotated
    };
    let (ran, rotated) = tokio::join!(load.run(0, PROGRAMS), rotate);
    ran.and(rotated)?;
    tell_of_load(&mut report, &load);
    refuse_the_old_secret(drill, &mut report).await?;
    let stored = load.stored();
    drill.progress.step("getting every value once", stored.len());
    let gets = load.get(&stored, AT_ONCE).await?;
    report.promise_all_found("found in the end", &gets);
    Ok(report)
}

fn tell_of_load(report: &mut Report, load: &Rc<Load>) {
    let tally = load.take_tally();
    report.promise("GETs meanwhile that failed", tally.failed_gets(), tally.failed_gets() == 0);
    report.tell("GETs meanwhile that brought their value", tally.found);
    report.promise("PUTs meanwhile that were refused", tally.refused, tally.refused == 0);
    report.tell("PUTs meanwhile that were acknowledged", tally.stored);
}

async fn rotate(drill: &mut Drill, report: &mut Report) -> Result<(), Failure> {
    let nodes = drill.fleet.running();
    for (number, secrets) in STEPS.into_iter().enumerate() {
        let step = number + 1;
        let parts = nodes.len() * (1 + PUT_EACH_TIME);
        drill.progress.step(&format!("step {step} on every node"), parts);
        // In the second step one node is left behind, until all others have moved.
        let (late, others) = nodes.split_last().unwrap_or((&0, &[]));
        for node in others {
            reload(drill, *node, secrets).await?;
        }
        if step == 2 {
            let waited = until_renewed(drill, others).await?;
            tell_of_renewal(drill, report, waited, *late).await?;
        }
        reload(drill, *late, secrets).await?;
        if step == 2 {
            let after = until_renewed(drill, &nodes).await?;
            report.tell("then the last node, connections renewed after", words(after));
        }
    }
    Ok(())
}

/// Whether connections moved in time, and whether the node that was left behind knows it.
async fn tell_of_renewal(
    drill: &Drill,
    report: &mut Report,
    waited: Option<Duration>,
    late: usize,
) -> Result<(), Failure> {
    let what = "connections by the old secret gone, but for one node, after";
    let Some(waited) = waited else {
        report.tell(what, words(None));
        return Ok(());
    };
    report.promise(what, words(Some(waited)), true);
    let node = connection(drill, late).await?;
    let doctor: Value = node.read("/doctor").await?;
    let checks = doctor["checks"].as_array().into_iter().flatten();
    let told = checks.filter(|check| check["name"] == "membership");
    let told = told.filter_map(|check| check["text"].as_str()).any(|it| it.contains("step 2"));
    report.promise("that node's doctor names the step that it missed", told, told);
    Ok(())
}

fn words(took: Option<Duration>) -> String {
    took.map_or_else(|| "not waited for".to_owned(), seconds)
}

/// Gives a node another file, and has it reloaded.
async fn reload(drill: &Drill, node: usize, secrets: &[&str]) -> Result<(), Failure> {
    drill.fleet.write_secrets(node, &text(secrets))?;
    let node = connection(drill, node).await?;
    let reloaded: Reloaded = node.understand(&node.post("/network/reload").await?)?;
    drill.progress.advance();
    drill.load.put(PUT_EACH_TIME, PUT_EACH_TIME, &drill.progress).await?;
    match reloaded.remembered && reloaded.fingerprints.len() == secrets.len() {
        true => Ok(()),
        false => Err(Failure::Failed(format!("a node has reloaded otherwise: {reloaded:?}"))),
    }
}

/// Waits until these nodes have no connection among themselves that the old secret authenticated, as long
/// as the drill waits for that. `None`: it did not come to that.
async fn until_renewed(drill: &Drill, nodes: &[usize]) -> Result<Option<Duration>, Failure> {
    let begun = Instant::now();
    let most = Duration::from_secs(drill.options.seconds.unwrap_or(SECONDS));
    drill.progress.step("until connections are renewed", nodes.len());
    // A node that was left behind has a connection with each of the others, mostly.
    let outside = drill.fleet.running().len() - nodes.len();
    loop {
        let mut renewed = 0;
        for node in nodes {
            renewed += usize::from(by_the_old(drill, *node).await? <= 2 * outside as u64);
        }
        drill.progress.reach(renewed);
        if renewed == nodes.len() {
            return Ok(Some(begun.elapsed()));
        }
        if begun.elapsed() >= most {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Connections of a node whose peer proved membership by the second secret of the file, the old one.
async fn by_the_old(drill: &Drill, node: usize) -> Result<u64, Failure> {
    let status: Status = connection(drill, node).await?.read("/status.json").await?;
    let Status::Node(status) = status else { return Ok(0) };
    let secrets = status.network.map(|network| network.secrets).unwrap_or_default();
    Ok(secrets.get(1).map_or(0, |old| old.connections))
}

async fn connection(drill: &Drill, node: usize) -> Result<NodeConnection, Failure> {
    NodeConnection::in_directory(&drill.fleet.data_of(node)).await.map_err(Failure::failed)
}

/// A new node with the old secret alone finds no contact.
async fn refuse_the_old_secret(drill: &mut Drill, report: &mut Report) -> Result<(), Failure> {
    let peers = drill.fleet.p2p_of(&drill.fleet.running());
    let outsider = drill.fleet.add()?;
    drill.fleet.start(outsider, &peers[..1])?;
    drill.fleet.listening(outsider).await?;
    let node = connection(drill, outsider).await?;
    drill.progress.step("a node with the old secret tries to join", 1);
    let state = loop {
        let Status::Node(status) = node.read::<Status>("/status.json").await? else { continue };
        match status.peers.first().map(|peer| peer.state.clone()) {
            Some(state) if state != "untried" => break state,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    report.promise("a node with the old secret alone", &state, state == "other_network");
    drill.fleet.kill(&[outsider]).await
}

fn text(secrets: &[&str]) -> String {
    secrets.iter().map(|secret| format!("{secret}\n")).collect()
}
