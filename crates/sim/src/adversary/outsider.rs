//! Has no secret of the private network, and wants in: it knows where every member listens, and asks them
//! for nodes and values, stores records on them, and joins through them.
//!
//! The rule that it meets is the connection layer's, as in the shipped node: neither side feeds its core
//! anything before both have proved their membership. A node that turns into one is a member whose secret
//! was removed.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_wire::Key;
use voiddht_wire::peer::{Body, NodeInfo, Record};

use super::interceptor::{Adversary, Around};

/// Members that are asked in one go.
const AT_ONCE: usize = 3;
/// The pause after that.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it tries before it gives up, so that a run ends.
const ATTEMPTS: usize = 200;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Outsider {
    /// How often it still tries.
    pub left: usize,
}

impl Default for Outsider {
    fn default() -> Self {
        Self { left: ATTEMPTS }
    }
}

impl Adversary for Outsider {
    fn is_outsider(&self) -> bool {
        true
    }

    fn awake(&mut self, around: &mut Around<'_>) -> Option<Duration> {
        let victims = around.cabal.victims();
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        for _ in 0..AT_ONCE.min(victims.len()) {
            let victim = victims[around.random.random_range(0..victims.len())];
            let wish = wish(around, &victim);
            around.ask(victim, wish);
        }
        Some(PAUSE)
    }
}

/// What it wants of a member: its neighbours, a value, or a place in its store.
fn wish(around: &mut Around<'_>, victim: &NodeInfo) -> Body {
    let key = Key::from_bytes(around.random.random());
    match around.random.random_range(0..3) {
        0 => Body::FindNode { target: Key::from_bytes(victim.id.to_bytes()) },
        1 => Body::FindValue { key },
        _ => Body::Store(Record {
            key,
            value: Bytes::from_static(b"of an outsider"),
            ttl: u16::MAX,
            version: Some(around.now.wall.as_millis()),
            maintenance: false,
        }),
    }
}
