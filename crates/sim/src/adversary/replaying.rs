//! Replays old versions: it remembers every record that it was sent, stores the old ones again on
//! nodes that hold a newer version or have seen it expire, returns the oldest version to readers,
//! and sends each answer twice.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use voiddht_session::{Input, Output};
use voiddht_wire::peer::{Body, Record};
use voiddht_wire::{Key, RpcId};

use super::interceptor::{Adversary, Around, Asked, Deed, Request, Speech, reply_in, send};

/// The pause between replays.
const PAUSE: Duration = Duration::from_secs(5);
/// Nodes to which a record is sent again.
const VICTIMS: usize = 20;
/// Records that it remembers.
const MAX_REMEMBERED: usize = 1_000;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Replaying {
    oldest: BTreeMap<Key, Record>,
    awaited: Vec<RpcId>,
}

impl Adversary for Replaying {
    fn hear(&mut self, around: &mut Around<'_>, input: &Input) -> bool {
        if let Input::Received { message, .. } = input
            && !message.body.is_request()
            && let Some(place) = self.awaited.iter().position(|one| *one == message.header.rpc_id)
        {
            self.awaited.swap_remove(place);
            return false;
        }
        let Some(request) = Request::of(input) else { return true };
        match request.what {
            Asked::Store(record) => {
                if self.oldest.len() < MAX_REMEMBERED {
                    self.oldest.entry(record.key).or_insert_with(|| record.clone());
                }
                true
            }
            Asked::Value(key) => match self.oldest.get(&key) {
                Some(record) => {
                    around.reply(&request, Body::FindValueReply(record.clone()));
                    false
                }
                None => true,
            },
            Asked::Nodes(_) => true,
        }
    }

    fn speak(&mut self, around: &mut Around<'_>, output: Output) -> Speech {
        if let Some((connection, message)) = reply_in(&output) {
            around.extra.push(Deed::Say(send(connection, message.clone())));
        }
        Speech::Say(output)
    }

    fn awake(&mut self, around: &mut Around<'_>) -> Option<Duration> {
        self.awaited.clear();
        if !self.oldest.is_empty() {
            let which = around.random.random_range(0..self.oldest.len());
            if let Some(record) = self.oldest.values().nth(which) {
                for victim in around.cabal.victims_near(&record.key, VICTIMS) {
                    let rpc_id = around.ask(victim, Body::Store(record.clone()));
                    self.awaited.push(rpc_id);
                }
            }
        }
        Some(PAUSE)
    }
}
