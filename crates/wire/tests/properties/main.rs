//! Properties of the wire: the codecs' laws over any bytes, round trips of any message, and the
//! XOR metric's own laws (Kademlia, section 2.1).

mod laws;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use voiddht_wire::frame;
use voiddht_wire::limits::{FRAME_HEADER_BYTES, LONG_LENGTH_BYTES};
use voiddht_wire::peer::{
    Body, Decoded, Dialect, ErrorCode, Header, Message, MessageError, NodeInfo, Record,
};
use voiddht_wire::{Key, NodeId, PeerAddress, RpcId, limits};

/// Bodies of the lengths that matter, a byte around them, and any others.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let edges = [0, 1, 2, 32, 36, 48, 66, 68, 84, 98, 100, 110, 116, 1066, 65_471, 65_531, 65_605];
    let length = prop_oneof![
        4 => (prop::sample::select(edges.to_vec()), 0usize..3)
            .prop_map(|(edge, more)| (edge + more).saturating_sub(1)),
        2 => (0usize..=21).prop_map(|nodes| 66 + 50 * nodes),
        4 => 0usize..400,
    ];
    // Small bytes too: flags and reserved fields are refused when they are not.
    let bytes = prop_oneof![vec(any::<u8>(), 128), vec(0_u8..4, 128), vec(Just(0_u8), 128)];
    (length, bytes).prop_map(|(length, pattern)| pattern.into_iter().cycle().take(length).collect())
}

fn kinds(known: Vec<u16>) -> impl Strategy<Value = u16> {
    prop_oneof![9 => prop::sample::select(known), 1 => any::<u16>()]
}

fn ids() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn nodes() -> impl Strategy<Value = NodeInfo> {
    (any::<[u8; 18]>(), ids()).prop_map(|(address, id)| NodeInfo {
        address: PeerAddress::from_bytes(&address),
        id: NodeId::from_bytes(id),
    })
}

fn records() -> impl Strategy<Value = Record> {
    let bytes = prop_oneof![1usize..200, Just(limits::MAX_VALUE_BYTES)];
    (ids(), bytes, any::<u8>(), any::<u16>(), any::<u64>(), any::<bool>()).prop_map(
        |(key, bytes, fill, ttl, version, maintenance)| Record {
            key: Key::from_bytes(key),
            value: Bytes::from(vec![fill; bytes]),
            ttl,
            version: Some(version),
            maintenance,
        },
    )
}

fn messages() -> impl Strategy<Value = Message> {
    let key = || ids().prop_map(Key::from_bytes);
    let body = prop_oneof![
        Just(Body::Ping),
        records().prop_map(Body::Store),
        key().prop_map(|target| Body::FindNode { target }),
        key().prop_map(|key| Body::FindValue { key }),
        nodes().prop_map(|node| Body::PingReply { observed: Some(node.address) }),
        key().prop_map(|key| Body::StoreReply { key }),
        vec(nodes(), 0..=limits::MAX_NODES).prop_map(|nodes| Body::FindNodeReply { nodes }),
        records().prop_map(Body::FindValueReply),
        (10u16..=20).prop_map(|code| Body::Error(ErrorCode::from_u16(code))),
    ];
    (ids(), any::<u16>(), ids(), body).prop_map(|(sender, port, rpc_id, body)| {
        let (sender, rpc_id) = (NodeId::from_bytes(sender), RpcId::from_bytes(rpc_id));
        Message { header: Header { sender, port, rpc_id }, body }
    })
}

proptest! {
    #[test]
    fn requests_of_the_module_api_keep_their_laws(
        kind in kinds(vec![650, 651, 654, 656]),
        body in bodies(),
    ) {
        laws::api_request(kind, &body);
    }

    #[test]
    fn answers_of_the_module_api_keep_their_laws(
        kind in kinds(vec![652, 653, 655, 657]),
        body in bodies(),
    ) {
        laws::api_answer(kind, &body);
    }

    #[test]
    fn messages_between_peers_keep_their_laws(
        kind in kinds(vec![660, 661, 662, 663, 670, 671, 672, 673, 680]),
        body in bodies(),
        v1 in any::<bool>(),
    ) {
        let dialect = if v1 { Dialect::V1 } else { Dialect::Legacy };
        laws::peer_message(dialect, kind, &body);
    }

    #[test]
    fn starts_of_frames_keep_their_laws(
        first in any::<[u8; 8]>(),
        long in 65_530u32..65_620,
        long_frames in any::<bool>(),
    ) {
        laws::frame_start(first, long_frames);
        let [a, b, c, d] = long.to_be_bytes();
        laws::frame_start([0, 0, first[2], first[3], a, b, c, d], long_frames);
    }

    #[test]
    fn any_message_reads_back(message in messages()) {
        let mut frame = BytesMut::new();
        prop_assert_eq!(message.encode(Dialect::V1, &mut frame), Ok(()));
        let long = frame.starts_with(&[0, 0]);
        let start = FRAME_HEADER_BYTES + if long { LONG_LENGTH_BYTES } else { 0 };
        let body = frame.freeze().slice(start..);
        let decoded = Message::decode(Dialect::V1, message.body.kind(), body);
        prop_assert_eq!(decoded, Ok(Decoded::Message(message)));
    }

    #[test]
    fn what_the_legacy_dialect_cannot_carry_leaves_no_trace(message in messages()) {
        let mut frame = BytesMut::from(&b"before"[..]);
        match message.encode(Dialect::Legacy, &mut frame) {
            Ok(()) => prop_assert!(frame.len() <= 6 + limits::MAX_SHORT_FRAME_BYTES),
            Err(error) => {
                prop_assert!(matches!(error, MessageError::DoesNotFit(_)));
                prop_assert_eq!(frame, &b"before"[..]);
            }
        }
    }

    #[test]
    fn every_length_of_a_body_has_a_frame_or_none(bytes in 0usize..66_000, long in any::<bool>()) {
        let mut start = BytesMut::new();
        let fits = frame::put_start(&mut start, 1, bytes, long);
        let most = if long { limits::MAX_FRAME_BYTES - 8 } else { 65_531 };
        prop_assert_eq!(fits, bytes <= most);
        prop_assert_eq!(start.is_empty(), !fits);
    }

    #[test]
    fn distance_is_a_metric_that_points_one_way(a in ids(), b in ids()) {
        let (node, other) = (NodeId::from_bytes(a), NodeId::from_bytes(b));
        let distance = node.distance(&other);
        prop_assert_eq!(distance, other.distance(&node));
        prop_assert_eq!(distance, node.as_key().distance(&other));
        prop_assert_eq!(distance == node.distance(&node), a == b);
        let shared = (0..256).take_while(|bit| node.bit(*bit) == other.bit(*bit)).count();
        prop_assert_eq!(distance.leading_zeros() as usize, shared);
        prop_assert_eq!(node.cmp(&other), a.cmp(&b));
    }

    #[test]
    fn distance_orders_as_the_xored_bytes_do(target in ids(), a in ids(), b in ids()) {
        let xor = |id: [u8; 32]| -> Vec<u8> { target.iter().zip(id).map(|(x, y)| x ^ y).collect() };
        let key = Key::from_bytes(target);
        let distance = |id| key.distance(&NodeId::from_bytes(id));
        prop_assert_eq!(distance(a).cmp(&distance(b)), xor(a).cmp(&xor(b)));
    }

    #[test]
    fn addresses_survive_the_operating_systems_form(bytes in any::<[u8; 18]>()) {
        let address = PeerAddress::from_bytes(&bytes);
        prop_assert_eq!(address.to_bytes(), bytes);
        prop_assert_eq!(PeerAddress::from(address.socket_addr()), address);
    }

    #[test]
    fn an_id_is_read_from_its_own_text_and_from_no_other_length(text in "[0-9a-fA-Fg]{60,68}") {
        match text.parse::<NodeId>() {
            Ok(id) => prop_assert_eq!(id.to_string(), text.to_lowercase()),
            Err(_) => prop_assert!(text.len() != 64 || text.contains('g')),
        }
    }
}
