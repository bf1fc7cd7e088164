//! What every adversary is: an interceptor inside a node, which hears and speaks before it does, and
//! its accomplices.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Now;
use voiddht_session::{Input, Output};
use voiddht_wire::peer::{Body, Dialect, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, RpcId};

/// An interceptor inside a node.
pub trait Adversary {
    /// Something is about to reach the node. False keeps it from it.
    fn hear(&mut self, _around: &mut Around<'_>, _input: &Input) -> bool {
        true
    }

    /// The node is about to say something.
    fn speak(&mut self, _around: &mut Around<'_>, output: Output) -> Speech {
        Speech::Say(output)
    }

    /// Whether it has no secret of the private network that the others belong to.
    fn is_outsider(&self) -> bool {
        false
    }

    /// Called once after its start, and again after each pause that it asks for.
    fn awake(&mut self, _around: &mut Around<'_>) -> Option<Duration> {
        None
    }
}

/// What becomes of something that a node was about to say.
#[derive(Debug)]
pub enum Speech {
    /// It is said.
    Say(Output),
    /// It is said after a while.
    Later(Duration, Output),
    /// It is not said.
    Nothing,
}

/// What an adversary knows, and what it can do.
pub struct Around<'a> {
    /// The time.
    pub now: Now,
    /// The node that it sits in.
    pub own: NodeInfo,
    /// Its accomplices.
    pub cabal: &'a Cabal,
    /// Its randomness.
    pub random: &'a mut ChaCha8Rng,
    /// What it does besides what its node does.
    pub extra: &'a mut Vec<Deed>,
}

/// Something that an adversary does of its own accord.
#[derive(Debug)]
pub enum Deed {
    /// It says something in the name of its session.
    Say(Output),
    /// It sends a request of its own: on a connection that there is with that peer, or on one that
    /// is dialled for it.
    Ask {
        /// To which node.
        to: NodeInfo,
        /// The request.
        message: Message,
    },
}

impl Around<'_> {
    /// Answers a request in the node's name.
    pub fn reply(&mut self, request: &Request<'_>, body: Body) {
        let header = self.header(request.header.rpc_id);
        let message = Message { header, body };
        self.extra.push(Deed::Say(send(request.connection, message)));
    }

    /// Sends a request in the node's name. The node does not await the reply: the requester hears
    /// it first, and should keep it from the node.
    pub fn ask(&mut self, to: NodeInfo, body: Body) -> RpcId {
        let rpc_id = RpcId::from_bytes(self.random.random());
        let message = Message { header: self.header(rpc_id), body };
        self.extra.push(Deed::Ask { to, message });
        rpc_id
    }

    fn header(&self, rpc_id: RpcId) -> Header {
        Header { sender: self.own.id, port: self.own.address.port(), rpc_id }
    }
}

pub(super) fn send(connection: ConnectionId, message: Message) -> Output {
    Output::Send { connection, dialect: Dialect::V1, message }
}

/// The reply in an output, with the connection on which it goes out.
pub(super) fn reply_in(output: &Output) -> Option<(ConnectionId, &Message)> {
    match output {
        Output::Send { connection, message, .. } if !message.body.is_request() => {
            Some((*connection, message))
        }
        _ => None,
    }
}

/// A request that an adversary receives.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The connection on which it came.
    pub connection: ConnectionId,
    /// Its header.
    pub header: &'a Header,
    /// What is asked.
    pub what: Asked<'a>,
}

/// What can be asked of a node, apart from PING.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// FIND_NODE.
    Nodes(Key),
    /// FIND_VALUE.
    Value(Key),
    /// STORE.
    Store(&'a Record),
}

impl<'a> Request<'a> {
    /// The request in an input, if it is one.
    pub fn of(input: &'a Input) -> Option<Self> {
        let Input::Received { connection, message, .. } = input else { return None };
        let what = match &message.body {
            Body::FindNode { target } => Asked::Nodes(*target),
            Body::FindValue { key } => Asked::Value(*key),
            Body::Store(record) => Asked::Store(record),
            _ => return None,
        };
        Some(Self { connection: *connection, header: &message.header, what })
    }
}

/// All adversaries of a world.
#[derive(Clone, Debug, Default)]
pub struct Cabal {
    members: Vec<NodeInfo>,
    victims: Vec<NodeInfo>,
}

impl Cabal {
    pub(crate) fn join(&mut self, member: NodeInfo) {
        self.members.push(member);
    }

    /// It has crawled the network: these are the honest nodes.
    pub(crate) fn crawled(&mut self, victims: Vec<NodeInfo>) {
        self.victims = victims;
    }

    /// Its members, in the order in which they came.
    pub fn members(&self) -> &[NodeInfo] {
        &self.members
    }

    /// The honest nodes that there were when its last members came.
    pub fn victims(&self) -> &[NodeInfo] {
        &self.victims
    }

    /// The `count` members closest to a point, closest first.
    pub fn closest(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        closest_of(&self.members, target, count)
    }

    /// The `count` honest nodes closest to a point, closest first.
    pub fn victims_near(&self, target: &Key, count: usize) -> Vec<NodeInfo> {
        closest_of(&self.victims, target, count)
    }
}

fn closest_of(nodes: &[NodeInfo], target: &Key, count: usize) -> Vec<NodeInfo> {
    let mut nodes = nodes.to_vec();
    if nodes.len() > count && count > 0 {
        nodes.select_nth_unstable_by_key(count - 1, |one| target.distance(&one.id));
    }
    nodes.truncate(count);
    nodes.sort_unstable_by_key(|one| target.distance(&one.id));
    nodes
}
