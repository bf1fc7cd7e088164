//! A node whose clock is wrong finds that out, and says so once; the others do not blame theirs.

mod common;

use std::time::Duration;

use common::network::{Network, address, numbered_key};
use voiddht_core::event::Notice;
use voiddht_core::label::StoreRejection;
use voiddht_core::peer_clocks::ClockEstimate;

const HOUR_MS: i64 = 3_600_000;

/// What the nodes have found out so far; `None`: that the clock is right again.
fn judgements(network: &Network) -> Vec<Option<ClockEstimate>> {
    let judged = network.notices.iter().filter_map(|notice| match notice {
        Notice::ClockWrong(clock) => Some(Some(*clock)),
        Notice::ClockRight => Some(None),
        _ => None,
    });
    judged.collect()
}

fn rejected(network: &Network, reason: StoreRejection) -> usize {
    let is_it =
        |notice: &&Notice| matches!(notice, Notice::StoreRejected { why } if *why == reason);
    network.notices.iter().filter(is_it).count()
}

/// `dht put` said "stored on 1 node", and nothing else was wrong.
#[test]
fn a_clock_that_is_ahead_is_found_by_the_refusals_of_others() {
    let mut network = Network::new(8);
    network.clock_error.insert(address(3), 2 * HOUR_MS);
    network.put_under(numbered_key(1), 3, "value", 600);
    let judged = judgements(&network);
    assert_eq!(judged.len(), 1, "told once, by the one node: {judged:?}");
    let clock = judged[0].unwrap();
    assert!(clock.at_least && clock.is_wrong() && clock.contacts >= 3, "{clock:?}");
    assert_eq!(rejected(&network, StoreRejection::FutureVersion), 7);
    assert_eq!(rejected(&network, StoreRejection::Superseded), 0);
    for number in 2..9 {
        network.put_under(numbered_key(number), 3, "value", 600);
    }
    assert_eq!(judgements(&network).len(), 1, "and not again");
    // The clock is set, and the node has something to do.
    network.clock_error.clear();
    network.run_for(Duration::from_secs(600));
    assert_eq!(judgements(&network)[1..], [None]);
}

#[test]
fn by_how_much_is_known_from_what_others_publish() {
    let mut network = Network::new(8);
    network.clock_error.insert(address(3), 2 * HOUR_MS);
    for number in [0, 1, 2] {
        network.put_under(numbered_key(number), number, "value", 600);
    }
    assert_eq!(judgements(&network), [], "old versions alone say nothing");
    network.put_under(numbered_key(7), 3, "value", 600);
    let clock = judgements(&network)[0].unwrap();
    assert!(!clock.at_least && (clock.ahead_ms - 2 * HOUR_MS).abs() < 100, "{clock:?}");
}

#[test]
fn a_clock_that_is_behind_is_found_by_what_others_publish() {
    let mut network = Network::new(8);
    network.clock_error.insert(address(3), -HOUR_MS);
    for number in [0, 1, 2, 4, 5] {
        network.put_under(numbered_key(number), number, "value", 600);
    }
    let judged = judgements(&network);
    assert_eq!(judged.len(), 1, "{judged:?}");
    assert!((judged[0].unwrap().ahead_ms + HOUR_MS).abs() < 10, "{judged:?}");
}

#[test]
fn two_nodes_do_not_know_whose_clock_is_wrong() {
    let mut network = Network::new(2);
    network.clock_error.insert(address(1), 2 * HOUR_MS);
    network.put_under(numbered_key(1), 1, "value", 600);
    network.put_under(numbered_key(2), 0, "value", 600);
    assert_eq!(judgements(&network), []);
}
