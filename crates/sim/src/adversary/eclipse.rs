//! Withholds a key: with IDs near it, it confirms STOREs and discards the records, denies having
//! the value, and names only its accomplices there.
//!
//! It answers all other requests correctly, so that it has a good reputation.

use voiddht_session::Input;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::Body;
use voiddht_wire::{Key, NodeId};

use super::interceptor::{Adversary, Around, Asked, Request};

/// It lies about points this many bits less close to the key than it is itself: the lookups by
/// which others look after their records there aim beside the key.
const MARGIN_BITS: u32 = 4;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Eclipse {
    /// The key.
    pub key: Key,
}

impl Eclipse {
    fn is_meant(&self, around: &Around<'_>, point: &Key) -> bool {
        let point = NodeId::from_bytes(point.to_bytes());
        let reach = self.key.distance(&around.own.id).leading_zeros();
        self.key.distance(&point).leading_zeros() + MARGIN_BITS >= reach
    }
}

impl Adversary for Eclipse {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        match request.what {
            Asked::Store(record) if record.key == self.key => {
                around.reply(&request, Body::StoreReply { key: record.key });
            }
            Asked::Nodes(target) | Asked::Value(target) if self.is_meant(around, &target) => {
                let nodes = around.cabal.closest(&target, MAX_NODES);
                around.reply(&request, Body::FindNodeReply { nodes });
            }
            _ => return true,
        }
        false
    }
}
