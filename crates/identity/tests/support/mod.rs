//! What the tests of certificates and of handshakes share.

// Each test program uses a part of it, and may fail in it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod forge;
pub mod wire;

use std::net::{IpAddr, Ipv4Addr};

use voiddht_identity::{Identity, KeyKind, Policy};
use voiddht_wire::NodeId;

/// Where every test's node says it is.
pub const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Some time in 2027, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// A new node of a kind and a policy.
pub fn identity(kind: KeyKind, policy: Policy) -> Identity {
    Identity::generate(kind, policy, HOST).unwrap()
}

/// A node ID that no key has.
pub fn some_id() -> NodeId {
    NodeId::from_bytes([0xab; 32])
}
