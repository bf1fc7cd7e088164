//! What survives the death of nodes, of disks, and of the network between them. One test for each
//! way in which a value, or a node, was once lost.

mod common;

use std::time::Duration;

use common::network::{Network, address, key};
use voiddht_core::Config;

/// Upkeep alone, due at once in every regard, found nobody and looked again at once, for ever.
#[test]
fn a_node_alone_with_records_does_not_spin() {
    let mut network = Network::new(1);
    network.put(0, "value", 60_000);
    network.run_for(10 * Config::default().upkeep_interval);
    assert_eq!(network.get(0).as_deref(), Some(&b"value"[..]));
    let _ = address(0);
    let _ = key();
    let _ = Duration::ZERO;
}
