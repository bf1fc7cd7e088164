//! Forges referrals: it answers requests for the closest nodes with its accomplices; every second
//! one of its kind answers with nodes very close to the target that do not exist, each of which
//! costs a timeout.
//!
//! It stores no value either: it confirms STOREs, and answers FIND_VALUE with the same lists.

use rand::RngExt;
use voiddht_session::Input;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use super::interceptor::{Adversary, Around, Asked, Request};

/// Bits that an invented ID shares with the target: no real one shares as many.
const SHARED_BITS: usize = 48;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct NodeLiar {
    /// Whether it names nodes that do not exist, rather than its accomplices.
    pub invents: bool,
}

impl Adversary for NodeLiar {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        match request.what {
            Asked::Store(record) => around.reply(&request, Body::StoreReply { key: record.key }),
            Asked::Nodes(target) | Asked::Value(target) => {
                let nodes = if self.invents {
                    (0..MAX_NODES).map(|_| invented(around, &target)).collect()
                } else {
                    around.cabal.closest(&target, MAX_NODES)
                };
                around.reply(&request, Body::FindNodeReply { nodes });
            }
        }
        false
    }
}

/// A node that does not exist: close to the target, at an unused address.
fn invented(around: &mut Around<'_>, target: &Key) -> NodeInfo {
    let random = NodeId::from_bytes(around.random.random());
    let id = (0..SHARED_BITS).fold(random, |id, bit| id.with_bit(bit, target.bit(bit)));
    let [a, b, c]: [u8; 3] = around.random.random();
    NodeInfo { address: PeerAddress::new([91, a, b, c].into(), 7402), id }
}
