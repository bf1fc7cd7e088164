//! Bodies of frames between peers, in both dialects. What is understood can be written again, in
//! no more bytes than came, and then means the same.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use voiddht_fuzz::Source;
use voiddht_wire::MessageType;
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::limits::{
    FRAME_HEADER_BYTES, LONG_LENGTH_BYTES, MAX_FRAME_BYTES, MAX_SHORT_FRAME_BYTES,
};
use voiddht_wire::peer::{Body, Decoded, Dialect, Message};

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let choice = source.byte();
    let (dialect, most) = match choice & 1 {
        0 => (Dialect::V1, MAX_FRAME_BYTES - FRAME_HEADER_BYTES - LONG_LENGTH_BYTES),
        _ => (Dialect::Legacy, MAX_SHORT_FRAME_BYTES - FRAME_HEADER_BYTES),
    };
    // A type of the table, or any.
    let kind = match choice >> 1 {
        known @ 0..60 => MessageType::ALL[usize::from(known) % MessageType::ALL.len()].code(),
        _ => source.number(),
    };
    let body = Bytes::copy_from_slice(source.slice(most));
    let bytes = body.len();
    let Ok(Decoded::Message(message)) = Message::decode(dialect, kind, body) else { return };
    assert_eq!(message.body.kind(), kind);
    // A type of a later version: its body is left unread, so that it cannot be written again.
    if matches!(message.body, Body::Unknown { .. }) {
        return;
    }
    let mut buffer = BytesMut::new();
    message.encode(dialect, &mut buffer).expect("what was read can be written");
    let body = unframed(dialect, kind, buffer);
    // The header of a legacy ERROR is left out, and such a one is not read as a message.
    assert_eq!(body.len(), bytes);
    assert_eq!(Message::decode(dialect, kind, body), Ok(Decoded::Message(message)));
});

fn unframed(dialect: Dialect, expected: u16, mut buffer: BytesMut) -> Bytes {
    let start = buffer.split_to(FRAME_HEADER_BYTES);
    let start = start[..].try_into().expect("as long as was split off");
    let start = frame::parse_start(start, dialect.has_long_frames()).expect("our own");
    let (kind, body_bytes) = match start {
        FrameStart::Short { kind, body_bytes } => (kind, body_bytes),
        FrameStart::Long { kind } => {
            let length = buffer.split_to(LONG_LENGTH_BYTES);
            let length = length[..].try_into().expect("as long as was split off");
            (kind, frame::long_body_bytes(length).expect("our own"))
        }
    };
    assert_eq!((kind, body_bytes), (expected, buffer.len()));
    buffer.freeze()
}
