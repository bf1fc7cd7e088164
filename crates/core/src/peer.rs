//! The peer at the other end of a connection, and whether it is authenticated.

use voiddht_wire::{NodeId, PeerAddress};

/// One live connection, named by the driver. Never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The node at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    id: NodeId,
    remote: PeerAddress,
    proved: bool,
}

impl Peer {
    /// A peer whose ID its certificate authenticated inside TLS.
    ///
    /// Dangerous, because nothing here can check that: only the driver's TLS code, after its
    /// verifier has said yes, and the simulator, where there is no TLS, may call it.
    pub fn danger_assume_proved(id: NodeId, remote: PeerAddress) -> Self {
        Self { id, remote, proved: true }
    }

    /// A peer that showed no certificate: what it says of itself is only a hint.
    pub fn claimed(id: NodeId, remote: PeerAddress) -> Self {
        Self { id, remote, proved: false }
    }

    /// The peer's node ID.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The address that its packets come from; the port is the connection's, not its listener's.
    pub fn remote(&self) -> PeerAddress {
        self.remote
    }

    /// Whether a certificate authenticated the ID.
    pub fn is_proved(&self) -> bool {
        self.proved
    }
}
