//! The secrets of a private network, and what is open because of them: see
//! [`renewal`](super::renewal).

use std::collections::{BTreeMap, BTreeSet};

use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_identity::KeyExchangeGroup;
use voiddht_identity::network::{Fingerprint, NetworkSecrets, ProvenBy};

/// The secrets that are accepted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub(super) first: Fingerprint,
    pub(super) all: Vec<Fingerprint>,
}

impl Accepted {
    /// Those of a private network.
    pub fn of(secrets: &NetworkSecrets) -> Self {
        Self { first: secrets.first().fingerprint(), all: secrets.fingerprints() }
    }

    pub(super) fn is_current(&self, by: &ProvenBy) -> bool {
        by.peer == self.first && by.own == self.first
    }
}

/// Which connections are renewed when.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// `None` in a public network.
    pub(super) accepted: Option<Accepted>,
    /// What is due when.
    pub(super) due: BTreeSet<(Moment, ConnectionId)>,
}

impl Renewals {
    pub(super) fn has_any(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn forget(&mut self, at: Option<Moment>, connection: ConnectionId) {
        if let Some(at) = at {
            self.due.remove(&(at, connection));
        }
    }
}

/// Open connections, by what they were agreed on and authenticated by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// By the key exchange group.
    pub by_group: BTreeMap<KeyExchangeGroup, usize>,
    /// By the secret of the peer's proof.
    pub by_secret: BTreeMap<Fingerprint, usize>,
}
