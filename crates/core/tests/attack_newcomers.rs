//! Identities that are new: they cost nothing, and there can be any number of them.

mod common;

use std::time::Duration;

use common::network::{Network, address, numbered_key};
use voiddht_core::Config;
use voiddht_core::event::{Command, Notice};
use voiddht_core::label::Limit;
use voiddht_core::quota::handover::{NEWCOMER_BURST, NEWCOMER_RATE, PROBATION};
use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

const SECOND: Duration = Duration::from_secs(1);
const VALUE_BYTES: usize = 60_000;

fn large_value() -> &'static str {
    "x".repeat(VALUE_BYTES).leak()
}

/// 300 identities that joined and said goodbye pushed every honest contact out of what a node remembered: after
/// a restart it dialled none of them.
#[test]
fn throw_away_identities_push_no_contact_out_of_memory() {
    const HONEST: usize = 5;
    let mut network = Network::new(HONEST);
    network.run_for(600 * SECOND);
    for number in HONEST..HONEST + 300 {
        network.add(number);
        network.begin_join(number, vec![address(0)]);
        network.run_for(SECOND / 100);
        network.command(number, Command::Leave);
        network.run_for(SECOND / 100);
        network.kill(number);
    }
    let honest: Vec<NodeId> = (1..HONEST).map(|number| network.node(number).own().id).collect();
    for number in 1..HONEST {
        network.kill(number);
    }
    network.run_for(60 * SECOND);
    let first = |network: &Network| -> Vec<NodeId> {
        let lost: Vec<NodeInfo> = network.node(0).lost_contacts();
        let mut first: Vec<_> = lost.iter().take(honest.len()).map(|node| node.id).collect();
        first.sort_unstable();
        first
    };
    let mut expected = honest.clone();
    expected.sort_unstable();
    assert_eq!(first(&network), expected, "while it runs");
    network.kill(0);
    network.restart(0);
    assert_eq!(first(&network), expected, "after a restart");
    network.restart(1);
    network.run_for(5 * SECOND);
    assert!(network.node(0).is_joined(), "it dials those first");
}

/// Each fresh identity was handed all that belonged to it at once: 17 MiB in four seconds.
#[test]
fn a_newcomer_is_handed_no_more_than_its_budget_at_once_and_everything_in_time() {
    const VALUES: usize = 100;
    let mut network = Network::with_config(2, Config::default());
    let value = large_value();
    for number in 0..VALUES {
        assert_eq!(network.put_under(numbered_key(number), 0, value, 60_000), 2);
    }
    network.run_for(2 * PROBATION + 60 * SECOND);
    network.add(2);
    network.begin_join(2, vec![address(0)]);
    network.run_for(4 * SECOND);
    let handed = network.node(2).records().len() * VALUE_BYTES;
    let budget = 2 * (NEWCOMER_BURST + 4 * NEWCOMER_RATE) as usize;
    assert!(handed > 0 && handed <= budget, "{handed} bytes, {budget} allowed");
    let limited =
        |notice: &Notice| matches!(notice, Notice::LimitReached { limit: Limit::NewcomerBytes });
    assert!(network.notices.iter().any(limited));
    network.run_for(PROBATION);
    assert_eq!(network.node(2).records().len(), VALUES);
    assert_eq!(
        (network.node(0).records().len(), network.node(1).records().len()),
        (VALUES, VALUES)
    );

    // One that comes back is no newcomer, though it has lost what it had.
    network.run_for(2 * PROBATION);
    network.kill(2);
    network.run_for(60 * SECOND);
    network.add(2);
    network.begin_join(2, vec![address(0)]);
    network.run_for(4 * SECOND);
    assert_eq!(network.node(2).records().len(), VALUES, "after a restart");
}

fn set_full(network: &mut Network, full: bool) {
    for disk in network.disks.values_mut() {
        disk.full = full;
    }
}

/// Replicas that were put to newcomers, which then said goodbye and took them along, were made up for only by
/// the next renewal.
#[test]
fn what_newcomers_take_along_is_replaced_though_they_say_goodbye() {
    let config = Config { k: 4, replication: 4, vote_quorum: 3, ..Config::default() };
    let mut network = Network::with_config(12, config);
    network.run_for(2 * PROBATION + 60 * SECOND);
    for number in 12..20 {
        network.add(number);
        network.begin_join(number, vec![address(0)]);
    }
    network.run_for(10 * SECOND);
    for number in 0..40 {
        assert!(network.put_under(numbered_key(number), 0, "value", 60_000) >= 4);
    }
    // They say goodbye, and hand nothing over that anyone takes.
    set_full(&mut network, true);
    for number in 12..20 {
        network.command(number, Command::Leave);
    }
    network.run_for(Config::default().leave_patience + SECOND);
    set_full(&mut network, false);
    for number in 12..20 {
        network.kill(number);
    }
    network.run_for(30 * SECOND);
    let missing: usize =
        (0..40).map(|number| 4 - network.closest_holders(numbered_key(number))).sum();
    assert_eq!(missing, 0);
}
