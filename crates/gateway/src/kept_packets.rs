//! Packets that the node republishes for their owners, while they are fresh.
//!
//! Everyone who may publish here makes the node work for a week. So packets have a part of what a node keeps,
//! and the operator's own values have the rest.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use voiddht_node::Handle;
use voiddht_node::counters::Limit;
use voiddht_node::kept::KeptView;
use voiddht_signed::{Name, PublicKey, Salt};
use voiddht_wire::Key;

/// Packets that are kept, at most: a quarter of what a node keeps. Beyond it, packets are published once,
/// and end with their TTL. 64 bytes each here, 4 MiB with their values.
pub const MAX_KEPT_PACKETS: usize = 16_384;
/// How long after its timestamp a packet is fresh. Its owner publishes it again long before: iroh's
/// server keeps packets for as long.
pub(crate) const FRESH: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often what is kept is looked at again, to learn which packets have ended.
const COUNT_INTERVAL: Duration = Duration::from_secs(600);

/// The keys of the packets that are kept.
#[derive(Debug, Default)]
pub(crate) struct KeptPackets(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    keys: BTreeSet<Key>,
    at: Option<Instant>,
}

impl KeptPackets {
    /// Whether the packet under this key may be kept; it is counted then.
    pub(crate) async fn admit(&self, node: &Handle, key: Key) -> bool {
        if self.is_due() {
            // Where the node does not say, the last count holds.
            if let Ok(kept) = node.kept().await {
                self.count(&kept);
            }
        }
        let mut counted = self.lock();
        let is_room = counted.keys.len() < MAX_KEPT_PACKETS || counted.keys.contains(&key);
        if is_room {
            counted.keys.insert(key);
        } else {
            node.limit_reached(Limit::GatewayKeptPackets);
        }
        is_room
    }

    /// Whether it is time to count. Only one caller counts.
    fn is_due(&self) -> bool {
        let mut counted = self.lock();
        let now = Instant::now();
        let is_due = counted.at.is_none_or(|at| now.duration_since(at) >= COUNT_INTERVAL);
        if is_due {
            counted.at = Some(now);
        }
        is_due
    }

    fn count(&self, kept: &[KeptView]) {
        self.lock().keys = kept.iter().filter_map(packet_key).collect();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a kept value that is a packet: it follows from its owner.
fn packet_key(kept: &KeptView) -> Option<Key> {
    let owner: PublicKey = kept.owner.as_ref()?.parse().ok()?;
    let key = Name::bep44(owner, Salt::EMPTY).key();
    (kept.state == "kept" && kept.key == key.to_string()).then_some(key)
}
