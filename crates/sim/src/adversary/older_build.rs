//! A node of a build from before signed values: envelopes are opaque bytes to it, and the last writer
//! wins. In all else it is a model node.
//!
//! Its store is this one, not the node's. As that build's upkeep did, it sends what it holds to the
//! nodes around the key, marked as a copy.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_core::time::BootTime;
use voiddht_session::Input;
use voiddht_wire::peer::{Body, ErrorCode, Record};
use voiddht_wire::{Key, RpcId};

use super::interceptor::{Adversary, Around, Asked, Request};

/// The pause between two rounds of its upkeep: often, so that a short run sees many.
const UPKEEP_PAUSE: Duration = Duration::from_secs(60);
/// Nodes to which a record is sent.
const REPLICAS: usize = 20;
/// Records that it holds.
const MAX_RECORDS: usize = 10_000;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct OlderBuild {
    held: BTreeMap<Key, (Record, BootTime)>,
    awaited: Vec<RpcId>,
}

impl OlderBuild {
    /// Keeps the record of the higher version; of two with the same, the one with the higher hash.
    fn store(&mut self, record: &Record, now: BootTime) -> Body {
        let rank = |record: &Record| (record.version, Key::of_value(&record.value));
        match self.held.get(&record.key).filter(|(_, end)| *end > now) {
            Some((held, _)) if held.value == record.value && held.version == record.version => {}
            Some((held, _)) if rank(held) > rank(record) => {
                return Body::Error(ErrorCode::NotAcceptable);
            }
            None if self.held.len() >= MAX_RECORDS => return Body::Error(ErrorCode::Busy),
            _ => {
                let end = now + Duration::from_secs(record.ttl.into());
                self.held.insert(record.key, (record.clone(), end));
            }
        }
        Body::StoreReply { key: record.key }
    }

    fn held(&self, key: &Key, now: BootTime) -> Option<Record> {
        let (record, end) = self.held.get(key).filter(|(_, end)| *end > now)?;
        let ttl = u16::try_from(end.since(now).as_secs()).unwrap_or(u16::MAX);
        Some(Record { ttl, maintenance: false, ..record.clone() })
    }
}

impl Adversary for OlderBuild {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        if let Input::Received { message, .. } = input
            && !message.body.is_request()
            && let Some(place) = self.awaited.iter().position(|one| *one == message.header.rpc_id)
        {
            self.awaited.swap_remove(place);
            return false;
        }
        let Some(request) = Request::of(input) else { return true };
        let body = match request.what {
            Asked::Store(record) => self.store(record, around.now.boot),
            Asked::Value(key) => match self.held(&key, around.now.boot) {
                Some(record) => Body::FindValueReply(record),
                None => return true,
            },
            Asked::Nodes(_) => return true,
        };
        around.reply(&request, body);
        false
    }

    fn awake(&mut self, around: &mut Around<'_>) -> Option<Duration> {
        self.awaited.clear();
        let keys: Vec<Key> = self.held.keys().copied().collect();
        for key in keys {
            let Some(record) = self.held(&key, around.now.boot).filter(|one| one.ttl > 0) else {
                continue;
            };
            for node in around.cabal.victims_near(&key, REPLICAS) {
                let copy = Record { maintenance: true, ..record.clone() };
                let rpc_id = around.ask(node, Body::Store(copy));
                self.awaited.push(rpc_id);
            }
        }
        Some(UPKEEP_PAUSE)
    }
}
