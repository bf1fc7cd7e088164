//! Nodes that answer just before they are given up.

use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::Trial;

#[test]
fn a_fifth_that_is_slow_loses_nothing_and_costs_less_than_its_pause() {
    for put_first in [true, false] {
        let trial = Trial {
            nodes: 80,
            everywhere: Some(Infiltration::new(Kind::Slow, Placement::Share(0.2))),
            put_first,
            values: 20,
            gets: 4,
            seed: 91,
            ..Trial::default()
        };
        let score = trial.run().expect("the settings do not contradict");
        assert_eq!((score.right, score.kept), (score.gets, score.puts), "{score:?}");
        assert_eq!(score.violations, 0);
        let mean = score.get_seconds / score.gets as f64;
        assert!(mean < 1.75, "a GET took {mean:.2} s: it waited for the slow");
    }
}
