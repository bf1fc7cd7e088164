//! Everything that is bounded, shared by the TCP address and the control socket.
//!
//! What is one too many is refused with 503, 413 or 429, and counted under a name of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use voiddht_node::Handle;
use voiddht_node::counters::Limit;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use crate::kept_packets::KeptPackets;
use crate::problem::Problem;

/// Connections on the TCP address; some 20 KiB each.
pub const MAX_CONNECTIONS: usize = 64;
/// Requests in flight, on the TCP address and the control socket together, each line of a batch that is
/// under way among them. Each may hold a value: 16 MiB.
pub const MAX_REQUESTS: usize = 256;
/// Event streams. Fewer than connections, so that streams do not keep other requests out.
pub const MAX_STREAMS: usize = 48;
/// Batches under way. Each holds a window of values ([`MAX_WINDOW_BYTES`]) and its answers.
pub const MAX_BATCHES: usize = 4;
/// The body of a batch. It is streamed, and never held as a whole.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Lines of a batch that are sorted together.
pub const MAX_WINDOW_LINES: usize = 4096;
/// Bytes of values of a batch that are sorted together.
pub const MAX_WINDOW_BYTES: usize = 1024 * 1024;
/// Puts of one batch in flight: a quarter of [`MAX_REQUESTS`], so that four batches leave no more
/// waiting than they finish.
pub const MAX_BATCH_REQUESTS: usize = 32;
/// DNS packets that may be published at once, on all connections together. A guess: a packet costs a
/// signature check and twenty STOREs.
pub const MAX_PACKET_BURST: u32 = 200;
/// DNS packets that may be published in a second, in the long run. A guess, as above.
pub const MAX_PACKETS_PER_SECOND: u32 = 50;

pub use crate::kept_packets::MAX_KEPT_PACKETS;

/// The bounds, and what is in use of them.
#[derive(Debug)]
pub(crate) struct Bounds {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    packets: Mutex<Allowance>,
    pub(crate) kept_packets: KeptPackets,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            batches: Arc::new(Semaphore::new(MAX_BATCHES)),
            packets: Mutex::new(Allowance::full(Instant::now())),
            kept_packets: KeptPackets::default(),
        }
    }
}

impl Bounds {
    /// A slot for a request.
    pub(crate) fn request(&self, node: &Handle) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.requests, node, Limit::GatewayRequests, || {
            format!("{MAX_REQUESTS} requests are in flight.")
        })
    }

    /// A slot for one put of a batch; waits for it. An error means that the gateway has ended.
    pub(crate) async fn batch_request(&self, node: &Handle) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.requests).try_acquire_owned();
        if let Ok(permit) = free {
            return Some(permit);
        }
        node.limit_reached(Limit::GatewayRequests);
        Arc::clone(&self.requests).acquire_owned().await.ok()
    }

    /// A slot for a stream of events.
    pub(crate) fn stream(&self, node: &Handle) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.streams, node, Limit::GatewayStreams, || {
            format!("{MAX_STREAMS} event streams are open.")
        })
    }

    /// A slot for a batch.
    pub(crate) fn batch(&self, node: &Handle) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.batches, node, Limit::GatewayBatches, || {
            format!("{MAX_BATCHES} batches are under way.")
        })
    }

    /// Whether one more DNS packet may be published now; else after how many seconds.
    pub(crate) fn packet(&self, node: &Handle) -> Result<(), u64> {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = packets.take(Instant::now());
        if taken.is_err() {
            node.limit_reached(Limit::GatewayPackets);
        }
        taken
    }
}

fn take(
    slots: &Arc<Semaphore>,
    node: &Handle,
    limit: Limit,
    reason: impl Fn() -> String,
) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(slots).try_acquire_owned().map_err(|_| {
        node.limit_reached(limit);
        Problem::busy(reason())
    })
}

/// The problem of a body that is too long, counted.
pub(crate) fn too_large(node: &Handle, limit: usize) -> Problem {
    node.limit_reached(Limit::GatewayBodyBytes);
    let advice = match limit {
        MAX_VALUE_BYTES => "Split it, and put the keys of the parts into a value.",
        MAX_BATCH_BYTES => "Send the rest as another batch.",
        _ => "Shorten what is in it.",
    };
    let detail = format!("A body of this request has at most {limit} bytes.");
    Problem::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail, advice)
}

/// A token bucket.
#[derive(Debug)]
struct Allowance {
    tokens: f64,
    since: Instant,
}

impl Allowance {
    fn full(now: Instant) -> Self {
        Self { tokens: MAX_PACKET_BURST.into(), since: now }
    }

    fn take(&mut self, now: Instant) -> Result<(), u64> {
        let earned =
            now.duration_since(self.since).as_secs_f64() * f64::from(MAX_PACKETS_PER_SECOND);
        self.tokens = (self.tokens + earned).min(MAX_PACKET_BURST.into());
        self.since = now;
        if self.tokens < 1.0 {
            let missing = (1.0 - self.tokens) / f64::from(MAX_PACKETS_PER_SECOND);
            return Err(Duration::from_secs_f64(missing).as_secs() + 1);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::full(start);
        let passed = |allowance: &mut Allowance, now| {
            (0..1000).take_while(|_| allowance.take(now).is_ok()).count()
        };
        assert_eq!(passed(&mut allowance, start), 200);
        assert_eq!(allowance.take(start), Err(1));
        assert_eq!(passed(&mut allowance, start + Duration::from_secs(1)), 50);
        assert_eq!(passed(&mut allowance, start + Duration::from_secs(3600)), 200);
    }
}
