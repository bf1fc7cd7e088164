//! The session without a driver: inputs by hand, and a clock that goes where a test moves it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rand::SeedableRng;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};
use voiddht_core::Config;
use voiddht_core::event::{Command, CommandId};
use voiddht_core::time::WallTime;
use voiddht_identity::pin::{Outcome, Settlement, TakeoverRefused, TurnedAway};
use voiddht_identity::{Identity, KeyKind, Verdict, client_config, dialed_peer, server_config};
use voiddht_wire::peer::{Body, Dialect, Header};
use voiddht_wire::{Key, PeerAddress, RpcId};

use super::*;
use crate::event::{NotSent, Proved, TrustNotice};
use crate::names;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ME: u8 = 0x80;

fn id(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 32])
}

fn address(byte: u8) -> PeerAddress {
    PeerAddress::new([127, 0, 0, byte].into(), 7402)
}

fn identity(byte: u8) -> Identity {
    Identity::generate_with_id(KeyKind::Ed25519, id(byte), HOST).unwrap()
}

fn message(sender: u8, rpc: u8, body: Body) -> Message {
    let header = Header { sender: id(sender), port: 7402, rpc_id: RpcId::from_bytes([rpc; 32]) };
    Message { header, body }
}

/// What a node proves to who dials it, by a handshake in memory.
fn proof_of(node: &Identity) -> ProvedPeer {
    let (dialler, pushed) = (identity(0xee), node.certificate().clone());
    let config = client_config(&dialler, pushed.clone(), None).unwrap();
    let mut here = ClientConnection::new(config, ServerName::IpAddress(HOST.into())).unwrap();
    let mut there = ServerConnection::new(Arc::clone(&server_config(node))).unwrap();
    while here.is_handshaking() || there.is_handshaking() {
        carry(&mut here, &mut there);
        carry(&mut there, &mut here);
    }
    dialed_peer(&here, &pushed, &dialler).unwrap()
}

fn carry<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets().unwrap();
    }
}

struct Bench {
    session: Session,
    now: Moment,
    accepted: u64,
}

impl Bench {
    fn new() -> Self {
        let own = NodeInfo { address: address(ME), id: id(ME) };
        let seed = || ChaCha8Rng::seed_from_u64(1);
        let core = Node::new(own, Config::default(), seed()).unwrap();
        let limits = SessionLimits {
            pool: PoolLimits { connections: 100, requests_per_peer: 10 },
            pins: PinLimits::default(),
            probes: 2,
        };
        let now = Moment::from_micros(0);
        let certificate = identity(ME).certificate().clone();
        let session = Session::new(core, certificate, limits, seed(), at(now));
        Self { session, now, accepted: 0 }
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        self.session.handle_input(at(self.now), input);
        self.drain()
    }

    /// Wakes the session when it wants to be woken.
    fn wake(&mut self) -> Vec<Output> {
        self.now = self.session.next_wakeup().unwrap().max(self.now);
        self.feed(Input::WakeUp)
    }

    fn accepting(&mut self, peer: u8, proof: Option<ProvedPeer>) -> (ConnectionId, Input) {
        self.accepted += 1;
        let connection = names::accepted(self.accepted);
        (connection, opened(connection, peer, false, proof))
    }

    /// A peer dials this node.
    fn accept(&mut self, peer: u8, proof: Option<ProvedPeer>) -> (ConnectionId, Vec<Output>) {
        let (connection, input) = self.accepting(peer, proof);
        (connection, self.feed(input))
    }
}

fn at(mono: Moment) -> Now {
    let wall = WallTime::from_millis(1_700_000_000_000 + mono.as_micros() / 1000);
    Now::never_suspended(mono, wall)
}

fn opened(connection: ConnectionId, peer: u8, dialed: bool, proof: Option<ProvedPeer>) -> Input {
    let fingerprint = proof.as_ref().map_or([peer; 32], |proof| proof.certificate().fingerprint());
    let opened = Opened {
        connection,
        proved: Some(Proved { id: id(peer), fingerprint }),
        remote: address(peer),
        dialed: dialed.then(|| address(peer)),
        dialect: Dialect::V1,
        group: None,
        proven_by: None,
    };
    Input::Opened { opened: Box::new(opened), proof }
}

fn turned_away(outputs: &[Output], connection: ConnectionId) -> bool {
    let it = |one: &Output| matches!(one, Output::TurnAway { connection: it } if *it == connection);
    outputs.iter().any(it)
}

fn verdict(outputs: &[Output]) -> Option<Verdict> {
    outputs.iter().find_map(|output| match output {
        Output::Trust(TrustNotice::Conflict { verdict, .. }) => Some(*verdict),
        _ => None,
    })
}

fn settlement(outputs: &[Output]) -> Option<Settlement> {
    outputs.iter().find_map(|output| match output {
        Output::Trust(TrustNotice::Settled(settlement)) => Some(*settlement),
        _ => None,
    })
}

fn sent(outputs: &[Output]) -> Vec<(ConnectionId, &Message)> {
    let sends = outputs.iter().filter_map(|output| match output {
        Output::Send { connection, message, .. } => Some((*connection, message)),
        _ => None,
    });
    sends.collect()
}

#[test]
fn the_core_hears_of_a_connection_before_what_came_over_it() {
    let mut bench = Bench::new();
    let (connection, input) = bench.accepting(1, None);
    bench.session.handle_input(at(bench.now), input);
    let ping = message(1, 9, Body::Ping);
    bench.session.handle_input(at(bench.now), Input::Received { connection, message: ping });
    let outputs = bench.drain();
    let (to, reply) = sent(&outputs)[0];
    assert_eq!((to, reply.header.rpc_id), (connection, RpcId::from_bytes([9; 32])));
    assert!(matches!(reply.body, Body::PingReply { .. }));
    let probed = outputs.iter().any(|one| matches!(one, Output::Probe { proved: Some(_), .. }));
    assert!(probed, "whether it listens: {outputs:?}");
    assert!(bench.session.is_connected(&id(1)) && bench.session.connections() == 1);
}

#[test]
fn what_comes_on_an_unknown_connection_is_dropped() {
    let mut bench = Bench::new();
    let connection = names::accepted(77);
    let ping = message(1, 9, Body::Ping);
    assert!(bench.feed(Input::Received { connection, message: ping }).is_empty());
}

#[test]
fn a_request_that_cannot_be_sent_fails_while_outputs_are_drained() {
    let mut bench = Bench::new();
    let command = Command::join([address(1)]);
    let outputs = bench.feed(Input::Command { id: CommandId(0), command });
    let dial = outputs.iter().find_map(|output| match output {
        Output::Dial { connection, .. } => Some(*connection),
        _ => None,
    });
    let dial = dial.expect("the configured peer is dialled");
    bench.session.handle_input(at(bench.now), opened(dial, 1, true, None));
    let (mut is_full, mut has_failed) = (false, false);
    while let Some(output) = bench.session.poll_output() {
        match output {
            Output::Send { connection, message, .. } => {
                let why = NotSent::Full;
                let input = Input::NotSent { connection, message, why };
                bench.session.handle_input(at(bench.now), input);
            }
            Output::LimitReached(Limit::QueuedBytes) => is_full = true,
            Output::Notice(Notice::JoinFailed { .. }) => has_failed = true,
            _ => {}
        }
    }
    assert!(is_full && has_failed);
}

#[test]
fn an_owner_that_answers_keeps_its_id() {
    let mut bench = Bench::new();
    let (owner, thief) = (proof_of(&identity(1)), proof_of(&identity(1)));
    let (connection, outputs) = bench.accept(1, Some(owner));
    assert!(outputs.iter().any(|output| matches!(output, Output::SavePin(_))));
    let (taking, outputs) = bench.accept(1, Some(thief.clone()));
    assert!(turned_away(&outputs, taking));
    assert_eq!(verdict(&outputs), Some(Verdict::TurnedAway(TurnedAway::CheckStarted)));
    let asked: Vec<_> = sent(&outputs);
    let [(to, ping)] = asked[..] else { panic!("one PING: {outputs:?}") };
    assert_eq!(to, connection, "on the live connection");
    let reply = Message { body: Body::PingReply { observed: None }, ..ping.clone() };
    let reply = Message { header: Header { sender: id(1), ..reply.header }, ..reply };
    let outputs = bench.feed(Input::Received { connection, message: reply });
    assert_eq!(settlement(&outputs).map(|it| it.outcome), Some(Outcome::OwnerAnswered));
    let (taking, outputs) = bench.accept(1, Some(thief));
    assert!(turned_away(&outputs, taking));
    assert_eq!(verdict(&outputs), Some(Verdict::Refused(TakeoverRefused::OwnerAnswered)));
    assert_eq!((bench.session.connections(), bench.session.pin_count()), (1, 1));
}

#[test]
fn the_id_of_an_owner_that_is_gone_is_reassigned() {
    let mut bench = Bench::new();
    let (owner, heir) = (proof_of(&identity(1)), proof_of(&identity(1)));
    let (connection, _) = bench.accept(1, Some(owner));
    bench.accept(1, Some(heir.clone()));
    let ended = std::iter::from_fn(|| Some(bench.wake())).find_map(|outputs| settlement(&outputs));
    assert_eq!(ended.map(|it| it.outcome), Some(Outcome::OwnerSilent));
    let ending = Ending { clean: false, written: false, broken: None };
    bench.feed(Input::Closed { connection, ending });
    let (taken, outputs) = bench.accept(1, Some(heir));
    assert_eq!(verdict(&outputs), Some(Verdict::Replaced));
    assert!(!turned_away(&outputs, taken) && bench.session.is_connected(&id(1)));
}

#[test]
fn probes_have_a_bound_and_the_rest_waits() {
    let mut bench = Bench::new();
    let mut probes = Vec::new();
    for peer in 1..=5 {
        let (connection, mut outputs) = bench.accept(peer, None);
        let ping = message(peer, peer, Body::Ping);
        outputs.extend(bench.feed(Input::Received { connection, message: ping }));
        probes.extend(outputs.into_iter().filter_map(probed));
    }
    assert_eq!(probes.len(), 2);
    while probes.len() < 5 {
        let contact = probes[probes.len() - 2];
        let outputs = bench.feed(Input::Probed { contact, found: ProbeEnd::ListensNot });
        probes.extend(outputs.into_iter().filter_map(probed));
    }
    let of_peers: Vec<NodeId> = (1..=5).map(id).collect();
    assert_eq!(probes.iter().map(|contact| contact.id).collect::<Vec<_>>(), of_peers);
}

fn probed(output: Output) -> Option<NodeInfo> {
    match output {
        Output::Probe { contact, .. } => Some(contact),
        _ => None,
    }
}

/// Where dials cross, the session wakes itself to close the connection that is not needed.
#[test]
fn a_replaced_connection_is_swept() {
    let mut bench = Bench::new();
    bench.accept(1, None);
    bench.accept(1, None);
    assert_eq!(bench.session.connections(), 2);
    let mut outputs = Vec::new();
    while bench.session.next_wakeup().is_some() {
        outputs.extend(bench.wake());
    }
    assert!(matches!(outputs[..], [Output::Close { .. }]), "{outputs:?}");
    assert!(bench.now.since(Moment::from_micros(0)) < Duration::from_secs(30));
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut bench = Bench::new();
        let mut said = String::new();
        for peer in 1..=20 {
            let (connection, outputs) = bench.accept(peer, None);
            said += &format!("{outputs:?}");
            let find = Body::FindNode { target: Key::from_bytes([peer; 32]) };
            let message = message(peer, peer, find);
            said += &format!("{:?}", bench.feed(Input::Received { connection, message }));
        }
        let command = Command::join([address(1), address(2)]);
        said += &format!("{:?}", bench.feed(Input::Command { id: CommandId(0), command }));
        for _ in 0..50 {
            said += &format!("{:?}", bench.wake());
        }
        said
    };
    assert_eq!(run(), run());
}
