//! Nodes whose clocks are ahead republish all values.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use voiddht_core::event::{Command, Outcome};
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_wire::Key;

/// Content-addressed values outlive publications with a TTL of one second, and plain ones can be
/// replaced, although every publication is followed by the same one with the highest
/// version that passes.
#[test]
fn values_are_neither_deleted_nor_locked() {
    let mut world = joined(60, 131);
    world.infiltrate(&Infiltration::new(Kind::ClockAhead, Placement::Share(0.2))).unwrap();
    let content = |number: u64| value(1000 + number);
    for number in 0..10 {
        let (at, value) = (any(&mut world), content(number));
        let outcome = run_one(&mut world, at, put(Key::of_value(&value), value, 3600));
        assert!(matches!(outcome, Outcome::Put { receipt, .. } if receipt.stored > 0));
    }
    for edition in 0..3 {
        for number in 0..10 {
            let at = any(&mut world);
            let put = put(key(number), value(100 * edition + number), 3600);
            let outcome = run_one(&mut world, at, put);
            let Outcome::Put { receipt, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(receipt.failure, None, "edition {edition} of {number}: {receipt:?}");
        }
        world.pass(Duration::from_secs(5));
    }
    let expected = (0..10).map(|number| (key(number), value(200 + number)));
    let expected: Vec<_> =
        expected.chain((0..10).map(|n| (Key::of_value(&content(n)), content(n)))).collect();
    for (key, value) in expected {
        let at = any(&mut world);
        let outcome = run_one(&mut world, at, Command::Get { key });
        assert!(
            matches!(&outcome, Outcome::Get { value: Some(got), .. } if *got == value),
            "{outcome:?}"
        );
    }
}
