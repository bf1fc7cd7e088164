//! The trace hash, over all events in order: runs with the same hash are the same run.

use voiddht_wire::RpcId;
use voiddht_wire::peer::Message;

use crate::host_id::HostId;
use voiddht_core::time::Moment;

/// The hash of a run so far. Not cryptographic: traces need no protection from forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// The kind of event, its time, and its host.
    pub(crate) fn event(&mut self, at: Moment, host: HostId, kind: u8) {
        self.word(at.as_micros());
        self.word((u64::from(host.0) << 8) | u64::from(kind));
    }

    /// A message that arrived. Its RPC ID is random: whatever the core drew is in it.
    pub(crate) fn message(&mut self, message: &Message) {
        self.word(u64::from(message.body.kind()));
        self.rpc_id(&message.header.rpc_id);
    }

    pub(crate) fn rpc_id(&mut self, rpc_id: &RpcId) {
        let [a, b, c, d, e, f, g, h, ..] = rpc_id.to_bytes();
        self.word(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The hash.
    pub(crate) fn hash(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
