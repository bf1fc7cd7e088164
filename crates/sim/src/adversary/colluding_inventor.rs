//! Invents nodes very close to the target, the same as all of its kind: each is named by several,
//! as a real node would be, and costs a timeout.
//!
//! It stores no value: it confirms STOREs and discards the records.

use voiddht_session::Input;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::{Body, NodeInfo};
use voiddht_wire::{Key, NodeId, PeerAddress};

use super::interceptor::{Adversary, Around, Asked, Request};

/// Bytes that an invented ID shares with the target: no real one shares as many.
const SHARED_BYTES: usize = 6;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ColludingInventor;

impl Adversary for ColludingInventor {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        let body = match request.what {
            Asked::Store(record) => Body::StoreReply { key: record.key },
            Asked::Nodes(target) | Asked::Value(target) => {
                let nodes = (1..=MAX_NODES as u8).map(|number| invented(&target, number)).collect();
                Body::FindNodeReply { nodes }
            }
        };
        around.reply(&request, body);
        false
    }
}

/// The node of this number around the target, which does not exist.
fn invented(target: &Key, number: u8) -> NodeInfo {
    let mut bytes = target.to_bytes();
    bytes[SHARED_BYTES] ^= number;
    let [a, b, ..] = bytes;
    NodeInfo {
        address: PeerAddress::new([92, a, b, number].into(), 7402),
        id: NodeId::from_bytes(bytes),
    }
}
