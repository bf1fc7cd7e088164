//! Nodes with IDs ground to lie closer to a key than any honest one, which confirm what is stored
//! there, throw it away, and name only each other.

use voiddht_sim::adversary::Kind;
use voiddht_sim::attack::{Around, Score, Trial, config};

fn eclipsed(defended: bool, put_first: bool, count: usize) -> Score {
    let trial = Trial {
        nodes: 120,
        config: config(defended),
        around: Some(Around::Ground { kind: Kind::Eclipse, count, among: 0, sites: None }),
        put_first,
        values: 1,
        gets: 40,
        seed: 61,
        ..Trial::default()
    };
    trial.run().expect("the settings do not contradict")
}

/// As many as the whole replica set, each at an address of its own.
#[test]
fn a_neighbourhood_that_is_too_dense_is_noticed_and_reached_past() {
    for put_first in [true, false] {
        let score = eclipsed(true, put_first, 24);
        assert_eq!(score.adversaries, 24);
        assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
        assert_eq!(score.violations, 0);
    }
}

#[test]
fn without_defences_the_key_is_gone() {
    let score = eclipsed(false, false, 24);
    assert!(score.right < score.gets / 2, "{score:?}");
}
