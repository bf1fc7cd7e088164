//! Networks that lose nodes, at once or all the time, and are cut in two.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a run prints its figures

mod common;

use std::time::Duration;

use common::*;
use rand::RngExt;
use rand::seq::SliceRandom;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::operation::Receipt;
use voiddht_sim::network::{Latency, NetworkConfig};
use voiddht_sim::{Death, Growth, HostId, World, WorldConfig};
use voiddht_wire::{Key, PeerAddress};

const HOUR: Duration = Duration::from_secs(3600);

fn kill_share(world: &mut World, share: f64, death: Death) {
    let mut all = live(world);
    all.shuffle(world.random());
    all.truncate((all.len() as f64 * share) as usize);
    for host in all {
        world.kill(host, death);
    }
}

/// How many of the `k` closest live nodes hold each key, as a list over keys.
fn replicas(world: &World, keys: &[Key], k: usize) -> Vec<usize> {
    let nodes: Vec<_> = world.honest().map(|(_, node)| node).collect();
    let now = world.boot_now();
    keys.iter()
        .map(|key| {
            let mut nearest = nodes.clone();
            nearest.sort_unstable_by_key(|node| key.distance(&node.own().id));
            nearest.truncate(k);
            nearest.iter().filter(|node| node.records().get(key, now).is_some()).count()
        })
        .collect()
}

fn keys(count: u64) -> Vec<Key> {
    (0..count).map(key).collect()
}

fn check_mass_kill(share: f64, death: Death, seed: u64) {
    let mut world = joined(200, seed);
    put_all(&mut world, 0..200, 60_000, 20);
    let before = world.now();
    kill_share(&mut world, share, death);
    let gets = get_each(&mut world, 0..200);
    println!(
        "{share} {death:?}: {} found, {:.1} requests per GET, slowest {:?}, mean {:?}",
        gets.found,
        gets.mean_asked(),
        gets.slowest(),
        gets.reports.iter().map(|report| report.took).sum::<Duration>() / 200
    );
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    world.run_until(before + HOUR + HOUR / 4);
    let replicas = replicas(&world, &keys(200), 20);
    let least = replicas.iter().min().unwrap();
    let mean = replicas.iter().sum::<usize>() as f64 / 200.0;
    println!("after an interval: replicas {least} least, {mean} mean");
    assert_eq!(*least, 20, "{replicas:?}");
    let gets = get_each(&mut world, 0..200);
    println!("then: {:.1} requests per GET, slowest {:?}", gets.mean_asked(), gets.slowest());
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    println!("{:?}", world.tally());
    assert_clean(&world);
}

#[test]
fn thirty_percent_killed() {
    check_mass_kill(0.3, Death::Killed, 11);
}

#[test]
fn half_killed() {
    check_mass_kill(0.5, Death::Killed, 12);
}

#[test]
fn thirty_percent_silent() {
    check_mass_kill(0.3, Death::Silent, 13);
}

/// On a local network, where a network of the world hides in its round trips what is waited for.
#[test]
fn gets_go_around_the_silent_on_a_local_network() {
    let latency = Latency::Constant(Duration::from_micros(200));
    let network = NetworkConfig { latency, ..NetworkConfig::default() };
    let config = WorldConfig { network, ..WorldConfig::default() };
    let mut world = joined_with(config, 64, 20);
    put_all(&mut world, 0..1000, 60_000, 20);
    let gets = get_each(&mut world, 0..1000);
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    kill_share(&mut world, 0.3, Death::Silent);
    let gets = get_each(&mut world, 0..1000);
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    let mut took: Vec<_> = gets.reports.iter().map(|report| report.took).collect();
    took.sort_unstable();
    println!(
        "{:.1} requests per GET, p50 {:?}, p90 {:?}, p99 {:?}, slowest {:?}",
        gets.mean_asked(),
        took[500],
        took[900],
        took[990],
        took[999]
    );
    assert!(took[990] <= Duration::from_millis(150), "p99 {:?}", took[990]);
    assert_clean(&world);
}

#[test]
fn half_silent() {
    check_mass_kill(0.5, Death::Silent, 14);
}

#[test]
fn churn_loses_nothing() {
    let mut world = joined(100, 15);
    put_all(&mut world, 0..100, 60_000, 20);
    let mut failed = Vec::new();
    let mut total = 0;
    // Sessions of one hour on average, 100 nodes: one dies and one comes every 36 s.
    for turn in 0..300 {
        let pause = Duration::from_secs_f64(world.random().random_range(0.0..72.0));
        world.run_until(world.now() + pause);
        while world.next_ended().is_some() {}
        let victim = any(&mut world);
        world.kill(victim, if turn % 2 == 0 { Death::Killed } else { Death::Silent });
        let peers = vec![any(&mut world), any(&mut world)];
        let peers: Vec<_> = peers.into_iter().map(|host| world.host(host).info().address).collect();
        let host = world.add(Default::default()).unwrap();
        world.command(host, Command::join(peers));
        world.run_until(world.now() + Duration::from_secs(2));
        while world.next_ended().is_some() {}
        let number = world.random().random_range(0..100);
        let gets = get_each(&mut world, number..number + 1);
        total += 1;
        failed.extend(
            gets.missing
                .iter()
                .map(|(host, number)| (turn, *host, *number, gets.reports[0].clone())),
        );
    }
    println!("{total} gets, failed {failed:#?}");
    let gets = get_each(&mut world, 0..100);
    println!("end: {} found {:?}", gets.found, world.now());
    let replicas = replicas(&world, &keys(100), 20);
    let mean = replicas.iter().sum::<usize>() as f64 / 100.0;
    println!("replicas {} least, {mean} mean", replicas.iter().min().unwrap());
    println!("{:?}", world.tally());
    assert!(gets.missing.is_empty() && failed.is_empty());
    assert_clean(&world);
}

/// Both ends of all connections of a host, and that of the others with it.
fn connections(world: &World, host: HostId) -> usize {
    world.host(host).connections()
}

#[test]
fn a_silent_connection_breaks_after_the_keepalive_of_the_node() {
    use voiddht_core::config::PEER_KEEPALIVE;
    let mut world = joined(2, 21);
    let (dead, alive) = (HostId(0), HostId(1));
    // Nothing is sent between them for a while but keepalive probes.
    world.run_until(world.now() + Duration::from_secs(30));
    assert_eq!(connections(&world, alive), 1);
    world.split(|host| host.0 as u8);
    let cut = world.now();
    world.run_until(cut + (PEER_KEEPALIVE.total() - PEER_KEEPALIVE.after) / 2);
    world.heal();
    let healed = world.now();
    assert_eq!(connections(&world, alive), 1, "TCP outlives a short outage");
    world.run_until(healed + 2 * PEER_KEEPALIVE.total());
    assert_eq!(connections(&world, alive), 1);
    world.kill(dead, Death::Silent);
    world.run_until(world.now() + PEER_KEEPALIVE.total());
    // It dials the dead one again and again.
    let gone = world.host(dead).info().id;
    let session = world.host(alive).session().unwrap();
    assert!(!session.is_connected(&gone), "noticed by keepalive");
}

#[test]
fn a_partition_heals() {
    let mut world = joined(100, 16);
    world.split(|host| (host.0 % 2) as u8);
    world.run_until(world.now() + Duration::from_secs(600));
    let side = |world: &World, side: u32| -> Vec<HostId> {
        live(world).into_iter().filter(|host| host.0 % 2 == side).collect()
    };
    for number in 0..100 {
        let half = side(&world, (number % 2) as u32);
        let host = half[world.random().random_range(0..half.len())];
        let outcome = run_one(&mut world, host, put(key(number), value(number), 60_000));
        // Where half of the nodes are gone, a neighbourhood may look too dense: then it is one more.
        assert!(
            matches!(outcome, Outcome::Put { receipt: Receipt { stored: 20.., .. }, .. }),
            "{outcome:?}"
        );
    }
    world.run_until(world.now() + Duration::from_secs(600));
    let own: Vec<_> = (0..100)
        .map(|number| {
            let half = side(&world, (number % 2) as u32);
            (half[number as usize % half.len()], number)
        })
        .collect();
    let gets = get_all(&mut world, own);
    assert!(gets.missing.is_empty(), "before: {:?}", gets.missing);
    world.heal();
    let healed = world.now();
    for minutes in [1, 2, 5, 10, 20, 40, 60] {
        world.run_until(healed + Duration::from_secs(60 * minutes));
        let everywhere: Vec<_> = (0..100)
            .map(|number| {
                let half = side(&world, 1 - (number % 2) as u32);
                (half[number as usize % half.len()], number)
            })
            .collect();
        let gets = get_all(&mut world, everywhere);
        println!("{minutes} min after healing: {} of 100 found on the other side", gets.found);
        if minutes == 60 {
            assert!(gets.missing.is_empty(), "after: {:?}", gets.missing);
        }
    }
    println!("{:?}", world.tally());
    assert_clean(&world);
}

/// A PUT ends without replicas that do not answer. Until the next renewal, an hour later, they had what it
/// replaced.
#[test]
fn replicas_that_a_put_has_missed_are_brought_its_value() {
    let mut world = joined(60, 21);
    let (key, publisher) = (key(1), any(&mut world));
    run_one(&mut world, publisher, put(key, value(1), 60_000));
    let mut others =
        world.honest().map(|(host, node)| (key.distance(&node.own().id), host)).collect::<Vec<_>>();
    others.retain(|(_, host)| *host != publisher);
    others.sort_unstable();
    let missed: Vec<_> = others[..20].iter().step_by(2).map(|(_, host)| *host).collect();
    world.cut(missed.iter().map(|host| (publisher, *host)));
    let outcome = run_one(&mut world, publisher, put(key, value(2), 60_000));
    let Outcome::Put { receipt, .. } = outcome else { panic!("{outcome:?}") };
    assert!(receipt.stored >= 10, "{receipt:?}");
    let have_it = |world: &World| {
        let now = world.boot_now();
        let has_it = |host: &&HostId| {
            let record = world.host(**host).node().and_then(|node| node.records().get(&key, now));
            record.is_some_and(|record| *record.value.bytes() == value(2))
        };
        missed.iter().filter(has_it).count()
    };
    assert_eq!(have_it(&world), 0);
    world.run_until(world.now() + Duration::from_secs(5));
    world.heal();
    world.run_until(world.now() + Duration::from_secs(30));
    assert_eq!(have_it(&world), 10);
    assert_clean(&world);
}

#[test]
fn leaving_nodes_hand_over() {
    let mut world = joined(60, 17);
    put_all(&mut world, 0..100, 60_000, 20);
    // All but ten leave, one after another.
    for _ in 0..50 {
        let host = any(&mut world);
        let outcome = run_one(&mut world, host, Command::Leave);
        assert!(matches!(outcome, Outcome::Left { .. }), "{outcome:?}");
        world.stop(host);
        world.run_until(world.now() + Duration::from_secs(2));
    }
    let gets = get_each(&mut world, 0..100);
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    let replicas = replicas(&world, &keys(100), 20);
    println!("replicas {:?}", replicas);
    println!("slowest {:?} {:?}", gets.slowest(), world.tally());
    assert_clean(&world);
}

#[test]
fn ttls_end() {
    let mut world = joined(64, 18);
    put_all(&mut world, 0..50, 2, 20);
    let put = world.now();
    let gets = get_each(&mut world, 0..50);
    println!("{:?} after the PUTs: {} found", world.now().since(put), gets.found);
    world.run_until(put + Duration::from_secs(3));
    for (host, node) in world.honest() {
        assert_eq!(node.records().len(), 0, "{host:?}");
    }
    let gets = get_each(&mut world, 0..50);
    assert_eq!(gets.found, 0);
    assert_clean(&world);
}

#[test]
fn all_nodes_die_but_their_disks() {
    let options = voiddht_sim::HostOptions {
        disk: Some(voiddht_sim::host::DiskOptions {
            commit: Duration::from_millis(1),
            failing: 0.0,
        }),
        ..Default::default()
    };
    let mut world = watched(WorldConfig::default(), 19);
    world.grow(64, Growth { options, ..Growth::default() }).unwrap();
    put_all(&mut world, 0..100, 60_000, 20);
    let all = live(&world);
    for host in &all {
        world.kill(*host, Death::Killed);
    }
    world.run_until(world.now() + Duration::from_secs(60));
    for host in &all {
        world.restart(*host).unwrap();
        world.command(*host, Command::join([] as [PeerAddress; 0]));
    }
    let back = world.now();
    world.run_until(back + Duration::from_secs(10));
    while world.next_ended().is_some() {}
    let gets = get_each(&mut world, 0..100);
    println!("slowest {:?} asked {}", gets.slowest(), gets.mean_asked());
    assert!(gets.missing.is_empty(), "missing {:?}", gets.missing);
    assert_clean(&world);
}
