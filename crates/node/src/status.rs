//! The status of a node.

use std::net::SocketAddr;

use voiddht_core::Node;
use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

use crate::counters::Counts;

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its ID.
    pub id: NodeId,
    /// Where it listens for peers.
    pub p2p_address: SocketAddr,
    /// Where it serves the module API; `None`: nowhere.
    pub api_address: Option<SocketAddr>,
    /// What the core knows and holds.
    pub core: CoreStatus,
    /// What was counted.
    pub counts: Counts,
}

/// What the core knows and holds.
#[derive(Clone, Debug, Default)]
pub struct CoreStatus {
    /// The contacts of the routing table.
    pub contacts: Vec<NodeInfo>,
    /// Records held.
    pub records: usize,
    /// Requests that await their answer.
    pub requests: usize,
    /// Operations in progress.
    pub operations: usize,
    /// Whether the node is part of a network, or has no configured peer.
    pub joined: bool,
}

impl CoreStatus {
    pub(crate) fn of(core: &Node) -> Self {
        let (requests, operations) = core.load();
        Self {
            contacts: core.table().iter().map(|contact| contact.info()).collect(),
            records: core.records().len(),
            requests,
            operations,
            joined: core.is_joined(),
        }
    }
}
