//! Fills the stores of others: a stream of records that live as long as records can, each under a
//! key so close to its victim that the victim is among those that should hold it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use voiddht_session::Input;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, RpcId};

use super::interceptor::{Adversary, Around};

/// Records sent in one go.
const AT_ONCE: usize = 50;
/// The pause after that.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of a value: in a store of the default size records and bytes then end at about the
/// same time.
const VALUE_BYTES: usize = 256;
/// Bits that a key shares with its victim.
const SHARED_BITS: usize = 32;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Flooding {
    /// Records that it still sends. Even a flood ends, if only so that a run does: a holder of
    /// its records renews each on twenty nodes.
    pub left: usize,
    awaited: BTreeSet<RpcId>,
}

impl Default for Flooding {
    fn default() -> Self {
        Self { left: 1_000, awaited: BTreeSet::new() }
    }
}

impl Adversary for Flooding {
    fn hear(&mut self, _around: &mut Around<'_>, input: &Input) -> bool {
        match input {
            Input::Received { message, .. } => !self.awaited.remove(&message.header.rpc_id),
            _ => true,
        }
    }

    fn awake(&mut self, around: &mut Around<'_>) -> Option<Duration> {
        let victims = around.cabal.victims();
        if self.left == 0 {
            return None;
        }
        if !victims.is_empty() {
            let victim = victims[around.random.random_range(0..victims.len())];
            let count = AT_ONCE.min(self.left);
            self.left -= count;
            for _ in 0..count {
                let record = junk(around, &victim);
                self.awaited.insert(around.ask(victim, Body::Store(record)));
            }
        }
        Some(PAUSE)
    }
}

fn junk(around: &mut Around<'_>, victim: &NodeInfo) -> Record {
    let random = Key::from_bytes(around.random.random());
    let key = (0..SHARED_BITS).fold(random, |key, bit| key.with_bit(bit, victim.id.bit(bit)));
    Record {
        key,
        value: Bytes::from(vec![0xff; VALUE_BYTES]),
        ttl: u16::MAX,
        version: Some(around.now.wall.as_millis()),
        maintenance: false,
    }
}
