//! Each checker sees what it is there for, and nothing where all is well.

use std::time::Duration;

use bytes::Bytes;
use voiddht_core::event::{Command, CommandId, Notice, Outcome, StoredRecord, Ticket, Write};
use voiddht_core::peer::ConnectionId;
use voiddht_core::report::Report;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_session::Output;
use voiddht_wire::peer::{Body, Dialect, Header, Message, Record};
use voiddht_wire::{Key, NodeId, Publication, RpcId};

use super::*;
use crate::growth::Growth;
use crate::host::HostId;
use crate::world::{Death, World, WorldConfig};

const HOST: HostId = HostId(3);

fn at(seconds: u64) -> Site {
    let wall = WallTime::from_millis(1_000_000 + seconds * 1000);
    let now = Now::never_suspended(Moment::from_micros(seconds * 1_000_000), wall);
    Site { now, host: HOST, id: NodeId::from_bytes([3; 32]) }
}

fn key() -> Key {
    Key::of_value(b"a key that no value proves")
}

fn kept(site: &Site, version: u64, lives: u64) -> Output {
    let record = StoredRecord {
        key: key(),
        value: Bytes::from_static(b"value"),
        version,
        class: None,
        written: site.now.wall,
        expires: WallTime::from_millis(site.now.wall.as_millis() + lives * 1000),
        bill: None,
    };
    Output::Persist { ticket: Ticket(1), writes: vec![Write::PutRecord(record)] }
}

fn removed() -> Output {
    Output::Persist { ticket: Ticket(2), writes: vec![Write::RemoveRecord(key())] }
}

fn found_by(checker: &mut dyn Checker, steps: &[(Site, Output)]) -> u64 {
    let mut found = Violations::default();
    for (site, output) in steps {
        checker.put_out(site, output, &mut found);
    }
    assert_eq!(found.kept().len() as u64, found.count());
    found.count()
}

#[test]
fn ttls_see_a_life_that_grows_and_not_one_that_is_published_anew() {
    let kept_for = |second, version, lives| (at(second), kept(&at(second), version, lives));
    let found = |steps: &[(Site, Output)]| found_by(&mut Ttls::default(), steps);
    assert_eq!(found(&[kept_for(0, 1, 100), kept_for(10, 1, 90)]), 0);
    assert_eq!(found(&[kept_for(0, 1, 100), kept_for(10, 1, 91)]), 1);
    assert_eq!(found(&[kept_for(0, 1, 100), kept_for(10, 2, 500)]), 0, "a later version");
    let forgotten = [kept_for(0, 1, 100), (at(5), removed()), kept_for(10, 1, 500)];
    assert_eq!(found(&forgotten), 0, "it accepted it anew");
}

#[test]
fn ttls_see_a_copy_that_is_handed_on_for_longer_than_it_is_held() {
    let copy = |ttl, maintenance| {
        let value = Bytes::from_static(b"value");
        let record = Record { key: key(), value, ttl, version: Some(1), maintenance };
        let header = Header { sender: at(0).id, port: 1, rpc_id: RpcId::default() };
        let message = Message { header, body: Body::Store(record) };
        Output::Send { connection: ConnectionId(1), dialect: Dialect::V1, message }
    };
    let found = |copy| {
        let mut ttls = Ttls::default();
        found_by(&mut ttls, &[(at(0), kept(&at(0), 1, 100)), (at(40), copy)])
    };
    assert_eq!(found(copy(60, true)), 0);
    assert_eq!(found(copy(61, true)), 1);
    assert_eq!(found(copy(61, false)), 0, "a publication");
}

#[test]
fn versions_see_one_that_goes_back() {
    let kept_as = |second, version| (at(second), kept(&at(second), version, 100));
    let found = |steps: &[(Site, Output)]| found_by(&mut Versions::default(), steps);
    assert_eq!(found(&[kept_as(0, 1), kept_as(1, 2), kept_as(2, 2)]), 0);
    assert_eq!(found(&[kept_as(0, 2), kept_as(1, 1)]), 1);
    assert_eq!(found(&[kept_as(0, 2), (at(1), removed()), kept_as(2, 1)]), 0);
}

#[test]
fn bans_see_one_of_an_honest_node() {
    let banned = |id: u8| {
        let peer = NodeId::from_bytes([id; 32]);
        (at(0), Output::Notice(Notice::Banned { peer, lasts: Duration::from_secs(1) }))
    };
    let mut bans = Bans::default();
    bans.corrupted(&Site { id: NodeId::from_bytes([7; 32]), ..at(0) });
    assert_eq!(found_by(&mut bans, &[banned(7)]), 0);
    assert_eq!(found_by(&mut bans, &[banned(8)]), 1);
}

#[test]
fn the_ledger_sees_what_nobody_published_and_what_outlives_its_publication() {
    let ledger = || {
        let mut ledger = Ledger::new(Duration::from_secs(1));
        let put = Publication::new(key(), "value").ttl(Duration::from_secs(100));
        let put = Command::Put(put);
        ledger.commanded(&at(0), CommandId(1), &put);
        ledger
    };
    let kept_for = |lives| [(at(1), kept(&at(1), 1, lives))];
    assert_eq!(found_by(&mut ledger(), &kept_for(99)), 0);
    assert_eq!(found_by(&mut ledger(), &kept_for(200)), 1);
    assert_eq!(found_by(&mut Ledger::new(Duration::from_secs(1)), &kept_for(99)), 1);
    let got = |value: &'static [u8]| {
        let mut ledger = ledger();
        ledger.commanded(&at(1), CommandId(2), &Command::Get { key: key() });
        let value = Some(Bytes::from_static(value));
        let (version, proof, report) = (Some(1), None, Report::default());
        let outcome = Outcome::Get { value, version, proof, report };
        found_by(&mut ledger, &[(at(2), Output::Answer { id: CommandId(2), outcome })])
    };
    assert_eq!((got(b"value"), got(b"another")), (0, 1));
}

fn small_world(checker: impl Checker + 'static) -> World {
    let mut world = World::new(WorldConfig::default(), 5);
    world.watch(Box::new(checker));
    world.grow(30, Growth::default()).expect("the settings do not contradict");
    let host = HostId(0);
    let put = Publication::new(key(), "value").ttl(Duration::from_secs(3600));
    world.command(host, Command::Put(put));
    let end = world.now() + Duration::from_secs(30);
    while let Some(ended) = world.run_until_ended(end) {
        if let Outcome::Put { receipt, .. } = ended.outcome {
            // A neighbourhood that is dense by chance gets some more.
            assert!((20..=24).contains(&receipt.stored), "{}", receipt.stored);
        }
    }
    world
}

#[test]
fn load_sees_more_requests_and_operations_than_are_allowed() {
    let config = WorldConfig::default().node;
    assert_eq!(small_world(Load::of(&config)).violations().count(), 0);
    let none = Load { requests: 0, requests_per_operation: 0, operations: usize::MAX };
    assert!(small_world(none).violations().count() > 0);
    let none = Load { operations: 0, ..Load::of(&config) };
    assert!(small_world(none).violations().count() > 0);
}

#[test]
fn replica_sets_see_places_that_are_empty_and_values_that_are_lost() {
    let mut world = small_world(ReplicaSets::new(20, 0.95));
    world.survey();
    assert_eq!(world.violations().count(), 0, "{:?}", world.violations().kept());
    let holds = |world: &World, host: HostId| {
        let node = world.host(host).node().expect("it runs");
        node.records().get(&key(), world.boot_now()).is_some()
    };
    let all: Vec<_> = world.honest().map(|(host, _)| host).collect();
    let holders: Vec<_> = all.into_iter().filter(|host| holds(&world, *host)).collect();
    for host in &holders[..10] {
        world.kill(*host, Death::Silent);
    }
    world.survey();
    assert_eq!(world.violations().count(), 1, "half of the places are empty");
    for host in &holders[10..] {
        world.kill(*host, Death::Silent);
    }
    world.survey();
    let what: Vec<_> = world.violations().kept().iter().map(|one| one.what.as_str()).collect();
    assert!(what.iter().any(|what| what.contains("no honest node holds")), "{what:?}");
}
