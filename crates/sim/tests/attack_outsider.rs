//! Nodes without a secret of the private network: they learn nothing, and nothing of theirs is stored.

use std::collections::BTreeSet;
use std::time::Duration;

use voiddht_sim::World;
use voiddht_sim::adversary::{Infiltration, Kind, Placement};
use voiddht_sim::attack::Trial;
use voiddht_wire::NodeId;

fn surrounded(placement: Placement) -> Trial {
    Trial {
        nodes: 25,
        everywhere: Some(Infiltration::new(Kind::Outsider, placement)),
        values: 20,
        gets: 3,
        settle: Duration::from_secs(120),
        seed: 83,
        ..Trial::default()
    }
}

/// What no outsider may have, and what no member may have of one.
fn check(world: &World) {
    let outsiders: BTreeSet<NodeId> = world.cabal().members().iter().map(|node| node.id).collect();
    assert!(!outsiders.is_empty());
    for host in world.hosts() {
        let Some(node) = host.node() else { continue };
        let knows: BTreeSet<NodeId> = node.table().iter().map(|contact| *contact.id()).collect();
        if outsiders.contains(&host.info().id) {
            assert!(knows.is_subset(&outsiders), "{:?} knows members", host.info());
            continue;
        }
        assert!(knows.is_disjoint(&outsiders), "{:?} knows outsiders", host.info());
        for outsider in &outsiders {
            let held = node.records().usage_of(outsider).records;
            assert_eq!(held, 0, "{:?} holds records of an outsider", host.info());
        }
    }
}

#[test]
fn outsiders_learn_nothing_and_nothing_of_theirs_is_stored() {
    let trial = surrounded(Placement::New { count: 6 });
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    assert_eq!(score.violations, 0, "{score:?}");
    check(&world);
    let outsiders = world.hosts().iter().filter(|host| !host.is_honest());
    for node in outsiders.filter_map(|host| host.node()) {
        assert_eq!(node.records().len(), 0, "no member stores anything on an outsider");
    }
}

#[test]
fn ids_ground_to_lie_near_a_key_do_not_help_them() {
    let point = voiddht_wire::Key::from_bytes([7; 32]);
    let trial = surrounded(Placement::Ground { point, count: 6, among: 0 });
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    check(&world);
}

/// Members that are excluded by a rotation of the secret: what they knew stays with them, what is stored
/// later does not reach them.
#[test]
fn excluded_members_are_forgotten_and_values_stay() {
    let trial = Trial { put_first: true, ..surrounded(Placement::Share(0.2)) };
    let (world, score) = trial.play().expect("the settings do not contradict");
    assert_eq!((score.kept, score.right), (score.puts, score.gets), "{score:?}");
    assert_eq!(score.violations, 0, "{score:?}");
    let outsiders: BTreeSet<NodeId> = world.cabal().members().iter().map(|node| node.id).collect();
    for (host, node) in world.honest() {
        let known = node.table().iter().filter(|contact| outsiders.contains(contact.id()));
        assert_eq!(known.count(), 0, "{host:?} keeps an excluded node");
    }
}
