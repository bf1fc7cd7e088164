//! Which nodes a PUT asks and counts, and what its receipt says.

use bytes::Bytes;
use voiddht_wire::Key;

use super::*;
use crate::density::NetworkSize;
use crate::diversity::DiversityLimits;
use crate::lookup::Breadth;

fn node(number: u8) -> NodeInfo {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(number)));
    NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
}

/// This node's clock, and the highest version that replicas accept by it.
fn clock() -> (WallTime, u64) {
    (WallTime::default(), 1000)
}

/// A PUT of version 100 to `replication` of the nodes 1 to `nodes`, located already.
fn located(nodes: u8, replication: usize) -> Put {
    let seeds: Vec<NodeInfo> = (1..=nodes).map(node).collect();
    let own = NodeId::from_bytes([0xff; 32]);
    let breadth = Breadth { want: 1, alpha: 1, paths: 1, diversity: DiversityLimits::NONE };
    let lookup = Lookup::new(Key::default(), own, breadth, &seeds);
    let record = Record {
        key: Key::default(),
        value: Bytes::from_static(b"value"),
        ttl: 60,
        version: Some(100),
        maintenance: false,
    };
    let mut put = Put::new((record, Class::Plain), replication, &own, lookup, None, clock());
    let asked = asked(&mut put);
    assert_eq!(asked, [1], "the closest is asked for its neighbours");
    put.handle_answer(&node(1).id, FIND, Answer::Nodes(Vec::new()));
    put
}

/// A PUT to 18 nodes, in a network in which 6 are closer than node 3 on average.
fn early() -> Put {
    let seeds: Vec<NodeInfo> = (1..=8).map(node).collect();
    let own = NodeId::from_bytes([0xff; 32]);
    let breadth = Breadth { want: 3, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
    let lookup = Lookup::new(Key::default(), own, breadth, &seeds);
    let mut size = NetworkSize::default();
    size.observe(&[Key::default().distance(&node(8).id); 20]);
    let record = located(1, 1).record;
    let mut put = Put::new((record, Class::Plain), 18, &own, lookup, size.estimate(), clock());
    assert_eq!(asked(&mut put), [1, 1, 2, 2, 3], "two are given the record too");
    put
}

#[test]
fn who_is_near_enough_is_given_the_record_with_the_first_request() {
    let mut put = early();
    put.handle_answer(&node(1).id, STORE, Answer::Stored);
    put.handle_answer(&node(2).id, STORE, Answer::Failed);
    for number in 1..=3 {
        put.handle_answer(&node(number).id, FIND, Answer::Nodes(Vec::new()));
    }
    assert_eq!(asked(&mut put), [3, 4, 5, 6, 7, 8], "none twice");
}

#[test]
fn who_was_not_near_enough_after_all_takes_nobodys_place() {
    let closer = |number: u8| {
        let mut id = [0; 32];
        id[1] = number;
        NodeInfo { id: NodeId::from_bytes(id), ..node(number) }
    };
    let mut put = early();
    for number in 1..=3 {
        let named = Answer::Nodes((1..=20).map(closer).collect());
        put.handle_answer(&node(number).id, FIND, named);
    }
    let mut stored = BTreeSet::new();
    loop {
        match put.next_step() {
            Next::Ask { node, body: Body::Store(_), .. } => drop(stored.insert(node.id)),
            Next::Ask { node, .. } => {
                put.handle_answer(&node.id, FIND, Answer::Nodes(Vec::new()));
            }
            Next::Wait | Next::Done => break,
            _ => {}
        }
    }
    let closest: BTreeSet<NodeId> = (1..=18).map(|number| closer(number).id).collect();
    assert!(stored.is_superset(&closest), "so dense, that there are more replicas: {stored:?}");
}

const FIND: Asked = Asked::Find;
const STORE: Asked = Asked::Store { version: Some(100) };

fn asked(put: &mut Put) -> Vec<u8> {
    let mut asked = Vec::new();
    while let Next::Ask { node, .. } = put.next_step() {
        asked.push(node.id.to_bytes()[0]);
    }
    asked
}

/// Without it, handshakes began when the lookup had ended.
#[test]
fn probable_replicas_are_connected_to_during_the_lookup() {
    let mut put = early();
    let mut connected = Vec::new();
    put.handle_answer(&node(1).id, FIND, Answer::Nodes(vec![node(9)]));
    while let Next::Connect(node) = put.next_step() {
        connected.push(node.id.to_bytes()[0]);
    }
    // The first of them was named when the requests had been sent.
    assert_eq!(connected, [5, 6, 7], "once each, and none that is farther than 18 are on average");
    assert!(matches!(put.next_step(), Next::Wait));
    let mut located = located(8, 3);
    assert_eq!(asked(&mut located), [1, 2, 3], "not where the network's size is unknown");
}

#[test]
fn those_that_refuse_or_are_late_are_replaced_by_the_next_closest() {
    let mut put = located(8, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    put.handle_answer(&node(1).id, STORE, Answer::Stored);
    put.handle_answer(&node(2).id, STORE, Answer::Refused(ErrorCode::Busy));
    put.handle_late(&node(3).id, STORE);
    assert_eq!(asked(&mut put), [4, 5]);
    put.handle_answer(&node(4).id, STORE, Answer::Failed);
    assert_eq!(asked(&mut put), [6]);
    put.handle_answer(&node(5).id, STORE, Answer::Stored);
    put.handle_answer(&node(6).id, STORE, Answer::Stored);
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.confirmed(), 3);
    put.handle_answer(&node(3).id, STORE, Answer::Stored);
    assert_eq!(put.confirmed(), 4, "late is not lost");
}

#[test]
fn it_ends_with_what_it_has_when_nobody_is_left() {
    let mut put = located(2, 20);
    assert_eq!(asked(&mut put), [1, 2]);
    assert!(matches!(put.next_step(), Next::Wait));
    put.handle_kept_locally(true);
    put.handle_answer(&node(1).id, STORE, Answer::Failed);
    put.handle_answer(&node(2).id, STORE, Answer::Stored);
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.confirmed(), 2);
}

/// A PUT in a network with fewer nodes than replicas waited for an unresponsive one until it had
/// failed.
#[test]
fn who_is_late_is_waited_for_only_while_few_have_acknowledged() {
    let mut put = located(4, 20);
    assert_eq!(asked(&mut put), [1, 2, 3, 4]);
    put.handle_kept_locally(false);
    put.handle_late(&node(1).id, STORE);
    put.handle_late(&node(2).id, STORE);
    put.handle_answer(&node(3).id, STORE, Answer::Stored);
    assert!(matches!(put.next_step(), Next::Wait), "one is in time");
    put.handle_late(&node(4).id, STORE);
    assert!(matches!(put.next_step(), Next::Wait), "most are late: not they are slow");
    put.handle_answer(&node(4).id, STORE, Answer::Stored);
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.confirmed(), 2);
}

#[test]
fn who_takes_the_record_without_a_word_counts_if_it_has_it() {
    let mut put = located(5, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Delivered);
    }
    assert_eq!(asked(&mut put), [3, 2, 1], "asked for it");
    assert!(matches!(put.next_step(), Next::Wait));
    assert_eq!(put.confirmed(), 0);
    let value = |value| Answer::Value(Record { value, ..located(1, 1).record.clone() });
    put.handle_answer(&node(1).id, FIND, value(Bytes::from_static(b"value")));
    put.handle_answer(&node(2).id, FIND, value(Bytes::from_static(b"wrong")));
    put.handle_answer(&node(3).id, FIND, Answer::Nodes(Vec::new()));
    assert_eq!(asked(&mut put), [4, 5], "in the place of those that have not kept it");
    put.handle_answer(&node(4).id, STORE, Answer::Stored);
    put.handle_answer(&node(5).id, STORE, Answer::Delivered);
    assert_eq!(asked(&mut put), [5]);
    put.handle_answer(&node(5).id, FIND, Answer::Failed);
    assert!(matches!(put.next_step(), Next::KeepLocally(_)), "no other node is left");
    put.handle_kept_locally(false);
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.confirmed(), 2);
}

#[test]
fn a_newer_version_is_learned_and_outbid_once() {
    let mut put = located(3, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
    }
    assert_eq!(asked(&mut put), [3, 2, 1], "asked for their version");
    let newer = |version| {
        let value = Bytes::from_static(b"newer");
        Answer::Value(Record { value, version: Some(version), ..located(1, 1).record.clone() })
    };
    put.handle_answer(&node(1).id, FIND, newer(500));
    put.handle_answer(&node(2).id, FIND, newer(700));
    // Beyond what any clock may be believed: no reason to follow it there.
    put.handle_answer(&node(3).id, FIND, newer(u64::MAX));
    assert_eq!(asked(&mut put), [1, 2, 3]);
    assert_eq!(put.record().version, Some(701));
    let second = Asked::Store { version: Some(701) };
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Stored);
        let refused = Answer::Refused(ErrorCode::NotAcceptable);
        put.handle_answer(&node(number).id, second, refused);
    }
    assert_eq!(asked(&mut put), [3, 2, 1], "asked what they hold");
    for number in 1..=3 {
        put.handle_answer(&node(number).id, FIND, newer(800));
    }
    assert!(matches!(put.next_step(), Next::Done), "but only once");
    let failure = Some(PutFailure::Superseded { refused: 3, confirmed: 0 });
    assert_eq!(put.receipt(true), Receipt { stored: 0, outstanding: 0, failure });
}

/// A PUT of a node whose clock was ahead was "stored on 1 node".
#[test]
fn a_version_that_all_refuse_and_none_has_a_newer_one_for_is_a_failure_of_the_clock() {
    let mut put = located(3, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
    }
    assert_eq!(asked(&mut put), [3, 2, 1]);
    put.handle_answer(&node(1).id, FIND, Answer::Nodes(Vec::new()));
    put.handle_answer(&node(2).id, FIND, Answer::Failed);
    put.handle_answer(&node(3).id, FIND, Answer::Nodes(Vec::new()));
    assert!(matches!(put.next_step(), Next::Done));
    let failure = Some(PutFailure::VersionRefused { refused: 3, confirmed: 0 });
    assert_eq!(put.receipt(true).failure, failure);
}

#[test]
fn a_replica_that_refuses_and_holds_these_very_bytes_counts() {
    let mut put = located(3, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Refused(ErrorCode::NotAcceptable));
    }
    assert_eq!(asked(&mut put), [3, 2, 1]);
    let same = || Answer::Value(located(1, 1).record.clone());
    put.handle_answer(&node(1).id, FIND, same());
    put.handle_answer(&node(2).id, FIND, same());
    put.handle_answer(&node(3).id, FIND, Answer::Failed);
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.receipt(true), Receipt { stored: 2, outstanding: 0, failure: None });
}

/// "stored on 1 node", said a node that no other could reach.
#[test]
fn the_own_copy_counts_only_where_others_can_fetch_it() {
    let mut put = located(2, 20);
    assert_eq!(asked(&mut put), [1, 2]);
    put.handle_kept_locally(true);
    put.heard = false;
    put.handle_answer(&node(1).id, STORE, Answer::Failed);
    put.handle_late(&node(2).id, STORE);
    assert!(matches!(put.next_step(), Next::Done));
    let failure = Some(PutFailure::Unreachable);
    assert_eq!(put.receipt(false), Receipt { stored: 0, outstanding: 1, failure });
    assert_eq!(put.receipt(true), Receipt { stored: 1, outstanding: 1, failure: None });
    put.handle_answer(&node(2).id, STORE, Answer::Stored);
    assert_eq!(put.receipt(false), Receipt { stored: 1, outstanding: 0, failure: None });
}

/// A node that answers a FIND_NODE with the error by which a STORE is superseded was counted as
/// holding something newer, and its acknowledgement, which came after, was not.
#[test]
fn an_error_about_one_request_is_not_about_another() {
    let mut put = located(3, 3);
    assert_eq!(asked(&mut put), [1, 2, 3]);
    let refused = Answer::Refused(ErrorCode::NotAcceptable);
    put.handle_answer(&node(2).id, FIND, refused);
    put.handle_late(&node(3).id, FIND);
    assert!(matches!(put.next_step(), Next::Wait));
    for number in 1..=3 {
        put.handle_answer(&node(number).id, STORE, Answer::Stored);
    }
    assert!(matches!(put.next_step(), Next::Done));
    assert_eq!(put.confirmed(), 3);
}
