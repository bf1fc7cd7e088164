//! What a node says of itself, and where it says that it is: as a client, behind address translation,
//! and after a change of its address.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Command, CommandId, Input, Notice, Outcome, Output, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::reachability::Reach;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_wire::peer::{Body, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, PeerAddress, Publication, RpcId};

fn at(text: &str) -> PeerAddress {
    PeerAddress::new(text.parse().unwrap(), 7402)
}

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

struct Driven {
    node: Node,
    second: u64,
}

impl Driven {
    fn new(own: &str, config: Config) -> Self {
        let own = NodeInfo { address: at(own), id: id(0) };
        let node = Node::new(own, config, ChaCha8Rng::seed_from_u64(1)).unwrap();
        Self { node, second: 1 }
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let mono = Moment::from_micros(self.second * 1_000_000);
        let wall = WallTime::from_millis(1_700_000_000_000 + self.second * 1000);
        self.node.handle_input(Now::never_suspended(mono, wall), input);
        std::iter::from_fn(|| self.node.poll_output()).collect()
    }

    /// A contact that this node has dialled.
    fn meet(&mut self, number: u8, address: &str) -> Vec<Output> {
        let peer = Peer::danger_assume_proved(id(number), at(address));
        let connection = ConnectionId(number.into());
        let dialed = Some(at(address));
        self.feed(Input::Connected { connection, peer, dialed })
    }

    /// What a peer's message brings.
    fn hear(&mut self, number: u8, address: &str, rpc_id: RpcId, body: Body) -> Vec<Output> {
        let peer = Peer::danger_assume_proved(id(number), at(address).with_port(50_000));
        let connection = ConnectionId(number.into());
        let header = Header { sender: id(number), port: 7402, rpc_id };
        let message = Message { header, body };
        self.feed(Input::Received { connection, peer, message })
    }

    /// Lets time pass, and answers every PING and FIND_NODE as the contact that was asked, which knows
    /// no node and sees this one at `seen`. The messages that were sent.
    fn pass(&mut self, seconds: u64, seen: &str) -> Vec<Message> {
        let mut sent = Vec::new();
        for _ in 0..seconds {
            self.second += 1;
            let mut outputs = self.feed(Input::WakeUp);
            while let Some(output) = outputs.pop() {
                let Output::Request { to, message } = output else { continue };
                let reply = match message.body {
                    Body::Ping => {
                        Some(Body::PingReply { observed: Some(at(seen).with_port(50_000)) })
                    }
                    Body::FindNode { .. } => Some(Body::FindNodeReply { nodes: Vec::new() }),
                    _ => None,
                };
                if let (Some(reply), Some(there)) = (reply, to.id) {
                    let number = there.to_bytes()[0];
                    let address = to.address.ip().to_string();
                    outputs.extend(self.hear(number, &address, message.header.rpc_id, reply));
                }
                sent.push(message);
            }
        }
        sent
    }

    /// Where this node says that it is, to a peer at an address.
    fn told_to(&mut self, address: &str) -> Option<PeerAddress> {
        let body = Body::FindNode { target: Key::default() };
        let outputs = self.hear(99, address, RpcId::from_bytes([7; 32]), body);
        let nodes = outputs.into_iter().find_map(|output| match output {
            Output::Reply {
                message: Message { body: Body::FindNodeReply { nodes }, .. }, ..
            } => Some(nodes),
            _ => None,
        });
        nodes.unwrap().into_iter().find(|node| node.id == id(0)).map(|node| node.address)
    }
}

fn record() -> Record {
    let value = Bytes::from_static(b"value");
    Record { key: Key::default(), value, ttl: 60, version: Some(1), maintenance: false }
}

fn ports(messages: &[Message]) -> Vec<u16> {
    messages.iter().map(|message| message.header.port).collect()
}

#[test]
fn a_client_announces_no_port_and_takes_no_record() {
    let mut client = Driven::new("192.0.2.1", Config { client: true, ..Config::default() });
    client.meet(1, "198.51.100.1");
    let put = Command::Put(Publication::new(Key::default(), "value"));
    let mut sent = Vec::new();
    for (number, command) in [put, Command::Reach].into_iter().enumerate() {
        let id = CommandId(number as u64);
        for output in client.feed(Input::Command { id, command }) {
            if let Output::Request { message, .. } = output {
                sent.push(message);
            }
        }
    }
    sent.extend(client.pass(120, "192.0.2.1"));
    assert!(!sent.is_empty());
    assert!(ports(&sent).iter().all(|port| *port == 0), "{sent:?}");
    let outputs = client.hear(2, "198.51.100.2", RpcId::default(), Body::Store(record()));
    let refused = outputs.iter().any(|output| {
        matches!(output, Output::Reply { message: Message { header, body }, .. }
            if header.port == 0 && *body == Body::Error(ErrorCode::Busy))
    });
    assert!(refused, "{outputs:?}");
    assert_eq!(client.told_to("203.0.113.1"), None);
}

/// On how many nodes a PUT of a node that knows no other is stored.
fn stored_alone(client: bool) -> usize {
    let mut alone = Driven::new("192.0.2.1", Config { client, ..Config::default() });
    let put = Command::Put(Publication::new(Key::default(), "value"));
    let mut outputs = alone.feed(Input::Command { id: CommandId(1), command: put });
    let mut count = None;
    while let Some(output) = outputs.pop() {
        match output {
            Output::Persist { ticket, .. } => {
                outputs.extend(alone.feed(Input::Persisted { ticket, durable: true }));
            }
            Output::Answer { outcome: Outcome::Put { receipt, .. }, .. } => {
                count = Some(receipt.stored)
            }
            _ => {}
        }
    }
    count.expect("the PUT has ended")
}

#[test]
fn a_client_does_not_count_itself() {
    assert_eq!((stored_alone(false), stored_alone(true)), (1, 0));
}

/// Four contacts of four prefixes, all of which see the node at one public address.
fn translated(own: &str) -> Driven {
    let mut driven = Driven::new(own, Config::default());
    for (number, address) in
        [(1, "198.51.100.1"), (2, "203.0.113.1"), (3, "11.0.0.1"), (4, "12.0.0.1")]
    {
        driven.meet(number, address);
    }
    driven
}

#[test]
fn a_node_that_no_contact_dials_back_is_a_client_until_one_does() {
    let mut node = translated("10.0.0.2");
    let asked = node.pass(30, "192.0.2.77");
    let pings: Vec<_> = asked.iter().filter(|message| message.body == Body::Ping).collect();
    assert!(pings.iter().all(|ping| ping.header.port == 7402) && pings.len() >= 4);
    assert_eq!(node.node.reach(), Reach::Unknown, "they have a minute");
    node.pass(60, "192.0.2.77");
    assert!(node.node.is_client());
    // It still asks to be dialled back, and says nothing else of a port.
    for message in node.pass(300, "192.0.2.77") {
        let is_asking = message.header.port == 7402;
        assert_eq!(is_asking, message.body == Body::Ping, "{message:?}");
    }
    let outputs = node.feed(Input::Called { from: at("11.0.0.1").ip() });
    let said = |output: &Output| matches!(output, Output::Notice(Notice::Reachable));
    assert!(outputs.iter().any(said) && !node.node.is_client());
    let outputs = node.feed(Input::Called { from: at("12.0.0.1").ip() });
    assert!(!outputs.iter().any(said), "said once");
}

#[test]
fn a_private_address_is_told_in_private_networks_and_the_public_one_elsewhere() {
    for own in ["10.0.0.2", "0.0.0.0"] {
        let mut node = translated(own);
        assert_eq!(node.told_to("198.51.100.9"), None, "no peer there could use it");
        node.pass(30, "192.0.2.77");
        assert_eq!(node.told_to("198.51.100.9"), Some(at("192.0.2.77")));
        let private = Some(at(own)).filter(|own| !own.ip().is_unspecified());
        assert_eq!(node.told_to("10.0.0.9"), private);
    }
    // A public address that was given stands, whatever others see.
    let mut public = translated("192.0.2.1");
    public.pass(30, "192.0.2.77");
    assert_eq!(public.told_to("198.51.100.9"), Some(at("192.0.2.1")));
}

#[test]
fn a_changed_address_is_told_to_all_contacts_over_new_connections() {
    let mut node = translated("192.0.2.1");
    node.feed(Input::Called { from: at("11.0.0.1").ip() });
    node.pass(5, "192.0.2.1");
    let outputs = node.feed(Input::AddressChanged { address: at("192.0.2.2") });
    let hung_up = outputs.iter().filter(|output| matches!(output, Output::HangUp { .. })).count();
    assert_eq!(hung_up, 4);
    assert_eq!(node.node.reach(), Reach::Unknown, "of the new address nothing is known");
    let pinged = node.pass(2, "192.0.2.2");
    let pings = pinged.iter().filter(|message| message.body == Body::Ping).count();
    assert!(pings >= 4, "{pinged:?}");
    assert_eq!(node.told_to("198.51.100.9"), Some(at("192.0.2.2")));
    node.feed(Input::Called { from: at("11.0.0.1").ip() });
    let again = node.pass(20, "192.0.2.2");
    assert!(again.iter().all(|message| message.body != Body::Ping), "told once: {again:?}");
}

/// Requests for the own ID's address elsewhere, as they are sent: to whichever node is there.
fn checks_of(outputs: &[Output], address: PeerAddress) -> Vec<RpcId> {
    let check = |output: &Output| match output {
        Output::Request { to, message } if to.id.is_none() && to.address == address => {
            Some(message.header.rpc_id)
        }
        _ => None,
    };
    outputs.iter().filter_map(check).collect()
}

/// Lets the node look for its neighbours until contact 1, at 11.0.0.1, is asked, which refers it to
/// its own ID at this address. What that brings.
fn refer_to_itself(node: &mut Driven, address: &str) -> Vec<Output> {
    for _ in 0..7200 {
        node.second += 1;
        let outputs = node.feed(Input::WakeUp);
        let asked = outputs.iter().find_map(|output| match output {
            Output::Request { message, .. } if matches!(message.body, Body::FindNode { .. }) => {
                Some(message.header.rpc_id)
            }
            _ => None,
        });
        if let Some(rpc_id) = asked {
            let nodes = vec![NodeInfo { address: at(address), id: id(0) }];
            return node.hear(1, "11.0.0.1", rpc_id, Body::FindNodeReply { nodes });
        }
    }
    panic!("no lookup in two hours");
}

#[test]
fn a_node_that_is_referred_to_its_own_id_elsewhere_finds_the_other_process() {
    let mut node = Driven::new("10.0.0.1", Config::default());
    node.meet(1, "11.0.0.1");
    let elsewhere = "12.0.0.1";
    let outputs = refer_to_itself(&mut node, elsewhere);
    let [rpc_id] = checks_of(&outputs, at(elsewhere))[..] else { panic!("{outputs:?}") };
    assert_eq!(node.node.duplicate(), None);
    let why = Undelivered::DuplicateIdentity;
    let outputs = node.feed(Input::Undelivered { rpc_id, why });
    let says_so = |output: &Output| matches!(output, Output::Notice(Notice::DuplicateIdentity { address }) if *address == at(elsewhere));
    assert!(outputs.iter().any(says_so), "{outputs:?}");
    assert_eq!(node.node.duplicate(), Some(at(elsewhere)));
    // It is looked for again, and forgotten once it is not found for long.
    node.second += 601;
    node.feed(Input::WakeUp);
    assert_eq!(node.node.duplicate(), None);
    let outputs = node.feed(Input::Duplicate { address: at("12.0.0.2") });
    assert!(matches!(outputs[..], [Output::Notice(Notice::DuplicateIdentity { .. })]));
}

#[test]
fn an_address_at_which_a_node_found_itself_is_its_own() {
    let mut node = Driven::new("10.0.0.1", Config::default());
    node.meet(1, "11.0.0.1");
    let outputs = refer_to_itself(&mut node, "12.0.0.1");
    let [rpc_id] = checks_of(&outputs, at("12.0.0.1"))[..] else { panic!("{outputs:?}") };
    node.feed(Input::Undelivered { rpc_id, why: Undelivered::OwnNode });
    node.second += 60;
    let outputs = refer_to_itself(&mut node, "12.0.0.1");
    assert!(checks_of(&outputs, at("12.0.0.1")).is_empty());
    assert_eq!(node.node.duplicate(), None);
    // Nor is the announced address.
    let outputs = refer_to_itself(&mut node, "10.0.0.1");
    assert!(checks_of(&outputs, at("10.0.0.1")).is_empty());
}

#[test]
fn a_peer_is_referred_to_its_own_id_at_another_address_alone() {
    let mut node = Driven::new("10.0.0.1", Config::default());
    node.meet(1, "11.0.0.1");
    let mut ask = |from: &str| {
        let target = Key::from_bytes([1; 32]);
        let rpc_id = RpcId::from_bytes([from.as_bytes()[1]; 32]);
        let outputs = node.hear(1, from, rpc_id, Body::FindNode { target });
        let reply = outputs.iter().find_map(|output| match output {
            Output::Reply { message, .. } => Some(message.body.clone()),
            _ => None,
        });
        let Some(Body::FindNodeReply { nodes }) = reply else { panic!("{outputs:?}") };
        nodes.iter().find(|node| node.id == id(1)).map(|node| node.address)
    };
    assert_eq!(ask("11.0.0.1"), None);
    assert_eq!(ask("12.0.0.1"), Some(at("11.0.0.1")));
}
