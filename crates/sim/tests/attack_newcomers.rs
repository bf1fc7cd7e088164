//! Fresh identities behind one address prefix, which come to be handed the records of a region.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::{assert_clean, joined, key, live, put, run_all};
use rand::RngExt;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::label::Limit;
use voiddht_core::quota::handover::{NEWCOMER_BURST, NEWCOMER_RATE, PROBATION};
use voiddht_sim::{HostId, HostOptions};
use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

const VALUE_BYTES: usize = 60_000;
const VALUES: u64 = 150;
const NODES: usize = 30;
const SECONDS: u32 = 4;

/// Each was handed 17 MiB in four seconds.
#[test]
fn a_prefix_of_fresh_identities_is_handed_no_more_than_its_budget() {
    let mut world = joined(NODES, 74);
    let hosts = live(&world);
    let commands = (0..VALUES).map(|number| {
        let value = Bytes::from(vec![number as u8; VALUE_BYTES]);
        (hosts[number as usize % NODES], put(key(number), value, 40_000))
    });
    for outcome in run_all(&mut world, commands.collect(), 8) {
        assert!(matches!(outcome, Outcome::Put { receipt, .. } if receipt.stored >= 20));
    }
    world.pass(2 * PROBATION + Duration::from_secs(60));
    let known = world.host(hosts[0]).node().expect("it runs").own().address;
    let fresh: Vec<HostId> = (0..4u8)
        .map(|number| {
            let address = SocketAddr::from(([45, 0, 0, 1 + number], 7402)).into();
            let id = NodeId::from_bytes(world.random().random());
            let info = Some(NodeInfo { address, id });
            let host = world.add(HostOptions { info, ..HostOptions::default() });
            let host = host.expect("the settings do not contradict");
            world.command(host, Command::join([known]));
            host
        })
        .collect();
    world.pass(Duration::from_secs(u64::from(SECONDS)));
    assert!(world.tally().limits.contains_key(&Limit::NewcomerBytes), "{:?}", world.tally().limits);
    let held = |host: &HostId| world.host(*host).node().map_or(0, |node| node.records().len());
    let handed = fresh.iter().map(held).sum::<usize>() * VALUE_BYTES;
    let budget = NODES * (NEWCOMER_BURST + SECONDS * NEWCOMER_RATE) as usize;
    assert!(handed > 0 && handed <= budget, "{handed} bytes, {budget} allowed");
    assert_clean(&world);
}
