use bytes::Bytes;
use voiddht_signed::Precedence;

use super::*;
use crate::diversity::DiversityLimits;
use crate::lookup::Breadth;
use crate::time::WallTime;

const QUORUM: usize = 3;

fn node(number: u8) -> NodeInfo {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(number)));
    NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
}

fn own() -> NodeId {
    NodeId::from_bytes([0xff; 32])
}

fn get(key: Key, nodes: u8, floor: Option<Published>) -> Get {
    let seeds: Vec<NodeInfo> = (1..=nodes).map(node).collect();
    let breadth = Breadth { want: 20, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let search = Lookup::new(key, own(), breadth, &seeds);
    Get::new(own(), search, policy(breadth, QUORUM), floor, None)
}

fn policy(breadth: Breadth, quorum: usize) -> ReadPolicy {
    ReadPolicy {
        mode: ReadMode::default(),
        began: WallTime::default(),
        quorum,
        breadth,
        size: None,
        salt: 0,
    }
}

fn value(text: &'static str, version: u64) -> Answer {
    Answer::Value(Record {
        key: Key::default(),
        value: Bytes::from_static(text.as_bytes()),
        ttl: 60,
        version: Some(version),
        maintenance: false,
    })
}

fn record_of(answer: Answer) -> Record {
    let Answer::Value(record) = answer else { panic!("no value: {answer:?}") };
    record
}

/// What a node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    Neighbours,
    Vote,
}

fn asked_for(get: &mut Get) -> Vec<(u8, For)> {
    let mut asked = Vec::new();
    loop {
        match get.next_step() {
            Next::Ask { node, body, .. } => {
                let what = match body {
                    Body::FindNode { .. } => For::Neighbours,
                    _ => For::Vote,
                };
                asked.push((node.id.to_bytes()[0], what));
            }
            Next::MoreContacts(_) => get.add_contacts(&[]),
            _ => break,
        }
    }
    asked.sort_unstable();
    asked
}

fn asked(get: &mut Get) -> Vec<u8> {
    asked_for(get).into_iter().map(|(number, _)| number).collect()
}

/// Lets an election take place in which every node names none, and votes so.
fn hold_election(get: &mut Get, vote: impl Fn(u8) -> Answer) -> Vec<u8> {
    let mut voters = Vec::new();
    for _ in 0..20 {
        for (number, what) in asked_for(get) {
            let answer = match what {
                For::Neighbours => Answer::Nodes(Vec::new()),
                For::Vote => {
                    voters.push(number);
                    vote(number)
                }
            };
            get.handle_answer(&node(number).id, answer);
        }
    }
    voters.sort_unstable();
    voters
}

fn is_done(get: &mut Get) -> bool {
    matches!(get.next_step(), Next::Done)
}

fn found(get: &Get) -> String {
    String::from_utf8(get.found().bytes().expect("a value was found").to_vec()).unwrap()
}

#[test]
fn a_quorum_without_dissent_is_enough_and_nobody_else_is_asked() {
    let mut get = get(Key::default(), 10, None);
    assert_eq!(asked(&mut get), [1, 2, 3]);
    get.handle_answer(&node(1).id, value("a", 1));
    get.handle_answer(&node(2).id, value("a", 1));
    assert_eq!(asked(&mut get), [] as [u8; 0], "the third may still complete it");
    get.handle_answer(&node(3).id, value("a", 1));
    assert!(is_done(&mut get));
    assert_eq!((get.found().agreeing, found(&get)), (3, "a".into()));
}

#[test]
fn a_node_that_has_no_value_or_is_late_is_made_up_for() {
    let mut get = get(Key::default(), 10, None);
    asked(&mut get);
    get.handle_answer(&node(1).id, Answer::Nodes(Vec::new()));
    assert_eq!(asked(&mut get).len(), 1);
    get.handle_late(&node(2).id);
    assert_eq!(asked(&mut get).len(), 2, "silence comes in crowds: one to spare");
}

/// Where a path had met none but unresponsive nodes, a GET waited for them until they had failed,
/// in spite of all the others.
#[test]
fn the_late_are_not_waited_for_once_they_could_not_outvote_the_others() {
    let mut get = get(Key::default(), 4, None);
    assert_eq!(asked(&mut get), [1, 2, 3]);
    get.handle_late(&node(3).id);
    get.handle_answer(&node(1).id, value("a", 1));
    assert_eq!(asked(&mut get), [4]);
    get.handle_late(&node(2).id);
    assert!(!is_done(&mut get), "two might agree against one");
    get.handle_answer(&node(4).id, value("a", 1));
    assert!(!is_done(&mut get), "or two against two");
    get.handle_answer(&node(2).id, value("a", 1));
    assert!(is_done(&mut get));
    assert_eq!((found(&get), get.found().agreeing), ("a".into(), 3));
}

/// Half of the replicas had frozen, and by chance all of one path: a GET waited for one of them to fail.
#[test]
fn twice_a_quorum_needs_no_vote_of_a_path_whose_nodes_are_all_late() {
    let mut get = get(Key::default(), 12, None);
    let mut votes = 0;
    for _ in 0..12 {
        for number in asked(&mut get) {
            // Every third is on the third path.
            if number % 3 == 0 || number > 9 {
                get.handle_late(&node(number).id);
            } else {
                get.handle_answer(&node(number).id, value("a", 1));
                votes += 1;
            }
        }
    }
    assert_eq!(votes, 2 * QUORUM, "against as many that are late");
    assert!(is_done(&mut get));
}

/// With dissent, a GET waited for each node that did not respond until its request had failed.
#[test]
fn an_election_does_not_wait_for_the_late_once_they_could_not_turn_it() {
    let mut get = get(Key::default(), 7, None);
    asked(&mut get);
    get.handle_answer(&node(1).id, value("lie", 9));
    get.handle_answer(&node(2).id, value("true", 1));
    get.handle_late(&node(3).id);
    // All are found; 3 is overdue again, and 4 with its vote.
    let mut polled = Vec::new();
    for _ in 0..20 {
        for (number, what) in asked_for(&mut get) {
            match what {
                For::Neighbours if number == 3 => get.handle_late(&node(3).id),
                For::Neighbours => get.handle_answer(&node(number).id, Answer::Nodes(Vec::new())),
                For::Vote => polled.push(number),
            }
        }
    }
    polled.sort_unstable();
    assert_eq!(polled, [4, 5, 6, 7], "3 was asked for its vote by the search");
    get.handle_late(&node(4).id);
    get.handle_answer(&node(5).id, value("true", 1));
    get.handle_answer(&node(6).id, value("true", 1));
    assert!(!is_done(&mut get));
    get.handle_answer(&node(7).id, value("lie", 9));
    assert!(!is_done(&mut get), "two that are overdue could make four of the two that lie");
    get.handle_answer(&node(3).id, value("true", 1));
    assert!(is_done(&mut get), "one could not make up for two");
    assert_eq!((found(&get), get.found().agreeing), ("true".into(), 4));
}

#[test]
fn who_is_late_may_still_dissent_while_it_could_matter() {
    let mut get = get(Key::default(), 2, None);
    assert_eq!(asked(&mut get), [1, 2]);
    get.handle_late(&node(2).id);
    get.handle_answer(&node(1).id, value("a", 1));
    assert!(!is_done(&mut get));
}

#[test]
fn dissent_asks_the_whole_neighbourhood_and_most_votes_win() {
    let mut get = get(Key::default(), 7, None);
    asked(&mut get);
    get.handle_answer(&node(1).id, value("lie", 9));
    get.handle_answer(&node(2).id, value("true", 1));
    get.handle_answer(&node(3).id, value("lie", 1));
    // Those that gave values named no neighbours: they are asked for them now.
    let voters = hold_election(&mut get, |_| value("true", 1));
    assert!(is_done(&mut get));
    assert_eq!(voters, [4, 5, 6, 7], "no node votes twice");
    assert_eq!((found(&get), get.found().dissenting), ("true".into(), 2));
    // A later version may be an update that is in progress; the same one is not another value's.
    assert_eq!(get.liars(), [node(3).id]);
}

#[test]
fn fewer_than_the_quorum_decide_among_themselves() {
    let mut get = get(Key::default(), 2, None);
    assert_eq!(asked(&mut get), [1, 2]);
    get.handle_answer(&node(1).id, value("a", 1));
    assert!(!is_done(&mut get));
    get.handle_answer(&node(2).id, Answer::Failed);
    assert!(is_done(&mut get));
    assert_eq!(found(&get), "a");
}

#[test]
fn a_value_that_proves_itself_needs_no_vote() {
    let mut get = get(Key::of_value(b"proof"), 10, None);
    asked(&mut get);
    get.handle_answer(&node(1).id, value("lie", 9));
    get.handle_answer(&node(2).id, value("proof", 1));
    assert!(is_done(&mut get));
    assert_eq!(found(&get), "proof");
}

#[test]
fn votes_for_less_than_this_node_published_do_not_count() {
    let floor =
        Published { value: VerifiedValue::of_class("mine".into(), Class::Plain), version: 5 };
    let mut get = get(Key::default(), 3, Some(floor.clone()));
    asked(&mut get);
    for number in 1..=3 {
        get.handle_answer(&node(number).id, value("old", 4));
    }
    assert!(is_done(&mut get));
    assert_eq!(found(&get), "mine");

    let mut get = self::get(Key::default(), 3, Some(floor));
    asked(&mut get);
    for number in 1..=3 {
        get.handle_answer(&node(number).id, value("newer", 6));
    }
    assert!(is_done(&mut get));
    assert_eq!(found(&get), "newer");
}

/// Every node on the way said that it had the value, and five of them made an end, before the
/// first of those that should have it was queried: no node on the path could contradict them.
#[test]
fn liars_on_the_way_end_no_search() {
    let far = |number: u8| node(0x80 + number);
    let seeds: Vec<NodeInfo> = (1..=6).map(far).collect();
    let breadth = Breadth { want: 4, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, policy(breadth, QUORUM), None, None);
    assert_eq!(asked(&mut get), [0x81, 0x82, 0x83]);
    get.handle_answer(&far(1).id, Answer::Nodes((1..=4).map(node).collect()));
    get.handle_answer(&far(2).id, value("lie", 9));
    get.handle_answer(&far(3).id, value("lie", 9));
    hold_election(&mut get, |number| value(if number >= 0x80 { "lie" } else { "true" }, 1));
    assert!(is_done(&mut get));
    assert_eq!((found(&get), get.found().agreeing), ("true".into(), 4));
}

/// An election asked five nodes for their neighbours, and ten for their votes, at a time: with thirty-five
/// nodes around a key it took seven round trips.
#[test]
fn an_election_asks_a_whole_replica_set_in_parallel() {
    let mut get = get(Key::default(), 20, None);
    let first = asked(&mut get);
    get.handle_answer(&node(first[0]).id, value("one", 1));
    get.handle_answer(&node(first[1]).id, value("another", 1));
    let in_flight = asked_for(&mut get);
    let neighbours = in_flight.iter().filter(|(_, what)| *what == For::Neighbours).count();
    assert_eq!(neighbours, 20, "{in_flight:?}");
    // Two have voted, and one is being asked since the search.
    assert_eq!(in_flight.len() - neighbours, 17, "{in_flight:?}");
}

/// A malicious node on one path named its accomplices, each voted, and together they were a quorum.
#[test]
fn one_path_brings_one_early_vote() {
    let seeds: Vec<NodeInfo> = [0x10, 0x11, 0x12].map(node).to_vec();
    let breadth = Breadth { want: 20, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, policy(breadth, QUORUM), None, None);
    assert_eq!(asked(&mut get), [0x10, 0x11, 0x12]);
    get.handle_answer(&node(0x10).id, Answer::Nodes((1..=9).map(node).collect()));
    for _ in 0..9 {
        for number in asked(&mut get) {
            assert!(number < 0x10, "the other two are late and asked already");
            get.handle_answer(&node(number).id, value("lie", 9));
        }
    }
    assert!(!is_done(&mut get), "nine votes of one path");
    get.handle_answer(&node(0x11).id, value("lie", 9));
    assert!(!is_done(&mut get));
    get.handle_answer(&node(0x12).id, value("lie", 9));
    assert!(is_done(&mut get), "three paths agree");
}

/// A dense crowd of malicious nodes a little farther away than the true k closest outvoted them.
#[test]
fn far_liars_do_not_outvote_the_closest() {
    let liars: Vec<NodeInfo> = (0x20..0x30).map(node).collect();
    let seeds: Vec<NodeInfo> = (1..=4).map(node).chain(liars).collect();
    let breadth = Breadth { want: 4, alpha: 3, paths: 2, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, policy(breadth, 4), None, None);
    for liar in 0x20..0x30 {
        get.count(node(liar).id, record_of(value("lie", 9)));
    }
    hold_election(&mut get, |_| value("true", 1));
    assert!(is_done(&mut get));
    assert_eq!(found(&get), "true");
}

#[test]
fn without_any_value_the_answer_is_that_there_is_none() {
    let mut get = get(Key::default(), 2, None);
    for number in asked(&mut get) {
        get.handle_answer(&node(number).id, Answer::Nodes(Vec::new()));
    }
    assert!(is_done(&mut get));
    assert_eq!(get.found(), Found::default());
}

/// A node at this distance from the key, and what it returns for it.
type Holder = (f64, Option<&'static str>);

/// What a GET finds that starts with the 20 closest nodes and three that it knows, and may ask others that it
/// knows. Each names the 20 closest to what it is asked for.
fn found_among(known: &[Holder], unknown: &[Holder]) -> Found {
    let nodes = [known, unknown].concat();
    let infos: Vec<NodeInfo> = nodes.iter().map(|(fraction, _)| at(*fraction)).collect();
    let contacts = &infos[..known.len()];
    let closest = |key: Key, of: &[NodeInfo], count: usize| {
        let mut all = of.to_vec();
        all.sort_unstable_by_key(|node| key.distance(&node.id));
        all.truncate(count);
        all
    };
    let vote =
        |id: &NodeId| infos.iter().position(|node| node.id == *id).and_then(|it| nodes[it].1);
    let size = crate::density::NetworkSize::evenly_spread(known.len());
    let breadth = Breadth { want: 20, alpha: 5, paths: 5, diversity: DiversityLimits::NONE };
    let policy = ReadPolicy { size: Some(size), ..policy(breadth, 5) };
    let key = Key::default();
    let seeds = [closest(key, &infos, 20), closest(key, contacts, 3)].concat();
    let search = Lookup::new(key, own(), breadth, &seeds);
    let mut get = Get::new(own(), search, policy, None, None);
    let mut waiting = std::collections::VecDeque::new();
    loop {
        match get.next_step() {
            Next::Ask { node, body, .. } => waiting.push_back((node.id, body)),
            Next::MoreContacts(count) => {
                assert!(count >= 80, "crowds hide the honest nodes behind them");
                get.add_contacts(&closest(key, contacts, count));
            }
            Next::Done => break,
            _ => {
                let (id, body) = waiting.pop_front().expect("it waits for an answer");
                let answer = match (body, vote(&id)) {
                    (Body::FindValue { .. }, Some(vote)) => value(vote, u64::from(vote != "true")),
                    (Body::FindNode { target }, _) => Answer::Nodes(closest(target, &infos, 20)),
                    _ => Answer::Nodes(closest(key, &infos, 20)),
                };
                get.handle_answer(&id, answer);
            }
        }
    }
    let found = get.found();
    for id in get.agreeing(&found) {
        assert_eq!(vote(&id).map(str::as_bytes), found.bytes().map(|value| &value[..]));
    }
    found
}

/// Evenly spread nodes, of which the 20 closest hold the value.
fn honest(nodes: u16) -> Vec<Holder> {
    let value = |number| (number <= 20).then_some("true");
    (1..=nodes).map(|number| (f64::from(number) / f64::from(nodes), value(number))).collect()
}

/// So many ground IDs that forge the value, from this distance on.
fn forgers(count: u16, from: f64) -> impl Iterator<Item = Holder> {
    (1..=count).map(move |number| (from + f64::from(number) / 20_000.0, Some("forged")))
}

/// Twenty ground IDs lay closer to a key than any honest node, all told the same, and were the five
/// that a GET asked first, or outvoted the honest nodes.
#[test]
fn ground_ids_have_the_votes_of_the_nodes_that_should_be_there() {
    let found = found_among(&honest(100), &forgers(20, 0.0).collect::<Vec<_>>());
    assert_eq!(found.bytes().map(|value| &value[..]), Some("true".as_bytes()));
    assert_eq!((found.agreeing, found.dissenting), (20, 20), "as many, and they count less");
}

/// Where keys lie close to each other, the ground IDs of all were more than the 80 nodes that an election
/// heard, and honest holders beyond them that had voted already did not count.
#[test]
fn an_election_counts_crowds_as_nodes_that_should_be_there_however_many_they_are() {
    let crowds = [0.0, 0.004, 0.008].into_iter().flat_map(|from| forgers(60, from));
    let found = found_among(&honest(400), &crowds.collect::<Vec<_>>());
    assert_eq!(found.bytes().map(|value| &value[..]), Some("true".as_bytes()), "{found:?}");
    assert!(found.dissenting > 5 * found.agreeing, "{found:?}");
}

/// Honest holders that lie together by chance have fewer votes, and as many more nodes are heard. These hold
/// nothing, so that two forgers among them decided.
#[test]
fn nodes_beyond_the_replicas_do_not_decide_where_most_of_them_hold_nothing() {
    let holders = [0.0512, 0.0531, 0.0559, 0.0561, 0.0672, 0.0692, 0.0755, 0.0788, 0.0876, 0.1032];
    let forgers = [0.0467, 0.0764, 0.0903, 0.0907, 0.1095, 0.3267, 0.3459];
    let empty = [0.1535, 0.1656, 0.1706, 0.1899, 0.1971, 0.2784, 0.3025, 0.3048, 0.3288, 0.3583];
    let mut nodes = holders.map(|at| (at, Some("true"))).to_vec();
    nodes.extend(forgers.map(|at| (at, Some("forged"))));
    nodes.extend(empty.map(|at| (at, None)));
    nodes.extend((36..=96).map(|number| (f64::from(number) / 96.0, None)));
    let found = found_among(&nodes, &[]);
    assert_eq!(found.bytes().map(|value| &value[..]), Some("true".as_bytes()), "{found:?}");
}

/// Where hostile nodes are everywhere, the nearest beyond the replicas are often two of them, and those that
/// hold nothing do not oppose them: they turned votes of replicas of which a part lies together by chance.
#[test]
fn replicas_that_lose_few_votes_to_crowds_decide_alone() {
    let places = |from: f64, apart: f64, count: u16| {
        (1..=count).map(move |number| from + f64::from(number) * apart).collect::<Vec<_>>()
    };
    // Nine where two or three are expected, and eleven where eleven are.
    let replicas = [places(0.0, 0.0029, 9), places(0.0261, 1.0 / 96.0, 11)].concat();
    let hold = |place: usize| if matches!(place, 0..5 | 9..15) { "true" } else { "forged" };
    let mut nodes: Vec<Holder> = Vec::new();
    nodes.extend(replicas.iter().enumerate().map(|(place, at)| (*at, Some(hold(place)))));
    nodes.extend([0.145, 0.15].map(|at| (at, Some("forged"))));
    nodes.extend(places(0.15, 1.0 / 96.0, 81).into_iter().map(|at| (at, None)));
    let found = found_among(&nodes, &[]);
    assert_eq!(found.bytes().map(|value| &value[..]), Some("true".as_bytes()), "{found:?}");
}

/// Four in a hundred honest neighbourhoods are taken for crowded, and each GET there asked some sixty nodes
/// and waited for the slowest of them.
#[test]
fn twice_a_quorum_outside_of_a_crowd_needs_no_election() {
    let size = crate::density::NetworkSize::evenly_spread(100);
    let seeds = |near: u16| -> Vec<NodeInfo> {
        let near = (1..=near).map(|number| at(f64::from(number) / 1000.0));
        near.chain((1..=20).map(|number| at(f64::from(number) / 100.0))).collect()
    };
    let breadth = Breadth { want: 20, alpha: 5, paths: 5, diversity: DiversityLimits::NONE };
    let policy = ReadPolicy { size: Some(size), ..policy(breadth, 5) };
    // Whether there was an election, if all agree, and how many were asked.
    let agree = |near: u16| {
        let search = Lookup::new(Key::default(), own(), breadth, &seeds(near));
        let mut get = Get::new(own(), search, policy, None, None);
        let (mut elected, mut count) = (false, 0);
        let mut waiting = std::collections::VecDeque::new();
        while !elected {
            match get.next_step() {
                Next::Ask { node, .. } => waiting.push_back(node.id),
                Next::MoreContacts(_) => elected = true,
                Next::Done => break,
                _ => {
                    let id = waiting.pop_front().expect("it waits for an answer");
                    get.handle_answer(&id, value("true", 1));
                    count += 1;
                }
            }
        }
        (elected, count)
    };
    assert_eq!(agree(0), (false, 5));
    let (elected, count) = agree(5);
    assert!(!elected && (10..=15).contains(&count), "{count} asked");
    assert_eq!(agree(16), (true, 5), "those outside are too few: it is not tried");
}

/// A node at this distance from the key, as a share of the space.
fn at(fraction: f64) -> NodeInfo {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&((fraction * 2f64.powi(64)) as u64).to_be_bytes());
    NodeInfo { id: NodeId::from_bytes(bytes), ..node(1) }
}

/// Verifying an envelope is most of what a read of it costs.
#[test]
fn what_was_verified_before_is_not_verified_again() {
    let class = Class::Signed(Precedence { generation: 0, seq: 1 });
    let known = vec![VerifiedValue::of_class("known".into(), class)];
    let breadth = Breadth { want: 4, alpha: 1, paths: 1, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &[node(1), node(2)]);
    let policy = policy(breadth, QUORUM);
    let mode = ReadMode { freshness: Freshness::First, proved_only: true, ..ReadMode::default() };
    let policy = ReadPolicy { mode, ..policy };
    let mut get = Get::knowing(known, own(), search, policy, None, None);
    assert_eq!(asked(&mut get), [1]);
    get.handle_answer(&node(1).id, value("another", 1));
    assert_eq!(asked(&mut get), [2], "other bytes are plain, and do not count");
    get.handle_answer(&node(2).id, value("known", 1));
    assert!(is_done(&mut get));
    assert_eq!(get.found().value.map(|value| value.class()), Some(class));
}
