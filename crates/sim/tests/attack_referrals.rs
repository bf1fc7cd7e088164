//! Nodes that name real nodes at wrong addresses, and nodes that confirm each other's inventions.

use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::Trial;

#[test]
fn a_fifth_that_gives_bad_referrals_hides_nothing() {
    for kind in [Kind::WrongAddresses, Kind::ColludingInventor] {
        for put_first in [true, false] {
            let trial = Trial {
                nodes: 150,
                everywhere: Some(Infiltration::new(kind, Placement::Share(0.2))),
                put_first,
                values: 20,
                gets: 5,
                seed: 91,
                ..Trial::default()
            };
            let score = trial.run().expect("the settings do not contradict");
            assert_eq!(score.right, score.gets, "{kind}: {score:?}");
            assert_eq!((score.kept, score.violations), (score.puts, 0), "{kind}");
        }
    }
}
