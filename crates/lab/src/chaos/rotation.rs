//! The secret of a private network is replaced in three steps while GETs run and values are put: no GET
//! fails, and in the end no node joins with the old one.
//!
//! In each step every node gets its new secret file and is told to reload it, one after the other. After
//! the second step the test waits until no connection is authenticated by the old secret any more: nodes
//! renew their connections within ten minutes.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use voiddht_cli::connection::NodeConnection;
use voiddht_cli::outcome::Failure;

use super::load::Load;
use super::report::{Report, seconds};
use super::trial::{AT_ONCE, Trial};

/// How many nodes, where no option says.
const NODES: usize = 20;
/// Programs that get all the while.
const PROGRAMS: usize = 4;
/// Values that are put after each reload. Not all the while: in the minutes of waiting the stores would
/// fill.
const PUT_EACH_TIME: usize = 5;
/// How long the test waits for renewed connections, where no option says: the ten minutes in which nodes
/// renew them, and a little for the handshakes of the last.
const SECONDS: u64 = 630;
/// The secrets of the trial: worth nothing anywhere else.
const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// What each step leaves in the file.
const STEPS: [&[&str]; 3] = [&[OLD, NEW], &[NEW, OLD], &[NEW]];

/// The secrets with which the nodes start.
pub(super) fn first_secrets() -> String {
    text(&[OLD])
}

pub(super) async fn run(trial: &mut Trial) -> Result<Report, Failure> {
    let (nodes, values) = (trial.nodes(NODES), trial.options.values);
    let title = format!("{nodes} nodes of a private network get another secret, under load");
    let mut report = Report::new("rotation", title);
    trial.found(nodes).await?;
    trial.put_values(values).await?;
    trial.load.take_tally();

    let load = trial.load.clone();
    let rotate = async {
        let rotated = rotate(trial, &mut report).await;
        load.stop();
        rotated
    };
    let (ran, rotated) = tokio::join!(load.run(0, PROGRAMS), rotate);
    ran.and(rotated)?;
    tell_of_load(&mut report, &load);
    refuse_the_old_secret(trial, &mut report).await?;
    let stored = load.stored();
    trial.progress.step("getting every value once", stored.len());
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

async fn rotate(trial: &mut Trial, report: &mut Report) -> Result<(), Failure> {
    let nodes = trial.fleet.running();
    for (number, secrets) in STEPS.into_iter().enumerate() {
        let step = number + 1;
        let parts = nodes.len() * (1 + PUT_EACH_TIME);
        trial.progress.step(&format!("step {step} on every node"), parts);
        // In the second step one node is left behind, until all others have moved.
        let (late, others) = nodes.split_last().unwrap_or((&0, &[]));
        for node in others {
            reload(trial, *node, secrets).await?;
        }
        if step == 2 {
            let waited = until_renewed(trial, others).await?;
            tell_of_renewal(trial, report, waited, *late).await?;
        }
        reload(trial, *late, secrets).await?;
        if step == 2 {
            let after = until_renewed(trial, &nodes).await?;
            report.tell("then the last node, connections renewed after", words(after));
        }
    }
    Ok(())
}

/// Whether connections moved in time, and whether the node that was left behind knows it.
async fn tell_of_renewal(
    trial: &Trial,
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
    let node = connection(trial, late).await?;
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
async fn reload(trial: &Trial, node: usize, secrets: &[&str]) -> Result<(), Failure> {
    trial.fleet.write_secrets(node, &text(secrets))?;
    let node = connection(trial, node).await?;
    let reloaded: Value = node.understand(&node.post("/network/reload").await?)?;
    trial.progress.advance();
    trial.load.put(PUT_EACH_TIME, PUT_EACH_TIME, &trial.progress).await?;
    let read = reloaded["fingerprints"].as_array().map(Vec::len);
    match reloaded["remembered"] == true && read == Some(secrets.len()) {
        true => Ok(()),
        false => Err(Failure::Failed(format!("a node has reloaded otherwise: {reloaded}"))),
    }
}

/// Waits until these nodes have no connection among themselves that the old secret authenticated, as long
/// as the test waits for that. `None`: it did not come to that.
async fn until_renewed(trial: &Trial, nodes: &[usize]) -> Result<Option<Duration>, Failure> {
    let begun = Instant::now();
    let most = Duration::from_secs(trial.options.seconds.unwrap_or(SECONDS));
    trial.progress.step("until connections are renewed", nodes.len());
    // A node that was left behind has a connection with each of the others, mostly.
    let outside = trial.fleet.running().len() - nodes.len();
    loop {
        let mut renewed = 0;
        for node in nodes {
            renewed += usize::from(by_the_old(trial, *node).await? <= 2 * outside as u64);
        }
        trial.progress.reach(renewed);
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
async fn by_the_old(trial: &Trial, node: usize) -> Result<u64, Failure> {
    let status: Value = connection(trial, node).await?.read("/status.json").await?;
    let connections = status["network"]["secrets"][1]["connections"].as_u64();
    connections.ok_or_else(|| Failure::failed("a node does not say which secrets it has"))
}

async fn connection(trial: &Trial, node: usize) -> Result<NodeConnection, Failure> {
    NodeConnection::in_directory(&trial.fleet.data_of(node)).await.map_err(Failure::failed)
}

/// A new node with the old secret alone finds no contact.
async fn refuse_the_old_secret(trial: &mut Trial, report: &mut Report) -> Result<(), Failure> {
    let peers = trial.fleet.p2p_of(&trial.fleet.running());
    let outsider = trial.fleet.add()?;
    trial.fleet.start(outsider, &peers[..1])?;
    trial.fleet.listening(outsider).await?;
    let node = connection(trial, outsider).await?;
    trial.progress.step("a node with the old secret tries to join", 1);
    let state = loop {
        let status: Value = node.read("/status.json").await?;
        match status["peers"][0]["state"].as_str() {
            Some(state) if state != "untried" => break state.to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    report.promise("a node with the old secret alone", &state, state == "other_network");
    trial.fleet.kill(&[outsider]).await
}

fn text(secrets: &[&str]) -> String {
    secrets.iter().map(|secret| format!("{secret}\n")).collect()
}
