//! Networks that were split from the beginning, or split by the return of a peer, and peers by name.

use std::time::Duration;

use voiddht_core::configured::{ConfiguredPeer, JoinProblem, PeerName, PeerState, ResolveError};
use voiddht_core::event::{Command, Notice, Undelivered};
use voiddht_wire::PeerAddress;

mod common;

use common::network::{Network, address, numbered_key};

/// In which two networks that can meet must be one.
const A_MINUTE: Duration = Duration::from_secs(60);

fn peers(numbers: &[usize]) -> Vec<PeerAddress> {
    numbers.iter().map(|number| address(*number)).collect()
}

fn name() -> ConfiguredPeer {
    ConfiguredPeer::Name(PeerName::new("peers.example:7402").expect("it is short"))
}

fn knows(network: &Network, one: usize, other: usize) -> bool {
    network.node(one).table().iter().any(|contact| contact.address() == address(other))
}

fn assert_whole(network: &Network, count: usize) {
    for one in 0..count {
        for other in (0..count).filter(|other| *other != one) {
            assert!(knows(network, one, other), "{one} does not know {other}");
        }
    }
}

fn states(network: &Network) -> Vec<PeerState> {
    network
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::PeerChanged { state, .. } => Some(*state),
            _ => None,
        })
        .collect()
}

/// Node 1 knows node 0, node 2 knows both, node 0 starts last and knows none: 1 and 2 were one
/// network and 0 another, for ever.
#[test]
fn a_first_peer_that_starts_last_is_found() {
    let mut network = Network::strangers(0);
    network.add(1);
    network.begin_join(1, peers(&[0]));
    network.add(2);
    network.begin_join(2, peers(&[0, 1]));
    network.run_for(Duration::from_secs(600));
    assert!(knows(&network, 1, 2));
    network.add(0);
    network.begin_join(0, Vec::new());
    network.run_for(A_MINUTE);
    assert_whole(&network, 3);
}

/// Its state was "refused" for some seconds after it had become a contact, and `/readyz` warned of it.
#[test]
fn a_peer_that_starts_later_and_joins_through_this_node_is_compared_at_once() {
    let mut network = Network::strangers(0);
    network.add(0);
    network.begin_join(0, peers(&[1]));
    network.run_for(Duration::from_millis(500));
    assert!(matches!(states(&network)[..], [PeerState::Failed(_)]), "{:?}", states(&network));
    network.add(1);
    network.begin_join(1, peers(&[0]));
    network.run_for(Duration::from_secs(1));
    let state = network.node(0).configured_peers().map(|(_, state)| state).next();
    assert!(matches!(state, Some(PeerState::Joined { .. })), "{state:?}");
}

/// The peer through which all others have joined lost its data, and starts as another node at the
/// same address; it knows none of them.
#[test]
fn a_peer_that_returns_with_a_new_identity_is_part_of_the_network_again() {
    let count = 12;
    let mut network = Network::strangers(1);
    for number in 1..count {
        network.add(number);
        network.join(number, 0);
    }
    network.run_for(Duration::from_secs(600));
    let old = network.node(0).own().id;
    network.kill(0);
    network.run_for(Duration::from_secs(300));
    network.add_as(0, 1000);
    assert_ne!(network.node(0).own().id, old);
    network.begin_join(0, Vec::new());
    network.run_for(A_MINUTE);
    assert_whole(&network, count);
}

/// While it was away, newcomers joined through it: two networks of some size.
#[test]
fn both_halves_of_a_network_find_the_values_of_both() {
    let (half, count) = (20, 40);
    let mut network = Network::strangers(1);
    for number in 1..half {
        network.add(number);
        network.join(number, 0);
    }
    assert!(network.put(3, "in the old half", 3600) > 1);
    network.run_for(Duration::from_secs(60));
    network.apart = peers(&[0]).into_iter().collect();
    network.run_for(Duration::from_secs(120));
    network.kill(0);
    network.add_as(0, 1000);
    network.begin_join(0, Vec::new());
    let newcomers: Vec<usize> = (half..count).collect();
    network.apart = peers(&newcomers).into_iter().chain([address(0)]).collect();
    for number in newcomers {
        network.add(number);
        network.begin_join(number, peers(&[0]));
    }
    network.run_for(Duration::from_secs(120));
    assert!(network.put_under(numbered_key(1), half + 1, "new", 3600) > 1);
    assert!((1..half).all(|old| !knows(&network, old, half)));
    network.apart.clear();
    network.run_for(A_MINUTE);
    for number in 0..count {
        let found = network.get(number);
        assert_eq!(found.as_deref(), Some(&b"in the old half"[..]), "{number}");
        let found = network.get_under(numbered_key(1), number);
        assert_eq!(found.as_deref(), Some(&b"new"[..]), "{number}");
    }
}

/// Two networks of which no node has a peer in the other, until one is given one.
#[test]
fn two_networks_grow_together_from_one_acquaintance() {
    let (half, count) = (60, 120);
    let mut network = Network::strangers(count);
    for number in 0..count {
        if number % half != 0 {
            network.join(number, number / half * half);
        }
    }
    network.run_for(Duration::from_secs(300));
    assert!((1..half).all(|one| !knows(&network, one, half)));
    for number in 0..count {
        assert!(network.put_under(numbered_key(number), number, "a value", 3600) > 1);
    }
    let set = Command::SetPeers { peers: vec![address(half + 7).into()] };
    network.command(7, set);
    network.finish(7);
    network.run_for(A_MINUTE);
    let last = network.node(7).configured_peers().next().unwrap().1;
    assert!(matches!(last, PeerState::Joined { .. }), "{last:?}");
    let lacking: Vec<_> = (0..count).map(|number| lacks(&network, number, count)).collect();
    assert_eq!(lacking, vec![0; count]);
    for number in 0..count {
        let reader = (number + half) % count;
        assert!(network.get_under(numbered_key(number), reader).is_some(), "{number}");
    }
}

/// The peer has no way to call back: its half never learns of this one, and that is said.
#[test]
fn a_split_that_lasts_is_named() {
    let mut network = Network::strangers(3);
    network.without_probes.insert(address(2));
    network.begin_join(1, peers(&[0, 2]));
    network.run_for(A_MINUTE);
    let (_, state) = network.node(1).configured_peers().nth(1).unwrap();
    assert!(matches!(state, PeerState::Split { .. }), "{state:?}");
    let split = |state: &&PeerState| matches!(state, PeerState::Split { .. });
    assert_eq!(states(&network).iter().filter(split).count(), 1, "said once");
    network.without_probes.clear();
    network.run_for(A_MINUTE);
    let (_, state) = network.node(1).configured_peers().nth(1).unwrap();
    assert!(matches!(state, PeerState::Joined { .. }), "{state:?}");
}

/// How many of the ten nodes closest to it, of either half, a node does not know.
fn lacks(network: &Network, number: usize, count: usize) -> usize {
    let own = network.node(number).own().id;
    let mut others: Vec<_> = (0..count)
        .filter(|other| *other != number)
        .map(|other| network.node(other).own())
        .collect();
    others.sort_by_key(|other| own.as_key().distance(&other.id));
    others[..10]
        .iter()
        .filter(|other| network.node(number).table().get(&other.id).is_none())
        .count()
}

/// A node with a configured peer that is part of its network says so, and never calls it a split.
#[test]
fn a_network_that_is_whole_is_not_called_split() {
    let mut network = Network::strangers(40);
    for number in 1..40 {
        network.begin_join(number, peers(&[0, (number + 7) % 40, number / 2]));
    }
    network.run_for(Duration::from_secs(3600));
    assert!(!states(&network).iter().any(|state| matches!(state, PeerState::Split { .. })));
    for number in 1..40 {
        for (peer, state) in network.node(number).configured_peers() {
            let is_own = *peer == ConfiguredPeer::Address(address(number));
            assert!(
                is_own || matches!(state, PeerState::Joined { .. }),
                "{number}: {peer} {state:?}"
            );
        }
    }
}

#[test]
fn a_name_is_resolved_at_every_attempt_and_all_its_addresses_are_tried() {
    let mut network = Network::strangers(3);
    network.join(1, 0);
    network.command(2, Command::Join { peers: vec![name()] });
    network.run_for(Duration::from_secs(5));
    let unresolved = PeerState::Failed(ResolveError::NoAddress.into());
    assert_eq!(states(&network).last(), Some(&unresolved), "said once");
    assert!(network.resolved.len() > 2);
    network.names.insert("peers.example:7402".into(), peers(&[77, 0]));
    network.finish(2);
    network.run_for(Duration::from_secs(30));
    assert_whole(&network, 3);
    assert_eq!(states(&network).iter().filter(|state| **state == unresolved).count(), 1);
    let (_, state) = network.node(2).configured_peers().next().unwrap();
    assert!(
        matches!(state, PeerState::Joined { address: at, .. } if at == address(0)),
        "{state:?}"
    );
}

/// As where a service's name stands for all its replicas: each finds itself among them.
#[test]
fn a_name_of_this_node_alone_leaves_it_the_first_of_its_network() {
    let mut network = Network::strangers(2);
    network.names.insert("peers.example:7402".into(), peers(&[0]));
    network.command(0, Command::Join { peers: vec![name()] });
    network.finish(0);
    assert!(network.node(0).is_joined(), "no other node is known");
    assert_eq!(states(&network), [PeerState::OwnNode]);
    network.names.insert("peers.example:7402".into(), peers(&[0, 1]));
    network.run_for(A_MINUTE);
    assert!(knows(&network, 0, 1));
}

#[test]
fn each_change_of_a_peer_is_said_once() {
    let mut network = Network::strangers(1);
    network.begin_join(0, peers(&[5]));
    network.run_for(Duration::from_secs(300));
    let refused = PeerState::Failed(JoinProblem::Undelivered(Undelivered::Refused));
    assert_eq!(states(&network), [refused]);
    network.add(5);
    network.begin_join(5, Vec::new());
    network.run_for(A_MINUTE);
    assert!(matches!(states(&network)[..], [_, PeerState::Joined { .. }]));
}

#[test]
fn peers_that_are_replaced_keep_their_state_and_new_ones_are_tried() {
    let mut network = Network::strangers(3);
    network.begin_join(1, peers(&[0]));
    network.run_for(Duration::from_secs(10));
    let set = Command::SetPeers { peers: vec![address(0).into(), address(2).into()] };
    network.command(1, set);
    let before: Vec<_> = network.node(1).configured_peers().map(|(_, state)| state).collect();
    assert!(matches!(before[..], [PeerState::Joined { .. }, PeerState::Untried]), "{before:?}");
    network.run_for(A_MINUTE);
    assert!(knows(&network, 1, 2) && knows(&network, 0, 2));
}
