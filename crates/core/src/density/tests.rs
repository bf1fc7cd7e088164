//! The estimate beside networks whose size is known, and how often the test for density is wrong.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use voiddht_wire::{Key, NodeId};

use super::crowds::Strictness;
use super::*;
use crate::vote::FULL_WEIGHT;

const K: usize = 20;

/// The distance that is this share of the space.
fn distance(fraction: f64) -> Distance {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&((fraction * 2f64.powi(64)) as u64).to_be_bytes());
    Key::default().distance(&NodeId::from_bytes(bytes))
}

/// Distances from a point to the `count` closest of `nodes` evenly spread ones.
fn neighbourhood(nodes: f64, count: usize, random: &mut impl Rng) -> Vec<Distance> {
    let mut sum = 0.0;
    let gaps = std::iter::repeat_with(|| -random.random::<f64>().max(1e-300).ln() / nodes);
    gaps.map(|gap| {
        sum += gap;
        distance(sum)
    })
    .take(count)
    .collect()
}

/// The same, with ground IDs evenly spread between the point and the `within`-th honest node.
fn with_sybils(sybils: usize, within: usize, nodes: f64, random: &mut impl Rng) -> Vec<Distance> {
    let mut found = neighbourhood(nodes, K.max(within), random);
    let reach = found[within - 1].as_fraction();
    found.extend((0..sybils).map(|_| distance(reach * random.random::<f64>())));
    found.sort();
    found.truncate(K);
    found
}

fn observed(nodes: f64, count: usize, random: &mut impl Rng) -> SizeEstimate {
    let mut size = NetworkSize::default();
    for _ in 0..count {
        assert!(size.observe(&neighbourhood(nodes, K, random)));
    }
    size.estimate().expect("something was observed")
}

/// Estimates, each from as many neighbourhoods: drawing them takes longest, so that runs share them.
fn estimates(nodes: f64, neighbourhoods: usize) -> impl Iterator<Item = SizeEstimate> {
    const DRAWN: usize = 150;
    let mut random = ChaCha8Rng::seed_from_u64(nodes as u64);
    let drawn: Vec<_> = (0..DRAWN).map(|_| observed(nodes, neighbourhoods, &mut random)).collect();
    (0..).map(move |turn| drawn[turn % DRAWN])
}

/// Runs of each experiment: enough to know a share of 4 % to half a percent.
const RUNS: usize = 1_500;

/// The share of runs in which `event` happens.
fn share(seed: u64, mut event: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..RUNS).filter(|_| event(&mut random)).count() as f64 / RUNS as f64
}

/// Distances from a point to the closest of so few nodes that all of them are drawn.
fn small_network(nodes: usize, random: &mut impl Rng) -> Vec<Distance> {
    let mut all: Vec<_> = (0..nodes).map(|_| distance(random.random())).collect();
    all.sort();
    all.truncate(K);
    all
}

#[test]
fn the_estimate_is_too_high_as_often_as_too_low_and_wrong_by_what_it_says() {
    const NODES: f64 = 10_000.0;
    for (neighbourhoods, error) in [(1, 0.22), (16, 0.07)] {
        let (mut squares, mut claimed) = (0.0, 0.0);
        let too_high = share(1, |random| {
            let estimate = observed(NODES, neighbourhoods, random);
            // In logarithms, in which twice and half are equally wrong.
            squares += (estimate.nodes() / NODES).ln().powi(2) / RUNS as f64;
            claimed = estimate.relative_error();
            estimate.nodes() > NODES
        });
        assert!((0.46..0.54).contains(&too_high), "too high in {too_high} of all cases");
        assert!((claimed - error).abs() < 0.01, "claims an error of {claimed}");
        let measured = squares.sqrt();
        assert!((measured / claimed - 1.0).abs() < 0.15, "{measured} measured, {claimed} claimed");
    }
}

#[test]
fn attackers_in_less_than_half_of_the_neighbourhoods_cannot_move_the_estimate_far() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut size = NetworkSize::default();
    for turn in 0..NEIGHBOURHOODS {
        let nodes = if turn % 16 < 7 { 1e9 } else { 1e4 };
        size.observe(&neighbourhood(nodes, K, &mut random));
    }
    let nodes = size.estimate().unwrap().nodes();
    assert!((0.5e4..2e4).contains(&nodes), "{nodes}");
}

#[test]
fn old_neighbourhoods_are_forgotten() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut size = NetworkSize::default();
    for nodes in [1e3, 1e6] {
        for _ in 0..NEIGHBOURHOODS {
            size.observe(&neighbourhood(nodes, K, &mut random));
        }
    }
    assert_eq!(size.neighbourhoods.len(), NEIGHBOURHOODS);
    assert!(size.estimate().unwrap().nodes() > 5e5);
}

#[test]
fn too_few_neighbours_say_nothing() {
    let mut size = NetworkSize::default();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    assert!(!size.observe(&[]));
    assert!(!size.observe(&neighbourhood(1e4, MIN_NEIGHBOURS - 1, &mut random)));
    assert!(!size.observe(&[Distance::default(); K]));
    assert_eq!(size.estimate(), None);
}

#[test]
fn four_honest_neighbourhoods_in_a_hundred_are_taken_for_too_dense() {
    // 30 000 runs give 0.036 with one neighbourhood and 0.038 with sixteen.
    for neighbourhoods in [1, 16] {
        let mut estimates = estimates(1e4, neighbourhoods);
        let alarms = share(5, |random| {
            let estimate = estimates.next().unwrap();
            estimate.is_too_dense(&neighbourhood(1e4, K, random))
        });
        assert!((0.025..0.05).contains(&alarms), "{alarms} with {neighbourhoods}");
    }
}

#[test]
fn honest_neighbourhoods_of_small_networks_raise_no_more_alarms() {
    for nodes in [MIN_NEIGHBOURS, K, 2 * K] {
        let alarms = share(6, |random| {
            let mut size = NetworkSize::default();
            for _ in 0..4 {
                size.observe(&small_network(nodes, random));
            }
            size.estimate().unwrap().is_too_dense(&small_network(nodes, random))
        });
        assert!(alarms < 0.05, "{alarms} of {nodes} nodes");
    }
}

#[test]
fn ground_ids_are_noticed_the_more_surely_the_more_and_the_closer_they_are() {
    for (sybils, within, least) in [(20, 10, 0.92), (10, 5, 0.85), (5, 1, 0.8), (40, 20, 0.93)] {
        let mut estimates = estimates(1e4, NEIGHBOURHOODS);
        let noticed = share(7, |random| {
            let estimate = estimates.next().unwrap();
            estimate.is_too_dense(&with_sybils(sybils, within, 1e4, random))
        });
        assert!(noticed > least, "{sybils} within {within}: {noticed}");
    }
}

#[test]
fn the_excess_is_about_the_number_of_ground_ids() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let estimate = observed(1e4, NEIGHBOURHOODS, &mut random);
    let mut excess = 0;
    for _ in 0..RUNS {
        // Ten ground IDs before every honest one.
        let mut found = vec![distance(1e-9); 10];
        found.extend(neighbourhood(1e4, K - 10, &mut random));
        excess += estimate.excess(&found);
        assert!(estimate.excess(&found) >= 10);
    }
    let mean = excess as f64 / RUNS as f64;
    assert!((10.0..14.0).contains(&mean), "{mean}");
    // Only ground IDs, at distance zero even: all of them are too many.
    assert_eq!(estimate.excess(&[Distance::default(); K]), K);
    assert_eq!(estimate.excess(&[]), 0);
}

/// Nodes that were the first of a network of 64 took every neighbourhood for dense, long after, and
/// a GET of theirs asked 50 nodes.
#[test]
fn who_knows_many_nodes_does_not_believe_that_there_are_few() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let young = observed(8.0, NEIGHBOURHOODS, &mut random);
    let accused = |size: SizeEstimate, random: &mut ChaCha8Rng| {
        (0..500).filter(|_| size.is_too_dense(&neighbourhood(64.0, K, random))).count()
    };
    assert!(accused(young, &mut random) > 400);
    assert!(accused(young.at_least(64), &mut random) < 50);
    let large = observed(10_000.0, NEIGHBOURHOODS, &mut random);
    assert_eq!(large.at_least(300).nodes(), large.nodes());
}

/// Distances, evenly spread from one to the other.
fn spread(from: f64, to: f64, count: usize) -> impl Iterator<Item = Distance> {
    (0..count).map(move |index| distance(from + (to - from) * index as f64 / count as f64))
}

/// One window from the key to the far end of the second crowd was the most improbable: all in it had the same
/// weight, and the forgers most votes.
#[test]
fn two_crowds_are_not_taken_for_one_with_all_that_lie_between_them() {
    let size = NetworkSize::evenly_spread(100);
    let (near, between): (Vec<_>, Vec<_>) =
        (spread(0.001, 0.005, 10).collect(), spread(0.02, 0.1, 8).collect());
    let far: Vec<_> = spread(0.11, 0.114, 10).collect();
    let all: Vec<_> = [&near[..], &between, &far].concat();
    let crowds = size.crowds(&all, Strictness::SUSPICIOUS);
    let weight = |nodes: &[Distance]| nodes.iter().map(|node| crowds.weight(node)).sum::<u32>();
    assert_eq!(weight(&between), 8 * FULL_WEIGHT);
    assert!(weight(&near) <= FULL_WEIGHT && weight(&far) <= 2 * FULL_WEIGHT, "{crowds:?}");
    assert!(crowds.shared_bits().is_some_and(|bits| bits >= 7));
    // The first node of the far crowd is where it begins.
    let crowded = near.len() + far.len() - 1;
    assert_eq!(size.excess(&all), crowded, "as many more must be looked for");
}

#[test]
fn honest_nodes_keep_most_of_their_votes_in_an_election() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut estimates = estimates(1e4, NEIGHBOURHOODS);
    let mut weight = 0;
    for _ in 0..RUNS {
        let nodes = neighbourhood(1e4, K, &mut random);
        let crowds = estimates.next().unwrap().crowds(&nodes, Strictness::SUSPICIOUS);
        weight += nodes.iter().map(|node| crowds.weight(node)).sum::<u32>() / FULL_WEIGHT;
    }
    let mean = f64::from(weight) / RUNS as f64;
    assert!((18.5..19.5).contains(&mean), "{mean} of {K}");
}

/// IDs ground to lie closer to each of two keys than any honest node, in a network so small that both sets
/// often lie around both: the votes of the honest nodes that hold the value beside theirs.
#[test]
fn ground_ids_have_fewer_votes_than_the_replicas() {
    const HONEST: usize = 100;
    for count in [5, 10, 20] {
        let lost = share(10 + count as u64, |random| {
            let honest: Vec<u64> = (0..HONEST).map(|_| random.random()).collect();
            let keys: [u64; 2] = random.random();
            let mut all: Vec<(u64, bool)> = honest.iter().map(|id| (id ^ keys[0], true)).collect();
            for key in keys {
                let closest = honest.iter().map(|id| id ^ key).min().unwrap();
                let bits = u64::MAX >> (closest.leading_zeros() + 1);
                let ground = (0..count).map(|_| (key & !bits) | (random.random::<u64>() & bits));
                all.extend(ground.map(|id| (id ^ keys[0], false)));
            }
            all.sort_unstable();
            let at: Vec<_> =
                all.iter().map(|(id, _)| distance(*id as f64 / 2f64.powi(64))).collect();
            // As lookups give it: one standard deviation of 7 %.
            let error = 0.07 * (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 0.42;
            let nodes = all.len() as f64 * error.exp();
            let size = SizeEstimate { nodes, stands_on: 200.0 };
            let want = K + size.excess_at(&at, Strictness::SUSPICIOUS.significance);
            let crowds = size.crowds(&at, Strictness::SUSPICIOUS);
            let (mut holders, mut honest, mut ground) = (0, 0, 0);
            for (node, (_, is_honest)) in at.iter().zip(&all).take(want) {
                if !is_honest {
                    ground += crowds.weight(node);
                } else if holders < K {
                    (holders, honest) = (holders + 1, honest + crowds.weight(node));
                }
            }
            honest <= ground
        });
        assert!(lost < 0.0015, "{lost} of the elections with {count} ground IDs are lost");
    }
}

/// Estimates of a small network are of the same few nodes each time, and differ by more than chance says.
#[test]
fn nodes_that_know_all_others_judge_alike() {
    for estimated in [8, 27, 36, 47, 54] {
        assert_eq!(NetworkSize::evenly_spread(estimated).counted(36).nodes(), 36.0);
    }
    for estimated in [55, 2_000] {
        let size = NetworkSize::evenly_spread(estimated);
        assert_eq!(size.counted(36).nodes(), estimated as f64, "many nodes were never met");
    }
    let larger = NetworkSize::evenly_spread(120);
    assert_eq!(larger.counted(COUNTED_UP_TO).nodes(), 100.0);
    assert_eq!(larger.counted(COUNTED_UP_TO + 1).nodes(), 120.0, "a newcomer does not know all");
    assert_eq!(larger.counted(130).nodes(), 130.0, "no fewer than are known");
}
