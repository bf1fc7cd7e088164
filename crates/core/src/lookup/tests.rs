//! What a lookup never does, whatever its peers answer: it never asks a node twice, never has
//! more in flight than it may, always ends; and in an honest network it finds the closest.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn node(number: u16) -> NodeInfo {
    let id = Key::of_value(&number.to_be_bytes()).to_bytes();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1024 + number));
    NodeInfo { address: address.into(), id: NodeId::from_bytes(id) }
}

fn nodes(count: u16) -> Vec<NodeInfo> {
    (0..count).map(node).collect()
}

fn closest(of: &[NodeInfo], target: &Key, count: usize) -> Vec<NodeInfo> {
    let mut nodes = of.to_vec();
    nodes.sort_unstable_by_key(|node| target.distance(&node.id));
    nodes.truncate(count);
    nodes
}

fn breadth(want: usize, paths: usize) -> Breadth {
    Breadth { want, alpha: 3, paths, diversity: DiversityLimits::LOOKUP }
}

/// How the peers of a run behave, by their place in a cycle.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Honest,
    Silent,
    SlowThenHonest,
    NamesStrangers,
}

fn run(lookup: &mut Lookup, all: &[NodeInfo], manners: &[Manner]) -> BTreeSet<NodeId> {
    let mut asked = BTreeSet::new();
    let mut waiting: Vec<Ask> = Vec::new();
    let mut invented = 10_000;
    for turn in 0.. {
        while let Some(ask) = lookup.next_ask() {
            assert!(asked.insert(ask.node.id), "a node was asked twice");
            assert!(usize::from(ask.path) < MAX_PATHS);
            waiting.push(ask);
            assert!(lookup.in_flight() <= lookup.parallelism());
        }
        if lookup.is_finished() {
            return asked;
        }
        assert!(!waiting.is_empty(), "not finished, and nothing to wait for");
        assert!(turn < 10_000, "the lookup does not end");
        let ask = waiting.remove(turn % waiting.len());
        let known = closest(all, &lookup.target(), 20);
        match manners[turn % manners.len()] {
            Manner::Honest => {
                lookup.answered(&ask.node.id, &known);
            }
            Manner::Silent => {
                lookup.late(&ask.node.id);
                lookup.failed(&ask.node.id);
            }
            Manner::SlowThenHonest => {
                lookup.late(&ask.node.id);
                assert!(lookup.in_flight() < lookup.parallelism());
                lookup.answered(&ask.node.id, &known);
            }
            Manner::NamesStrangers => {
                let strangers: Vec<_> = (0..20).map(|index| node(invented + index)).collect();
                invented += 20;
                lookup.answered(&ask.node.id, &strangers);
            }
        }
    }
    unreachable!("the loop ends by returning")
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        Just(Manner::Honest),
        Just(Manner::Silent),
        Just(Manner::SlowThenHonest),
        Just(Manner::NamesStrangers),
    ]
}

proptest! {
    #[test]
    fn it_ends_within_its_bounds_whatever_is_answered(
        manners in prop::collection::vec(manner(), 1..12),
        paths in 1usize..=8,
        want in 1usize..=20,
        target in any::<u64>(),
    ) {
        let all = nodes(200);
        let target = Key::of_value(&target.to_be_bytes());
        let seeds = closest(&all[..40], &target, 20);
        let mut lookup = Lookup::new(target, NodeId::default(), breadth(want, paths), &seeds);
        let asked = run(&mut lookup, &all, &manners);
        prop_assert!(asked.len() <= MAX_REQUESTS as usize);
        prop_assert!(lookup.candidates().len() <= MAX_CANDIDATES);
    }

    #[test]
    fn an_honest_network_yields_the_closest(
        paths in 1usize..=8,
        want in 1usize..=20,
        target in any::<u64>(),
    ) {
        let all = nodes(200);
        let target = Key::of_value(&target.to_be_bytes());
        let mut lookup = Lookup::new(target, NodeId::default(), breadth(want, paths), &all[..20]);
        run(&mut lookup, &all, &[Manner::Honest]);
        let found: Vec<_> = lookup.closest_answered(want).collect();
        prop_assert_eq!(found, closest(&all, &target, want));
    }

    #[test]
    fn the_closest_that_answer_are_found_though_others_are_silent(
        silent in 1usize..=4,
        target in any::<u64>(),
    ) {
        let all = nodes(200);
        let target = Key::of_value(&target.to_be_bytes());
        let dead: BTreeSet<_> =
            all.iter().step_by(silent + 1).map(|node| node.id).collect();
        let mut lookup = Lookup::new(target, NodeId::default(), breadth(20, 5), &all[..20]);
        while !lookup.is_finished() {
            let ask = lookup.next_ask().expect("not finished: there is someone to ask");
            if dead.contains(&ask.node.id) {
                lookup.failed(&ask.node.id);
            } else {
                lookup.answered(&ask.node.id, &closest(&all, &target, 60));
            }
        }
        let alive: Vec<_> = all.iter().filter(|node| !dead.contains(&node.id)).copied().collect();
        let found: Vec<_> = lookup.closest_answered(20).collect();
        prop_assert_eq!(found, closest(&alive, &target, 20));
    }
}

#[test]
fn a_node_that_two_paths_name_belongs_to_the_one_that_asks_first() {
    let target = Key::default();
    let all = closest(&nodes(50), &target, 50);
    let (near, seeds) = (all[0], [all[10], all[11]]);
    let mut lookup = Lookup::new(target, NodeId::default(), breadth(4, 2), &seeds);
    let first = lookup.next_ask().unwrap();
    let second = lookup.next_ask().unwrap();
    assert_ne!(first.path, second.path);
    lookup.answered(&first.node.id, &[near]);
    lookup.answered(&second.node.id, &[near]);
    let asks: Vec<_> = std::iter::from_fn(|| lookup.next_ask()).collect();
    assert_eq!(asks.iter().filter(|ask| ask.node == near).count(), 1);
}

#[test]
fn a_path_full_of_strangers_does_not_end_the_others() {
    // Path 0 is answered by a malicious node that names twenty nodes nearer than any honest one,
    // all of them its own. Path 1 still asks its closest.
    let target = Key::default();
    let all = closest(&nodes(400), &target, 400);
    let (ground, honest) = all.split_at(20);
    let seeds = [honest[100], honest[101]];
    let mut lookup = Lookup::new(target, NodeId::default(), breadth(20, 2), &seeds);
    let liar = lookup.next_ask().unwrap();
    lookup.answered(&liar.node.id, ground);
    let mut reached = BTreeSet::new();
    while !lookup.is_finished() {
        let ask = lookup.next_ask().expect("not finished: there is someone to ask");
        let is_ground = ground.contains(&ask.node);
        reached.insert(ask.node.id);
        lookup.answered(&ask.node.id, if is_ground { ground } else { &honest[..20] });
    }
    let honest_reached = honest[..20].iter().filter(|node| reached.contains(&node.id)).count();
    assert!(honest_reached >= 10, "path 1 asked only {honest_reached} of its closest");
}

#[test]
fn own_id_and_addresses_that_cannot_be_dialled_are_never_asked() {
    let own = node(1);
    let nowhere = NodeInfo { address: own.address.with_port(0), id: node(2).id };
    let mut lookup = Lookup::new(Key::default(), own.id, breadth(20, 1), &[own, nowhere]);
    assert_eq!(lookup.next_ask(), None);
    assert!(lookup.is_finished());
}

#[test]
fn an_answer_from_a_node_that_was_not_asked_changes_nothing() {
    let mut lookup = Lookup::new(Key::default(), node(1).id, breadth(20, 1), &[node(2)]);
    assert!(!lookup.answered(&node(2).id, &[node(3)]));
    assert!(!lookup.failed(&node(3).id));
    assert_eq!(lookup.candidates().len(), 1);
}

#[test]
fn one_site_is_not_asked_more_often_than_its_limit() {
    let at = |index: u16, third: u8| {
        let address = SocketAddr::from((Ipv4Addr::new(198, 51, third, index as u8), 7402));
        NodeInfo { address: address.into(), id: node(index).id }
    };
    let alike: Vec<_> = (0..30).map(|index| at(index, 100)).collect();
    let others: Vec<_> = (30..50).map(|index| at(index, index as u8)).collect();
    let seeds = [alike, others.clone()].concat();
    let mut lookup = Lookup::new(Key::default(), NodeId::default(), breadth(20, 5), &seeds);
    let asked = run(&mut lookup, &seeds, &[Manner::Honest]);
    let asked_others = others.iter().filter(|node| asked.contains(&node.id)).count();
    let limit = DiversityLimits::LOOKUP.per_site;
    // Of one organisation's site, and of twenty sites in the same organisation.
    assert!(asked.len() - asked_others <= limit);
    assert!(asked_others > 0);
}

/// One malicious node near the target named twenty nodes that did not exist; all were asked, each
/// cost a timeout, and a GET took forty seconds.
#[test]
fn who_names_what_does_not_answer_is_soon_believed_no_more() {
    let target = Key::default();
    let near = |number: u8| NodeInfo {
        id: NodeId::from_bytes(std::array::from_fn(|place| if place == 8 { number } else { 0 })),
        ..node(u16::from(number))
    };
    let all = nodes(300);
    let seeds = closest(&all, &target, 20);
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &seeds);
    let liar = seeds[3].id;
    let (mut asked, mut in_vain) = (0, 0);
    while !lookup.is_finished() {
        let ask = lookup.next_ask().expect("there is always one to ask, or it is finished");
        asked += 1;
        if ask.node.id == liar {
            lookup.answered(&liar, &(1..=20).map(near).collect::<Vec<_>>());
        } else if lookup.candidate(&ask.node.id).unwrap().named_by == Some(liar) {
            in_vain += 1;
            lookup.late(&ask.node.id);
            lookup.failed(&ask.node.id);
        } else {
            lookup.answered(&ask.node.id, &seeds);
        }
    }
    assert_eq!(in_vain, namers::DOUBT_AFTER);
    assert!(asked <= 20 + in_vain, "{asked}");
    assert!(lookup.closest_answered(20).eq(seeds.iter().copied()));
    assert!(lookup.usable().all(|candidate| candidate.named_by != Some(liar)));
}

/// Where too few answer, doubtful candidates are asked too: after a mass death an
/// honest node has named many dead ones.
#[test]
fn the_doubtful_are_asked_where_too_few_have_answered() {
    let target = Key::default();
    let all = closest(&nodes(40), &target, 21);
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &all[..1]);
    let mut asked = 0;
    while let Some(ask) = lookup.next_ask() {
        asked += 1;
        if ask.node == all[0] {
            lookup.answered(&all[0].id, &all[1..]);
        } else if asked < 10 {
            lookup.failed(&ask.node.id);
        } else {
            lookup.answered(&ask.node.id, &[]);
        }
    }
    assert!(lookup.is_finished());
    assert_eq!(asked, 21);
}

#[test]
fn nodes_behind_one_prefix_are_asked_up_to_the_limit_and_counted_no_further() {
    let target = Key::default();
    let crowd = |number: u8| NodeInfo {
        address: SocketAddr::from(([203, 0, 113, number], 7402)).into(),
        id: NodeId::from_bytes(std::array::from_fn(|place| if place == 8 { number } else { 0 })),
    };
    let mut seeds: Vec<NodeInfo> = (1..=50).map(crowd).collect();
    seeds.extend(closest(&nodes(40), &target, 20));
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &seeds);
    let allowed = crate::diversity::LOOKUP_PER_SITE;
    assert_eq!(lookup.distances().len(), 20 + allowed);
    let mut of_crowd = 0;
    while let Some(ask) = lookup.next_ask() {
        of_crowd +=
            usize::from(ask.node.address.ip() == crowd(ask.node.id.to_bytes()[8]).address.ip());
        lookup.answered(&ask.node.id, &seeds[..20]);
    }
    assert_eq!(of_crowd, allowed);
}

#[test]
fn who_was_silent_a_moment_ago_is_asked_last() {
    let target = Key::default();
    let all = closest(&nodes(40), &target, 30);
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &all);
    all[..5].iter().for_each(|node| lookup.doubt(&node.id));
    assert!(lookup.usable().all(|candidate| !all[..5].contains(&candidate.node)));
    assert_eq!(lookup.doubtful().count(), 5);
    while let Some(ask) = lookup.next_ask() {
        assert!(!all[..5].contains(&ask.node));
        lookup.answered(&ask.node.id, &all);
    }
    assert!(lookup.is_finished());
    // Where it is one of few, it is asked all the same.
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &all[..2]);
    lookup.doubt(&all[0].id);
    assert_eq!(lookup.next_ask().unwrap().node, all[1]);
    assert_eq!(lookup.next_ask(), None);
    lookup.answered(&all[1].id, &[]);
    assert_eq!(lookup.next_ask().unwrap().node, all[0]);
    assert!(!lookup.is_finished());
    assert!(!lookup.is_settled(), "it is in time yet");
    lookup.late(&all[0].id);
    assert!(lookup.is_settled());
}

#[test]
fn a_path_on_which_some_were_late_asks_more_at_once() {
    let target = Key::default();
    let all = closest(&nodes(40), &target, 30);
    let mut lookup =
        Lookup::new(target, node(9_999).id, Breadth { alpha: 1, ..breadth(20, 1) }, &all);
    let mut ask_all = || {
        let asks: Vec<_> = std::iter::from_fn(|| lookup.next_ask()).collect();
        asks.iter().for_each(|ask| lookup.late(&ask.node.id));
        (asks.len(), lookup.late_ones())
    };
    assert_eq!(ask_all(), (1, 1));
    assert_eq!(ask_all(), (2, 3));
    assert_eq!(ask_all(), (1 + usize::from(MAX_EXTRA), 6));
    assert_eq!(ask_all(), (1 + usize::from(MAX_EXTRA), 9));
}

#[test]
fn a_slow_node_lets_its_path_ask_one_more_and_is_still_waited_for() {
    let target = Key::default();
    let all = closest(&nodes(40), &target, 4);
    let mut lookup =
        Lookup::new(target, node(9_999).id, Breadth { alpha: 1, ..breadth(4, 1) }, &all);
    let first = lookup.next_ask().unwrap().node;
    assert_eq!((lookup.next_ask(), lookup.in_time(), lookup.busy_paths()), (None, 1, 1));
    lookup.slow(&first.id);
    lookup.slow(&first.id);
    assert_eq!((lookup.in_flight(), lookup.in_time(), lookup.busy_paths()), (1, 0, 0));
    let second = lookup.next_ask().unwrap().node;
    assert_eq!(lookup.next_ask(), None, "to be slow counts once");
    assert_eq!((lookup.in_flight(), lookup.in_time()), (2, 1));
    for node in [second, all[2], all[3]] {
        assert!(!lookup.is_settled());
        lookup.answered(&node.id, &[]);
        lookup.next_ask();
    }
    assert!(!lookup.is_settled(), "the first is in time yet");
    lookup.late(&first.id);
    assert!(lookup.is_settled() && !lookup.is_finished());
    assert_eq!((lookup.in_flight(), lookup.in_time(), lookup.late_ones()), (0, 0, 1));
    lookup.answered(&first.id, &[]);
    assert!(lookup.is_finished());
}

#[test]
fn what_slow_nodes_earn_a_path_is_bounded_and_being_late_earns_nothing_more() {
    let target = Key::default();
    let all = closest(&nodes(40), &target, 30);
    let mut lookup =
        Lookup::new(target, node(9_999).id, Breadth { alpha: 1, ..breadth(20, 1) }, &all);
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.extend(std::iter::from_fn(|| lookup.next_ask()));
        asked.iter().for_each(|ask| lookup.slow(&ask.node.id));
    }
    assert_eq!(asked.len(), 1 + usize::from(MAX_EXTRA_SLOW));
    asked.iter().for_each(|ask| lookup.late(&ask.node.id));
    let next = std::iter::from_fn(|| lookup.next_ask()).count();
    assert_eq!(next, 1 + usize::from(MAX_EXTRA_SLOW));
}

/// A node close to the default key.
fn near(number: u8) -> NodeInfo {
    let id = NodeId::from_bytes(std::array::from_fn(|place| if place == 8 { number } else { 0 }));
    NodeInfo { id, ..node(u16::from(number)) }
}

/// Malicious nodes that confirmed each other's invented contacts were believed for ever.
#[test]
fn peers_that_confirm_each_others_inventions_lose_influence_together() {
    let target = Key::default();
    let seeds = closest(&nodes(300), &target, 20);
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(20, 5), &seeds);
    let invented: Vec<_> = (1..=20).map(near).collect();
    let (mut in_vain, mut pending) = (0, Vec::new());
    while !lookup.is_finished() {
        pending.extend(std::iter::from_fn(|| lookup.next_ask()));
        // Nodes that exist answer before another is overdue.
        let (vain, real): (Vec<Ask>, Vec<Ask>) =
            pending.drain(..).partition(|ask| invented.contains(&ask.node));
        for ask in real {
            let colludes = seeds[..4].contains(&ask.node);
            lookup.answered(&ask.node.id, if colludes { &invented } else { &seeds });
        }
        in_vain += vain.len();
        for ask in vain {
            lookup.late(&ask.node.id);
            lookup.failed(&ask.node.id);
        }
    }
    assert!(in_vain <= 6, "{in_vain}: as many as are in flight at once, and one more");
    assert!(lookup.closest_answered(20).eq(seeds.iter().copied()));
}

/// The first address that was named for a node was the only one at which it was asked.
#[test]
fn a_node_is_asked_at_the_address_that_most_name_and_then_at_the_next() {
    let target = Key::default();
    let seeds = closest(&nodes(100), &target, 5);
    let at = |port: u16| NodeInfo {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(),
        ..near(1)
    };
    let (wrong, right) = (at(6_666), at(7_402));
    let named = |by: &[NodeInfo]| {
        let mut lookup = Lookup::new(target, node(9_999).id, breadth(5, 5), &seeds);
        let asks: Vec<_> = std::iter::from_fn(|| lookup.next_ask()).collect();
        for (ask, node) in asks.iter().zip(by) {
            lookup.answered(&ask.node.id, &[*node]);
        }
        lookup
    };
    let mut lookup = named(&[wrong, right, right]);
    assert_eq!(lookup.next_ask().map(|ask| ask.node), Some(right));
    // Where most are wrong, the others are tried after them, and then it has failed.
    let mut lookup = named(&[wrong, wrong, right]);
    assert_eq!(lookup.next_ask().map(|ask| ask.node), Some(wrong));
    lookup.late(&wrong.id);
    assert!(lookup.failed(&wrong.id));
    assert_eq!(lookup.next_ask().map(|ask| ask.node), Some(right));
    assert!(lookup.failed(&right.id));
    assert_eq!(lookup.next_ask(), None);
    // A contact of this node is asked where this node knows it.
    let mut lookup = Lookup::new(target, node(9_999).id, breadth(5, 5), &[right, seeds[0]]);
    let ask = std::iter::from_fn(|| lookup.next_ask()).find(|ask| ask.node.id == seeds[0].id);
    let namer = ask.expect("it is asked").node.id;
    lookup.answered(&namer, &[wrong]);
    assert_eq!(lookup.candidate(&right.id).map(|it| it.node), Some(right));
}
