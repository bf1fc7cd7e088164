use super::*;
use crate::diversity::DiversityLimits;

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
    Get::new(own(), search, breadth, QUORUM, None, floor, None)
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

fn asked(get: &mut Get) -> Vec<u8> {
    let mut asked = Vec::new();
    while let Next::Ask { node, .. } = get.next_step() {
        asked.push(node.id.to_bytes()[0]);
    }
    asked.sort_unstable();
    asked
}

fn is_electing(get: &Get) -> bool {
    matches!(get.stage, Stage::Electing(_))
}

/// Whether a node is being asked for its vote.
fn is_polled(get: &Get, number: u8) -> bool {
    match &get.stage {
        Stage::Electing(election) => election.asked.contains(&NodeId::from_bytes([number; 32])),
        _ => false,
    }
}

fn is_done(get: &mut Get) -> bool {
    matches!(get.next_step(), Next::Done)
}

fn found(get: &Get) -> String {
    String::from_utf8(get.found().value.expect("a value was found").to_vec()).unwrap()
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

/// Where a path had met none but silent nodes, a GET waited for them until they had failed, in
/// spite of all the others.
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

/// With dissent, a GET waited for each that was silent until it had failed.
#[test]
fn an_election_does_not_wait_for_the_late_once_they_could_not_turn_it() {
    let mut get = get(Key::default(), 7, None);
    asked(&mut get);
    get.handle_answer(&node(1).id, value("lie", 9));
    get.handle_answer(&node(2).id, value("true", 1));
    get.handle_late(&node(3).id);
    // The first six are found; 3 is late again, and 4 will be late with its vote.
    for number in [1, 2, 3, 4, 5, 6, 7] {
        asked(&mut get);
        match number {
            3 => get.handle_late(&node(3).id),
            _ => get.handle_answer(&node(number).id, Answer::Nodes(Vec::new())),
        }
    }
    assert_eq!(asked(&mut get), [4, 5, 6]);
    get.handle_late(&node(4).id);
    assert_eq!(asked(&mut get), [7]);
    get.handle_answer(&node(5).id, value("true", 1));
    get.handle_answer(&node(6).id, value("true", 1));
    assert!(!is_done(&mut get));
    get.handle_answer(&node(7).id, value("lie", 9));
    assert!(!is_done(&mut get), "two that are late could make four of the two that lie");
    get.handle_answer(&node(3).id, Answer::Nodes(Vec::new()));
    assert_eq!(asked(&mut get), [3], "it is one of the closest, after all");
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
    let mut voters = Vec::new();
    for _ in 0..20 {
        for number in asked(&mut get) {
            let polling = is_polled(&get, number);
            let answer = if polling { value("true", 1) } else { Answer::Nodes(Vec::new()) };
            if polling {
                voters.push(number);
            }
            get.handle_answer(&node(number).id, answer);
        }
    }
    assert!(is_done(&mut get));
    voters.sort_unstable();
    assert_eq!(voters, [4, 5, 6, 7], "nobody votes twice");
    assert_eq!((found(&get), get.found().dissenting), ("true".into(), 2));
    // A later version may be an update that is under way; the same one is not another value's.
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
    let floor = Published { value: Bytes::from_static(b"mine"), version: 5 };
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
/// first of those who should have it was asked: nobody on the way could contradict them.
#[test]
fn liars_on_the_way_end_no_search() {
    let far = |number: u8| node(0x80 + number);
    let seeds: Vec<NodeInfo> = (1..=6).map(far).collect();
    let breadth = Breadth { want: 4, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, breadth, QUORUM, None, None, None);
    assert_eq!(asked(&mut get), [0x81, 0x82, 0x83]);
    get.handle_answer(&far(1).id, Answer::Nodes((1..=4).map(node).collect()));
    get.handle_answer(&far(2).id, value("lie", 9));
    get.handle_answer(&far(3).id, value("lie", 9));
    let mut polled = Vec::new();
    for _ in 0..20 {
        for number in asked(&mut get) {
            let answer = match number {
                _ if is_electing(&get) && !is_polled(&get, number) => Answer::Nodes(Vec::new()),
                0x80.. => value("lie", 9),
                _ => value("true", 1),
            };
            polled.push(number);
            get.handle_answer(&NodeId::from_bytes([number; 32]), answer);
        }
    }
    assert!(is_done(&mut get));
    assert_eq!((found(&get), get.found().agreeing), ("true".into(), 4), "{polled:?}");
}

/// A liar on one path named its accomplices, each voted, and together they were a quorum.
#[test]
fn one_path_brings_one_early_vote() {
    let seeds: Vec<NodeInfo> = [0x10, 0x11, 0x12].map(node).to_vec();
    let breadth = Breadth { want: 20, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, breadth, QUORUM, None, None, None);
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

/// A dense crowd of liars a little farther away than the true k closest outvoted them.
#[test]
fn far_liars_do_not_outvote_the_closest() {
    let liars: Vec<NodeInfo> = (0x20..0x30).map(node).collect();
    let seeds: Vec<NodeInfo> = (1..=4).map(node).chain(liars).collect();
    let breadth = Breadth { want: 4, alpha: 3, paths: 2, diversity: DiversityLimits::NONE };
    let search = Lookup::new(Key::default(), own(), breadth, &seeds);
    let mut get = Get::new(own(), search, breadth, 4, None, None, None);
    for liar in 0x20..0x30 {
        get.count(node(liar).id, record_of(value("lie", 9)));
    }
    for _ in 0..20 {
        for number in asked(&mut get) {
            let locating = is_electing(&get) && !is_polled(&get, number);
            let answer = if locating { Answer::Nodes(Vec::new()) } else { value("true", 1) };
            get.handle_answer(&node(number).id, answer);
        }
    }
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
