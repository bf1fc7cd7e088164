//! Configured peers and the state of joining through each.
//!
//! A peer is an address or a name. To the core a name is opaque: the driver resolves it before
//! every attempt ([`Output::Resolve`](crate::event::Output::Resolve)), so that a name whose
//! addresses change, or that cannot be resolved yet, costs nothing but a pause.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use voiddht_wire::{NodeId, PeerAddress};

pub use crate::failure::Service;
use crate::failure::Undelivered;

/// Configured peers of one node, at most; further ones are ignored and counted as
/// `configured_peers`. A guess: an operator lists a handful. With [`MAX_ADDRESSES`] addresses and
/// the longest names, 64 KiB.
pub const MAX_CONFIGURED: usize = 64;
/// Addresses that are tried of one name. A name with more is a large network's entry, of which a
/// few are as good as all.
pub const MAX_ADDRESSES: usize = 8;
/// Bytes of a name with its port: 253 of a DNS name (RFC 1035, section 2.3.4), a final dot, a
/// colon and five digits.
pub const MAX_NAME_BYTES: usize = 260;

/// A peer as the operator named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfiguredPeer {
    /// Where it listens.
    Address(PeerAddress),
    /// A name with a port, to be resolved before each attempt.
    Name(PeerName),
}

/// A name with a port, `example.org:7402`. The core never looks inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

impl PeerName {
    /// A name; `None` if it has more than [`MAX_NAME_BYTES`].
    pub fn new(name: &str) -> Option<Self> {
        (name.len() <= MAX_NAME_BYTES).then(|| Self(name.into()))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ConfiguredPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<PeerAddress> for ConfiguredPeer {
    fn from(address: PeerAddress) -> Self {
        Self::Address(address)
    }
}

impl From<SocketAddr> for ConfiguredPeer {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address.into())
    }
}

/// Why a name has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ResolveError {
    /// The name service says that there is no such name, or none with an address.
    #[error("the name has no address")]
    NoAddress,
    /// The name service did not answer in time.
    #[error("the name service did not answer in time")]
    TimedOut,
    /// The name service cannot be asked.
    #[error("the name service cannot be asked")]
    Unavailable,
}

/// Why this node cannot join through a configured peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JoinProblem {
    /// Its name has no address.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// No connection came about, or it ended before the answer.
    #[error(transparent)]
    Undelivered(#[from] Undelivered),
    /// It was connected, and did not answer.
    #[error("it accepted the connection and did not answer in time")]
    NoAnswer,
    /// It answered that it is busy, or refuses.
    #[error("it refused the request")]
    Refused,
}

impl JoinProblem {
    /// A short name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unresolved(_) => "unresolved",
            Self::Undelivered(why) => why.code(),
            Self::NoAnswer => "no_answer",
            Self::Refused => "refused_request",
        }
    }

    /// What the operator can do; empty where there is nothing to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unresolved(ResolveError::NoAddress) => {
                "Check the name given with --peer: the name service knows no address of it."
            }
            Self::Unresolved(_) => "Check this machine's name service (DNS).",
            Self::Undelivered(why) => why.advice(),
            Self::NoAnswer | Self::Refused => "The peer is overloaded, or stopping: see its log.",
        }
    }
}

/// How far joining through a configured peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It was not tried yet, or no attempt has ended.
    Untried,
    /// It answers, and is part of the same network as this node.
    Joined {
        /// The node there.
        node: NodeId,
        /// Where it answered.
        address: PeerAddress,
    },
    /// It answers, but what it knows and what this node knows are two networks.
    Split {
        /// The node there.
        node: NodeId,
        /// Where it answered.
        address: PeerAddress,
    },
    /// It does not answer.
    Failed(JoinProblem),
    /// It is this node itself.
    OwnNode,
}

impl PeerState {
    /// A short name, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Joined { .. } => "joined",
            Self::Split { .. } => "split",
            Self::Failed(problem) => problem.code(),
            Self::OwnNode => "own_node",
        }
    }
}
