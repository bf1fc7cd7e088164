//! Who a quota is charged to.

use std::fmt;

use voiddht_wire::{NodeId, PeerAddress};

use crate::diversity::AddressPrefix;
use crate::peer::Peer;

/// The account that something is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A node that a certificate has authenticated.
    Node(NodeId),
    /// The host of a peer without a certificate: anyone can claim another's ID.
    Host(AddressPrefix),
    /// All of a /24 or /64 together, where there is no account left for each.
    Site(AddressPrefix),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "node {}", id.short()),
            Self::Host(prefix) => write!(f, "host {prefix}"),
            Self::Site(prefix) => write!(f, "network {prefix}"),
        }
    }
}

/// An owner, and the address that its packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its owner.
    pub owner: Owner,
    /// Where it is. The port means nothing.
    pub address: PeerAddress,
}

impl From<&Peer> for Account {
    fn from(peer: &Peer) -> Self {
        let address = peer.remote();
        let owner = match peer.is_proved() {
            true => Owner::Node(peer.id()),
            false => Owner::Host(AddressPrefix::host(&address)),
        };
        Self { owner, address }
    }
}

/// A quota that a peer has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaReached {
    /// Requests of this peer.
    PeerRequests,
    /// Requests from its prefix.
    PrefixRequests,
    /// Signatures to be verified for this peer, its prefix, or all.
    SignatureChecks,
    /// Records charged to this peer.
    PeerRecords,
    /// Bytes charged to this peer.
    PeerBytes,
    /// Records charged to its prefix.
    PrefixRecords,
    /// Bytes charged to its prefix.
    PrefixBytes,
}
