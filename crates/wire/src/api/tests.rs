//! The frames of the module API, byte by byte.

use std::time::Duration;

use super::*;

fn frame_of(request: &Request) -> BytesMut {
    let mut buffer = BytesMut::new();
    request.encode(&mut buffer).unwrap();
    buffer
}

#[test]
fn a_put_stands_as_the_protocol_draws_it() {
    let publication = Publication::new(Key::from_bytes([0xaa; 32]), "v");
    let publication = publication.ttl(Duration::from_secs(0x0102)).replication(3);
    let put = Put { publication, acknowledge: Acknowledge::Count };
    let frame = frame_of(&Request::Put(put.clone()));
    assert_eq!(&frame[..8], &[0, 41, 0x02, 0x8a, 1, 2, 3, 1]);
    assert_eq!(&frame[8..], [&[0xaa; 32][..], b"v"].concat());
    assert_eq!(Request::decode(DHT_PUT, frame.freeze().slice(4..)), Ok(Request::Put(put)));
}

#[test]
fn unknown_flags_are_ignored_and_a_receipt_needs_an_acknowledgement() {
    for (flags, expected) in [
        (0, Acknowledge::No),
        (2, Acknowledge::No),
        (0xfc, Acknowledge::No),
        (1, Acknowledge::Count),
        (0xfd, Acknowledge::Count),
        (3, Acknowledge::Receipt),
        (0xff, Acknowledge::Receipt),
    ] {
        assert_eq!(Acknowledge::of_flags(flags), expected, "{flags:#x}");
    }
    for one in [Acknowledge::No, Acknowledge::Count, Acknowledge::Receipt] {
        assert_eq!(Acknowledge::of_flags(one.flags()), one);
    }
}

#[test]
fn the_largest_value_fits_to_the_byte() {
    let put = |bytes| {
        let publication = Publication::new(Key::default(), vec![7; bytes]);
        Request::Put(Put { publication, acknowledge: Acknowledge::No })
    };
    assert_eq!(frame_of(&put(MAX_VALUE_BYTES)).len(), 65_535);
    let mut buffer = BytesMut::new();
    assert!(put(MAX_VALUE_BYTES + 1).encode(&mut buffer).is_err());
    assert_eq!(put(0).encode(&mut buffer), Err(ApiError::EmptyValue));
    assert!(buffer.is_empty());
}

#[test]
fn answers_read_back_and_wrong_bodies_are_named() {
    let key = Key::from_bytes([1; 32]);
    let value = Bytes::from_static(b"x");
    let told = |value| Told { key, proof: Proof::Hash, agreeing: 1, ttl: 9, value };
    for answer in [
        Answer::Success { key, value: value.clone() },
        Answer::Failure { key },
        Answer::FailureBecause { key, why: Bytes::from_static(b"superseded") },
        Answer::Told(told(None)),
        Answer::Told(told(Some(value.clone()))),
        Answer::Conflict { key, value },
    ] {
        let mut buffer = BytesMut::new();
        answer.encode(&mut buffer).unwrap();
        let kind = u16::from_be_bytes([buffer[2], buffer[3]]);
        assert_eq!(Answer::decode(kind, buffer.freeze().slice(4..)), Ok(answer));
    }
    let body = |bytes: usize| Bytes::from(vec![0; bytes]);
    assert_eq!(Request::decode(DHT_PUT, body(36)), Err(ApiError::EmptyValue));
    for (kind, bytes) in [(DHT_PUT, 35), (DHT_GET, 31), (DHT_GET, 33), (DHT_GET, 0)] {
        assert_eq!(
            Request::decode(kind, body(bytes)),
            Err(ApiError::WrongSize { kind, body_bytes: bytes })
        );
    }
    for kind in [DHT_SUCCESS, DHT_FAILURE, 0, 660, u16::MAX] {
        assert_eq!(Request::decode(kind, body(33)), Err(ApiError::UnexpectedType(kind)));
    }
}

#[test]
fn an_ask_stands_as_the_protocol_draws_it() {
    let ask = Ask {
        proved_only: true,
        freshness: Freshness::Thorough,
        least_generation: 0x0102_0304,
        least_seq: 5,
        key: Key::from_bytes([0xaa; 32]),
    };
    let frame = frame_of(&Request::Ask(ask));
    let fixed = [0, 52, 0x02, 0x8e, 5, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5];
    assert_eq!(&frame[..20], &fixed);
    assert_eq!(&frame[20..], &[0xaa; 32]);
    assert_eq!(Request::decode(DHT_ASK, frame.freeze().slice(4..)), Ok(Request::Ask(ask)));
}

#[test]
fn an_ask_with_a_reserved_bit_or_two_kinds_of_freshness_is_refused() {
    let frame = frame_of(&Request::Ask(Ask::default())).freeze().slice(4..);
    for (at, byte) in [(0, 6), (0, 8), (0, 0x80), (1, 1), (2, 1), (3, 1)] {
        let mut body = frame.to_vec();
        body[at] = byte;
        let refused = Err(ApiError::Reserved { kind: DHT_ASK });
        assert_eq!(Request::decode(DHT_ASK, body.into()), refused, "{byte} at {at}");
    }
}

#[test]
fn a_conditional_put_stands_as_the_protocol_draws_it() {
    let value = vec![7; MAX_PUT_IF_VALUE_BYTES];
    let publication = Publication::new(Key::from_bytes([0xaa; 32]), value);
    let publication = publication.ttl(Duration::from_secs(0x0102)).replication(3);
    let put = ConditionalPut { publication, expected: [0xbb; 32] };
    let frame = frame_of(&Request::PutIf(put.clone()));
    assert_eq!(frame.len(), 65_535);
    assert_eq!(&frame[..8], &[0xff, 0xff, 0x02, 0x90, 1, 2, 3, 0]);
    assert_eq!(&frame[8..72], [[0xaa; 32], [0xbb; 32]].concat());
    let read = Request::decode(DHT_PUT_IF, frame.freeze().slice(4..));
    assert_eq!(read, Ok(Request::PutIf(put)));
}

#[test]
fn the_largest_value_fits_its_answer_to_the_byte() {
    let key = Key::from_bytes([1; 32]);
    let value = Some(Bytes::from(vec![7; MAX_VALUE_BYTES]));
    let told = Answer::Told(Told { key, proof: Proof::Signature, agreeing: 5, ttl: 600, value });
    let mut buffer = BytesMut::new();
    told.encode(&mut buffer).unwrap();
    assert_eq!(buffer.len(), 65_535);
    assert_eq!(&buffer[2..4], &DHT_TOLD.to_be_bytes());
    assert_eq!(&buffer[36..40], &[2, 5, 2, 0x58]);
    assert_eq!(Answer::decode(DHT_TOLD, buffer.freeze().slice(4..)), Ok(told));
}

#[test]
fn a_proof_of_an_unknown_kind_is_refused() {
    let mut body = vec![0; API_TOLD_FIXED_BYTES];
    body[32] = 3;
    let refused = Err(ApiError::Reserved { kind: DHT_TOLD });
    assert_eq!(Answer::decode(DHT_TOLD, body.into()), refused);
}
