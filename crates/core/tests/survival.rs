//! What survives the death of nodes, of disks, and of the network between them. One test for each
//! way in which a value, or a node, was once lost.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::network::{Network, address, key};
use voiddht_core::Config;
use voiddht_core::event::{Command, Outcome};

const SECOND: Duration = Duration::from_secs(1);

/// Upkeep of a node alone was due, found nobody, and was due again at once: the node hung.
#[test]
fn a_node_alone_with_records_does_not_spin() {
    let mut network = Network::new(1);
    network.put(0, "value", 60_000);
    network.run_for(10 * Config::default().upkeep_interval);
    assert_eq!(network.get(0).as_deref(), Some(&b"value"[..]));
}

/// A second STORE of what is held already was acknowledged at once, though the first one's write
/// was still under way, or had failed.
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
