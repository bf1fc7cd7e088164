//! Networks that join, of several sizes: every node knows enough others, and finds every value.

mod common;

use std::time::Duration;

use common::*;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::label::LookupPurpose;
use voiddht_sim::host::DiskOptions;
use voiddht_sim::{Death, Growth, HostOptions, World, WorldConfig};
use voiddht_wire::PeerAddress;

/// Shares of the true k closest that nodes have in their tables, as a mean over all nodes.
fn neighbourhood_known(world: &World, k: usize) -> f64 {
    neighbourhood_known_since(world, k, 0)
}

/// The same, over those that started as the `first` one or later.
fn neighbourhood_known_since(world: &World, k: usize, first: u32) -> f64 {
    let all: Vec<_> = world.honest().map(|(_, node)| node.own()).collect();
    let (mut shares, mut count) = (0.0, 0.0);
    for (_, node) in world.honest().filter(|(host, _)| host.0 >= first) {
        let own = node.own().id;
        let mut others: Vec<_> = all.iter().map(|one| one.id).filter(|id| *id != own).collect();
        others.sort_unstable_by_key(|id| own.distance(id));
        others.truncate(k);
        let known = others.iter().filter(|id| node.table().get(id).is_some()).count();
        shares += known as f64 / others.len() as f64;
        count += 1.0;
    }
    shares / count
}

fn check_size(count: usize, seed: u64) {
    let mut world = joined(count, seed);
    let known = neighbourhood_known(&world, 20);
    assert!(known > 0.99, "nodes know {known:.4} of their neighbours");
    // Every value at every node, or at some sixteen of them.
    let (values, step) = (40, 1.max(count as u64 / 16));
    put_all(&mut world, 0..values, 3600, 20.min(count));
    let wanted = live(&world)
        .into_iter()
        .flat_map(|host| (0..values).map(move |number| (host, number)))
        .filter(|(host, number)| (u64::from(host.0) + number).is_multiple_of(step))
        .collect();
    let gets = get_all(&mut world, wanted);
    assert!(gets.missing.is_empty(), "seed {seed}: missing {:?}", gets.missing);
    assert_clean(&world);
}

/// Every node that knew one which came back looked up its own ID and a random point as often as after a
/// join: in a network with churn that was most of the background traffic.
#[test]
fn a_node_that_comes_back_costs_each_of_the_others_one_lookup() {
    let disk = DiskOptions { commit: Duration::from_millis(1), failing: 0.0 };
    let options = HostOptions { disk: Some(disk), ..HostOptions::default() };
    let mut world = World::new(WorldConfig::default(), 5);
    world.grow(40, Growth { options, ..Growth::default() }).unwrap();
    world.run_until(world.now() + Duration::from_secs(1800));
    let back = live(&world)[7];
    world.kill(back, Death::Killed);
    world.run_until(world.now() + Duration::from_secs(120));
    let requests = |world: &World| world.tally().lookup_requests[LookupPurpose::Refresh.slot()];
    let before = requests(&world);
    world.restart(back).unwrap();
    world.command(back, Command::join([] as [PeerAddress; 0]));
    world.run_until(world.now() + Duration::from_secs(60));
    let per_node = (requests(&world) - before) as f64 / 40.0;
    // A lookup takes 20 requests or more, and the series would be twelve of them within the minute.
    assert!((15.0..120.0).contains(&per_node), "{per_node} requests");
    assert!(neighbourhood_known(&world, 20) > 0.99);
}

#[test]
fn five_nodes_find_all_values() {
    check_size(5, 1);
}

#[test]
fn sixty_four_nodes_find_all_values() {
    check_size(64, 2);
}

#[test]
fn three_hundred_nodes_find_all_values() {
    check_size(300, 3);
}

#[test]
fn nodes_that_start_at_the_same_moment_find_each_other() {
    let mut world = watched(WorldConfig::default(), 4);
    world.grow(1, Growth::default()).unwrap();
    let growth = Growth { at_once: 99, peers: 1, ..Growth::default() };
    let grown = world.grow(99, growth).unwrap();
    assert_eq!(grown.joined, 99);
    world.run_until(world.now() + Duration::from_secs(30));
    let known = neighbourhood_known(&world, 20);
    assert!(known > 0.99, "nodes know {known:.4} of their neighbours");
    assert_clean(&world);
}

/// Joining once looked into every bucket several times over, which was most of what a network with
/// short sessions sent.
#[test]
fn a_newcomer_learns_its_neighbourhood_whole_and_of_the_rest_a_part() {
    let mut world = watched(WorldConfig::default(), 8);
    world.grow_warm(1000, HostOptions::default(), &mut |_| {}).unwrap();
    let grown = world.grow(10, Growth::default()).unwrap();
    assert_eq!(grown.joined, 10);
    world.run_until(world.now() + Duration::from_secs(5));
    let known = neighbourhood_known_since(&world, 20, 1000);
    assert!(known > 0.99, "newcomers know {known:.4} of their neighbours");
    for newcomer in &world.hosts()[1000..] {
        let table = newcomer.node().expect("it runs").table();
        assert!(table.len() > 250, "it knows {} nodes", table.len());
        let messages = newcomer.traffic().messages;
        assert!(messages < 1300, "it sent {messages} messages to join");
    }
    assert_clean(&world);
}

/// Estimates of so small a network differ by a third, and nodes that judge a neighbourhood by different
/// sizes disagree on who holds a value.
#[test]
fn nodes_of_a_small_network_agree_on_its_size() {
    for (count, seed) in [(36, 3), (36, 4), (100, 5)] {
        let mut world = joined(count, seed);
        let settled = world.now() + Duration::from_secs(600);
        world.run_until(settled);
        for (host, node) in world.honest() {
            let size = node.network_size().expect("it has looked around").nodes();
            let ratio = size / count as f64;
            assert!((0.95..=1.0).contains(&ratio), "{size} of {count}: {host:?}, seed {seed}");
        }
    }
}

#[test]
fn an_absent_key_fails_within_a_lookup() {
    let mut world = joined(64, 5);
    let commands = live(&world).into_iter().map(|host| (host, Command::Get { key: key(7) }));
    let commands = commands.collect();
    for outcome in run_all(&mut world, commands, 64) {
        let Outcome::Get { value: None, report, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(report.failed, 0);
        // Some rounds of some hundred milliseconds, and no timeout.
        assert!(report.took < Duration::from_secs(2), "{report:?}");
    }
    assert_clean(&world);
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let hash = |seed| {
        let mut world = joined(30, seed);
        put_all(&mut world, 0..10, 600, 20);
        world.run_until(world.now() + Duration::from_secs(120));
        world.trace_hash()
    };
    assert_eq!(hash(6), hash(6));
    assert_ne!(hash(6), hash(7));
}
