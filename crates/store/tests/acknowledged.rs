//! The real node logic on a disk that fails at its n-th operation, for every n of a short run, and
//! on one that loses what was not synced. Whatever the node has acknowledged, to a peer's STORE or
//! to its own user's PUT, is found by the node that comes back from that disk. What it could not
//! bring there it has refused. And all the while it serves what it holds.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::Bytes;
use common::{TestClocks, completions};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use voiddht_core::configured::ResolveError;
use voiddht_core::event::{Command, CommandId, Input, Outcome, Output, Ticket, Undelivered, Write};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_core::{Config, Node};
use voiddht_store::faulty::{Fault, FaultyDisk};
use voiddht_store::{Completion, Medium, Store};
use voiddht_wire::peer::{Body, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{Key, NodeId, PeerAddress, Publication, RpcId};

/// Rounds of a run: in each a peer stores something new, and something in another's place, and the
/// node's own user puts something.
const ROUNDS: u64 = 3;
/// What every round replaces.
const REPLACED: u64 = 1;

/// A node without a network: only a peer that stores and asks, a user, and a disk.
struct Host {
    core: Node,
    store: Store,
    completions: Receiver<Completion>,
    now: Now,
    inputs: VecDeque<Input>,
    replies: Vec<Body>,
    outcomes: Vec<Outcome>,
}

impl Host {
    /// Starts a node on what lies on a medium.
    fn start(medium: impl Medium) -> Self {
        let (on_completion, completions) = completions();
        let clocks = Arc::new(TestClocks::default());
        let (store, loaded) = Store::on_medium(medium, clocks, on_completion).unwrap();
        let own = NodeInfo { address: address(1), id: NodeId::from_bytes([1; 32]) };
        let seed = ChaCha8Rng::seed_from_u64(1);
        let mut core = Node::new(own, Config::default(), seed).unwrap();
        let wall = WallTime::from_millis(1_700_000_000_000);
        let now = Now::never_suspended(Moment::from_micros(1), wall);
        core.restore(now, loaded.records.into_iter().map(|r| (r.record, r.remaining)).collect());
        core.restore_contacts(loaded.contacts);
        let (inputs, replies, outcomes) = Default::default();
        Self { core, store, completions, now, inputs, replies, outcomes }
    }

    /// Feeds one input, and whatever follows from it.
    fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            self.now.mono = self.now.mono + Duration::from_millis(1);
            self.now.wall = self.now.wall + Duration::from_millis(1);
            self.core.handle_input(self.now, input);
            while let Some(output) = self.core.poll_output() {
                self.carry_out(output);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist { ticket, writes } => self.persist(ticket, writes),
            Output::Reply { message, .. } => self.replies.push(message.body),
            Output::Answer { outcome, .. } => self.outcomes.push(outcome),
            Output::Request { message, .. } => {
                let (rpc_id, why) = (message.header.rpc_id, Undelivered::Refused);
                self.inputs.push_back(Input::Undelivered { rpc_id, why });
            }
            Output::Probe { contact } => {
                self.inputs.push_back(Input::Probed { contact, listening: false });
            }
            Output::Resolve { name } => {
                let found = Err(ResolveError::NoAddress);
                self.inputs.push_back(Input::Resolved { name, found });
            }
            Output::HangUp { .. } | Output::Notice(_) => {}
        }
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        self.store.submit(ticket, writes).unwrap();
        let Completion { ticket, result } = self.completions.recv().unwrap();
        self.inputs.push_back(Input::Persisted { ticket, durable: result.is_ok() });
    }

    /// What a peer is answered. It listens nowhere, so that no node dials it.
    fn ask(&mut self, body: Body) -> Body {
        let id = NodeId::from_bytes([2; 32]);
        let header = Header { sender: id, port: 0, rpc_id: RpcId::default() };
        let peer = Peer::danger_assume_proved(id, address(2));
        let connection = ConnectionId(1);
        let message = Message { header, body };
        self.feed(Input::Received { connection, peer, message });
        self.replies.pop().unwrap()
    }

    /// A peer's STORE. Whether it was acknowledged.
    fn store(&mut self, number: u64, round: u64) -> bool {
        let record = Record {
            key: key(number),
            value: value(number, round),
            ttl: 600,
            version: Some(1_700_000_000_000 + round),
            maintenance: false,
        };
        match self.ask(Body::Store(record)) {
            Body::StoreReply { key: replied } if replied == key(number) => true,
            Body::Error(ErrorCode::Busy) => false,
            other => panic!("{other:?}"),
        }
    }

    /// The user's PUT. Whether it was acknowledged.
    fn put(&mut self, number: u64, round: u64) -> bool {
        let (key, value) = (key(number), value(number, round));
        let command = Command::Put(Publication::new(key, value));
        self.feed(Input::Command { id: CommandId(number), command });
        match self.outcomes.pop().unwrap() {
            Outcome::Put { receipt, .. } => receipt.stored == 1,
            other => panic!("{other:?}"),
        }
    }

    /// What a peer finds here.
    fn find(&mut self, number: u64) -> Option<Bytes> {
        match self.ask(Body::FindValue { key: key(number) }) {
            Body::FindValueReply(record) => Some(record.value),
            Body::FindNodeReply { .. } => None,
            other => panic!("{other:?}"),
        }
    }
}

fn address(number: u16) -> PeerAddress {
    PeerAddress::new([192, 0, 2, 1].into(), number)
}

fn key(number: u64) -> Key {
    Key::of_value(format!("a key that no value proves: {number}").as_bytes())
}

/// Of several sizes, so that pages of several sizes are needed.
fn value(number: u64, round: u64) -> Bytes {
    let mut value = format!("{number} in round {round}").into_bytes();
    value.resize(100 + 900 * round as usize, b'.');
    value.into()
}

/// What was acknowledged: of each number the last round.
#[derive(Clone, Debug, Default)]
struct Acknowledged(BTreeMap<u64, u64>);

/// Runs the rounds; says how many of its writes were refused. Everything that was acknowledged is
/// served throughout.
fn run(host: &mut Host, rounds: std::ops::Range<u64>, acknowledged: &mut Acknowledged) -> usize {
    let mut refused = 0;
    for round in rounds {
        let (new, own) = (10 + round, 100 + round);
        let mut note = |number, is_acknowledged| match is_acknowledged {
            true => drop(acknowledged.0.insert(number, round)),
            false => refused += 1,
        };
        note(new, host.store(new, round));
        note(REPLACED, host.store(REPLACED, round));
        note(own, host.put(own, round));
        check(host, acknowledged, "while it runs");
    }
    refused
}

/// Everything that was acknowledged is there, or what was stored in its place later.
#[track_caller]
fn check(host: &mut Host, acknowledged: &Acknowledged, context: &str) {
    for (number, round) in &acknowledged.0 {
        let found = host.find(*number);
        let is_right = (*round..2 * ROUNDS).any(|later| found == Some(value(*number, later)));
        assert!(is_right, "{context}: of {number} round {round} is lost");
    }
}

/// Every way in which the run can end.
fn check_every_end(disk: &FaultyDisk, acknowledged: &Acknowledged, context: &str) {
    let mut turn = 0;
    let every_other = || {
        turn += 1;
        turn % 2 == 0
    };
    let ends = [
        ("killed", disk.after_kill()),
        ("all unsynced lost", disk.after_power_cut(|| false)),
        ("half of what was unsynced lost", disk.after_power_cut(every_other)),
    ];
    for (end, left) in ends {
        let mut host = Host::start(left);
        check(&mut host, acknowledged, &format!("{context}, {end}"));
        assert!(host.store(999, 0), "{context}, {end}: and it goes on from there");
    }
}

fn fresh_disk() -> FaultyDisk {
    let disk = FaultyDisk::default();
    drop(Host::start(disk.clone()));
    disk
}

fn for_every_operation(failing: u64, kind: ErrorKind) {
    let disk = fresh_disk();
    let mut host = Host::start(disk.clone());
    let before = disk.operations();
    assert_eq!(run(&mut host, 0..ROUNDS, &mut Acknowledged::default()), 0);
    let operations = disk.operations() - before;
    assert!(operations > 10 * ROUNDS, "{operations} operations are too few to mean anything");
    let mut runs_with_refusals = 0;
    for at in 0..operations {
        let context = format!("{failing} operations fail from {at} of {operations} on");
        let disk = fresh_disk();
        let mut host = Host::start(disk.clone());
        let mut acknowledged = Acknowledged::default();
        let at = disk.operations() + at;
        disk.set_fault(Some(Fault { at, operations: failing, kind }));
        let refused = run(&mut host, 0..ROUNDS, &mut acknowledged);
        runs_with_refusals += u64::from(refused > 0);
        check_every_end(&disk, &acknowledged, &context);

        disk.set_fault(None);
        let refused = run(&mut host, ROUNDS..2 * ROUNDS, &mut acknowledged);
        assert_eq!(refused, 0, "{context}: once the disk is well, all is taken");
        check_every_end(&disk, &acknowledged, &format!("{context}, mended"));
    }
    assert!(runs_with_refusals > operations / 2, "{runs_with_refusals} of {operations}");
}

#[test]
fn a_node_whose_disk_fails_once_keeps_what_it_acknowledged() {
    for_every_operation(1, ErrorKind::Other);
}

#[test]
fn a_node_whose_disk_is_full_for_a_while_keeps_what_it_acknowledged() {
    for_every_operation(12, ErrorKind::StorageFull);
}

#[test]
fn a_node_whose_disk_fails_and_stays_so_keeps_what_it_acknowledged() {
    for_every_operation(u64::MAX, ErrorKind::Other);
}
