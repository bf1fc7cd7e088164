//! Two keys for one ID: the owner keeps it while it lives, and loses it once it is gone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::*;
use voiddht_core::event::Command;
use voiddht_sim::host::DiskOptions;
use voiddht_sim::network::NetworkConfig;
use voiddht_sim::{Death, Growth, HostId, HostOptions, World, WorldConfig};
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::NodeInfo;

const NODES: usize = 24;
const OWNER: HostId = HostId(5);

fn network() -> WorldConfig {
    let network = NetworkConfig { certificates: true, ..NetworkConfig::default() };
    WorldConfig { network, ..WorldConfig::default() }
}

/// Adds a host with the owner's ID, and a key of its own. It joins through some.
fn claim(world: &mut World) -> HostId {
    let id = world.host(OWNER).info().id;
    let address = PeerAddress::new([198, 51, 100, 7].into(), 7402);
    let info = Some(NodeInfo { address, id });
    let host = world.add(HostOptions { info, ..HostOptions::default() }).unwrap();
    rejoin(world, host);
    host
}

fn rejoin(world: &mut World, host: HostId) {
    let peers: Vec<_> = world.hosts()[..3].iter().map(|host| host.info().address).collect();
    world.command(host, Command::join(peers));
}

/// At how many of the honest nodes the owner's ID is known at the address of this host.
fn known_at(world: &World, host: HostId) -> usize {
    let NodeInfo { address, id } = world.host(host).info();
    let others = world.honest().filter(|(one, _)| world.host(*one).info().id != id);
    others
        .filter(|(_, node)| node.table().get(&id).is_some_and(|it| it.address() == address))
        .count()
}

#[test]
fn an_owner_that_lives_keeps_its_id() {
    let mut world = joined_with(network(), NODES, 41);
    put_all(&mut world, 0..20, 60_000, 20);
    let before = known_at(&world, OWNER);
    assert_eq!(before, NODES - 1);
    let claimant = claim(&mut world);
    for _ in 0..5 {
        world.pass(Duration::from_secs(90));
        rejoin(&mut world, claimant);
    }
    assert!(world.tally().pin_conflicts > 0, "it was refused");
    assert_eq!(world.tally().takeovers, 0);
    assert_eq!((known_at(&world, OWNER), known_at(&world, claimant)), (before, 0));
    assert_eq!(world.host(claimant).node().unwrap().table().len(), 0, "it has joined no network");
    assert!(get_each(&mut world, 0..20).missing.is_empty());
    assert_clean(&world);
}

#[test]
fn an_id_whose_owner_is_gone_is_reassigned() {
    for death in [Death::Killed, Death::Silent] {
        let mut world = joined_with(network(), NODES, 42);
        put_all(&mut world, 0..20, 60_000, 20);
        world.kill(OWNER, death);
        let claimant = claim(&mut world);
        for _ in 0..10 {
            world.pass(Duration::from_secs(60));
            rejoin(&mut world, claimant);
        }
        world.pass(Duration::from_secs(600));
        assert!(world.tally().takeovers > 0, "{death:?}");
        assert!(known_at(&world, claimant) >= NODES - 2, "{death:?}");
        let wanted = (0..20).map(|number| (claimant, number)).collect();
        assert!(get_all(&mut world, wanted).missing.is_empty(), "{death:?}");
        assert_clean(&world);
    }
}

/// Pins outlive their node: one that was down meanwhile still knows whose ID it is.
#[test]
fn a_restarted_node_refuses_a_claimant() {
    let disk = Some(DiskOptions { commit: Duration::from_millis(1), failing: 0.0 });
    let options = HostOptions { disk, ..HostOptions::default() };
    let mut world = watched(network(), 43);
    world.grow(NODES, Growth { options, ..Growth::default() }).unwrap();
    world.pass(Duration::from_secs(60));
    let others: Vec<_> = live(&world).into_iter().filter(|host| *host != OWNER).collect();
    for host in &others {
        world.kill(*host, Death::Killed);
    }
    world.pass(Duration::from_secs(60));
    for host in &others {
        world.restart(*host).unwrap();
        world.command(*host, Command::join([] as [PeerAddress; 0]));
    }
    world.pass(Duration::from_secs(120));
    let claimant = claim(&mut world);
    world.pass(Duration::from_secs(120));
    assert!(world.tally().pin_conflicts > 0);
    assert_eq!((world.tally().takeovers, known_at(&world, claimant)), (0, 0));
    assert_clean(&world);
}
