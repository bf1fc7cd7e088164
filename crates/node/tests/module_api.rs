//! The module API, spoken with nothing but sockets and bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;

use bytes::BytesMut;
use common::{key, network, node, settings, soon, start, stop, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voiddht_node::Node;
use voiddht_wire::api::{Acknowledge, Answer, Put, Request};
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{Key, Publication};

fn put(number: u64, value: &[u8], acknowledge: bool) -> Vec<u8> {
    let acknowledge = if acknowledge { Acknowledge::Count } else { Acknowledge::No };
    let publication = Publication::new(key(number), value.to_vec());
    let put = Put { publication, acknowledge };
    frame(&Request::Put(put))
}

fn get(number: u64) -> Vec<u8> {
    frame(&Request::Get { key: key(number) })
}

fn frame(request: &Request) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    request.encode(&mut buffer).unwrap();
    buffer.to_vec()
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> Answer {
    soon(async {
        let size = usize::from(stream.read_u16().await.unwrap());
        let kind = stream.read_u16().await.unwrap();
        let mut body = vec![0; size - 4];
        stream.read_exact(&mut body).await.unwrap();
        Answer::decode(kind, body.into()).unwrap()
    })
    .await
}

fn found(number: u64, value: &[u8]) -> Answer {
    Answer::Success { key: key(number), value: value.to_vec().into() }
}

/// Whether the node closed the connection without a word. What it had not read may reset it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0])).await, Ok(0) | Err(_))
}

async fn serves(node: &Node) {
    let mut stream = connect(node.api_address().unwrap()).await;
    stream.write_all(&[put(77, b"still here", false), get(77)].concat()).await.unwrap();
    assert_eq!(answer(&mut stream).await, found(77, b"still here"));
}

#[tokio::test]
async fn values_put_at_one_node_are_got_at_another() {
    let nodes = network(3).await;
    let mut one = connect(nodes[1].api_address().unwrap()).await;
    let mut two = connect(nodes[2].api_address().unwrap()).await;
    for (number, value) in [(1, vec![1]), (2, vec![2; 1000]), (3, vec![3; MAX_VALUE_BYTES])] {
        one.write_all(&put(number, &value, true)).await.unwrap();
        assert_eq!(answer(&mut one).await, found(number, &[3]), "three nodes hold it");
        two.write_all(&get(number)).await.unwrap();
        assert_eq!(answer(&mut two).await, found(number, &value));
    }
    two.write_all(&get(4)).await.unwrap();
    assert_eq!(answer(&mut two).await, Answer::Failure { key: key(4) });
    stop(nodes).await;
}

#[tokio::test]
async fn a_get_sees_the_puts_before_it_however_they_are_cut() {
    let nodes = network(2).await;
    let mut burst = Vec::new();
    let numbers = 0..50;
    for number in numbers.clone() {
        burst.extend(put(number, format!("value {number}").as_bytes(), false));
        burst.extend(get(number));
    }
    for piece in [1, 7, burst.len()] {
        let mut stream = connect(nodes[0].api_address().unwrap()).await;
        let (mut reading, mut writing) = stream.split();
        let write = async {
            for piece in burst.chunks(piece) {
                writing.write_all(piece).await.unwrap();
            }
        };
        let read = async {
            let mut answers = Vec::new();
            for _ in numbers.clone() {
                let size = usize::from(reading.read_u16().await.unwrap());
                let kind = reading.read_u16().await.unwrap();
                let mut body = vec![0; size - 4];
                reading.read_exact(&mut body).await.unwrap();
                answers.push(Answer::decode(kind, body.into()).unwrap());
            }
            answers
        };
        let ((), answers) = soon(async { tokio::join!(write, read) }).await;
        for number in numbers.clone() {
            let expected = found(number, format!("value {number}").as_bytes());
            assert!(answers.contains(&expected), "{number} in pieces of {piece}");
        }
    }
    stop(nodes).await;
}

#[tokio::test]
async fn what_breaks_a_rule_costs_its_own_connection_only() {
    let node = node(&[]).await;
    let mut bystander = connect(node.api_address().unwrap()).await;
    let frame = |size: u16, kind: u16, body: &[u8]| {
        [&size.to_be_bytes()[..], &kind.to_be_bytes(), body].concat()
    };
    let wrong = [
        ("a size below its header", frame(3, 651, &[])),
        ("a size of nothing", frame(0, 650, &[])),
        ("a GET too short", frame(35, 651, &[])),
        ("a GET too long", frame(37, 651, &[])),
        ("a PUT without a value", frame(40, 650, &[])),
        ("a PUT without a key", frame(39, 650, &[])),
        ("an answer from a client", frame(36, 653, &[])),
        ("a success from a client", frame(37, 652, &[])),
        ("an unknown type", frame(36, 4711, &[])),
        ("a peer's message", frame(70, 660, &[])),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("zeros", vec![0; 1000]),
        ("ones", vec![0xff; 1000]),
    ];
    let count = wrong.len() as u64;
    for (what, bytes) in wrong {
        let mut stream = connect(node.api_address().unwrap()).await;
        stream.write_all(&bytes).await.unwrap();
        assert!(is_closed(&mut stream).await, "{what}");
    }
    let counts = node.handle().status().await.unwrap().counts;
    assert_eq!(counts.api_broken, count);
    bystander.write_all(&get(1)).await.unwrap();
    assert_eq!(answer(&mut bystander).await, Answer::Failure { key: key(1) });
    serves(&node).await;
    stop(vec![node]).await;
}

#[tokio::test]
async fn who_leaves_in_the_middle_leaves_nothing_behind() {
    let node = node(&[]).await;
    let whole = put(1, b"value", true);
    for cut in 1..whole.len() {
        let mut stream = connect(node.api_address().unwrap()).await;
        stream.write_all(&whole[..cut]).await.unwrap();
    }
    // One that leaves without reading its answers.
    let mut stream = connect(node.api_address().unwrap()).await;
    stream.write_all(&[get(1), get(2), get(3)].concat()).await.unwrap();
    drop(stream);
    let handle = node.handle();
    until(|| async { handle.status().await.unwrap().counts.api_connections == 0 }).await;
    assert_eq!(handle.get(key(1)).await.unwrap().value, None, "half a PUT stores nothing");
    serves(&node).await;
    stop(vec![node]).await;
}

/// The budget of answers had no bound: 4.3 GB were possible.
#[tokio::test]
async fn a_program_that_takes_no_answers_is_disconnected_when_memory_is_short() {
    let mut settings = settings(&[]);
    settings.limits.api_queued_bytes = 1 << 20;
    let node = start(settings).await;
    let large = vec![7; MAX_VALUE_BYTES];
    let mut stream = connect(node.api_address().unwrap()).await;
    stream.write_all(&put(1, &large, true)).await.unwrap();
    answer(&mut stream).await;
    // 16 MiB of answers, more than sockets hold.
    let burst: Vec<u8> = (0..256).flat_map(|_| get(1)).collect();
    stream.write_all(&burst).await.unwrap();
    let handle = node.handle();
    until(|| async { handle.counts().limits["api_queued_bytes"] > 0 }).await;
    let mut answers = Vec::new();
    // Reset, or ended early.
    let _ = soon(stream.read_to_end(&mut answers)).await;
    assert!(answers.len() < 256 * MAX_VALUE_BYTES);
    serves(&node).await;
    stop(vec![node]).await;
}

/// Programs that vanished without closing kept their slots for ever, and no other was admitted.
#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_room() {
    let mut settings = settings(&[]);
    settings.limits.api_connections = 2;
    let node = start(settings).await;
    let mut admitted =
        [connect(node.api_address().unwrap()).await, connect(node.api_address().unwrap()).await];
    for stream in &mut admitted {
        stream.write_all(&get(1)).await.unwrap();
        answer(stream).await;
    }
    let [mut first, mut second] = admitted;
    first.write_all(&get(1)).await.unwrap();
    answer(&mut first).await;
    let mut third = connect(node.api_address().unwrap()).await;
    third.write_all(&get(1)).await.unwrap();
    answer(&mut third).await;
    assert!(is_closed(&mut second).await, "the longest idle one");
    first.write_all(&get(1)).await.unwrap();
    answer(&mut first).await;
    let handle = node.handle();
    assert_eq!(handle.counts().limits.get("api_connections"), Some(&1));
    drop((first, third));
    until(|| async { handle.status().await.unwrap().counts.api_connections == 0 }).await;
    stop(vec![node]).await;
}

/// `nc -N` and `socat` close their side after the last request: they got no byte of an answer.
#[tokio::test]
async fn a_program_that_sends_no_more_still_gets_its_answers() {
    let nodes = network(3).await;
    let mut burst = Vec::new();
    for number in 0..20 {
        burst.extend(put(number, &[7; 1000], true));
        burst.extend(get(number));
    }
    let mut stream = connect(nodes[1].api_address().unwrap()).await;
    stream.write_all(&burst).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = Vec::new();
    soon(stream.read_to_end(&mut answers)).await.unwrap();
    assert_eq!(answers.len(), 20 * (4 + 32 + 1) + 20 * (4 + 32 + 1000), "and then the end");
    stop(nodes).await;
}

#[tokio::test]
async fn who_does_not_read_is_not_read() {
    let mut settings = settings(&[]);
    settings.limits.api_requests_per_connection = 8;
    let node = start(settings).await;
    let large = vec![7; MAX_VALUE_BYTES];
    let mut stream = connect(node.api_address().unwrap()).await;
    stream.write_all(&put(1, &large, true)).await.unwrap();
    answer(&mut stream).await;

    // Far more answers than sockets and outboxes hold: the node stops to read, so that the
    // requests no longer can be written.
    let (mut reading, mut writing) = stream.into_split();
    let asked = 2000;
    let writer = tokio::spawn(async move {
        for _ in 0..asked {
            writing.write_all(&get(1)).await.unwrap();
        }
        writing
    });
    let handle = node.handle();
    let gets = || async { handle.status().await.unwrap().counts.api_gets };
    let mut before = 0;
    until(|| async { gets().await > 0 }).await;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = gets().await;
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < asked, "{before} of {asked} were read though nothing was taken");
    serves(&node).await;

    // And all are answered once it reads.
    let mut answers = vec![0; (4 + 32 + MAX_VALUE_BYTES) * asked as usize];
    soon(reading.read_exact(&mut answers)).await.unwrap();
    drop(writer.await.unwrap());
    stop(vec![node]).await;
}

#[tokio::test]
async fn a_node_alone_answers_at_once() {
    let node = node(&[]).await;
    let mut stream = connect(node.api_address().unwrap()).await;
    stream.write_all(&put(1, b"mine", true)).await.unwrap();
    assert_eq!(answer(&mut stream).await, found(1, &[1]), "this node counts");
    let content = Key::of_value(b"mine");
    stream.write_all(&frame(&Request::Get { key: content })).await.unwrap();
    assert_eq!(answer(&mut stream).await, Answer::Failure { key: content });
    stop(vec![node]).await;
}
