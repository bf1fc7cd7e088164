//! The outstanding requests of one connection, so that each can be failed when it ends.
//!
//! The core has its own timeouts, and does not report them here: requests older than any timeout
//! are dropped when space is needed.

use std::time::Duration;

use voiddht_core::time::Moment;
use voiddht_wire::RpcId;

/// Longer than any request's timeout, however slow its peer was found to be.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// See the module's description. A handful of entries, so a list is quickest.
#[derive(Debug, Default)]
pub(super) struct Awaited(Vec<(RpcId, Moment)>);

impl Awaited {
    /// Whether one more may be awaited.
    pub(super) fn has_room(&mut self, now: Moment, limit: usize) -> bool {
        if self.0.len() >= limit {
            self.0.retain(|(_, sent)| now.since(*sent) < LONGEST_REQUEST);
        }
        self.0.len() < limit
    }

    pub(super) fn insert(&mut self, now: Moment, rpc_id: RpcId) {
        self.0.push((rpc_id, now));
    }

    /// Awaits a request no more. Whether it was awaited.
    pub(super) fn remove(&mut self, rpc_id: &RpcId) -> bool {
        let index = self.0.iter().position(|(awaited, _)| awaited == rpc_id);
        if let Some(index) = index {
            self.0.swap_remove(index);
        }
        if self.0.is_empty() {
            // Most connections of a node await nothing: their memory adds up.
            self.0 = Vec::new();
        }
        index.is_some()
    }

    /// Whether nothing is awaited that could still come.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that is awaited, where it is one.
    pub(super) fn only(&self) -> Option<RpcId> {
        match self.0[..] {
            [(rpc_id, _)] => Some(rpc_id),
            _ => None,
        }
    }

    /// Forgets what is older than any timeout.
    pub(super) fn forget_old(&mut self, now: Moment) {
        self.0.retain(|(_, sent)| now.since(*sent) < LONGEST_REQUEST);
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = RpcId> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(rpc_id, _)| rpc_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(byte: u8) -> RpcId {
        RpcId::from_bytes([byte; 32])
    }

    #[test]
    fn only_what_is_too_old_makes_room() {
        let start = Moment::from_micros(0);
        let mut awaited = Awaited::default();
        for byte in 0..3 {
            assert!(awaited.has_room(start, 3));
            awaited.insert(start, rpc(byte));
        }
        assert!(!awaited.has_room(start, 3));
        awaited.remove(&rpc(1));
        awaited.remove(&rpc(9));
        assert!(awaited.has_room(start, 3));
        awaited.insert(start + LONGEST_REQUEST, rpc(1));
        assert!(awaited.has_room(start + LONGEST_REQUEST, 3), "two were too old");
        assert_eq!(awaited.take_all().collect::<Vec<_>>(), [rpc(1)]);
        assert!(awaited.is_empty());
    }
}
