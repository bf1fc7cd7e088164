//! Nodes that name their accomplices in their answers, or nodes that do not exist.

use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::{Around, Trial};

#[test]
fn a_fifth_that_lies_hides_nothing() {
    for put_first in [true, false] {
        let trial = Trial {
            nodes: 80,
            everywhere: Some(Infiltration::new(Kind::NodeLiar, Placement::Share(0.2))),
            put_first,
            values: 20,
            gets: 4,
            seed: 41,
            ..Trial::default()
        };
        let score = trial.run().expect("the settings do not contradict");
        assert_eq!(score.right, score.gets, "{score:?}");
        assert_eq!(score.kept, score.puts);
        assert_eq!(score.violations, 0);
    }
}

/// Invented nodes cost a timeout each; twenty of them, named by each of four malicious nodes, cost
/// a GET forty seconds. They still did in one run of ten, where the search had been widened, or one
/// of the closest was this node itself: fewer nodes than were wanted could answer, so all were
/// asked.
#[test]
fn invented_nodes_cost_little_time() {
    for seed in 42..48 {
        let trial = Trial {
            nodes: 80,
            around: Some(Around::Turned { kind: Kind::NodeLiar, count: 4, among: 20 }),
            values: 2,
            gets: 30,
            seed,
            ..Trial::default()
        };
        let score = trial.run().expect("the settings do not contradict");
        assert_eq!(score.right, score.gets, "{score:?}");
        let mean = score.get_seconds / score.gets as f64;
        assert!(mean < 5.0, "a GET took {mean:.1} s with seed {seed}");
    }
}
