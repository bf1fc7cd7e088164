//! Ways in which values were lost, locked, or kept too long: see `src/durability.rs`.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use voiddht_core::operation::PutFailure;
use voiddht_sim::durability::{self, Renewed};

const SEED: u64 = 7;

/// `dht put -c -t 1` at a second node deleted the value from four of five nodes.
#[test]
fn a_content_addressed_value_keeps_the_later_expiry() {
    let Renewed { nodes, holders } = durability::renewed_by_a_stranger(SEED).unwrap();
    assert_eq!(holders, nodes);
}

/// For minutes after a publication 150 to 300 s ahead, every PUT was "stored on 1 node", and every
/// GET returned the old value.
#[test]
fn a_version_ahead_of_the_clock_locks_no_key() {
    for ahead in [45, 149, 200, 299] {
        let ahead = Duration::from_secs(ahead);
        let locked = durability::locked_by_a_fast_clock(ahead, SEED).unwrap();
        assert_eq!((locked.receipt.failure, locked.right), (None, locked.gets), "{ahead:?}");
        // A node that is ahead keeps what it has published itself, in its place.
        let stored = locked.receipt.stored + usize::from(locked.fast_node_holds);
        assert!(stored >= 20, "{ahead:?}: {:?}", locked.receipt);
    }
}

/// All later PUTs of that key from that node failed until its clock had caught up, and its GETs
/// returned what no other node had.
#[test]
fn a_put_made_while_the_clock_was_wrong_blocks_nothing() {
    let locked = durability::published_while_the_clock_was_wrong(SEED).unwrap();
    assert_eq!((locked.receipt.failure, locked.right), (None, locked.gets));
}

/// The replica served the value again, and maintenance copied it to the whole network.
#[test]
fn a_suspend_revives_nothing() {
    let suspended = durability::suspended_past_the_deadline(SEED).unwrap();
    assert_eq!((suspended.holders, suspended.found, suspended.later), (0, 0, 0));
}

/// Nodes that disagree answered each other's maintenance copies without end: millions of events in
/// five seconds.
#[test]
fn nodes_that_disagree_are_quiet() {
    let most = durability::disagreeing_clocks(SEED).unwrap().most_events;
    assert!(most < 10_000, "{most} events in five seconds");
}

/// A node that no other could reach counted its own copy; with busy disks a receipt was silent on
/// the copies that were still to come.
#[test]
fn a_receipt_is_the_number_of_nodes_the_value_can_be_fetched_from() {
    let receipts = durability::receipts(SEED).unwrap();
    assert_eq!(receipts.cut_off.failure, Some(PutFailure::Unreachable));
    let busy = receipts.busy_disks;
    assert_eq!((busy.stored, busy.outstanding, busy.failure), (2, 2, None));
}
