//! Runs that once broke a rule, as short as they can be told. Each opens with its story.

use super::step::{Manner, Step};
use super::world::{HEADER_BYTES, play};

/// The default settings; every peer is honest once the steps are over.
const HONEST_END: [u8; HEADER_BYTES] = [0; HEADER_BYTES];

/// Positions in `universe::span` and `universe::ttl`.
const TEN_SECONDS: u8 = 7;
const ONE_HOUR: u8 = 10;
const TWO_HOURS_OF_LIFE: u8 = 5;

fn dialed(peer: u8) -> Step {
    Step::Connect { peer, proved: true, dialed: true }
}

fn honest_reply() -> Step {
    Step::Reply { request: 0, manner: Manner::Honest, detail: 0 }
}

/// With no contact there is no node to renew a record with; the record stayed due, and the loop
/// over due records never ended.
#[test]
fn a_node_alone_outlives_the_upkeep_of_its_records() {
    let put = Step::Put { key: 5, value: 1, ttl: TWO_HOURS_OF_LIFE };
    play(HONEST_END, [put, Step::Wait { span: ONE_HOUR }], false);
}

/// The first join's command was overwritten by the second's, and never answered.
#[test]
fn a_join_that_another_replaces_is_answered() {
    play(HONEST_END, [join(1), join(2)], false);
}

/// The node was found by a peer between two attempts to join; the next attempt saw that the table
/// was no longer empty, did nothing, and the command was never answered.
#[test]
fn a_join_is_answered_when_somebody_finds_the_node_meanwhile() {
    let why = voiddht_core::event::Undelivered::Refused;
    let nobody_there = Step::Undelivered { request: 0, why };
    let steps = [join(1), nobody_there, dialed(3), Step::Wait { span: TEN_SECONDS }];
    play(HONEST_END, steps, false);
}

/// A copy that was confirmed after the node had stopped to wait for it ended the leave once more.
#[test]
fn a_leave_is_answered_once() {
    let steps = [
        Step::Put { key: 5, value: 1, ttl: TWO_HOURS_OF_LIFE },
        Step::Persisted { ticket: 0, durable: true },
        dialed(1),
        Step::Leave,
        Step::Wait { span: TEN_SECONDS },
    ];
    let late_replies = [honest_reply(); 8];
    play(HONEST_END, steps.into_iter().chain(late_replies), false);
}

/// A PUT carried its whole TTL to each replica, however long the way there had taken.
#[test]
fn a_value_that_was_long_on_its_way_to_a_replica_lives_no_longer_there() {
    let put = Step::Put { key: 5, value: 1, ttl: TWO_HOURS_OF_LIFE };
    let wait = Step::Wait { span: 6 };
    play(HONEST_END, [dialed(1), put, wait, wait, honest_reply(), wait], false);
}

/// An answer that was read after the machine had slept for an hour made an hour the peer's usual
/// time: no request to it failed within that time any more.
#[test]
fn a_machine_that_slept_still_gives_up_requests_in_time() {
    let lookup = Step::Lookup { key: 5 };
    let sleep = Step::Sleep { span: ONE_HOUR };
    let silent_end = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    let steps = [dialed(1), lookup, sleep, honest_reply(), lookup, Step::Wait { span: 8 }];
    play(silent_end, steps, false);
}

fn join(peers: u8) -> Step {
    Step::Join { peers, name: false }
}
