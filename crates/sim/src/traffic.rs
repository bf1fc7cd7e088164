//! Traffic in messages and bytes. Messages are not encoded; their size follows from the
//! sizes that the wire names, and a test holds the two together.

use voiddht_wire::address::ADDRESS_BYTES;
use voiddht_wire::id::ID_BYTES;
use voiddht_wire::limits::{
    FRAME_HEADER_BYTES, LONG_LENGTH_BYTES, MAX_SHORT_FRAME_BYTES, NODE_INFO_BYTES,
    RECORD_FIXED_BYTES, RPC_HEADER_BYTES,
};
use voiddht_wire::peer::{Body, Message};

/// What TLS 1.3 adds to each record: header 5, content type 1, tag 16 (RFC 8446, section 5.2).
const TLS_RECORD_BYTES: usize = 22;
/// What TCP and IP add to a packet that carries a message: 20 each over IPv4, 12 of timestamps.
const PACKET_BYTES: usize = 52;
/// What the dialling side of a handshake sends: ClientHello, its certificate and proof, and the
/// packets of TCP. Ed25519 certificates of about 450 bytes; an estimate to within a fifth.
const DIALLER_BYTES: u64 = 1_300;
/// What the other side sends: the pushed certificate in PEM, ServerHello, certificate and proof.
const LISTENER_BYTES: u64 = 1_900;
/// Cost of a dial without an answer: SYN, and twice again (RFC 6298: after one second, then
/// two).
const UNANSWERED_BYTES: u64 = 3 * 60;
/// What a probe costs its sender: TCP without TLS.
const PROBE_BYTES: u64 = 300;
/// What a keepalive probe or its answer costs: a packet without data.
const KEEPALIVE_BYTES: u64 = PACKET_BYTES as u64;
/// What a message costs beyond its frame.
pub(crate) const MESSAGE_OVERHEAD: u64 = (TLS_RECORD_BYTES + PACKET_BYTES) as u64;

/// Messages by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent, those of TLS, TCP and IP included: see the constants of this file.
    pub bytes: u64,
    /// Handshakes begun or answered.
    pub handshakes: u64,
    /// Probes of listening addresses.
    pub probes: u64,
    /// Keepalive probes of idle connections, or answers to them.
    pub keepalives: u64,
}

impl Traffic {
    pub(crate) fn sent(&mut self, message: &Message) {
        self.messages += 1;
        self.bytes += frame_bytes(message) as u64 + MESSAGE_OVERHEAD;
    }

    pub(crate) fn dialled(&mut self) {
        self.handshakes += 1;
        self.bytes += DIALLER_BYTES;
    }

    pub(crate) fn unanswered(&mut self) {
        self.bytes += UNANSWERED_BYTES;
    }

    pub(crate) fn accepted(&mut self) {
        self.handshakes += 1;
        self.bytes += LISTENER_BYTES;
    }

    pub(crate) fn probed(&mut self) {
        self.probes += 1;
        self.bytes += PROBE_BYTES;
    }

    /// An idle connection was probed so often; one end sends the probe, the other the answer.
    pub(crate) fn kept_alive(&mut self, times: u64) {
        self.keepalives += times;
        self.bytes += times * KEEPALIVE_BYTES;
    }

    /// Of [`Self::bytes`], those of keepalive probes and their answers.
    pub(crate) fn keepalive_bytes(&self) -> u64 {
        self.keepalives * KEEPALIVE_BYTES
    }

    /// Of [`Self::bytes`], those of probes.
    pub(crate) fn probe_bytes(&self) -> u64 {
        self.probes * PROBE_BYTES
    }
}

/// The size of a message's frame in the dialect `voiddht/1`.
pub(crate) fn frame_bytes(message: &Message) -> usize {
    let body = match &message.body {
        Body::Ping | Body::Unknown { .. } => 0,
        Body::PingReply { .. } => ADDRESS_BYTES,
        Body::Store(record) | Body::FindValueReply(record) => {
            RECORD_FIXED_BYTES + record.value.len()
        }
        Body::FindNode { .. } | Body::FindValue { .. } | Body::StoreReply { .. } => ID_BYTES,
        Body::FindNodeReply { nodes } => nodes.len() * NODE_INFO_BYTES,
        Body::Error(_) => 2,
    };
    let short = FRAME_HEADER_BYTES + RPC_HEADER_BYTES + body;
    if short > MAX_SHORT_FRAME_BYTES { short + LONG_LENGTH_BYTES } else { short }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use voiddht_wire::limits::MAX_VALUE_BYTES;
    use voiddht_wire::peer::{Dialect, ErrorCode, Header, NodeInfo, Record};
    use voiddht_wire::{Key, NodeId, PeerAddress, RpcId};

    use super::*;

    #[test]
    fn sizes_are_those_of_the_encoded_messages() {
        let address = PeerAddress::new("192.0.2.1".parse().unwrap(), 1);
        let node = NodeInfo { address, id: NodeId::default() };
        let record = |bytes: usize| Record {
            key: Key::default(),
            value: Bytes::from(vec![1; bytes]),
            ttl: 1,
            version: Some(1),
            maintenance: false,
        };
        for body in [
            Body::Ping,
            Body::PingReply { observed: Some(address) },
            Body::FindNode { target: Key::default() },
            Body::FindValue { key: Key::default() },
            Body::FindNodeReply { nodes: vec![node; 20] },
            Body::StoreReply { key: Key::default() },
            Body::Store(record(100)),
            Body::FindValueReply(record(MAX_VALUE_BYTES)),
            Body::Error(ErrorCode::Busy),
            Body::Unknown { kind: 664 },
        ] {
            let header = Header { sender: NodeId::default(), port: 1, rpc_id: RpcId::default() };
            let message = Message { header, body };
            let mut encoded = BytesMut::new();
            message.encode(Dialect::V1, &mut encoded).unwrap();
            assert_eq!(frame_bytes(&message), encoded.len(), "{}", message.body.name());
        }
    }
}
