//! One party with many IDs. It names only its own nodes, and returns forged values.
//!
//! Whether each ID needs its own address is set by [`Infiltration::sites`](super::Infiltration).

use voiddht_session::Input;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::Body;

use super::interceptor::{Adversary, Around, Asked, Request};
use super::value_liar::forged;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sybil;

impl Adversary for Sybil {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        let body = match request.what {
            Asked::Store(record) => Body::StoreReply { key: record.key },
            Asked::Value(key) => Body::FindValueReply(forged(&key, around.now.wall)),
            Asked::Nodes(target) => {
                Body::FindNodeReply { nodes: around.cabal.closest(&target, MAX_NODES) }
            }
        };
        around.reply(&request, body);
        false
    }
}
