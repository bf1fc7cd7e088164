//! How often membership was not proved, and in which way: for metrics, and for `dht doctor`, which
//! tells an operator the step of a rotation that a node has missed.

use voiddht_identity::network::PushError;

use crate::counters::recent::{MinuteClock, RecentCount};
use crate::handshake::error::HandshakeError;

voiddht_core::label! {
    /// Why a connection was not one with a member of the network.
    pub enum MembershipRefusal {
        /// A dialled node pushed its certificate in the clear.
        PublicNode = "public_node",
        /// No secret opens what a dialled peer pushed.
        OtherNetwork = "other_network",
        /// The first bytes inside TLS were no proof, or one by a secret that this node does not have.
        WrongProof = "wrong_proof",
        /// The peer ended the connection, or was silent, where its proof was due.
        NoProof = "no_proof",
    }
}

impl MembershipRefusal {
    /// `None` for what has nothing to do with membership.
    pub(crate) fn of(error: &HandshakeError) -> Option<Self> {
        match error {
            HandshakeError::Push(PushError::PublicNode) => Some(Self::PublicNode),
            HandshakeError::Push(PushError::OtherNetwork) => Some(Self::OtherNetwork),
            HandshakeError::Membership(_) => Some(Self::WrongProof),
            HandshakeError::NoProof(_) | HandshakeError::LateProof => Some(Self::NoProof),
            _ => None,
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    refused: [RecentCount; MembershipRefusal::COUNT],
    /// Known contacts whose push no secret opens.
    unopened_contacts: RecentCount,
    /// Peers that sealed their push with another secret than this node's first, and then did not
    /// prove membership.
    closed_by_newer: RecentCount,
    clock: MinuteClock,
}

/// What was counted up to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkTally {
    /// Handshakes without membership since the start, by [`MembershipRefusal`].
    pub refused: [u64; MembershipRefusal::COUNT],
    /// Proofs of peers, in the last ten minutes, that no secret of this node makes.
    pub recent_wrong_proofs: u64,
    /// Dials of known contacts, in the last ten minutes, whose push no secret opened.
    pub recent_unopened_contacts: u64,
    /// Dials, in the last ten minutes, of peers that sealed their push with another secret than this
    /// node's first, and then ended the connection instead of proving membership.
    pub recent_closed_by_newer: u64,
}

impl Tallies {
    /// A handshake has failed. `is_contact`: a node of a known ID was dialled. `sealed_with_other`:
    /// its push was sealed with a secret that is not this node's first.
    pub(crate) fn failed(&self, error: &HandshakeError, is_contact: bool, sealed_with_other: bool) {
        let Some(refusal) = MembershipRefusal::of(error) else { return };
        let minute = self.clock.now();
        self.refused[refusal.slot()].add(minute);
        match refusal {
            MembershipRefusal::OtherNetwork if is_contact => self.unopened_contacts.add(minute),
            MembershipRefusal::NoProof if sealed_with_other => self.closed_by_newer.add(minute),
            _ => {}
        }
    }

    pub(crate) fn read(&self) -> NetworkTally {
        let minute = self.clock.now();
        NetworkTally {
            refused: std::array::from_fn(|slot| self.refused[slot].total()),
            recent_wrong_proofs: self.refused[MembershipRefusal::WrongProof.slot()].recent(minute),
            recent_unopened_contacts: self.unopened_contacts.recent(minute),
            recent_closed_by_newer: self.closed_by_newer.recent(minute),
        }
    }
}
