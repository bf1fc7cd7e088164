//! What a hostile peer can send: on a bare socket, and after a handshake that is in order. Each
//! case costs the connection on which it came, and the node serves on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use common::{key, knows, node, soon, stop, until};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use voiddht_core::record::RecordLimits;
use voiddht_identity::{Certificate, Identity, KeyKind, Policy, client_config, server_config};
use voiddht_node::Node;
use voiddht_wire::limits::{MAX_FRAME_BYTES, MAX_VALUE_BYTES};
use voiddht_wire::peer::{Body, Decoded, Dialect, ErrorCode, Header, Message, NodeInfo, Record};
use voiddht_wire::{NodeId, PeerAddress, Publication, RpcId};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A peer of our own making, that says what a test wants it to say.
struct Peer {
    identity: Identity,
    tls: client::TlsStream<TcpStream>,
}

fn identity() -> Identity {
    Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, LOOPBACK).unwrap()
}

impl Peer {
    async fn connect(address: SocketAddr) -> Self {
        let identity = identity();
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let length = tcp.read_u32().await.unwrap();
        let mut pushed = vec![0; length as usize];
        tcp.read_exact(&mut pushed).await.unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let pushed = Certificate::parse_pushed(&pushed, identity.policy(), now.as_secs()).unwrap();
        let config = client_config(&identity, pushed, None).unwrap();
        let name = ServerName::IpAddress(address.ip().into());
        let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        Self { identity, tls }
    }

    fn message(&self, body: Body) -> Message {
        Message { header: header(self.identity.node_id(), 1), body }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).await.unwrap();
        self.tls.flush().await.unwrap();
    }

    async fn ask(&mut self, body: Body) -> Body {
        let request = encode(&self.message(body));
        self.send(&request).await;
        receive(&mut self.tls).await.body
    }

    async fn is_closed(&mut self) -> bool {
        matches!(soon(self.tls.read(&mut [0])).await, Ok(0) | Err(_))
    }
}

fn header(sender: NodeId, rpc: u8) -> Header {
    // Port 0: it does not listen, so the node does not come to look for it.
    Header { sender, port: 0, rpc_id: RpcId::from_bytes([rpc; 32]) }
}

fn encode(message: &Message) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    message.encode(Dialect::V1, &mut buffer).unwrap();
    buffer.to_vec()
}

async fn receive(stream: &mut (impl AsyncReadExt + Unpin)) -> Message {
    soon(async {
        let size = usize::from(stream.read_u16().await.unwrap());
        let kind = stream.read_u16().await.unwrap();
        let mut body = vec![0; size - 4];
        stream.read_exact(&mut body).await.unwrap();
        match Message::decode(Dialect::V1, kind, body.into()).unwrap() {
            Decoded::Message(message) => message,
            other => panic!("{other:?}"),
        }
    })
    .await
}

fn frame(size: u16, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    buffer.put_u16(size);
    buffer.put_u16(kind);
    buffer.put_slice(body);
    buffer.to_vec()
}

async fn serves(node: &Node) {
    let mut peer = Peer::connect(node.p2p_address()).await;
    assert!(matches!(peer.ask(Body::Ping).await, Body::PingReply { observed: Some(_) }));
    let value = Bytes::from_static(b"value");
    let handle = node.handle();
    assert_eq!(soon(handle.put(Publication::new(key(1), value.clone()))).await.unwrap().stored, 1);
    assert_eq!(soon(handle.get(key(1))).await.unwrap().value, Some(value));
}

#[tokio::test]
async fn bare_sockets_are_turned_away() {
    let node = node(&[]).await;
    for spoken in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        // TLS without waiting for the certificate.
        &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3],
        &[0xff; 70_000],
        &[0; 70_000],
        b"",
    ] {
        let mut stream = TcpStream::connect(node.p2p_address()).await.unwrap();
        // The node may close before all of it is written.
        let _ = stream.write_all(spoken).await;
        let _ = stream.shutdown().await;
        let mut heard = Vec::new();
        let _ = soon(stream.read_to_end(&mut heard)).await;
    }
    let handle = node.handle();
    until(|| async { handle.status().await.unwrap().counts.handshakes_failed == 5 }).await;
    serves(&node).await;
    stop(vec![node]).await;
}

#[tokio::test]
async fn malformed_frames_end_their_connection() {
    let node = node(&[]).await;
    let rpc = [7; 66];
    let cases = [
        ("a size below its header", frame(3, 660, &[])),
        ("an unknown type", frame(70, 700, &[])),
        ("a type of the module API", frame(36, 651, &[])),
        ("a PING too short", frame(69, 660, &[0; 65])),
        ("a FIND_NODE too short", frame(101, 662, &[0; 97])),
        ("a FIND_NODE too long", frame(103, 662, &[0; 99])),
        ("a PING of 60 kB", frame(60_000, 660, &[])),
        ("a STORE without a value", frame(114, 661, &[0; 110])),
        ("21 nodes", frame(4 + 66 + 21 * 50, 672, &[])),
        ("half a node", frame(4 + 66 + 75, 672, &[&rpc[..], &[0; 75]].concat())),
        ("4 GiB", frame(0, 661, &u32::MAX.to_be_bytes())),
        ("a byte too many", frame(0, 661, &(MAX_FRAME_BYTES as u32 + 1).to_be_bytes())),
        ("a long frame that is short", frame(0, 661, &100u32.to_be_bytes())),
        ("a long PING", frame(0, 660, &[])),
    ];
    let count = cases.len() as u64;
    for (what, bytes) in cases {
        let mut peer = Peer::connect(node.p2p_address()).await;
        peer.send(&bytes).await;
        assert!(peer.is_closed().await, "{what}");
    }
    let handle = node.handle();
    until(|| async { handle.status().await.unwrap().counts.misbehaved == count }).await;
    serves(&node).await;
    stop(vec![node]).await;
}

/// In a rolling upgrade, nodes that are newer than their peers send what those do not know. Two
/// such messages once led to a ban of an hour.
#[tokio::test]
async fn messages_of_a_later_version_are_passed_over() {
    let node = node(&[]).await;
    let mut peer = Peer::connect(node.p2p_address()).await;
    for kind in [664, 674, 699] {
        for _ in 0..5 {
            let sent = peer.message(Body::Unknown { kind });
            peer.send(&encode(&sent)).await;
            if sent.body.is_request() {
                let reply = receive(&mut peer.tls).await;
                assert_eq!(reply.body, Body::Error(ErrorCode::BadRequest));
            }
            assert!(matches!(peer.ask(Body::Ping).await, Body::PingReply { .. }));
        }
    }
    let counts = node.handle().status().await.unwrap().counts;
    assert_eq!(counts.misbehaved, 0);
    stop(vec![node]).await;
}

#[tokio::test]
async fn a_header_with_anothers_id_ends_the_connection() {
    let node = node(&[]).await;
    let mut peer = Peer::connect(node.p2p_address()).await;
    assert!(matches!(peer.ask(Body::Ping).await, Body::PingReply { .. }));
    let foreign = Message { header: header(node.id(), 2), body: Body::Ping };
    peer.send(&encode(&foreign)).await;
    assert!(peer.is_closed().await);
    serves(&node).await;
    stop(vec![node]).await;
}

#[tokio::test]
async fn one_that_asks_without_end_is_refused_and_others_are_served() {
    let mut settings = common::settings(&[]);
    settings.limits.queued_bytes_per_connection = 100_000;
    let node = common::start(settings).await;
    let value = Bytes::from(vec![7; MAX_VALUE_BYTES]);
    soon(node.handle().put(Publication::new(key(9), value))).await.unwrap();

    let mut peer = Peer::connect(node.p2p_address()).await;
    let request = encode(&peer.message(Body::FindValue { key: key(9) }));
    let asked = 200;
    peer.send(&request.repeat(asked)).await;
    let handle = node.handle();
    until(|| async {
        let counts = handle.status().await.unwrap().counts;
        counts.limits.get("queued_bytes").is_some_and(|reached| *reached > 0)
    })
    .await;
    serves(&node).await;

    // Every request is answered, by its value or by ERROR 13.
    let mut answers = [0, 0];
    for _ in 0..asked {
        let start = soon(peer.tls.read_u32()).await.unwrap();
        let (size, kind) = (start >> 16, start & 0xffff);
        let size = if size == 0 { soon(peer.tls.read_u32()).await.unwrap() - 4 } else { size };
        let mut body = vec![0; size as usize - 4];
        soon(peer.tls.read_exact(&mut body)).await.unwrap();
        answers[usize::from(kind == 680)] += 1;
    }
    assert!(answers.iter().all(|count| *count > 0), "{answers:?}");
    stop(vec![node]).await;
}

#[tokio::test]
async fn many_that_hold_half_messages_do_not_stop_the_node() {
    let node = node(&[]).await;
    let (mut held, mut programs) = (Vec::new(), Vec::new());
    for cut in [1, 3, 4, 5, 69] {
        let mut peer = Peer::connect(node.p2p_address()).await;
        let ping = encode(&peer.message(Body::Ping));
        peer.send(&ping[..cut]).await;
        held.push((peer, ping[cut..].to_vec()));
        let mut api = TcpStream::connect(node.api_address().unwrap()).await.unwrap();
        api.write_all(&[0, 36, 2, 139, 1][..cut.min(5)]).await.unwrap();
        programs.push(api);
    }
    serves(&node).await;
    for (mut peer, rest) in held {
        peer.send(&rest).await;
        assert!(matches!(receive(&mut peer.tls).await.body, Body::PingReply { .. }));
    }
    stop(vec![node]).await;
}

#[tokio::test]
async fn a_contact_that_does_not_listen_where_it_says_is_no_contact() {
    let node = node(&[]).await;
    let mut peer = Peer::connect(node.p2p_address()).await;
    // A port at which another node listens: the node itself.
    let mut message = peer.message(Body::Ping);
    message.header.port = node.p2p_address().port();
    peer.send(&encode(&message)).await;
    receive(&mut peer.tls).await;
    let handle = node.handle();
    // The probe comes in as a handshake that never begins.
    until(|| async { handle.status().await.unwrap().counts.handshakes_failed == 1 }).await;
    assert!(handle.status().await.unwrap().core.contacts.is_empty());
    stop(vec![node]).await;
}

/// A server with which the node is connected, that answers the first request by a broken frame.
async fn answers_badly(listener: TcpListener, identity: Identity, answer: Vec<u8>) {
    let (mut tcp, _) = listener.accept().await.unwrap();
    tcp.write_all(&identity.pushed()).await.unwrap();
    let mut tls: server::TlsStream<TcpStream> =
        TlsAcceptor::from(server_config(&identity)).accept(tcp).await.unwrap();
    receive(&mut tls).await;
    tls.write_all(&answer).await.unwrap();
    tls.flush().await.unwrap();
    // The node goes away by itself.
    let _ = tls.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_configured_peer_that_answers_badly_does_not_keep_others_from_being_joined() {
    let good = node(&[]).await;
    let liar = identity();
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let listed = NodeInfo { address: PeerAddress::new(LOOPBACK, 1), id: good.id() };
    let unasked = Message {
        header: header(liar.node_id(), 9),
        body: Body::FindNodeReply { nodes: vec![listed] },
    };
    let lie = tokio::spawn(answers_badly(listener, liar, encode(&unasked)));
    let mut settings = common::settings(&[&good]);
    settings.peers.push(address.into());
    let node = common::start(settings).await;
    soon(node.joined()).await;
    knows(&node, 1).await;
    stop(vec![node, good]).await;
    soon(lie).await.unwrap();
}

/// Values of 65 kB with the longest TTL filled every store in seconds, and until they expired all
/// other PUTs failed.
#[tokio::test]
async fn peers_that_fill_the_store_give_way_to_others() {
    let start = async |peers: &[&Node]| {
        let mut settings = common::settings(peers);
        settings.core.records = RecordLimits::of_size(1_000, 2 << 20);
        common::start(settings).await
    };
    let first = start(&[]).await;
    let second = start(&[&first]).await;
    soon(second.joined()).await;
    knows(&first, 1).await;
    let honest = |number: u64| Bytes::from(vec![number as u8; 20_000]);
    let put = async |number: u64| {
        let handle = first.handle();
        let put = handle.put(Publication::new(key(number), honest(number)));
        assert_eq!(soon(put).await.unwrap().stored, 2, "the value {number} is refused");
    };
    for number in 0..5 {
        put(number).await;
    }
    for flooder in 0..6u64 {
        let mut peer = Peer::connect(second.p2p_address()).await;
        let mut stored = 0;
        for number in 0..20 {
            let record = Record {
                key: key(1_000 * (flooder + 1) + number),
                value: Bytes::from(vec![0xff; 65_000]),
                ttl: u16::MAX,
                version: Some(1),
                maintenance: false,
            };
            stored +=
                usize::from(matches!(peer.ask(Body::Store(record)).await, Body::StoreReply { .. }));
        }
        assert!(stored <= 8, "{stored} values of 65 kB are more than a quarter of the store");
    }
    // Below the seventh of the store that is everyone's share: more would be refused.
    for number in 5..10 {
        put(number).await;
    }
    let counts = second.handle().status().await.unwrap().counts;
    assert!(counts.records_evicted > 0, "the store was never full");
    for number in 0..10 {
        let found = soon(second.handle().get(key(number))).await.unwrap();
        assert_eq!(found.value, Some(honest(number)), "{number}");
    }
    stop(vec![second, first]).await;
}

#[tokio::test]
async fn records_that_no_node_would_keep_are_refused() {
    let node = node(&[]).await;
    let mut peer = Peer::connect(node.p2p_address()).await;
    let record = Record {
        key: key(1),
        value: Bytes::from_static(b"from the future"),
        ttl: 60,
        version: Some(u64::MAX),
        maintenance: false,
    };
    assert!(matches!(peer.ask(Body::Store(record)).await, Body::Error(_)));
    assert!(matches!(peer.ask(Body::Ping).await, Body::PingReply { .. }), "and nothing more");
    stop(vec![node]).await;
}
