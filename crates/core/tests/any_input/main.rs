//! Any sequence of inputs, fed to a node: what it never does, whatever peers, users, the disk and
//! the clocks do. The rules are in [`rules`]; the same runs are the fuzz target `node_inputs`.
//!
//! proptest prints the steps of a run that breaks a rule, shrunk.

mod found;
mod rules;
mod step;
mod universe;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use step::{STEP_BYTES, Step};
use world::{HEADER_BYTES, play, run};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_sequence_of_inputs_breaks_a_rule(
        header in any::<[u8; HEADER_BYTES]>(),
        steps in vec(any::<[u8; STEP_BYTES]>().prop_map(Step::from_bytes), 0..200),
    ) {
        play(header, steps, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_inputs_give_the_same_outputs(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(run(&bytes, true), run(&bytes, true));
    }
}
