//! Inputs and outputs of the pins.

use voiddht_core::time::WallTime;
use voiddht_wire::{NodeId, PeerAddress};

use crate::certificate::Certificate;

/// Whether an authenticated peer is trusted under its ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It showed the pinned certificate.
    Known,
    /// Its ID was not known: its certificate is now the pinned one.
    Pinned,
    /// It showed a new certificate with the pinned key, which is now the pinned one.
    Renewed,
    /// The old owner of its ID did not answer: its certificate is now the pinned one.
    Replaced,
    /// Its ID is pinned to another key. The connection must be closed; it may come again.
    TurnedAway(TurnedAway),
    /// Its ID is pinned to another key, whose owner lives. The connection must be closed.
    Refused(TakeoverRefused),
}

/// Why a newcomer has to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TurnedAway {
    /// The owner is being asked because of this newcomer.
    #[error("another key is pinned for this ID; its owner is being asked")]
    CheckStarted,
    /// The owner was being asked already.
    #[error("another key is pinned for this ID; its owner is already being asked")]
    CheckUnderWay,
    /// Too many owners are being asked, or were within the last minute.
    #[error("another key is pinned for this ID; too many owners are being asked just now")]
    TooManyChecks,
    /// The owner could not be asked a moment ago, for reasons of this node.
    #[error("another key is pinned for this ID; its owner could not be asked")]
    OwnerNotAsked,
}

/// Why a takeover is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TakeoverRefused {
    /// The owner has answered under the pinned certificate.
    #[error("another key is pinned for this ID, and its owner has answered")]
    OwnerAnswered,
    /// The ID is this node's.
    #[error("this node's own ID under another key")]
    OwnId,
}

impl Verdict {
    /// Whether the connection may be used.
    pub fn is_trusted(self) -> bool {
        !self.is_conflict()
    }

    /// Whether another key is pinned for the ID: worth a line in the log at warn. Its text is in the
    /// value inside.
    pub fn is_conflict(self) -> bool {
        matches!(self, Self::TurnedAway(_) | Self::Refused(_))
    }
}

/// What the driver is asked to do, or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinOutput {
    /// Ask an old owner whether it lives, and answer with [`super::Pins::ping_ended`].
    Ping(TakeoverPing),
    /// A check has ended: one line in the log at warn.
    Settled(Settlement),
    /// Keep this pin on disk, in place of any of the same ID.
    Save(PinRecord),
    /// Forget this pin on disk.
    Forget(NodeId),
}

/// A PING to the owner of a pin. It counts as answered only under the pinned certificate: on a live
/// connection that proved it, or on a new one to the pinned address, where that certificate is
/// pushed and proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeoverPing {
    /// The ID whose owner is asked.
    pub node_id: NodeId,
    /// Where. If no node can listen there and no connection lives, that is silence.
    pub address: PeerAddress,
    /// Under which certificate.
    pub certificate: Certificate,
}

/// How a PING to an old owner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PingResult {
    /// The owner answered under the pinned certificate.
    Answered,
    /// It did not: refused, too late, or another node is there.
    Silent,
    /// A limit of this node kept it from asking. This says nothing about the owner.
    NotAsked,
}

/// The end of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settlement {
    /// Over which ID.
    pub node_id: NodeId,
    /// How it ended.
    pub outcome: Outcome,
    /// How many connections were refused meanwhile, the first included.
    pub turned_away: u32,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Outcome {
    /// The owner lives; the takeover is refused.
    #[error("the owner answered and keeps the ID")]
    OwnerAnswered,
    /// The owner is gone; the next node to authenticate the ID is pinned.
    #[error("the owner did not respond; the next node to authenticate the ID is pinned")]
    OwnerSilent,
    /// The owner could not be asked often enough; the pin stays.
    #[error("the owner could not be asked, and the pin stays")]
    Undecided,
    /// The pin was forgotten meanwhile, by command.
    #[error("the pin was forgotten")]
    Forgotten,
}

/// What happened since the start, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PinCounters {
    /// IDs seen for the first time.
    pub pinned: u64,
    /// Certificates replaced by another of the same key.
    pub renewed: u64,
    /// Connections that authenticated an ID under another key than the pinned one.
    pub conflicts: u64,
    /// Of these, refused because too many checks were made.
    pub over_limit: u64,
    /// PINGs to old owners.
    pub pings: u64,
    /// Checks in which the owner answered.
    pub owner_answered: u64,
    /// Checks in which the owner was unresponsive.
    pub owner_silent: u64,
    /// Checks that decided nothing.
    pub undecided: u64,
    /// Pins that were reassigned to a new key after a check.
    pub replaced: u64,
    /// Pins that made room for others.
    pub evicted: u64,
}

/// A pin as it lies on disk, and as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRecord {
    /// The ID.
    pub node_id: NodeId,
    /// The certificate first authenticated for it, in DER.
    pub certificate: Vec<u8>,
    /// Where it was last reached; with port 0 if it was never seen to listen.
    pub address: PeerAddress,
    /// When it was last seen, to the hour.
    pub last_seen: WallTime,
}
