//! What several test files need.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod network;

use voiddht_core::contact::AdmittedContact;
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{NodeId, PeerAddress};

/// A node with this ID, at an address that no limit of diversity counts.
pub(crate) fn node(id: NodeId) -> NodeInfo {
    NodeInfo { address: PeerAddress::new([127, 0, 0, 1].into(), 7402), id }
}

/// The same, admitted.
pub(crate) fn admitted(id: NodeId) -> AdmittedContact {
    AdmittedContact::probed(node(id), true).expect("the address can be dialled")
}
