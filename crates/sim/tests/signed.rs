//! Signed values among forgers, replayers and older builds; the long runs are in `examples/signed.rs`.

use voiddht_sim::signed::{forging, half_an_older_build, proved, replaying};
use voiddht_wire::api::Freshness;

#[test]
fn no_forgery_is_ever_returned_however_many_ground_ids_there_are() {
    for (count, freshness) in [(5, Freshness::Latest), (40, Freshness::First)] {
        let reads = forging(count, freshness, (2, 40), 61).expect("the settings are checked");
        assert_eq!((reads.wrong, reads.stale), (0, 0), "{count}: {reads:?}");
        assert!(reads.newest * 100 >= reads.gets * 95, "{count}: {reads:?}");
    }
}

#[test]
fn replayers_make_no_reader_stale_that_asks_for_more() {
    for (count, freshness) in [(4, Freshness::Latest), (19, Freshness::Thorough)] {
        let reads = replaying(count, freshness, (2, 40), 62).expect("the settings are checked");
        assert_eq!((reads.wrong, reads.stale), (0, 0), "{count}: {reads:?}");
        assert_eq!(reads.newest, reads.gets, "{count}: {reads:?}");
    }
}

#[test]
fn a_stranger_among_older_builds_reaches_no_reader_of_a_new_one() {
    let mode = proved(Freshness::Latest);
    let reads = half_an_older_build(mode, 60, 63).expect("the settings are checked");
    assert_eq!((reads.wrong, reads.newest), (0, reads.gets), "{reads:?}");
}
