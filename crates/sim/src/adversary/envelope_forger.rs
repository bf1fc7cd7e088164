//! Forges signed values: to whatever is asked for it returns, in turns, plain bytes with the highest
//! version, the envelope that it was given with another body, the same under another owner, and
//! the envelope cut short. It confirms every STORE, and names only its accomplices.

use std::collections::BTreeMap;

use bytes::Bytes;
use voiddht_session::Input;
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::{Body, Record};

use super::interceptor::{Adversary, Around, Asked, Request};
use super::value_liar::forged;

/// Envelopes that it remembers.
const MAX_REMEMBERED: usize = 1_000;
/// Where the owner's key is in an envelope.
const OWNER_AT: usize = 8;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct EnvelopeForger {
    given: BTreeMap<Key, Record>,
    turn: usize,
}

impl EnvelopeForger {
    /// One that has seen these records already.
    pub fn knowing(records: impl IntoIterator<Item = Record>) -> Self {
        let given = records.into_iter().map(|record| (record.key, record)).collect();
        Self { given, turn: 0 }
    }

    fn forgery(&mut self, key: &Key, around: &Around<'_>) -> Record {
        self.turn += 1;
        let plain = forged(key, around.now.wall);
        let Some(given) = self.given.get(key).filter(|_| !self.turn.is_multiple_of(4)) else {
            return plain;
        };
        let mut value = given.value.to_vec();
        match self.turn % 4 {
            1 => {
                if let Some(last) = value.last_mut() {
                    *last ^= 1;
                }
            }
            2 => {
                if let Some(owner) = value.get_mut(OWNER_AT) {
                    *owner ^= 1;
                }
            }
            _ => value.truncate(value.len().saturating_sub(1)),
        }
        Record { value: Bytes::from(value), ..plain }
    }
}

impl Adversary for EnvelopeForger {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        let body = match request.what {
            Asked::Store(record) => {
                if self.given.len() < MAX_REMEMBERED {
                    self.given.insert(record.key, record.clone());
                }
                Body::StoreReply { key: record.key }
            }
            Asked::Value(key) => Body::FindValueReply(self.forgery(&key, around)),
            Asked::Nodes(target) => {
                Body::FindNodeReply { nodes: around.cabal.closest(&target, MAX_NODES) }
            }
        };
        around.reply(&request, body);
        false
    }
}
