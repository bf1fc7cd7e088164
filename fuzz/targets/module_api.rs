//! Bodies of module API frames, from a local program and, for the client, from a node. What is
//! understood can be written again, and then means the same.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use voiddht_fuzz::Source;
use voiddht_wire::api::{Answer, DHT_PUT, Request};
use voiddht_wire::frame::{self, FrameStart};
use voiddht_wire::limits::{FRAME_HEADER_BYTES, MAX_SHORT_FRAME_BYTES};

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    // The eight types, or any.
    let kind = match source.byte() {
        any @ 250.. => u16::from_be_bytes([any, source.byte()]),
        known => DHT_PUT + u16::from(known % 8),
    };
    let body = Bytes::copy_from_slice(source.slice(MAX_SHORT_FRAME_BYTES - FRAME_HEADER_BYTES));
    if let Ok(request) = Request::decode(kind, body.clone()) {
        let mut buffer = BytesMut::new();
        request.encode(&mut buffer).expect("what was read can be written");
        let (kind, body) = unframed(buffer);
        assert_eq!(Request::decode(kind, body), Ok(request));
    }
    if let Ok(answer) = Answer::decode(kind, body) {
        let mut buffer = BytesMut::new();
        answer.encode(&mut buffer).expect("what was read can be written");
        let (kind, body) = unframed(buffer);
        assert_eq!(Answer::decode(kind, body), Ok(answer));
    }
});

fn unframed(mut buffer: BytesMut) -> (u16, Bytes) {
    let start = buffer.split_to(FRAME_HEADER_BYTES);
    let start = start[..].try_into().expect("as long as was split off");
    match frame::parse_start(start, false).expect("our own") {
        FrameStart::Short { kind, body_bytes } => {
            assert_eq!(body_bytes, buffer.len());
            (kind, buffer.freeze())
        }
        FrameStart::Long { .. } => panic!("the module API has no long frames"),
    }
}
