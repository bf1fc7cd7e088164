use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use voiddht_core::event::Sighting;
use voiddht_core::peer_clocks::ClockEstimate;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{NodeId, PeerAddress};

use super::*;
use crate::network::survey::Survey;
use crate::own_address::Addresses;
use crate::snapshot::{
    BanView, ClockView, ConfiguredPeerView, ConnectionsView, Health, KeptUsageView, LimitView,
    NodeView, OperationsView, Reason, RecordsView, Snapshot, StorageView, TableView, TrustView,
};

pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        taken_at_ms: 0,
        node: NodeView {
            id: "ab".repeat(32),
            p2p_address: String::new(),
            announced_address: String::new(),
            public_address: None,
            reach: "unknown",
            api_address: String::new(),
            version: "0",
            policy: "self-certifying",
            uptime_seconds: 0,
            k: 20,
            alpha: 3,
            disjoint_paths: 5,
            vote_quorum: 5,
        },
        health: Health { state: State::Joined, ready: true, reasons: Vec::new() },
        clock: None,
        table: TableView { contacts: 9, ..TableView::default() },
        records: RecordsView::default(),
        kept: KeptUsageView::default(),
        storage: StorageView { directory: None, failing: false },
        network: None,
        operations: OperationsView::default(),
        connections: ConnectionsView::default(),
        peers: Vec::new(),
        trust: TrustView::default(),
        limits: vec![limit("connections", 100, 0)],
        events: Vec::new(),
    }
}

/// A limit that was reached so often in the last minutes, and once long before.
fn limit(name: &'static str, limit: u64, reached_recently: u64) -> LimitView {
    let reached = reached_recently + 1;
    LimitView { name, limit: Some(limit), in_use: Some(0), reached, reached_recently }
}

fn address(ip: [u8; 4]) -> PeerAddress {
    SocketAddr::from((ip, 7402)).into()
}

fn at(ip: [u8; 4]) -> Addresses {
    Addresses {
        bound: SocketAddr::from((ip, 7402)),
        source: None,
        announced: address(ip),
        lost: None,
    }
}

static NO_SURVEY: Survey = Survey { by_secret: BTreeMap::new(), unopened: 0 };

const OWN: [u8; 4] = [192, 0, 2, 1];
const PEER: [u8; 4] = [192, 0, 2, 9];

fn sighting(answered: bool, seen: Option<[u8; 4]>) -> Sighting {
    let node = NodeInfo { address: address(PEER), id: NodeId::from_bytes([9; 32]) };
    Sighting { node, answered, seen: seen.map(address) }
}

pub(super) fn findings(snapshot: &Snapshot) -> Findings<'_> {
    Findings {
        snapshot,
        own_address: at(OWN),
        follows_address: false,
        sightings: &[],
        survey: &NO_SURVEY,
        dialed_back: &[],
        last_caller: None,
        stores: 100,
        future_versions: 0,
        free_bytes: None,
        wanted_connections: 100,
    }
}

/// What a check says, and whether it does so with advice.
fn check(found: &Findings<'_>, name: &str, result: Grade, needle: &str) {
    let examination = Examination::of(found);
    let check = examination.checks.iter().find(|check| check.name == name).unwrap();
    assert_eq!(check.result, result, "{check:?}");
    assert!(format!("{} {}", check.text, check.advice).contains(needle), "{check:?}");
    assert!(matches!(result, Grade::Well | Grade::Unknown) || !check.advice.is_empty());
}

#[test]
fn a_node_that_is_dialled_back_is_well() {
    let snapshot = snapshot();
    let seen = [sighting(true, Some(OWN))];
    let dialed_back = [PEER.into()];
    let found = Findings { sightings: &seen, dialed_back: &dialed_back, ..findings(&snapshot) };
    let examination = Examination::of(&found);
    assert_eq!(examination.worst(), Grade::Well, "{examination:#?}");
    check(&found, "reachable", Grade::Well, "from 192.0.2.9");
    check(&found, "address", Grade::Well, "192.0.2.1, as announced");
}

#[test]
fn a_node_that_nobody_reaches_is_told_which_port_to_open() {
    let snapshot = snapshot();
    let seen = [sighting(true, Some([203, 0, 113, 5]))];
    let found = Findings { sightings: &seen, ..findings(&snapshot) };
    check(&found, "reachable", Grade::Failed, "None ever has.");
    check(&found, "reachable", Grade::Failed, "forward it from 203.0.113.5");
    check(&found, "reachable", Grade::Failed, "Open TCP port 7402");
    check(&found, "address", Grade::Warning, "come from 203.0.113.5");
    let recently = SystemTime::now() - Duration::from_secs(30);
    let reached = Findings { last_caller: Some(recently), ..found };
    check(&reached, "reachable", Grade::Well, "s ago");
    let long_ago = Findings { last_caller: Some(recently - Duration::from_secs(600)), ..found };
    check(&long_ago, "reachable", Grade::Failed, "The last one came 10 min ago.");
    let silent = [sighting(false, None)];
    let unasked = Findings { sightings: &silent, ..findings(&snapshot) };
    check(&unasked, "reachable", Grade::Unknown, "No contact could be asked");
}

#[test]
fn an_address_that_no_other_machine_reaches_is_named() {
    let snapshot = snapshot();
    let loopback = Findings { own_address: at([127, 0, 0, 1]), ..findings(&snapshot) };
    check(&loopback, "address", Grade::Warning, "give --host-address");
    let all = Findings { own_address: at([0; 4]), ..findings(&snapshot) };
    check(&all, "address", Grade::Well, "listens on all");
}

#[test]
fn a_lost_network_is_a_failure_and_an_own_one_is_none() {
    let mut snapshot = snapshot();
    snapshot.health = Health {
        state: State::Isolated,
        ready: false,
        reasons: vec![Reason {
            code: "isolated",
            text: "No contact is left.".into(),
            hint: "See.",
        }],
    };
    check(&findings(&snapshot), "network", Grade::Failed, "No contact is left.");
    snapshot.health = Health { state: State::Joined, ready: true, reasons: Vec::new() };
    snapshot.table.contacts = 0;
    check(&findings(&snapshot), "network", Grade::Unknown, "--peer");
    snapshot.health.state = State::Leaving;
    let leaving = Examination::of(&findings(&snapshot));
    assert_eq!(leaving.checks[0].result, Grade::Failed);
}

#[test]
fn whose_clock_is_wrong_is_told_by_the_clocks_of_contacts() {
    let snapshot = snapshot();
    let few = Findings { future_versions: 3, ..findings(&snapshot) };
    check(&few, "clock", Grade::Warning, "3 of 100 values");
    let most = Findings { future_versions: 90, ..findings(&snapshot) };
    // Nine in ten may all be of one publisher: the clocks of contacts decide.
    check(&most, "clock", Grade::Warning, "90 of 100 values");
    let clock = |ahead_ms| {
        let estimate = ClockEstimate { ahead_ms, at_least: false, contacts: 4 };
        Snapshot { clock: Some(ClockView::of(estimate)), ..self::snapshot() }
    };
    let ahead = clock(7_200_000);
    check(
        &findings(&ahead),
        "clock",
        Grade::Failed,
        "clock is 7200 s ahead of those of 4 contacts",
    );
    check(&findings(&clock(-20)), "clock", Grade::Well, "0 s behind those of 4");
    let right = clock(5);
    let others = Findings { future_versions: 3, ..findings(&right) };
    check(&others, "clock", Grade::Warning, "3 of 100 values");
}

#[test]
fn a_disk_that_is_full_or_failing_is_told() {
    let mut snapshot = snapshot();
    check(&findings(&snapshot), "disk", Grade::Well, "--data-dir");
    snapshot.storage.directory = Some("/var/lib/voiddht".into());
    check(&findings(&snapshot), "disk", Grade::Unknown, "/var/lib/voiddht");
    let roomy = Findings { free_bytes: Some(5 << 30), ..findings(&snapshot) };
    check(&roomy, "disk", Grade::Well, "5 GiB left");
    let full = Findings { free_bytes: Some(5 << 20), ..findings(&snapshot) };
    check(&full, "disk", Grade::Warning, "5 MiB left");
    snapshot.storage.failing = true;
    check(&findings(&snapshot), "disk", Grade::Failed, "cannot be written");
}

#[test]
fn limits_that_were_reached_come_with_their_option() {
    let mut snapshot = snapshot();
    check(&findings(&snapshot), "limits", Grade::Well, "No limit");
    let fewer = Findings { wanted_connections: 512, ..findings(&snapshot) };
    check(&fewer, "limits", Grade::Warning, "100 connections instead of 512");
    snapshot.limits.push(limit("max_records", 5, 0));
    check(&findings(&snapshot), "limits", Grade::Well, "No limit");
    snapshot.limits.push(limit("max_records", 5, 7));
    check(&findings(&snapshot), "limits", Grade::Warning, "max_records was reached 7 times in");
    check(&findings(&snapshot), "limits", Grade::Warning, "--max-records");
}

#[test]
fn bans_are_told() {
    let mut snapshot = snapshot();
    snapshot.trust.bans.push(BanView { id: "cd".repeat(32), seconds_left: 9 });
    check(&findings(&snapshot), "peers", Grade::Warning, "1 peer is banned");
}

fn configured(state: &'static str) -> ConfiguredPeerView {
    ConfiguredPeerView {
        peer: "one.example:7402".into(),
        state,
        address: None,
        node: None,
        text: format!("it is {state}"),
        advice: format!("what to do when {state}"),
    }
}

#[test]
fn a_peer_that_cannot_be_joined_through_is_named_with_the_reason() {
    let mut seen = snapshot();
    let join = |seen: &Snapshot| {
        let found = Findings { snapshot: seen, ..findings(seen) };
        super::join(&found)
    };
    assert_eq!(join(&seen).result, Grade::Well);
    seen.peers = vec![configured("joined"), configured("own_node")];
    assert_eq!(join(&seen).result, Grade::Well);
    for state in ["refused", "other_policy", "split"] {
        seen.peers = vec![configured("joined"), configured(state)];
        let check = join(&seen);
        assert_eq!(check.result, Grade::Warning);
        assert_eq!(check.text, format!("one.example:7402: it is {state}."));
        assert_eq!(check.advice, format!("what to do when {state}"));
    }
    seen.table.contacts = 0;
    assert_eq!(join(&seen).result, Grade::Failed);
}

#[test]
fn a_lost_address_is_a_failure_with_advice() {
    let snapshot = snapshot();
    let lost = Addresses { lost: Some(OWN.into()), ..at(OWN) };
    let found = Findings { own_address: lost, ..findings(&snapshot) };
    check(&found, "address", Grade::Failed, "This machine no longer has the address 192.0.2.1.");
    check(&found, "address", Grade::Failed, "restart the node with an address that it has");
    let follows = Findings { follows_address: true, ..found };
    check(&follows, "address", Grade::Failed, "the node moves by itself");
}

#[test]
fn a_client_needs_nobody_to_dial_it() {
    let mut snapshot = snapshot();
    snapshot.node.reach = "client";
    let seen = [sighting(true, Some([203, 0, 113, 5]))];
    let found = Findings { sightings: &seen, ..findings(&snapshot) };
    check(&found, "reachable", Grade::Well, "--client");
    check(&found, "address", Grade::Well, "come from 203.0.113.5");
}

#[test]
fn a_node_behind_a_router_that_forwards_its_port_is_well() {
    let snapshot = snapshot();
    let seen = [sighting(true, Some([203, 0, 113, 5]))];
    let dialed_back = [PEER.into()];
    let found = Findings { sightings: &seen, dialed_back: &dialed_back, ..findings(&snapshot) };
    check(&found, "reachable", Grade::Well, "dialled port 7402 back");
    check(&found, "address", Grade::Well, "come from 203.0.113.5");
    let translated = Addresses { bound: SocketAddr::from((OWN, 9000)), ..at(OWN) };
    let closed = Findings { own_address: translated, dialed_back: &[], ..found };
    check(&closed, "reachable", Grade::Failed, "Open TCP port 9000");
    check(&closed, "reachable", Grade::Failed, "--announce-port");
    // As in a container: whether its address is translated is not known.
    let nowhere = Findings { own_address: at([0; 4]), dialed_back: &[], ..found };
    check(&nowhere, "reachable", Grade::Failed, "forward it from 203.0.113.5");
}
