//! A peer on the Internet names addresses of this machine, of the local network and of other
//! services: a node that dialled them told open ports from closed ones by the time it took
//! (2 ms against 156 ms).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Command, CommandId, Input, Notice, Output, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_wire::peer::{Body, Header, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress, RpcId};

fn at(ip: &str, port: u16) -> PeerAddress {
    PeerAddress::new(ip.parse().unwrap(), port)
}

fn id(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 32])
}

fn now() -> Now {
    Now::never_suspended(Moment::from_micros(1_000_000), WallTime::from_millis(1_700_000_000_000))
}

/// A node, and everything that it has put out.
struct Tested {
    node: Node,
    dialed: BTreeSet<PeerAddress>,
    requests: Vec<(PeerAddress, Message)>,
    replies: Vec<Message>,
    refused: usize,
}

impl Tested {
    fn new(ip: &str) -> Self {
        let own = NodeInfo { address: at(ip, 7401), id: id(0) };
        let node = Node::new(own, Config::default(), ChaCha8Rng::seed_from_u64(1)).unwrap();
        Self {
            node,
            dialed: BTreeSet::new(),
            requests: Vec::new(),
            replies: Vec::new(),
            refused: 0,
        }
    }

    fn feed(&mut self, input: Input) {
        self.node.handle_input(now(), input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Request { to, message } => {
                    self.dialed.insert(to.address);
                    self.requests.push((to.address, message));
                }
                Output::Probe { contact } => {
                    self.dialed.insert(contact.address);
                }
                Output::Reply { message, .. } => self.replies.push(message),
                Output::Notice(Notice::LimitReached { .. }) => self.refused += 1,
                _ => {}
            }
        }
    }

    /// Joins through a peer, which answers every FIND_NODE with these nodes. They are not there.
    fn join(&mut self, ip: &str, named: &[PeerAddress]) {
        let address = at(ip, 7402);
        let command = Command::join([address]);
        self.feed(Input::Command { id: CommandId(0), command });
        let peer = Peer::danger_assume_proved(id(1), address);
        let connection = ConnectionId(1);
        self.feed(Input::Connected { connection, peer, dialed: Some(address) });
        let nodes = named
            .iter()
            .zip(2..)
            .map(|(address, number)| NodeInfo { address: *address, id: id(number) });
        let nodes: Vec<NodeInfo> = nodes.collect();
        while let Some((to, asked)) = self.requests.pop() {
            let rpc_id = asked.header.rpc_id;
            if to != address {
                self.feed(Input::Undelivered { rpc_id, why: Undelivered::Refused });
                continue;
            }
            let body = match asked.body {
                Body::FindNode { .. } => Body::FindNodeReply { nodes: nodes.clone() },
                _ => Body::PingReply { observed: None },
            };
            let header = Header { sender: id(1), port: 7402, rpc_id };
            self.feed(Input::Received { connection, peer, message: Message { header, body } });
        }
    }
}

const NAMED: [(&str, u16); 7] = [
    ("127.0.0.1", 7402),
    ("10.0.0.7", 7402),
    ("169.254.169.254", 7402),
    ("fd00::7", 7402),
    ("100.64.0.7", 7402),
    ("198.51.100.7", 22),
    ("198.51.100.7", 7402),
];

fn named() -> Vec<PeerAddress> {
    NAMED.iter().map(|(ip, port)| at(ip, *port)).collect()
}

#[test]
fn a_public_peer_cannot_have_a_node_dial_into_its_own_network() {
    let mut tested = Tested::new("203.0.113.1");
    tested.join("192.0.2.1", &named());
    let expected = BTreeSet::from([at("192.0.2.1", 7402), at("198.51.100.7", 7402)]);
    assert_eq!(tested.dialed, expected);
    assert!(tested.refused > 0, "and counted");
}

#[test]
fn peers_of_a_local_network_name_its_nodes_and_public_ones() {
    let mut tested = Tested::new("10.0.0.1");
    tested.join("10.0.0.2", &named());
    let refused = ["127.0.0.1", "169.254.169.254"].map(|ip| at(ip, 7402));
    let expected = named().into_iter().filter(|address| !refused.contains(address));
    let expected = expected.chain([at("10.0.0.2", 7402)]).collect();
    assert_eq!(tested.dialed, expected);
}

#[test]
fn on_one_machine_everything_may_be_named() {
    let mut tested = Tested::new("127.0.0.1");
    tested.join("127.0.0.1", &named());
    assert_eq!(tested.dialed, named().into_iter().collect());
    assert_eq!(tested.refused, 0);
}

#[test]
fn a_public_peer_has_no_well_known_port_dialled_at_its_own_host() {
    let mut tested = Tested::new("203.0.113.1");
    tested.join("192.0.2.1", &[]);
    for (number, port) in [(20, 22), (21, 7402)] {
        let peer = Peer::danger_assume_proved(id(number), at("198.51.100.9", 50_000));
        let connection = ConnectionId(number.into());
        tested.feed(Input::Connected { connection, peer, dialed: None });
        let rpc_id = RpcId::from_bytes([number; 32]);
        let header = Header { sender: id(number), port, rpc_id };
        tested.feed(Input::Received {
            connection,
            peer,
            message: Message { header, body: Body::Ping },
        });
    }
    assert!(!tested.dialed.contains(&at("198.51.100.9", 22)));
    assert!(tested.dialed.contains(&at("198.51.100.9", 7402)), "the honest one is");
}

#[test]
fn addresses_of_the_local_network_are_not_given_to_public_peers() {
    let mut tested = Tested::new("10.0.0.1");
    tested.join("10.0.0.2", &[]);
    for (asking, told) in [("192.0.2.9", false), ("10.0.0.9", true)] {
        let peer = Peer::danger_assume_proved(id(30), at(asking, 50_000));
        let connection = ConnectionId(30);
        tested.feed(Input::Connected { connection, peer, dialed: None });
        let rpc_id = RpcId::from_bytes([30; 32]);
        let header = Header { sender: id(30), port: 0, rpc_id };
        let body = Body::FindNode { target: id(1).as_key() };
        tested.feed(Input::Received { connection, peer, message: Message { header, body } });
        let Some(Message { body: Body::FindNodeReply { nodes }, .. }) = tested.replies.pop() else {
            panic!("a FIND_NODE is answered")
        };
        assert_eq!(nodes.iter().any(|node| node.id == id(1)), told, "asked from {asking}");
    }
}
