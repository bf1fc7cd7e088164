//! Round trips of every message in both dialects, and one refusal per rule.

use super::*;
use crate::limits::{MAX_FRAME_BYTES, MAX_LEGACY_VALUE_BYTES, MAX_VALUE_BYTES, RECORD_FIXED_BYTES};

fn header() -> Header {
    Header { sender: NodeId::from_bytes([1; 32]), port: 7402, rpc_id: RpcId::from_bytes([2; 32]) }
}

fn record(value_bytes: usize) -> Record {
    Record {
        key: Key::from_bytes([3; 32]),
        value: Bytes::from(vec![9; value_bytes]),
        ttl: 600,
        version: Some(1_700_000_000_000),
        maintenance: true,
    }
}

fn node(last: u8) -> NodeInfo {
    NodeInfo {
        address: PeerAddress::new("127.0.0.1".parse().unwrap(), 7000 + u16::from(last)),
        id: NodeId::from_bytes([last; 32]),
    }
}

fn encode(dialect: Dialect, body: Body) -> Result<Bytes, MessageError> {
    let mut buffer = BytesMut::new();
    Message { header: header(), body }.encode(dialect, &mut buffer)?;
    Ok(buffer.freeze())
}

fn decode(dialect: Dialect, frame: Bytes) -> Result<Decoded, MessageError> {
    let start = frame[..4].try_into().unwrap();
    match frame::parse_start(start, dialect.has_long_frames())? {
        frame::FrameStart::Short { kind, body_bytes } => {
            assert_eq!(body_bytes, frame.len() - 4);
            Message::decode(dialect, kind, frame.slice(4..))
        }
        frame::FrameStart::Long { kind } => {
            let body_bytes = frame::long_body_bytes(frame[4..8].try_into().unwrap())?;
            assert_eq!(body_bytes, frame.len() - 8);
            Message::decode(dialect, kind, frame.slice(8..))
        }
    }
}

fn bodies() -> Vec<Body> {
    let target = Key::from_bytes([4; 32]);
    vec![
        Body::Ping,
        Body::Store(record(5)),
        Body::FindNode { target },
        Body::FindValue { key: target },
        Body::PingReply { observed: Some(node(1).address) },
        Body::StoreReply { key: target },
        Body::FindNodeReply { nodes: vec![] },
        Body::FindNodeReply { nodes: (0..20).map(node).collect() },
        Body::FindValueReply(record(1)),
        Body::Error(ErrorCode::Busy),
    ]
}

/// A decoder of `voiddht/1` that does not know 14 takes an ERROR of two bytes, and no other, and reads
/// the code as the answering node's own trouble.
#[test]
fn the_length_of_a_frame_is_known_without_encoding_it() {
    let longest = Body::Store(record(MAX_VALUE_BYTES));
    for dialect in [Dialect::Legacy, Dialect::V1] {
        for body in bodies().into_iter().chain([longest.clone()]) {
            let Ok(frame) = encode(dialect, body.clone()) else { continue };
            let message = Message { header: header(), body };
            assert_eq!(message.frame_bytes(dialect), frame.len(), "{}", message.body.name());
        }
    }
}

#[test]
fn a_refused_version_is_an_error_of_two_bytes_for_those_that_do_not_know_it_too() {
    let body = Body::Error(ErrorCode::FutureVersion);
    let frame = encode(Dialect::V1, body.clone()).unwrap();
    assert_eq!(frame.len(), 4 + RPC_HEADER_BYTES + 2);
    assert_eq!(frame[4 + RPC_HEADER_BYTES..], [0, 14]);
    let bare = encode(Dialect::Legacy, body).unwrap();
    assert_eq!(bare[4..], [0, 12], "the original knows no other");
}

#[test]
fn every_message_reads_back_in_our_dialect() {
    for body in bodies() {
        let frame = encode(Dialect::V1, body.clone()).unwrap();
        assert_eq!(
            decode(Dialect::V1, frame),
            Ok(Decoded::Message(Message { header: header(), body }))
        );
    }
}

#[test]
fn the_legacy_dialect_has_neither_versions_nor_a_header_on_errors() {
    for body in bodies() {
        let decoded = decode(Dialect::Legacy, encode(Dialect::Legacy, body.clone()).unwrap());
        let legacy =
            |record: Record, ttl| Record { version: None, maintenance: false, ttl, ..record };
        let expected = match body {
            Body::Error(code) => {
                assert_eq!(decoded, Ok(Decoded::BareError(code)));
                continue;
            }
            Body::Store(record) => Body::Store(legacy(record, 600)),
            Body::FindValueReply(record) => Body::FindValueReply(legacy(record, 0)),
            Body::PingReply { .. } => Body::PingReply { observed: None },
            other => other,
        };
        assert_eq!(decoded, Ok(Decoded::Message(Message { header: header(), body: expected })));
    }
}

#[test]
fn the_largest_value_travels_in_a_long_frame_and_not_to_a_legacy_peer() {
    let largest = encode(Dialect::V1, Body::Store(record(MAX_VALUE_BYTES))).unwrap();
    assert_eq!(largest.len(), MAX_FRAME_BYTES);
    assert!(decode(Dialect::V1, largest).is_ok());
    let fits = encode(Dialect::Legacy, Body::Store(record(MAX_LEGACY_VALUE_BYTES))).unwrap();
    assert_eq!(fits.len(), MAX_SHORT_FRAME_BYTES);
    assert!(matches!(
        encode(Dialect::Legacy, Body::Store(record(MAX_LEGACY_VALUE_BYTES + 1))),
        Err(MessageError::DoesNotFit(_))
    ));
}

#[test]
fn a_type_of_a_later_version_is_no_broken_rule_except_in_the_legacy_dialect() {
    for (kind, is_request) in [(664, true), (669, true), (674, false), (681, false), (699, false)] {
        let body = Bytes::from(vec![0; RPC_HEADER_BYTES + 9]);
        let Ok(Decoded::Message(message)) = Message::decode(Dialect::V1, kind, body.clone()) else {
            panic!("type {kind} is refused");
        };
        assert_eq!(message.body, Body::Unknown { kind });
        assert_eq!(message.body.is_request(), is_request, "{kind}");
        let legacy = Message::decode(Dialect::Legacy, kind, body);
        assert_eq!(legacy, Err(MessageError::UnknownType(kind)));
    }
}

#[test]
fn each_broken_rule_has_its_name() {
    let header_and = |body_bytes: usize| Bytes::from(vec![0; RPC_HEADER_BYTES + body_bytes]);
    let v1 = |kind, body| Message::decode(Dialect::V1, kind, body).unwrap_err();
    for kind in [0, 650, 659, 700, u16::MAX] {
        assert_eq!(v1(kind, header_and(0)), MessageError::UnknownType(kind));
    }
    for (kind, bytes) in [
        (MessageType::Ping.code(), 1),
        (MessageType::FindNode.code(), 31),
        (MessageType::FindValue.code(), 33),
        (MessageType::PingReply.code(), 0),
        (MessageType::Store.code(), 43),
        (MessageType::Error.code(), 3),
    ] {
        let body_bytes = RPC_HEADER_BYTES + bytes;
        assert_eq!(v1(kind, header_and(bytes)), MessageError::WrongSize { kind, body_bytes });
    }
    assert_eq!(
        v1(MessageType::Ping.code(), Bytes::from_static(b"short")),
        MessageError::WrongSize { kind: MessageType::Ping.code(), body_bytes: 5 }
    );
    assert_eq!(
        v1(MessageType::FindNodeReply.code(), header_and(21 * 50)),
        MessageError::TooManyNodes(21)
    );
    assert_eq!(
        v1(MessageType::FindNodeReply.code(), header_and(51)),
        MessageError::WrongSize {
            kind: MessageType::FindNodeReply.code(),
            body_bytes: RPC_HEADER_BYTES + 51
        }
    );
    assert_eq!(
        v1(MessageType::Store.code(), header_and(RECORD_FIXED_BYTES)),
        MessageError::EmptyValue
    );
    assert_eq!(
        v1(MessageType::Store.code(), header_and(RECORD_FIXED_BYTES + MAX_VALUE_BYTES + 1)),
        MessageError::ValueTooLarge(MAX_VALUE_BYTES + 1)
    );
    assert_eq!(encode(Dialect::V1, Body::Store(record(0))), Err(MessageError::EmptyValue));
}
