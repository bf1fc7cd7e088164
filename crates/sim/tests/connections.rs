//! Sessions at their limits: full pools, dials that cross each other, pairs of nodes that do not
//! reach each other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::*;
use rand::RngExt;
use voiddht_core::event::{Command, Outcome};
use voiddht_sim::network::NetworkConfig;
use voiddht_sim::{HostId, HostOptions, World, WorldConfig};

fn with_connections(connections: usize) -> WorldConfig {
    let network = NetworkConfig { connections, certificates: true, ..NetworkConfig::default() };
    WorldConfig { network, ..WorldConfig::default() }
}

/// Lets time pass, and returns the most connections that any host had meanwhile.
fn most_connections(world: &mut World, time: Duration) -> usize {
    let end = world.now() + time;
    let mut most = 0;
    while world.next_event_at().is_some_and(|at| at <= end) {
        world.step();
        let counts = world.hosts().iter().map(|host| host.connections());
        most = most.max(counts.max().unwrap_or_default());
    }
    most
}

#[test]
fn nodes_with_fewer_slots_than_peers_find_every_value() {
    const SLOTS: usize = 8;
    let mut world = joined_with(with_connections(SLOTS), 24, 31);
    // A replica whose pool is full is replaced by another one, as long as there is one.
    put_all(&mut world, 0..20, 60_000, 15);
    let everywhere = (0..24).flat_map(|host| (0..20).map(move |number| (HostId(host), number)));
    let gets = get_all(&mut world, everywhere.collect());
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    let most = most_connections(&mut world, Duration::from_secs(3600));
    assert!(most <= SLOTS + SLOTS / 4, "{most} connections");
    assert!(most >= SLOTS, "the pools were full");
    assert!(world.tally().closed > 0, "connections gave their slots up");
    assert_clean(&world);
}

#[test]
fn two_nodes_that_dial_each_other_keep_one_connection_and_lose_no_request() {
    let mut world = watched(with_connections(1024), 32);
    let hosts: Vec<_> = (0..2).map(|_| world.add(HostOptions::default()).unwrap()).collect();
    for (host, other) in [(hosts[0], hosts[1]), (hosts[1], hosts[0])] {
        let peer = world.host(other).info().address;
        world.command(host, Command::join([peer]));
    }
    for _ in &hosts {
        let end = world.now() + Duration::from_secs(10);
        let ended = world.run_until_ended(end).unwrap();
        assert!(matches!(ended.outcome, Outcome::Joined { contacts: 1 }), "{:?}", ended.outcome);
    }
    assert_eq!(world.tally().opened, 2, "the dials crossed");
    world.pass(Duration::from_secs(60));
    for host in &hosts {
        assert_eq!(world.host(*host).connections(), 1, "the other one is closed");
    }
    put_all(&mut world, 0..10, 60_000, 2);
    assert!(get_each(&mut world, 0..10).missing.is_empty());
    assert_clean(&world);
}

/// Every node that starts at the same moment is given every other one.
#[test]
fn many_nodes_that_dial_each_other_at_once_keep_one_connection_per_pair() {
    const NODES: u32 = 16;
    let mut world = watched(with_connections(1024), 33);
    for _ in 0..NODES {
        world.add(HostOptions::default()).unwrap();
    }
    let all: Vec<_> = world.hosts().iter().map(|host| host.info().address).collect();
    for number in 0..NODES {
        let others = all.iter().copied().filter(|peer| *peer != all[number as usize]);
        world.command(HostId(number), Command::join(others.collect::<Vec<_>>()));
    }
    world.pass(Duration::from_secs(120));
    put_all(&mut world, 0..20, 60_000, NODES as usize);
    world.pass(Duration::from_secs(60));
    for host in world.hosts() {
        assert!(host.connections() < NODES as usize, "{} connections", host.connections());
    }
    assert!(get_each(&mut world, 0..20).missing.is_empty());
    assert_clean(&world);
}

/// The connections between two hosts break, they dial each other in vain, and everything that they
/// store is found by the other through the rest.
#[test]
fn pairs_that_are_cut_apart_read_each_others_values() {
    let mut world = joined_with(with_connections(1024), 40, 34);
    let pairs: Vec<_> =
        (0..10).map(|number| (HostId(2 * number), HostId(2 * number + 1))).collect();
    world.cut(pairs.iter().copied());
    for (number, (one, other)) in (0..).zip(&pairs) {
        let outcome = run_one(&mut world, *one, put(key(number), value(number), 60_000));
        let Outcome::Put { receipt, .. } = outcome else { panic!("{outcome:?}") };
        assert!(receipt.stored >= 20, "{receipt:?}");
        let gets = get_all(&mut world, vec![(*other, number)]);
        assert!(gets.missing.is_empty(), "{other:?} does not find what {one:?} has stored");
    }
    world.pass(Duration::from_secs(1800));
    let wanted: Vec<_> = (0..).zip(&pairs).map(|(number, (_, other))| (*other, number)).collect();
    let gets = get_all(&mut world, wanted.clone());
    assert!(gets.missing.is_empty(), "after half an hour: {:?}", gets.missing);
    for (one, other) in &pairs {
        let session = world.host(*one).session().unwrap();
        assert!(!session.is_connected(&world.host(*other).info().id), "what was silent has ended");
    }
    world.heal();
    world.pass(Duration::from_secs(3600));
    assert!(get_all(&mut world, wanted).missing.is_empty());
    let knows = |a: HostId, b: HostId| {
        world.host(a).node().unwrap().table().get(&world.host(b).info().id).is_some()
    };
    for (one, other) in &pairs {
        assert!(knows(*one, *other) && knows(*other, *one), "{one:?} and {other:?} meet again");
    }
    assert_clean(&world);
}

/// No node reaches more than about two thirds of the others.
#[test]
fn a_third_of_all_pairs_is_cut_apart() {
    const NODES: u32 = 30;
    let mut world = joined_with(with_connections(1024), NODES as usize, 35);
    put_all(&mut world, 0..30, 60_000, 20);
    let all = (0..NODES).flat_map(|a| (0..a).map(move |b| (HostId(b), HostId(a))));
    let pairs: Vec<_> = all.filter(|_| world.random().random_bool(1.0 / 3.0)).collect();
    world.cut(pairs);
    let gets = get_each(&mut world, 0..30);
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    world.pass(Duration::from_secs(600));
    let gets = get_each(&mut world, 0..30);
    assert!(gets.missing.is_empty(), "after ten minutes: {:?}", gets.missing);
    world.heal();
    world.pass(Duration::from_secs(3600));
    let everywhere = (0..NODES).flat_map(|host| (0..30).map(move |number| (HostId(host), number)));
    let gets = get_all(&mut world, everywhere.collect());
    assert!(gets.missing.is_empty(), "healed: {:?}", gets.missing);
    assert_clean(&world);
}
