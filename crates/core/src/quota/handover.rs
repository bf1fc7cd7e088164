//! How many bytes of records are handed to nodes on probation: those that have not been contacts for long.
//!
//! A fresh identity costs nothing, and where it appears among the closest nodes of many keys all their holders
//! bring it their records. Nodes of one counted address prefix share a budget; at an address that is not
//! counted, as on loopback, each node has its own.
//!
//! What exceeds the budget is not dropped but sent later: bytes are taken in advance, and the copy
//! waits until they are there.

use std::time::Duration;

use voiddht_wire::NodeId;
use voiddht_wire::peer::NodeInfo;

use super::requests::{Buckets, MAX_TRACKED, Rate};
use crate::diversity::{AddressPrefix, DiversityLimits};
use crate::time::Moment;

/// How long a contact is on probation. With sessions of one hour 8 % of all nodes are. A guess: an attacker
/// that wants the records of a region must keep nodes in it for as long.
pub const PROBATION: Duration = Duration::from_secs(300);
/// Bytes per second that nodes on probation are handed, in the long run. All nodes of a region hand over to a
/// newcomer: twenty of them give it 640 KiB per second together, and 190 MiB until the end of its
/// probation. A guess.
pub const NEWCOMER_RATE: u32 = 32 * 1024;
/// The same at once: a thousand small records, or four of the largest. A guess.
pub const NEWCOMER_BURST: u32 = 256 * 1024;

/// The budgets of all nodes on probation.
#[derive(Clone, Debug)]
pub struct HandoverQuota {
    limits: DiversityLimits,
    nodes: Buckets<NodeId>,
    prefixes: Buckets<AddressPrefix>,
}

impl HandoverQuota {
    /// All budgets full. `limits` says which addresses are counted by prefix.
    pub fn new(limits: DiversityLimits) -> Self {
        let rate = Rate { per_second: NEWCOMER_RATE, burst: NEWCOMER_BURST };
        Self {
            limits,
            nodes: Buckets::new(rate, MAX_TRACKED),
            prefixes: Buckets::new(rate, MAX_TRACKED),
        }
    }

    /// Takes so many bytes out of the budget of a node, and says after which time they may be sent. `None`, and
    /// nothing is taken, if that is longer than `patience`.
    pub fn reserve(
        &mut self,
        node: &NodeInfo,
        bytes: u32,
        patience: Duration,
        now: Moment,
    ) -> Option<Duration> {
        let counted: Vec<AddressPrefix> = self.limits.counted(&node.address).collect();
        let wait = match counted.is_empty() {
            true => self.nodes.wait(&node.id, bytes, now),
            false => {
                let waits = counted.iter().map(|prefix| self.prefixes.wait(prefix, bytes, now));
                waits.max().unwrap_or_default()
            }
        };
        if wait > patience {
            return None;
        }
        if counted.is_empty() {
            self.nodes.take_tokens(node.id, bytes, now);
        }
        for prefix in counted {
            self.prefixes.take_tokens(prefix, bytes, now);
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, host: u8) -> NodeInfo {
        let address = std::net::SocketAddr::from(([192, 0, 2, host], 7402));
        NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
    }

    #[test]
    fn nodes_of_one_prefix_share_a_budget_and_what_exceeds_it_waits() {
        let mut quota = HandoverQuota::new(DiversityLimits::TABLE);
        let (now, minute) = (Moment::default(), Duration::from_secs(60));
        assert_eq!(quota.reserve(&node(1, 1), NEWCOMER_BURST, minute, now), Some(Duration::ZERO));
        let wait = quota.reserve(&node(2, 2), NEWCOMER_RATE, minute, now).unwrap();
        assert!((0.9..1.1).contains(&wait.as_secs_f64()), "{wait:?}");
        let wait = quota.reserve(&node(3, 3), NEWCOMER_RATE, minute, now).unwrap();
        assert!((1.8..2.2).contains(&wait.as_secs_f64()), "it waits for those before it: {wait:?}");
        assert_eq!(quota.reserve(&node(4, 4), NEWCOMER_RATE, 2 * (wait / 3), now), None);
        let elsewhere = NodeInfo {
            address: std::net::SocketAddr::from(([198, 51, 100, 1], 1)).into(),
            ..node(1, 1)
        };
        assert_eq!(quota.reserve(&elsewhere, NEWCOMER_RATE, minute, now), Some(Duration::ZERO));
    }

    #[test]
    fn at_a_private_address_each_node_has_its_own() {
        let mut quota = HandoverQuota::new(DiversityLimits::TABLE);
        let (now, minute) = (Moment::default(), Duration::from_secs(60));
        for number in 0..3 {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000)).into();
            let node = NodeInfo { address, id: NodeId::from_bytes([number; 32]) };
            assert_eq!(quota.reserve(&node, NEWCOMER_BURST, minute, now), Some(Duration::ZERO));
            assert_ne!(quota.reserve(&node, NEWCOMER_BURST, minute, now), Some(Duration::ZERO));
        }
    }
}
