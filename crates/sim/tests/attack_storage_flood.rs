//! Nodes that fill the stores of others.

use std::time::Duration;

use voiddht_core::Config;
use voiddht_core::label::Limit;
use voiddht_core::record::RecordLimits;
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::Trial;

/// Records that fit into a store.
const ROOM: usize = 160;

fn flooded(sites: Option<usize>) -> Trial {
    let mut flood = Infiltration::new(Kind::Flooding, Placement::New { count: 4 });
    flood.sites = sites;
    Trial {
        nodes: 25,
        config: Config { records: RecordLimits::of_size(ROOM, 64 << 20), ..Config::default() },
        everywhere: Some(flood),
        values: 60,
        gets: 2,
        settle: Duration::from_secs(90),
        seed: 81,
        ..Trial::default()
    }
}

#[test]
fn a_flood_washes_nothing_away() {
    let (world, score) = flooded(None).play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    assert_eq!(score.violations, 0);
    assert!(
        world.tally().limits.contains_key(&Limit::RecordsPerPeer),
        "{:?}",
        world.tally().limits
    );
    for (host, node) in world.honest() {
        for flooder in world.cabal().members() {
            let held = node.records().usage_of(&flooder.id).records;
            assert!(held <= ROOM / 4, "{host:?} holds {held} records of one flooder");
        }
    }
}

/// Enough of them to fill every store several times over, each within its own quota: the largest
/// account gives way to whatever smaller ones put afterwards.
#[test]
fn flooders_that_fill_the_stores_give_way_to_later_puts() {
    let mut trial = Trial { put_first: false, ..flooded(None) };
    if let Some(infiltration) = &mut trial.everywhere {
        infiltration.placement = Placement::New { count: 12 };
    }
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    assert_eq!(score.violations, 0);
    assert!(world.tally().gave_way > 0, "no store was ever full");
}

/// All four behind one prefix fill no more than half of any store: what is put later finds room.
#[test]
fn one_prefix_leaves_room_for_others() {
    let trial = Trial { put_first: false, ..flooded(Some(1)) };
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    assert!(
        world.tally().limits.contains_key(&Limit::RecordsPerPrefix),
        "{:?}",
        world.tally().limits
    );
    for (host, node) in world.honest() {
        let members = world.cabal().members().iter();
        let held: usize = members.map(|one| node.records().usage_of(&one.id).records).sum();
        assert!(held <= ROOM / 2, "{host:?} holds {held} records of one prefix");
    }
}
