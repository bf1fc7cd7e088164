//! Confirms STOREs and discards the records, and ends every lookup that queries it.
//!
//! It does not answer a third of all requests, which costs a timeout each; the others get an empty
//! list at once, which looks like the answer of a live node without contacts. It answers PINGs, so
//! that it keeps its slots in routing tables. This is the adversary of S/Kademlia's figure 4.

use rand::RngExt;
use voiddht_session::Input;
use voiddht_wire::peer::Body;

use super::interceptor::{Adversary, Around, Asked, Request};

/// How often it is unresponsive.
const SILENCE: f64 = 1.0 / 3.0;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropping;

impl Adversary for Dropping {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        match request.what {
            Asked::Store(record) => around.reply(&request, Body::StoreReply { key: record.key }),
            Asked::Nodes(_) | Asked::Value(_) => {
                if !around.random.random_bool(SILENCE) {
                    around.reply(&request, Body::FindNodeReply { nodes: Vec::new() });
                }
            }
        }
        false
    }
}
