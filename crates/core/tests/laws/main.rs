//! Laws of the core's parts, over whatever peers may do. Each panics where it is broken; proptest
//! tries them here, and libFuzzer in `fuzz/`.

mod lookup;
mod operations;
mod records;
mod source;
mod vote;

use proptest::collection::vec;
use proptest::prelude::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

proptest! {
    #[test]
    fn lookups_keep_their_laws(bytes in bytes(400)) {
        lookup::lookup(&bytes);
    }

    #[test]
    fn gets_keep_their_laws(bytes in bytes(400)) {
        operations::get(&bytes);
    }

    #[test]
    fn puts_keep_their_laws(bytes in bytes(400)) {
        operations::put(&bytes);
    }

    #[test]
    fn votes_keep_their_laws(bytes in bytes(120)) {
        vote::vote(&bytes);
    }

    #[test]
    fn records_keep_their_laws(bytes in bytes(400)) {
        records::records(&bytes);
    }

    #[test]
    fn replicas_that_were_offered_the_same_signed_values_hold_the_same(bytes in bytes(120)) {
        records::signed_replicas_agree(&bytes);
    }

    #[test]
    fn replicas_that_were_offered_the_same_hold_the_same(bytes in bytes(300)) {
        records::replicas_agree(&bytes);
    }
}
