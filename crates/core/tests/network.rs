//! A handful of nodes with a perfect network between them: does the state machine do what users
//! ask? Faults, scale and adversaries are the simulator's.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::network::{Network, ONE_WAY, address, key, numbered_key};
use voiddht_core::Config;
use voiddht_core::event::{Command, Notice, Outcome};
use voiddht_core::label::{LookupPurpose, OperationKind, OperationPurpose};
use voiddht_core::node::REACH_PEERS;
use voiddht_wire::Publication;

#[test]
fn every_node_finds_what_one_has_put() {
    let mut network = Network::new(30);
    // A neighbourhood that is dense by chance, as four in a hundred are, gets some more.
    assert!((20..25).contains(&network.put(7, "value", 600)));
    for number in 0..30 {
        assert_eq!(network.get(number).as_deref(), Some(&b"value"[..]), "at node {number}");
    }
    let misbehaved =
        network.notices.iter().filter(|notice| matches!(notice, Notice::Misbehaviour { .. }));
    assert_eq!(misbehaved.count(), 0);
}

#[test]
fn all_know_all_in_a_small_network() {
    let network = Network::new(20);
    for node in network.nodes.values() {
        assert_eq!(node.table().len(), 19);
    }
}

#[test]
fn a_node_alone_keeps_its_own_values() {
    let mut network = Network::new(1);
    assert_eq!(network.put(0, "value", 600), 1);
    assert_eq!(network.get(0).as_deref(), Some(&b"value"[..]));
}

#[test]
fn an_absent_key_is_told_within_a_lookup() {
    let mut network = Network::new(30);
    let before = network.now;
    assert_eq!(network.get(3), None);
    assert!(network.now.since(before) < 40 * ONE_WAY);
}

#[test]
fn a_value_ends_with_its_ttl_everywhere() {
    let mut network = Network::new(30);
    network.put(1, "value", 2);
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.get(5).as_deref(), Some(&b"value"[..]));
    network.run_for(Duration::from_secs(2));
    for number in 0..30 {
        assert_eq!(network.get(number), None, "at node {number}");
    }
    assert!(network.nodes.values().all(|node| node.records().is_empty()));
}

#[test]
fn a_later_put_replaces_an_earlier_one_and_its_publisher_sees_it_at_once() {
    let mut network = Network::new(30);
    network.put(1, "old", 600);
    let value = Bytes::from_static(b"new");
    network.command(1, Command::Put(Publication::new(key(), value).replication(2)));
    // Asked before the PUT has gone anywhere.
    network.command(1, Command::Get { key: key() });
    let (mut put, mut got) = (0, None);
    for _ in 0..2 {
        match network.finish(1) {
            Outcome::Put { receipt, .. } => put = receipt.stored,
            Outcome::Get { value, .. } => got = value,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((put, got.as_deref()), (2, Some(&b"new"[..])));
    network.put(1, "newest", 600);
    assert_eq!(network.get(20).as_deref(), Some(&b"newest"[..]));
}

#[test]
fn a_third_of_the_nodes_may_die_at_once() {
    let mut network = Network::new(40);
    network.put(1, "value", 600);
    for number in 0..13 {
        network.kill(number);
    }
    for number in 13..40 {
        assert_eq!(network.get(number).as_deref(), Some(&b"value"[..]), "at node {number}");
    }
}

#[test]
fn records_are_handed_to_a_node_that_joins_and_by_one_that_leaves() {
    let mut network = Network::new(10);
    network.put(1, "value", 60_000);
    network.add(10);
    network.command(10, Command::join([address(3)]));
    network.finish(10);
    network.run_for(Duration::from_secs(2));
    let holds = |network: &Network, number: usize| network.nodes[&address(number)].records().len();
    assert_eq!(holds(&network, 10), 1, "the newcomer was handed the record");
    network.command(1, Command::Leave);
    assert!(matches!(network.finish(1), Outcome::Left { handed_over: 1 }));
    network.run_for(Duration::from_secs(1));
    let left = network.nodes[&address(1)].own().id;
    for (address_of, node) in &network.nodes {
        if *address_of != address(1) {
            assert!(node.table().get(&left).is_none(), "it said goodbye");
        }
    }
}

#[test]
fn the_dead_are_replaced_within_one_upkeep_interval() {
    let mut network = Network::new(60);
    network.put(1, "value", 60_000);
    for number in 0..25 {
        network.kill(number);
    }
    network.run_for(Config::default().upkeep_interval);
    let mut alive: Vec<_> = network.nodes.values().collect();
    alive.sort_by_key(|node| key().distance(&node.own().id));
    let holders = alive[..20].iter().filter(|node| node.records().len() == 1).count();
    assert_eq!(holders, 20);
}

#[test]
fn an_operation_is_seen_while_it_runs_and_tells_its_steps_if_asked_to() {
    let mut network = Network::new(30);
    network.put(1, "value", 60);
    let asker = address(29);
    for traced in [true, false] {
        let node = network.nodes.get_mut(&asker).unwrap();
        node.set_trace_steps(traced);
        network.command(29, Command::Get { key: key() });
        let running: Vec<_> = network.nodes[&asker].operations().collect();
        let [get] = running[..] else { panic!("{running:?}") };
        assert_eq!(
            (get.kind, get.purpose, get.target),
            (OperationKind::Get, OperationPurpose::Command, key())
        );
        assert!(get.report.asked > 0);
        // What is set meanwhile is for the next one.
        network.nodes.get_mut(&asker).unwrap().set_trace_steps(!traced);
        let Outcome::Get { report, .. } = network.finish(29) else { panic!("not a GET") };
        assert_eq!(report.steps.len() as u32, if traced { report.asked } else { 0 });
        assert_eq!(network.nodes[&asker].operations().count(), 0);
    }
}

/// An operation that waits until a node that has just started knows its neighbourhood began later, when
/// steps were no longer recorded: `explain` right after a start listed none.
#[test]
fn an_operation_that_waits_for_a_starting_node_tells_its_steps_too() {
    let mut network = Network::new(10);
    network.put(1, "value", 60);
    network.add(10);
    network.begin_join(10, vec![address(3)]);
    for traced in [true, false] {
        network.nodes.get_mut(&address(10)).unwrap().set_trace_steps(traced);
        network.command(10, Command::Get { key: key() });
        assert_eq!(network.node(10).operations().filter(|it| it.target == key()).count(), 0);
    }
    for traced in [true, false] {
        let Outcome::Get { value, report, .. } = network.finish(10) else { panic!("not a GET") };
        assert_eq!(value.as_deref(), Some(&b"value"[..]));
        assert_eq!(report.steps.len() as u32, if traced { report.asked } else { 0 });
    }
}

#[test]
fn a_lookup_of_the_nodes_own_is_noticed() {
    let network = Network::new(5);
    let joins = network.notices.iter().filter(|notice| {
        matches!(notice, Notice::LookupEnded { purpose: LookupPurpose::Join, found: 1.., report, .. }
            if report.answered > 0)
    });
    assert!(joins.count() >= 4, "each that joined has looked for itself");
}

/// The pause between tries began at zero, and doubled zero.
#[test]
fn lost_contacts_are_tried_less_and_less_often() {
    let mut network = Network::new(20);
    for number in 0..5 {
        network.kill(number);
    }
    network.run_for(Duration::from_secs(60));
    network.notices.clear();
    network.run_for(Duration::from_secs(3600));
    let failed = network.notices.iter().filter(|notice| {
        matches!(
            notice,
            Notice::RequestEnded { outcome: voiddht_core::event::RequestOutcome::Undelivered, .. }
        )
    });
    // Every forty seconds four of them, so that parts of a network that can meet again are one within
    // a minute, and each configured peer every half minute: some 360 and 120 in an hour.
    assert!(failed.count() < 15 * 520);
}

#[test]
fn contacts_say_where_a_node_comes_from_and_dial_it_back() {
    let mut network = Network::new(12);
    // Nodes that were pinged while the network formed have dialled back then.
    network.run_for(Duration::from_secs(61));
    network.probes.clear();
    network.command(3, Command::Reach);
    let Outcome::Reach { sightings } = network.finish(3) else { panic!("it was asked for that") };
    assert_eq!(sightings.len(), REACH_PEERS);
    for sighting in &sightings {
        assert!(sighting.answered);
        assert_eq!(sighting.seen.map(|seen| seen.ip()), Some(address(3).ip()));
        assert!(network.probes.contains(&(sighting.node.address, address(3))));
    }
    assert_eq!(network.probes.len(), REACH_PEERS, "each looks once");

    network.command(3, Command::Reach);
    assert!(matches!(network.finish(3), Outcome::Reach { .. }));
    let pairs: std::collections::BTreeSet<_> = network.probes.iter().collect();
    assert_eq!(pairs.len(), network.probes.len(), "and not again so soon");
}

/// A node that had no room to look where those listened that came to it took them for malicious
/// nodes, and did not look again for half a minute.
#[test]
fn who_could_not_be_probed_is_probed_when_it_speaks_again() {
    let mut network = Network::strangers(8);
    network.without_probes.insert(address(0));
    (1..8).for_each(|number| network.begin_join(number, vec![address(0)]));
    network.run_for(Duration::from_millis(100));
    assert_eq!(network.node(0).table().len(), 0);
    network.without_probes.clear();
    network.run_for(Duration::from_secs(2));
    assert_eq!(network.node(0).table().len(), 7);
}

#[test]
fn nodes_that_all_start_at_once_know_each_other_soon() {
    let mut network = Network::strangers(64);
    (1..64).for_each(|number| network.begin_join(number, vec![address(0)]));
    network.run_for(Duration::from_secs(2));
    let least = network.nodes.values().map(|node| node.table().len()).min();
    assert!(least >= Some(20), "{least:?}");
}

/// How long a GET, or a PUT, takes at node 0.
fn took(network: &mut Network, command: Command) -> Duration {
    let before = network.now;
    network.command(0, command);
    network.finish(0);
    network.now.since(before)
}

/// A PUT in a network with fewer nodes than replicas waited for one that was unresponsive until it
/// had failed, and so did a GET.
#[test]
fn one_silent_node_among_few_is_not_waited_for() {
    let mut network = Network::new(6);
    network.put(0, "value", 600);
    network.apart.insert(address(3));
    let value = Bytes::from_static(b"another");
    let put = || Command::Put(Publication::new(key(), value.clone()));
    for _ in 0..3 {
        let (put, get) =
            (took(&mut network, put()), took(&mut network, Command::Get { key: key() }));
        assert!(put < Duration::from_millis(100), "{put:?}");
        assert!(get < Duration::from_millis(100), "{get:?}");
    }
    network.apart.clear();
    // The unresponsive one has what it was sent last once it is brought up to date.
    network.run_for(Config::default().upkeep_interval);
    assert_eq!(network.closest_holders(key()), 6);
}

/// Connections stay up and nothing comes back, as when machines are suspended. Each node finds that out of
/// each of them by itself.
#[test]
fn readers_do_not_wait_for_frozen_nodes() {
    let (nodes, frozen, values) = (64, 19, 450);
    let mut network = Network::new(nodes);
    for number in 0..values {
        assert!(network.put_under(numbered_key(number), number % nodes, "value", 60_000) >= 20);
    }
    network.apart = (0..frozen).map(address).collect();
    let mut get = |number: usize| {
        let (at, before) = (frozen + number % (nodes - frozen), network.now);
        network.command(at, Command::Get { key: numbered_key(number) });
        let Outcome::Get { value, .. } = network.finish(at) else { panic!("it ends") };
        assert_eq!(value.as_deref(), Some(&b"value"[..]), "value {number}");
        let took = network.now.since(before);
        network.run_for(Duration::from_millis(100).saturating_sub(took));
        took
    };
    let mut times: Vec<Duration> = (0..values).map(&mut get).collect();
    times.sort_unstable();
    let (median, late) = (times[values / 2], times[values * 99 / 100]);
    assert!(median <= Duration::from_millis(2), "{median:?}");
    assert!(late <= Duration::from_millis(5), "{late:?}");
}

#[test]
fn a_contact_that_does_not_answer_sees_nothing() {
    let mut network = Network::new(3);
    network.apart.insert(address(1));
    network.command(0, Command::Reach);
    let Outcome::Reach { sightings } = network.finish(0) else { panic!("it was asked for that") };
    let answered = sightings.iter().map(|one| (one.node.address, one.answered));
    let answered: std::collections::BTreeMap<_, _> = answered.collect();
    assert_eq!(answered, [(address(1), false), (address(2), true)].into());
    let mut alone = Network::new(1);
    alone.command(0, Command::Reach);
    let result = alone.finish(0);
    assert!(matches!(result, Outcome::Reach { sightings } if sightings.is_empty()));
}
