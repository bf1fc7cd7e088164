//! What the hosts have sent, by kind of message and by purpose of request.
//!
//! Figures named `messages-per-s.KIND` and `bytes-per-s.KIND`, for each kind of message and for
//! `handshake`, `probe` and `keepalive`, and `requests-per-s.PURPOSE`. The requests of a node's own lookups are
//! counted under the purpose of the lookup, when it ends; those of GETs and PUTs are `command`.

use std::collections::BTreeMap;

use voiddht_core::label::{LookupPurpose, RequestPurpose};

use super::Row;
use crate::tally::Tally;
use crate::traffic::{MESSAGE_OVERHEAD, Traffic};
use crate::world::World;

/// Messages, bytes and requests of all hosts so far, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    messages: BTreeMap<String, u64>,
    bytes: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
}

impl Sent {
    /// What the hosts of a world have sent since it began.
    pub(super) fn so_far(world: &World) -> Self {
        let mut sent = Self::default();
        let tally = world.tally();
        for (kind, (messages, bytes)) in &tally.messages {
            let name = kind.to_ascii_lowercase();
            sent.bytes.insert(name.clone(), bytes + messages * MESSAGE_OVERHEAD);
            sent.messages.insert(name, *messages);
        }
        let of_all = |bytes: fn(&Traffic) -> u64| -> u64 {
            world.hosts().iter().map(|host| bytes(host.traffic())).sum()
        };
        let (probes, keepalives) = (of_all(Traffic::probe_bytes), of_all(Traffic::keepalive_bytes));
        let others = sent.bytes.values().sum::<u64>() + probes + keepalives;
        sent.bytes.insert("probe".to_owned(), probes);
        sent.bytes.insert("keepalive".to_owned(), keepalives);
        sent.bytes.insert("handshake".to_owned(), of_all(|one| one.bytes).saturating_sub(others));
        sent.requests = requests(tally);
        sent
    }

    /// Takes the figures of a span: what was sent since `before`, for each of these node-seconds.
    pub(super) fn tell(&self, before: &Self, node_seconds: f64, row: &mut Row) {
        let tables = [
            ("messages-per-s", &self.messages, &before.messages),
            ("bytes-per-s", &self.bytes, &before.bytes),
            ("requests-per-s", &self.requests, &before.requests),
        ];
        for (figure, now, before) in tables {
            for (name, count) in now {
                let count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
                row.set(format!("{figure}.{name}"), count as f64 / node_seconds);
            }
        }
    }
}

/// Requests that have ended, by purpose; those of operations are divided further.
fn requests(tally: &Tally) -> BTreeMap<String, u64> {
    let mut requests = BTreeMap::new();
    let mut of_lookups = 0;
    for purpose in LookupPurpose::ALL {
        let count = tally.lookup_requests[purpose.slot()];
        of_lookups += count;
        requests.insert(format!("{purpose}-lookup"), count);
    }
    for purpose in RequestPurpose::ALL {
        let count = tally.purposes[purpose.slot()];
        match purpose {
            RequestPurpose::Operation => {
                requests.insert("command".to_owned(), count.saturating_sub(of_lookups))
            }
            _ => requests.insert(purpose.name().to_owned(), count),
        };
    }
    requests
}
