//! One step of a run, and how four bytes name it. Every four bytes name a step, so that any
//! generator can make a run, and any run can be cut, joined and shrunk.

use voiddht_core::configured::Service;
use voiddht_core::event::{Misbehaviour, Undelivered};
use voiddht_wire::frame::FrameError;

/// Bytes that name a step.
pub(crate) const STEP_BYTES: usize = 4;

/// What happens next. Numbers are resolved by [`super::universe`] and, where they mean something
/// that is in progress, by [`super::world`], modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A connection is ready.
    Connect { peer: u8, proved: bool, dialed: bool },
    /// The last one with a peer has ended.
    Disconnect { peer: u8, clean: bool },
    /// A peer sends a request; `port` 0 says that it does not listen.
    Request { peer: u8, proved: bool, listens: bool, what: u8, detail: u8 },
    /// A request of the node is answered.
    Reply { request: u8, manner: Manner, detail: u8 },
    /// A reply with an unknown RPC ID.
    StrayReply { peer: u8, what: u8 },
    /// A request of the node will have no answer.
    Undelivered { request: u8, why: Undelivered },
    /// A probe has ended; `asked` is false for one that was never begun.
    Probed { probe: u8, listening: bool, asked: bool },
    /// Writes are on disk, or are not.
    Persisted { ticket: u8, durable: bool },
    /// The connection layer saw a rule broken.
    Misbehaved { peer: u8, what: Misbehaviour },
    /// A user publishes.
    Put { key: u8, value: u8, ttl: u8 },
    /// A user asks.
    Get { key: u8 },
    /// A user looks for nodes.
    Lookup { key: u8 },
    /// The node is told which peers to join; a bit set for each of eight peers.
    Join { peers: u8, name: bool },
    /// The operator replaces the configured peers, likewise.
    SetPeers { peers: u8, name: bool },
    /// A name that was asked for has these addresses, a bit set for each of four peers; or none.
    Resolved { peers: u8, known: bool },
    /// The node is told to leave.
    Leave,
    /// A user wants to know how others see the node.
    Reach,
    /// A client connects to the listening port.
    Called { peer: u8 },
    /// The machine has another address.
    AddressChanged { address: u8 },
    /// Time passes, and the driver wakes the node as it asks.
    Wait { span: u8 },
    /// The machine sleeps: time passes, and the next input finds the node late for everything.
    Sleep { span: u8 },
    /// The wall clock is set.
    SetWallClock { span: u8, back: bool },
}

/// How a request of the node is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As an honest node would that has no values and knows all peers.
    Honest,
    /// With nodes of the fuzzer's choice.
    Nodes,
    /// With a value.
    Value,
    /// With an error.
    Error,
    /// With a reply that does not fit what was asked.
    Unfitting,
    /// As honest, but by another peer than the one that was asked.
    Impostor,
    /// As honest, and the request stays open for the fuzzer: it may be answered again.
    Twice,
}

impl Step {
    /// The steps that these bytes name; what is left of them at the end names none.
    pub(crate) fn all(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        bytes.as_chunks().0.iter().copied().map(Self::from_bytes)
    }

    /// The step that these bytes name.
    pub(crate) fn from_bytes([kind, a, b, c]: [u8; STEP_BYTES]) -> Self {
        let flag = |bit: u8| c & (1 << bit) != 0;
        match kind % 28 {
            0..=2 => Self::Connect { peer: a, proved: b % 8 != 7, dialed: flag(0) },
            3 => Self::Disconnect { peer: a, clean: flag(0) },
            4..=7 => Self::Request {
                peer: a,
                proved: kind != 7 || flag(0),
                listens: c % 16 != 15,
                what: b,
                detail: c,
            },
            8..=13 => Self::Reply { request: a, manner: manner(b), detail: c },
            14 => Self::StrayReply { peer: a, what: b },
            15 => Self::Undelivered { request: a, why: undelivered(b) },
            16 => Self::Probed { probe: a, listening: flag(0), asked: !flag(1) },
            17 | 18 => Self::Persisted { ticket: a, durable: c % 4 != 3 },
            19 => Self::Misbehaved { peer: a, what: misbehaviour(b) },
            20 => Self::Put { key: a, value: b, ttl: c },
            21 => Self::Get { key: a },
            22 => Self::Lookup { key: a },
            23 if b % 4 == 3 => Self::Leave,
            23 if b % 8 == 2 => Self::Reach,
            23 if b % 8 == 4 => Self::Resolved { peers: a, known: c % 4 != 3 },
            23 if b % 8 == 5 => Self::SetPeers { peers: a, name: flag(0) },
            23 if b % 8 == 1 => Self::Called { peer: a },
            23 if b % 16 == 6 => Self::AddressChanged { address: a },
            23 => Self::Join { peers: a, name: flag(0) },
            24 | 25 => Self::Wait { span: a },
            26 => Self::Sleep { span: a },
            _ => Self::SetWallClock { span: a, back: flag(0) },
        }
    }
}

fn manner(choice: u8) -> Manner {
    match choice % 12 {
        0..=3 => Manner::Honest,
        4 | 5 => Manner::Nodes,
        6 | 7 => Manner::Value,
        8 => Manner::Error,
        9 => Manner::Unfitting,
        10 => Manner::Impostor,
        _ => Manner::Twice,
    }
}

fn undelivered(choice: u8) -> Undelivered {
    match choice % 14 {
        0 | 6 => Undelivered::Refused,
        1 => Undelivered::DialTimeout,
        2 => Undelivered::WrongIdentity,
        3 => Undelivered::ConnectionLost,
        4 => Undelivered::LocalLimit,
        7 => Undelivered::Unreachable,
        8 => Undelivered::NotAPeerPort(Service::ModuleApi),
        9 => Undelivered::OtherPolicy { option: "--identity tofu" },
        10 => Undelivered::OtherNetwork,
        11 => Undelivered::OwnNode,
        12 => Undelivered::PublicNetwork,
        _ => Undelivered::DoesNotFit,
    }
}

fn misbehaviour(choice: u8) -> Misbehaviour {
    match choice % 6 {
        0 => Misbehaviour::Malformed(FrameError::TooShort(3).into()),
        1 => Misbehaviour::ForeignSender,
        2 => Misbehaviour::UnawaitedReply,
        3 => Misbehaviour::WrongReply,
        4 => Misbehaviour::DeniedValue,
        _ => Misbehaviour::StalledFrame,
    }
}
