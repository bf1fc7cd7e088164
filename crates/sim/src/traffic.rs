//! Traffic in messages and bytes. Messages are not encoded: the wire's table of types tells their size.

use voiddht_wire::peer::{Dialect, Message};

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
    message.frame_bytes(Dialect::V1)
}
