//! Real nodes on machines as they are: behind routers, with mapped ports, in both families, with
//! addresses that change. Each test is a row of the table in docs/operating.md; what the doctor
//! advises is done, and helps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says why")]

#[path = "../common/mod.rs"]
mod common;
mod lab;
#[path = "../../../lab/src/namespaces.rs"]
#[allow(dead_code, reason = "nothing here cuts the link")]
mod namespaces;

use lab::{INSIDE, Lab, Machine, ROUTER};

/// What all nodes of the network join.
const PEER: [&str; 2] = ["--peer", "45.1.1.1:7402"];

fn with_peer<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&PEER[..], arguments].concat()
}

fn reach(machine: &Machine) -> String {
    machine.status()["node"]["reach"].as_str().unwrap().to_owned()
}

/// Puts a value on as many nodes as hold one, and on no more. Until they all have confirmed it: a PUT waits
/// for no node that is overdue, as one on a busy machine may be.
fn put(machine: &Machine, key: &str, nodes: usize) {
    machine.wait_for("a value is stored", |machine| {
        let stored = machine.put(key);
        assert!(stored <= nodes, "{key}: stored on {stored} nodes instead of {nodes}");
        stored == nodes
    });
}

/// The node is a replica like any other: it is dialled, ready, in its peer's table, and holds values.
fn check_replica(machine: &Machine, peer: &Machine, address: &str) {
    machine.wait_for("it is dialled", |machine| reach(machine) == "reachable");
    peer.wait_for("the peer has the contact", |peer| peer.knows(address));
    assert_eq!(machine.http("/readyz").0, 200);
    put(peer, "by the peer", 4);
    put(machine, "by the node", 4);
    assert!(machine.has("by the peer") && peer.has("by the node"));
    let seen = machine.look();
    assert!(seen.doctor.contains("✓ reachable") && seen.doctor.contains("✓ address"), "{seen:#?}");
    let (_, metrics) = machine.http("/metrics");
    assert!(metrics.contains("voiddht_reachable 1"), "{metrics}");
}

#[test]
fn a_node_behind_one_to_one_translation_is_a_replica() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let (router, inside) = lab.router();
    router.run(&format!("nft add rule ip nat pre iifname eth0 dnat to {INSIDE}"));
    let node = inside.node(&with_peer(&["-a", ROUTER])).joined();
    assert!(node.p2p.ip().is_unspecified());
    check_replica(&inside, &nodes[0].0, "45.9.9.9:7402");
}

#[test]
fn a_node_behind_a_mapped_port_is_a_replica_once_it_announces_that() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let (router, inside) = lab.router();
    router.run(&format!("nft add rule ip nat pre tcp dport 17402 dnat to {INSIDE}:7402"));
    let node = inside.node(&with_peer(&["-a", "0.0.0.0"])).joined();
    let line = node.line_with("unreachable: no contact dialled this node back");
    assert!(line.contains("asked=3") && line.contains("port=7402"), "{line}");
    let seen = inside.look();
    assert!(seen.doctor.contains("✗ reachable"), "{seen:#?}");
    assert!(seen.doctor.contains("--announce-port P"), "{seen:#?}");
    drop(node);
    let _node = inside.node(&with_peer(&["-a", "0.0.0.0", "--announce-port", "17402"])).joined();
    check_replica(&inside, &nodes[0].0, "45.9.9.9:17402");
}

#[test]
fn a_node_that_nobody_can_dial_is_a_client_until_its_port_is_forwarded() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let (router, inside) = lab.router();
    let node = inside.node(&PEER).joined();
    node.line_with("unreachable: no contact dialled this node back");
    let seen = inside.look();
    assert_eq!(seen.ready.0, 200, "programs are served: {seen:#?}");
    assert!(seen.ready.1.contains("Contacts cannot dial this node"), "{seen:#?}");
    assert!(seen.doctor.contains("forward it from 45.9.9.9 to this machine"), "{seen:#?}");
    // Not on itself.
    put(&inside, "from inside", 3);
    put(&nodes[0].0, "from outside", 3);
    assert!(inside.has("from outside") && nodes[1].0.has("from inside"));
    assert!(!nodes[0].0.knows("45.9.9.9:7402"));
    assert!(inside.http("/metrics").1.contains("voiddht_reachable 0"));
    let words = String::from_utf8(inside.dht(&["status", "--http", lab::HTTP]).stdout).unwrap();
    assert!(words.contains("no peer can dial it"), "{words}");
    // As the doctor says: forward the port. The node needs no restart.
    router.run(&format!("nft add rule ip nat pre tcp dport 7402 dnat to {INSIDE}"));
    check_replica(&inside, &nodes[0].0, "45.9.9.9:7402");
    node.line_with("reachable: a peer dialled this node");
}

#[test]
fn a_client_by_its_own_choice_is_well() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let (_router, inside) = lab.router();
    let _node = inside.node(&with_peer(&["--client"])).joined();
    inside.wait_for("it has contacts", |inside| inside.contacts() == 3);
    let seen = inside.look();
    assert_eq!(seen.ready, (200, "ready\n".to_owned()), "{seen:#?}");
    assert!(seen.doctor.contains("✓ reachable") && seen.doctor.contains("--client"), "{seen:#?}");
    put(&inside, "from inside", 3);
    put(&nodes[0].0, "from outside", 3);
    assert!(inside.has("from outside"));
}

#[test]
fn nodes_of_both_families_form_one_network() {
    let Some(mut lab) = Lab::make() else { return };
    let mut nodes = Vec::new();
    for number in 1..=4 {
        let (v4, v6) = (format!("45.{number}.{number}.1"), format!("2a00:{number}::1"));
        let machine = lab.public(&format!("d{number}"), &[&v4, &v6]);
        let known = if number == 1 { vec![] } else { vec!["--peer", "45.1.1.1:7402"] };
        let node = machine.node(&[&["-a", "::"], known.as_slice()].concat());
        nodes.push((machine, node));
    }
    let old = lab.public("old", &["45.5.5.1"]);
    let _old = old.node(&["--peer", "45.1.1.1:7402"]).joined();
    let new = lab.public("new", &["2a00:6::1"]);
    let _new = new.node(&["--peer", "[2a00:1::1]:7402"]).joined();
    for machine in [&old, &new] {
        machine.wait_for("it is dialled", |machine| reach(machine) == "reachable");
        machine.wait_for("it knows the others", |machine| machine.contacts() >= 4);
        assert_eq!(machine.look().ready.0, 200);
    }
    // Neither can dial the other, and each finds what the other has stored.
    for (machine, key) in [(&old, "by the old"), (&new, "by the new")] {
        machine.wait_for("a value is stored", |machine| machine.put(key) >= 5);
    }
    assert!(old.has("by the new") && new.has("by the old"));
}

#[test]
fn a_node_without_a_configured_address_moves_with_its_machine() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let moving = lab.public("moving", &["45.4.4.4"]);
    let node = moving.node(&PEER).joined();
    check_replica(&moving, &nodes[0].0, "45.4.4.4:7402");
    moving.remove_address("45.4.4.4");
    node.line_with("this machine no longer has the address");
    moving.wait_for("it says so", |moving| {
        let (status, body) = moving.http("/readyz");
        status == 503 && body.contains("This machine no longer has the address 45.4.4.4.")
    });
    let seen = moving.look();
    assert!(
        seen.doctor.contains("✗ address") && seen.doctor.contains("moves by itself"),
        "{seen:#?}"
    );
    moving.add_address("45.5.5.5");
    node.line_with("moved to another address of this machine");
    check_replica(&moving, &nodes[0].0, "45.5.5.5:7402");
    nodes[0].0.wait_for("the old address is gone", |peer| !peer.knows("45.4.4.4:7402"));
}

#[test]
fn a_node_with_a_configured_address_says_that_the_machine_lost_it() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let machine = lab.public("fixed", &["45.4.4.4"]);
    let node = machine.node(&with_peer(&["-a", "45.4.4.4"])).joined();
    machine.remove_address("45.4.4.4");
    machine.add_address("45.5.5.5");
    node.line_with("this machine no longer has the address");
    let seen = machine.look();
    assert_eq!(seen.ready.0, 503, "{seen:#?}");
    assert!(seen.doctor.contains("✗ address"), "{seen:#?}");
    assert!(seen.doctor.contains("restart the node with an address that it has"), "{seen:#?}");
    // The first half of the advice.
    machine.add_address("45.4.4.4");
    node.line_with("this machine has its address again");
    check_replica(&machine, &nodes[0].0, "45.4.4.4:7402");
    // And the second.
    machine.remove_address("45.4.4.4");
    drop(node);
    let _node = machine.node(&with_peer(&["-a", "45.5.5.5"])).joined();
    check_replica(&machine, &nodes[0].0, "45.5.5.5:7402");
}

#[test]
fn a_node_whose_name_service_fails_joins_once_it_works() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let machine = lab.public("late", &["45.4.4.4"]);
    machine.set_hosts("");
    // No route leads to an unknown address, so there is none to take for its own.
    let node = machine.node(&["--peer", "seed.example:7402"]);
    assert!(node.p2p.ip().is_loopback());
    node.line_with("seed.example:7402");
    machine.wait_for("it says so", |machine| machine.http("/readyz").0 == 503);
    let seen = machine.look();
    assert!(seen.doctor.contains("✗ join") && seen.doctor.contains("seed.example"), "{seen:#?}");
    machine.set_hosts("45.1.1.1 seed.example");
    node.line_with("moved to another address of this machine");
    check_replica(&machine, &nodes[0].0, "45.4.4.4:7402");
}

#[test]
fn a_node_that_starts_before_its_machine_has_a_network_joins_when_it_has() {
    let Some(mut lab) = Lab::make() else { return };
    let nodes = lab.network();
    let machine = lab.public("early", &[]);
    let node = machine.node(&PEER);
    assert!(node.p2p.ip().is_loopback());
    assert_eq!(machine.http("/readyz").0, 503);
    machine.add_address("45.4.4.4");
    node.line_with("moved to another address of this machine");
    check_replica(&machine, &nodes[0].0, "45.4.4.4:7402");
}

#[test]
fn a_node_finds_its_peer_again_where_the_name_has_moved() {
    let Some(mut lab) = Lab::make() else { return };
    let seed = lab.public("seed", &["45.1.1.1"]);
    let first = seed.node(&["-a", "45.1.1.1"]);
    let machine = lab.public("node", &["45.4.4.4"]);
    machine.set_hosts("45.1.1.1 seed.example");
    let _node = machine.node(&["-a", "45.4.4.4", "--peer", "seed.example:7402"]).joined();
    put(&machine, "before", 2);
    drop(first);
    machine.wait_for("it is alone", |machine| machine.http("/readyz").0 == 503);
    // Another node, of another identity, at another address.
    let elsewhere = lab.public("elsewhere", &["45.7.7.7"]);
    let _second = elsewhere.node(&["-a", "45.7.7.7"]);
    machine.set_hosts("45.7.7.7 seed.example");
    machine.wait_for("it has joined again", |machine| machine.http("/readyz").0 == 200);
    elsewhere.wait_for("it holds the value", |elsewhere| elsewhere.has("before"));
}
