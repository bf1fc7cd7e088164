//! A node whose clock is ahead, and that republishes all values: the same bytes, with the highest
//! version that is accepted, and with one that is not.
//!
//! It changes no value, so any value that is lost or locked reveals a fault in the order of
//! records. It publishes content-addressed values with a TTL of one second: a replica that takes
//! the later publication for a new one drops the value. It publishes plain values with their own
//! TTL: a publisher that may not outbid the version cannot replace the value.

use std::collections::BTreeSet;
use std::time::Duration;

use voiddht_core::record::FUTURE_VERSION_TOLERANCE;
use voiddht_session::Input;
use voiddht_wire::limits::MAX_NODES;
use voiddht_wire::peer::{Body, Record};
use voiddht_wire::{Key, RpcId};

use super::interceptor::{Adversary, Around, Asked, Request};

/// How far the version that no replica takes is ahead.
const FAR: Duration = Duration::from_secs(3600);
/// What a STORE may take to arrive, so that the version is not from the future by then: clocks that
/// differ by less than the tolerance accept it.
const STEP_MILLIS: u64 = 1;
/// Values published again, at most.
const MAX_RAISED: usize = 4096;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct ClockAhead {
    /// Values that were published again: each once.
    raised: BTreeSet<(Key, Key)>,
    awaited: BTreeSet<RpcId>,
}

impl ClockAhead {
    fn publish_again(&mut self, around: &mut Around<'_>, record: &Record) {
        let value = (record.key, Key::of_value(&record.value));
        if self.raised.len() >= MAX_RAISED || !self.raised.insert(value) {
            return;
        }
        let now = around.now.wall;
        let highest = (now + FUTURE_VERSION_TOLERANCE).as_millis() - STEP_MILLIS;
        let ttl = if record.key.proves(&record.value) { 1 } else { record.ttl };
        for victim in around.cabal.victims_near(&record.key, MAX_NODES) {
            for version in [highest, (now + FAR).as_millis()] {
                let again = Record { ttl, version: Some(version), ..record.clone() };
                self.awaited.insert(around.ask(victim, Body::Store(again)));
            }
        }
    }
}

impl Adversary for ClockAhead {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        if let Some(Request { what: Asked::Store(record), .. }) = Request::of(input)
            && !record.maintenance
        {
            self.publish_again(around, record);
        }
        match input {
            Input::Received { message, .. } => !self.awaited.remove(&message.header.rpc_id),
            _ => true,
        }
    }
}
