//! What holds of both codecs, whatever bytes come. Each law panics where it is broken; proptest
//! tries them in `main.rs`, and libFuzzer in `fuzz/`.
//!
//! The sizes that are allowed are written down here once more, from the protocol and not from the
//! codec: a body is read exactly if its length is one of them.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use voiddht_wire::MessageType;
use voiddht_wire::api::{self, Answer, Request, Told};
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::peer::{Body, Decoded, Dialect, ErrorCode, Message};

/// `sender 32 · port 2 · RPC ID 32`.
const HEADER: usize = 66;
const NODE: usize = 50;
const LARGEST_VALUE: usize = 65_495;
/// What fits a frame whose length is a u16, its own header apart.
const SHORT: usize = 65_531;

/// A body that a client sent. What is read is written as it came, reserved flags cleared, and its
/// value is not copied.
pub(crate) fn api_request(kind: u16, body: &[u8]) {
    let bytes = Bytes::copy_from_slice(&body[..body.len().min(SHORT)]);
    let decoded = Request::decode(kind, bytes.clone());
    let allowed = match kind {
        api::DHT_PUT => bytes.len() > 36,
        api::DHT_GET => bytes.len() == 32,
        api::DHT_ASK => bytes.len() == 48 && is_ask(&bytes),
        api::DHT_PUT_IF => bytes.len() > 68,
        _ => false,
    };
    assert_eq!(decoded.is_ok(), allowed, "{kind} with {} bytes", bytes.len());
    let Ok(request) = decoded else { return };
    let mut as_it_came = bytes.to_vec();
    match &request {
        Request::Put(put) => {
            assert_lies_within(&put.publication.value, &bytes);
            // A receipt is no more than an acknowledgement that says more.
            as_it_came[3] &= if as_it_came[3] & 1 == 0 { 0 } else { 3 };
        }
        Request::PutIf(put) => {
            assert_lies_within(&put.publication.value, &bytes);
            as_it_came[3] = 0;
        }
        Request::Get { .. } | Request::Ask(_) => {}
    }
    let mut written = BytesMut::new();
    assert_eq!(request.encode(&mut written), Ok(()));
    assert_eq!(written, short_frame(kind, &as_it_came));
    assert_eq!(Request::decode(kind, written.freeze().slice(4..)), Ok(request));
}

/// Whether an ASK's first word has no reserved bit, and one kind of freshness.
fn is_ask(bytes: &[u8]) -> bool {
    [0, 1, 2, 3, 4, 5].contains(&bytes[0]) && bytes[1..4] == [0; 3]
}

/// A body that a node sent to a client, likewise.
pub(crate) fn api_answer(kind: u16, body: &[u8]) {
    let bytes = Bytes::copy_from_slice(&body[..body.len().min(SHORT)]);
    let decoded = Answer::decode(kind, bytes.clone());
    let allowed = match kind {
        api::DHT_SUCCESS => bytes.len() > 32,
        api::DHT_FAILURE => bytes.len() >= 32,
        api::DHT_TOLD => bytes.len() >= 36 && bytes[32] <= 2,
        api::DHT_CONFLICT => bytes.len() > 32,
        _ => false,
    };
    assert_eq!(decoded.is_ok(), allowed, "{kind} with {} bytes", bytes.len());
    let Ok(answer) = decoded else { return };
    assert_eq!(answer.key().to_bytes(), bytes[..32]);
    match &answer {
        Answer::Success { value, .. }
        | Answer::Conflict { value, .. }
        | Answer::Told(Told { value: Some(value), .. }) => assert_lies_within(value, &bytes),
        Answer::FailureBecause { why, .. } => assert_lies_within(why, &bytes),
        Answer::Failure { .. } | Answer::Told(_) => {}
    }
    let mut written = BytesMut::new();
    assert_eq!(answer.encode(&mut written), Ok(()));
    assert_eq!(written, short_frame(kind, &bytes));
}

/// A body that a peer sent. What is read is written as it came, what is reserved cleared; read
/// again, it is the same; and memory is bounded by what came.
pub(crate) fn peer_message(dialect: Dialect, kind: u16, body: &[u8]) {
    let mut start = BytesMut::new();
    if !frame::put_start(&mut start, kind, body.len(), dialect.has_long_frames()) {
        return;
    }
    let bytes = Bytes::copy_from_slice(body);
    let decoded = Message::decode(dialect, kind, bytes.clone());
    let allowed = is_allowed(dialect, kind, body.len());
    assert_eq!(decoded.is_ok(), allowed, "{dialect:?}: {kind} with {} bytes", body.len());
    let message = match decoded {
        Ok(Decoded::Message(message)) => message,
        Ok(Decoded::BareError(code)) => {
            assert_eq!((dialect, kind), (Dialect::Legacy, MessageType::Error.code()));
            assert_eq!(code, ErrorCode::from_u16(u16::from_be_bytes([body[0], body[1]])));
            return;
        }
        Err(_) => return,
    };
    assert_eq!(message.body.kind(), kind);
    assert_eq!(message.header.sender.to_bytes(), body[..32]);
    assert_eq!(message.header.rpc_id.to_bytes(), body[34..HEADER]);
    match &message.body {
        Body::Store(record) | Body::FindValueReply(record) => {
            assert_lies_within(&record.value, &bytes);
        }
        Body::FindNodeReply { nodes } => assert!(nodes.capacity() <= 20),
        _ => {}
    }
    let mut written = BytesMut::new();
    assert_eq!(message.encode(dialect, &mut written), Ok(()));
    start.extend_from_slice(&without_reserved(dialect, kind, body));
    assert_eq!(written, start);
    let again = written.freeze().slice(start.len() - body.len()..);
    assert_eq!(Message::decode(dialect, kind, again), Ok(Decoded::Message(message)));
}

/// The first eight bytes of a frame: a length that is read is written in the same bytes, so that
/// every length has one form.
pub(crate) fn frame_start(bytes: [u8; 8], long_frames: bool) {
    let [a, b, c, d, long @ ..] = bytes;
    let (kind, body_bytes, start_bytes) = match frame::parse_start([a, b, c, d], long_frames) {
        Ok(FrameStart::Short { kind, body_bytes }) => (kind, body_bytes, 4),
        Ok(FrameStart::Long { kind }) => {
            assert!(long_frames && (a, b) == (0, 0));
            match frame::long_body_bytes(long) {
                Ok(body_bytes) => (kind, body_bytes, 8),
                Err(_) => return,
            }
        }
        Err(_) => return,
    };
    assert!(body_bytes <= HEADER + 44 + LARGEST_VALUE, "more than any message needs");
    let mut written = BytesMut::new();
    assert!(frame::put_start(&mut written, kind, body_bytes, long_frames));
    assert_eq!(written, bytes[..start_bytes]);
}

/// Whether the protocol has a message of this type with a body of this length.
fn is_allowed(dialect: Dialect, kind: u16, bytes: usize) -> bool {
    let v1 = dialect == Dialect::V1;
    let exactly = |bytes: usize| bytes..=bytes;
    let with_value = |fixed: usize| fixed + 1..=fixed + LARGEST_VALUE;
    let Some(of_type) = MessageType::of(kind) else { return false };
    let lengths: RangeInclusive<usize> = match of_type {
        MessageType::Error if !v1 => return bytes == 2,
        MessageType::Ping => exactly(0),
        MessageType::Store => with_value(if v1 { 44 } else { 34 }),
        MessageType::FindNode | MessageType::FindValue | MessageType::StoreReply => exactly(32),
        MessageType::PingReply => exactly(if v1 { 18 } else { 0 }),
        MessageType::FindNodeReply => 0..=20 * NODE,
        MessageType::FindValueReply => with_value(if v1 { 44 } else { 32 }),
        MessageType::Error => exactly(2),
    };
    let whole_nodes = of_type != MessageType::FindNodeReply || bytes % NODE == HEADER % NODE;
    bytes >= HEADER && lengths.contains(&(bytes - HEADER)) && whole_nodes
}

/// The body as a node of ours would have written it: reserved bits 0, unknown codes the sender's
/// own trouble.
fn without_reserved(dialect: Dialect, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    match (dialect, MessageType::of(kind)) {
        (Dialect::V1, Some(MessageType::Store | MessageType::FindValueReply)) => {
            body[HEADER + 2] &= 1;
            body[HEADER + 3] = 0;
        }
        (Dialect::V1, Some(MessageType::Error)) if !matches!(body[HEADER..], [0, 10..=14 | 20]) => {
            body[HEADER..].copy_from_slice(&[0, 20]);
        }
        _ => {}
    }
    body
}

fn short_frame(kind: u16, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(4 + body.len()).expect("it came in a frame");
    [&size.to_be_bytes()[..], &kind.to_be_bytes(), body].concat()
}

/// The value is a part of the buffer that it came in: reading it took no memory.
fn assert_lies_within(value: &Bytes, whole: &Bytes) {
    let (value, whole) = (value.as_ptr_range(), whole.as_ptr_range());
    assert!(whole.start <= value.start && value.end <= whole.end, "the value was copied");
}
