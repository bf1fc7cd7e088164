//! What survives the death of nodes, of disks, and of the network between them. One test for each
//! way in which a value, or a node, was once lost.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::network::{Network, address, key, numbered_key};
use voiddht_core::Config;
use voiddht_core::event::{Command, Notice, Outcome};
use voiddht_wire::Publication;

const SECOND: Duration = Duration::from_secs(1);

/// Upkeep of a node alone was due, found no node, and was due again at once: the node hung.
#[test]
fn a_node_alone_with_records_does_not_spin() {
    let mut network = Network::new(1);
    network.put(0, "value", 60_000);
    network.run_for(10 * Config::default().upkeep_interval);
    assert_eq!(network.get(0).as_deref(), Some(&b"value"[..]));
}

/// A second STORE of what is held already was acknowledged at once, though the first one's write
/// was still in progress, or had failed.
#[test]
fn nothing_is_acknowledged_before_it_is_on_disk_however_often_it_is_stored() {
    let mut network = Network::new(2);
    network.disk_delay = SECOND;
    for disk in network.disks.values_mut() {
        disk.full = true;
    }
    assert_eq!(network.put(0, "value", 600), 0, "no disk took it");
    for disk in network.disks.values_mut() {
        disk.full = false;
    }
    // A copy of the very record, made by upkeep at the other node: held, but not on disk there.
    network.command(0, Command::Leave);
    let Outcome::Left { handed_over } = network.finish(0) else { panic!("it left") };
    assert_eq!(handed_over, 1);
    assert_eq!(network.disks[&address(1)].records.len(), 1);
}

/// A record that was taken before the clock was set back seemed to be one from the future: it was
/// refused at the next start, and removed from the disk.
#[test]
fn a_clock_that_jumps_takes_nothing_away() {
    let mut network = Network::new(4);
    network.put(0, "value", 20_000);
    let hours = 3 * 3_600_000;
    for number in 0..4 {
        network.kill(number);
        let error = if number % 2 == 0 { -hours } else { 0 };
        network.clock_error.insert(address(number), error);
    }
    for number in 0..4 {
        network.restart_with_lives(number, 5_000 * SECOND);
    }
    network.run_for(SECOND);
    assert_eq!(network.holders(key()), 4);
    for number in 0..4 {
        assert_eq!(network.get(number), Some(Bytes::from_static(b"value")), "at node {number}");
    }
    network.run_for(6_000 * SECOND);
    assert_eq!(network.holders(key()), 0, "and none lives longer");
}

/// k = 4: with a handful of nodes, most hold only a part of the values.
fn narrow() -> Config {
    Config { k: 4, replication: 4, vote_quorum: 3, ..Config::default() }
}

fn put_many(network: &mut Network, count: usize) {
    for number in 0..count {
        let at = number % network.nodes.len();
        assert!(network.put_under(numbered_key(number), at, "value", 60_000) > 0);
    }
}

fn check_all_found(network: &mut Network, count: usize, at: std::ops::Range<usize>) {
    for number in 0..count {
        for node in at.clone() {
            let found = network.get_under(numbered_key(number), node);
            assert_eq!(found.as_deref(), Some(&b"value"[..]), "value {number} at node {node}");
        }
    }
}

/// The last to be killed had seen all others die, and had removed them from its disk. The first to
/// be started dialled the others without success, and for half a minute did not look at any of them
/// when they came.
#[test]
fn a_network_of_which_every_node_was_killed_comes_back_from_what_each_remembers() {
    let mut network = Network::with_config(12, narrow());
    put_many(&mut network, 30);
    for number in 0..12 {
        network.kill(number);
        network.run_for(5 * SECOND);
    }
    network.run_for(60 * SECOND);
    for number in (0..12).rev() {
        network.restart(number);
        network.run_for(SECOND);
    }
    network.run_for(2 * SECOND);
    check_all_found(&mut network, 30, 0..12);
}

/// A node that was just started had no contacts, and said that there is no such value.
#[test]
fn a_restarted_node_answers_the_first_get() {
    let mut network = Network::with_config(16, narrow());
    put_many(&mut network, 40);
    for number in 0..16 {
        network.kill(number);
        network.run_for(SECOND);
        network.restart(number);
        check_all_found(&mut network, 40, number..number + 1);
    }
}

/// All the known contacts of the last run were unresponsive, and were waited for before anyone else
/// was asked.
#[test]
fn silent_contacts_of_an_earlier_run_keep_nobody_from_joining() {
    let mut network = Network::new(50);
    network.kill(0);
    for number in 1..49 {
        network.apart.insert(address(number));
    }
    network.add(0);
    let silent: Vec<_> = (1..49).map(|number| network.node(number).own()).collect();
    let node = network.nodes.get_mut(&address(0)).expect("it was added");
    node.restore_contacts(silent.into_iter().map(Into::into).collect());
    network.begin_join(0, vec![address(49)]);
    network.run_for(2 * SECOND);
    assert!(network.node(0).table().get(&network.node(49).own().id).is_some());
}

/// Unused contacts were never asked, so that a node whose network was gone did not
/// notice it; and what had answered on a connection that was there already was never a contact.
#[test]
fn isolation_is_noticed_and_mended() {
    let mut network = Network::with_config(12, narrow());
    put_many(&mut network, 20);
    network.run_for(60 * SECOND);
    network.apart.insert(address(5));
    network.notices.clear();
    // Nothing is asked of it meanwhile: it finds out when it looks for its own ID.
    network.run_for(300 * SECOND);
    assert!(network.node(5).table().is_empty());
    let is_isolated = |notice: &Notice| matches!(notice, Notice::Isolated);
    assert_eq!(network.notices.iter().filter(|notice| is_isolated(notice)).count(), 1);
    network.apart.clear();
    network.run_for(90 * SECOND);
    check_all_found(&mut network, 20, 5..6);
    let id = network.node(5).own().id;
    let known = network.nodes.values().filter(|node| node.table().get(&id).is_some());
    assert!(known.count() >= 4, "and the others have found it again");
}

/// The halves never looked for each other again once a few tries had failed; and values that were
/// put while they were apart stayed on their side.
#[test]
fn the_halves_of_a_healed_partition_share_their_values_within_one_upkeep_interval() {
    for config in [Config::default(), narrow()] {
        let interval = config.upkeep_interval;
        let mut network = Network::with_config(24, config);
        for number in 0..12 {
            network.apart.insert(address(number));
        }
        network.run_for(600 * SECOND);
        put_many(&mut network, 40);
        network.apart.clear();
        network.run_for(interval);
        check_all_found(&mut network, 40, 0..24);
    }
}

/// Records that no place in the queue was left for stayed with the leaving node, and what it was
/// given meanwhile left with it.
#[test]
fn a_leaving_node_hands_over_all_it_has_and_takes_nothing_more() {
    let mut network = Network::with_config(8, narrow());
    let count = 400;
    for number in 0..count {
        let (key, value) = (numbered_key(number), Bytes::from_static(b"value"));
        let put = Command::Put(Publication::new(key, value).replication(1));
        network.command(0, put);
        network.finish(0);
    }
    let held = network.node(0).records().len();
    assert!(held > 10, "{held}");
    network.command(0, Command::Leave);
    network.put_under(key(), 1, "value", 600);
    let Outcome::Left { handed_over } = network.finish(0) else { panic!("it left") };
    assert_eq!(handed_over, held);
    network.kill(0);
    assert_eq!(network.closest_holders(key()), 4);
    check_all_found(&mut network, count, 1..2);
}

/// Of nodes that came at the same moment, each was taken for a holder when the others were handed
/// what they should hold, so that no holder handed it to them.
#[test]
fn nodes_that_join_at_once_are_all_handed_what_they_should_hold() {
    let mut network = Network::with_config(12, narrow());
    put_many(&mut network, 60);
    for number in 12..24 {
        network.add(number);
        network.begin_join(number, vec![address(number - 12)]);
        network.run_for(SECOND / 3);
    }
    network.run_for(20 * SECOND);
    let missing: usize =
        (0..60).map(|number| 4 - network.closest_holders(numbered_key(number))).sum();
    assert_eq!(missing, 0, "of {}", 4 * 60);
}

/// A record's renewal waited for as long as users were served.
#[test]
fn upkeep_goes_on_under_load() {
    let mut network = Network::with_config(16, narrow());
    put_many(&mut network, 20);
    for number in 0..6 {
        network.kill(number);
    }
    let end = network.now + Config::default().upkeep_interval;
    while network.now < end {
        for number in 6..16 {
            for key in 0..80 {
                network.command(number, Command::Get { key: numbered_key(key) });
            }
        }
        network.run_for(20 * SECOND);
        network.outcomes.clear();
    }
    let missing: usize =
        (0..20).map(|number| 4 - network.closest_holders(numbered_key(number))).sum();
    assert_eq!(missing, 0);
}

/// How many of the replica slots of these values are empty, of the `k` that each should have.
fn missing(network: &Network, count: usize) -> usize {
    let k = network.config.k;
    (0..count).map(|number| k - network.closest_holders(numbered_key(number))).sum()
}

/// Renewal alone noticed dead nodes, half an interval later on average: with sessions of an hour a
/// value lost a third of its replicas meanwhile.
#[test]
fn the_places_of_the_dead_are_filled_long_before_the_next_renewal() {
    let mut network = Network::with_config(24, narrow());
    put_many(&mut network, 60);
    network.run_for(60 * SECOND);
    for dead in [&[3][..], &[7, 8, 9, 10]] {
        for number in dead {
            network.kill(*number);
        }
        assert!(missing(&network, 60) > 0);
        network.run_for(20 * SECOND);
        assert_eq!(missing(&network, 60), 0, "after {dead:?} were killed");
    }
    // Unresponsive ones are given up after half a minute.
    for number in [12, 13, 14] {
        network.apart.insert(address(number));
    }
    network.run_for(120 * SECOND);
    for number in [12, 13, 14] {
        network.kill(number);
    }
    assert_eq!(missing(&network, 60), 0, "after three fell silent");
}

/// The closest holder was dead, and not known to be, when others came and went: no node acted in
/// its place, then or later. With the seeds at the end, newcomers were met so far apart that the later
/// one was left to the earlier one, which did not take it for a newcomer.
#[test]
fn what_a_dead_holder_has_left_undone_is_done_by_the_next() {
    for seed in (0..16).chain([112, 148, 302, 317, 360]) {
        let mut network = Network::with_config(20, narrow());
        put_many(&mut network, 60);
        network.run_for(60 * SECOND);
        for number in [2, 5, 11] {
            network.apart.insert(address(number));
        }
        network.run_for(2 * SECOND);
        for number in 20..23 {
            network.add(number + seed * 10);
            network.begin_join(number + seed * 10, vec![address(1)]);
        }
        network.kill(8);
        network.run_for(150 * SECOND);
        for number in [2, 5, 11] {
            network.kill(number);
        }
        assert_eq!(missing(&network, 60), 0, "with seed {seed}");
    }
}

/// A copy that a node was too busy to take was not sent again until the next renewal.
#[test]
fn a_copy_that_was_refused_for_want_of_room_is_sent_again() {
    let mut network = Network::with_config(12, narrow());
    put_many(&mut network, 60);
    network.run_for(60 * SECOND);
    network.add(12);
    network.disks.get_mut(&address(12)).expect("it was added").full = true;
    network.begin_join(12, vec![address(0)]);
    network.run_for(3 * SECOND);
    let on_disk = |network: &Network| network.disks[&address(12)].records.len();
    assert_eq!(on_disk(&network), 0);
    network.disks.get_mut(&address(12)).expect("it was added").full = false;
    network.run_for(30 * SECOND);
    let here = |number: &usize| {
        let mut nodes: Vec<_> = network.nodes.values().map(|node| node.own().id).collect();
        nodes.sort_by_key(|id| numbered_key(*number).distance(id));
        nodes[..4].contains(&network.node(12).own().id)
    };
    let wanted = (0..60).filter(here).count();
    assert!(wanted > 5 && on_disk(&network) >= wanted, "{} of {wanted}", on_disk(&network));
}

/// The wall clock of a running node jumps by hours, either way: lives go on as they were.
#[test]
fn a_clock_that_jumps_while_the_node_runs_neither_drops_nor_revives() {
    for jump in [-5 * 3_600_000, 5 * 3_600_000] {
        let mut network = Network::new(4);
        assert_eq!(network.put(0, "value", 1000), 4);
        for number in 0..4 {
            network.clock_error.insert(address(number), jump);
        }
        network.run_for(900 * SECOND);
        for number in 0..4 {
            assert_eq!(network.get(number).as_deref(), Some(&b"value"[..]), "by {jump}");
        }
        network.clock_error.clear();
        network.run_for(200 * SECOND);
        assert_eq!(network.holders(key()), 0, "by {jump}");
        assert_eq!(network.get(1), None, "by {jump}");
    }
}
