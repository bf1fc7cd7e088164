//! Names real nodes at wrong addresses: the honest nodes closest to the target, each at an address
//! where no node listens. All adversaries of this kind name the same wrong address, so that they
//! confirm each other.
//!
//! It stores no value: it confirms STOREs and discards the records.

use voiddht_session::Input;
use voiddht_wire::PeerAddress;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::{Body, NodeInfo};

use super::interceptor::{Adversary, Around, Asked, Request};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct WrongAddresses;

impl Adversary for WrongAddresses {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        let body = match request.what {
            Asked::Store(record) => Body::StoreReply { key: record.key },
            Asked::Nodes(target) | Asked::Value(target) => {
                let nodes = around.cabal.victims_near(&target, MAX_NODES);
                Body::FindNodeReply { nodes: nodes.into_iter().map(misaddressed).collect() }
            }
        };
        around.reply(&request, body);
        false
    }
}

/// The node at an address where there is none.
fn misaddressed(node: NodeInfo) -> NodeInfo {
    let [a, b, c, ..] = node.id.to_bytes();
    NodeInfo { address: PeerAddress::new([91, a, b, c].into(), 7402), ..node }
}
