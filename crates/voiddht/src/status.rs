//! A node at one moment.

use std::net::SocketAddr;

use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

/// A node at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Its ID.
    pub id: NodeId,
    /// Where it listens for peers.
    pub address: SocketAddr,
    /// Whether it is part of a network, or has no configured peer.
    pub joined: bool,
    /// The nodes of its routing table.
    pub contacts: Vec<NodeInfo>,
    /// Records that it holds.
    pub records: usize,
    /// PUTs, GETs and lookups in progress, its own included.
    pub operations: usize,
    /// Requests to peers that await their answers.
    pub requests: usize,
    /// Connections with peers.
    pub connections: u64,
}

impl From<voiddht_node::Status> for Status {
    fn from(status: voiddht_node::Status) -> Self {
        Self {
            id: status.id,
            address: status.p2p_address,
            joined: status.core.joined,
            contacts: status.core.contacts,
            records: status.core.records,
            operations: status.core.operations,
            requests: status.core.requests,
            connections: status.counts.connections,
        }
    }
}
