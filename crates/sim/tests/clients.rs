//! Nodes that cannot be dialled, by their own choice or because something translates addresses:
//! they use the network, and it does not count on them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::*;
use voiddht_core::Config;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::reachability::Reach;
use voiddht_sim::{HostId, HostOptions, World, WorldConfig};
use voiddht_wire::{Key, Publication};

const NODES: usize = 20;
const CLIENTS: usize = 50;
const VALUES: u64 = 40;
/// Fewer than there are nodes, so that a wrong choice of replicas shows.
const REPLICATION: u8 = 8;

/// Adds hosts that join through the first nodes.
fn add(world: &mut World, count: usize, options: HostOptions) -> Vec<HostId> {
    let peers: Vec<_> = world.hosts()[..3].iter().map(|host| host.info().address.into()).collect();
    let hosts: Vec<_> = (0..count).map(|_| world.add(options).unwrap()).collect();
    for host in &hosts {
        world.command(*host, Command::Join { peers: peers.clone() });
    }
    hosts
}

fn wait(world: &mut World, seconds: u64) {
    world.run_until(world.now() + Duration::from_secs(seconds));
}

/// The hosts that hold a record of this key.
fn holders(world: &World, key: &Key) -> Vec<HostId> {
    let holds = |(host, node): (HostId, &voiddht_core::Node)| {
        node.records().get(key, world.boot_now()).is_some().then_some(host)
    };
    world.honest().filter_map(holds).collect()
}

/// The nodes among the first [`NODES`] that are closest to this key.
fn closest(world: &World, key: &Key) -> Vec<HostId> {
    let mut nodes: Vec<_> = (0..NODES as u32).map(HostId).collect();
    nodes.sort_unstable_by_key(|host| key.distance(&world.host(*host).info().id));
    nodes.truncate(REPLICATION.into());
    nodes.sort_unstable();
    nodes
}

fn known_by(world: &World, hosts: &[HostId]) -> usize {
    let ids: Vec<_> = hosts.iter().map(|host| world.host(*host).info().id).collect();
    let knows = |node: &voiddht_core::Node| ids.iter().any(|id| node.table().get(id).is_some());
    world.honest().filter(|(_, node)| knows(node)).count()
}

/// PUTs values at clients and nodes by turns, and GETs each everywhere: what is stored where is what
/// it would be without the clients.
fn check_values(world: &mut World, clients: &[HostId], first: u64) {
    let numbers = first..first + VALUES;
    let commands = numbers.clone().map(|number| {
        let at = match number % 2 {
            0 => HostId((number % NODES as u64) as u32),
            _ => clients[number as usize % clients.len()],
        };
        let publication = Publication::new(key(number), value(number));
        let publication = publication.ttl(Duration::from_secs(3600)).replication(REPLICATION);
        (at, Command::Put(publication))
    });
    for outcome in run_all(world, commands.collect(), 8) {
        let Outcome::Put { receipt, report } = outcome else { panic!("{outcome:?}") };
        assert_eq!(receipt.stored, usize::from(REPLICATION), "{report:?}");
    }
    for number in numbers.clone() {
        assert_eq!(holders(world, &key(number)), closest(world, &key(number)), "value {number}");
    }
    let everywhere = (0..NODES as u32).map(HostId).chain(clients.iter().copied());
    let wanted = everywhere.flat_map(|host| numbers.clone().map(move |number| (host, number)));
    let gets = get_all(world, wanted.collect());
    assert!(gets.missing.is_empty(), "{:?}", gets.missing);
}

fn check_clients(options: HostOptions, seed: u64) -> (World, Vec<HostId>) {
    // A neighbourhood that looks too dense by chance would be given more copies.
    let node = Config { widen_dense: false, ..Config::default() };
    let config = WorldConfig { node, ..WorldConfig::default() };
    let mut world = joined_with(config, NODES, seed);
    let clients = add(&mut world, CLIENTS, options);
    wait(&mut world, 120);
    assert_eq!(known_by(&world, &clients), 0, "they cannot be dialled");
    for host in &clients {
        assert!(world.host(*host).node().unwrap().is_client());
    }
    check_values(&mut world, &clients, 0);
    // Renewal counts on them as little as PUTs do.
    wait(&mut world, 3000);
    for number in 0..VALUES {
        let held = holders(&world, &key(number));
        assert!(held.iter().all(|host| host.0 < NODES as u32), "value {number}: {held:?}");
    }
    assert_eq!(known_by(&world, &clients), 0);
    assert_clean(&world);
    (world, clients)
}

#[test]
fn fifty_clients_change_no_replica_count() {
    let (world, _) = check_clients(HostOptions { client: true, ..HostOptions::default() }, 1);
    assert_eq!(world.tally().unreachable, 0, "they know it from the start");
}

#[test]
fn fifty_nodes_that_nobody_can_dial_find_that_out_and_change_no_replica_count() {
    let options = HostOptions { no_inbound: true, ..HostOptions::default() };
    let (mut world, clients) = check_clients(options, 2);
    assert_eq!(world.tally().unreachable, CLIENTS as u64, "each once, and no other");
    // A router forwards the port from now on.
    let host = clients[0];
    world.set_inbound(host, true);
    wait(&mut world, 200);
    let node = world.host(host).node().unwrap();
    assert_eq!((node.reach(), node.is_client()), (Reach::Reachable, false));
    assert!(known_by(&world, &clients[..1]) > NODES / 2);
    assert_eq!(known_by(&world, &clients[1..]), 0);
}

#[test]
fn a_node_that_can_be_dialled_no_longer_hands_over_what_it_holds() {
    let mut world = joined(60, 3);
    let closed = HostId(7);
    put_all(&mut world, 0..VALUES, 7200, 20);
    let held: Vec<_> =
        (0..VALUES).filter(|number| holders(&world, &key(*number)).contains(&closed)).collect();
    assert!(!held.is_empty());
    world.set_inbound(closed, false);
    // Some still have connections with it, and no caller has come for a quarter of an hour by then.
    wait(&mut world, 1200);
    assert!(world.host(closed).node().unwrap().is_client());
    assert_eq!(known_by(&world, &[closed]), 0);
    for number in held {
        let others = holders(&world, &key(number)).into_iter().filter(|host| *host != closed);
        assert!(others.count() >= 20, "value {number}");
    }
    assert_clean(&world);
}

#[test]
fn no_node_that_can_be_dialled_takes_itself_for_a_client() {
    let mut world = joined(40, 4);
    wait(&mut world, 3 * 3600);
    assert_eq!(world.tally().unreachable, 0);
    for (_, node) in world.honest() {
        assert_eq!(node.reach(), Reach::Reachable);
        assert!(node.public_address().is_none_or(|address| address == node.own().address.ip()));
    }
    assert_clean(&world);
}
