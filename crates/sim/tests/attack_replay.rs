//! Nodes that store and return what was true once, and answer twice.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use voiddht_core::event::{Command, Outcome};
use voiddht_core::operation::Receipt;
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_wire::Key;

/// The oldest version is stored again and again on the holders of a newer one, and returned to
/// readers; the newest is found.
#[test]
fn an_old_version_does_not_come_back() {
    let mut world = joined(60, 101);
    world.infiltrate(&Infiltration::new(Kind::Replaying, Placement::Share(0.2))).unwrap();
    let keys: Vec<Key> = (0..10).map(key).collect();
    for edition in 0..3 {
        for (number, key) in keys.iter().enumerate() {
            let at = any(&mut world);
            let put = put(*key, value(100 * edition + number as u64), 3600);
            let outcome = run_one(&mut world, at, put);
            assert!(
                matches!(outcome, Outcome::Put { receipt: Receipt { stored: 20.., .. }, .. }),
                "{outcome:?}"
            );
        }
        world.pass(Duration::from_secs(60));
    }
    world.pass(Duration::from_secs(300));
    for (number, key) in keys.iter().enumerate() {
        for _ in 0..4 {
            let at = any(&mut world);
            let Outcome::Get { value: got, .. } =
                run_one(&mut world, at, Command::Get { key: *key })
            else {
                panic!("a GET ends as one")
            };
            assert_eq!(got, Some(value(200 + number as u64)));
        }
    }
    assert_eq!(world.violations().count(), 0, "{:?}", world.violations().kept());
    assert_eq!(world.tally().bans, 0, "answering twice is what a bad line looks like");
}
