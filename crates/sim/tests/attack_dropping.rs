//! Nodes that throw away what they confirm, and end every lookup that comes their way.

use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::Trial;

#[test]
fn a_fifth_that_drops_loses_nothing() {
    for put_first in [true, false] {
        let trial = Trial {
            nodes: 80,
            everywhere: Some(Infiltration::new(Kind::Dropping, Placement::Share(0.2))),
            put_first,
            values: 20,
            gets: 4,
            seed: 51,
            ..Trial::default()
        };
        let score = trial.run().expect("the settings do not contradict");
        assert_eq!((score.right, score.kept), (score.gets, score.puts), "{score:?}");
        assert_eq!(score.violations, 0);
    }
}
