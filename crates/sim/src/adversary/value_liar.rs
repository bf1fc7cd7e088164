//! Forges values: it returns a forged value for every key, with the highest version that is
//! accepted. All of its kind return the same one, so that their votes agree.
//!
//! Otherwise it behaves correctly: it confirms STOREs, and names the nodes that it knows.

use bytes::Bytes;
use voiddht_core::record::FUTURE_VERSION_TOLERANCE;
use voiddht_core::time::WallTime;
use voiddht_session::Input;
use voiddht_wire::Key;
use voiddht_wire::peer::{Body, Record};

use super::interceptor::{Adversary, Around, Asked, Request};

/// How far the malicious nodes' clocks may be apart: they agree on a version without talking.
const STEP_MILLIS: u64 = 60_000;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueLiar;

impl Adversary for ValueLiar {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        let Some(request) = Request::of(input) else { return true };
        match request.what {
            Asked::Store(record) => around.reply(&request, Body::StoreReply { key: record.key }),
            Asked::Value(key) => {
                let record = forged(&key, around.now.wall);
                around.reply(&request, Body::FindValueReply(record));
            }
            Asked::Nodes(_) => return true,
        }
        false
    }
}

/// What all malicious nodes say of this key at this time.
pub fn forged(key: &Key, now: WallTime) -> Record {
    let highest = (now + FUTURE_VERSION_TOLERANCE).as_millis() - STEP_MILLIS;
    Record {
        key: *key,
        value: Bytes::from(format!("forged for {}", key.short())),
        ttl: u16::MAX,
        version: Some(highest / STEP_MILLIS * STEP_MILLIS),
        maintenance: false,
    }
}
