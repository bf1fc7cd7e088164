//! One party under many names, behind few addresses: around one key, and everywhere.

use voiddht_core::config::K;
use voiddht_core::diversity::{LOOKUP_PER_SITE, TABLE_PER_SITE};
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::{Around, Score, Trial, config};

/// Sixty names behind two /24s, closer to the key than any honest node.
fn around_a_key(defended: bool, put_first: bool) -> Score {
    let trial = Trial {
        nodes: 100,
        config: config(defended),
        around: Some(Around::Ground { kind: Kind::Sybil, count: 60, among: 0, sites: Some(2) }),
        put_first,
        values: 1,
        gets: 40,
        seed: 71,
        ..Trial::default()
    };
    trial.run().expect("the settings do not contradict")
}

#[test]
fn many_names_behind_few_addresses_are_few() {
    // Two sites are no majority.
    const { assert!(2 * LOOKUP_PER_SITE < K / 2) };
    for put_first in [true, false] {
        let score = around_a_key(true, put_first);
        assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
        assert_eq!(score.violations, 0);
    }
}

/// Ground IDs that forge the values of two keys, each at an address of its own: ten closer than any honest
/// node won every vote. Six among the replicas are fewer than these.
#[test]
fn ground_ids_outvote_no_replicas() {
    let closest = [(5, 0, true), (10, 0, false), (20, 0, true), (20, 0, false)];
    let among_replicas = [(6, K, true), (6, K, false)];
    for (count, among, put_first) in closest.into_iter().chain(among_replicas) {
        let trial = Trial {
            nodes: 100,
            around: Some(Around::Ground { kind: Kind::Sybil, count, among, sites: None }),
            put_first,
            values: 2,
            gets: 20,
            seed: 73,
            ..Trial::default()
        };
        let score = trial.run().expect("the settings do not contradict");
        assert_eq!(
            (score.kept, score.right),
            (score.puts, score.gets),
            "{count} among {among}: {score:?}"
        );
        assert_eq!(score.violations, 0);
    }
}

#[test]
fn without_limits_by_address_the_crowd_has_the_key() {
    let score = around_a_key(false, false);
    assert!(score.wrong > score.gets / 2, "{score:?}");
}

#[test]
fn a_table_takes_few_of_one_prefix() {
    let mut crowd = Infiltration::new(Kind::Sybil, Placement::New { count: 60 });
    crowd.sites = Some(1);
    let trial =
        Trial { nodes: 60, everywhere: Some(crowd), values: 20, seed: 72, ..Trial::default() };
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!(score.right, score.gets, "{score:?}");
    let sybils: Vec<_> = world.cabal().members().iter().map(|member| member.id).collect();
    for (host, node) in world.honest() {
        let known = sybils.iter().filter(|id| node.table().get(id).is_some()).count();
        assert!(known <= TABLE_PER_SITE, "{host:?} knows {known} of them");
    }
}
