//! The client against a node that does exactly what a test tells it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use voiddht_client::{
    Client, ConnectError, Key, MAX_VALUE_BYTES, Options, ProtocolError, Put, RequestError,
};
use voiddht_wire::api::{Acknowledge, Answer, Request};

/// The node's end of one connection.
struct Node {
    stream: TcpStream,
}

impl Node {
    async fn next_request(&mut self) -> Request {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.unwrap();
        let size = u16::from_be_bytes([header[0], header[1]]);
        let mut body = vec![0; usize::from(size) - 4];
        self.stream.read_exact(&mut body).await.unwrap();
        Request::decode(u16::from_be_bytes([header[2], header[3]]), Bytes::from(body)).unwrap()
    }

    async fn answer(&mut self, answer: Answer) {
        let mut buffer = BytesMut::new();
        answer.encode(&mut buffer).unwrap();
        self.stream.write_all(&buffer).await.unwrap();
    }

    async fn success(&mut self, key: Key, value: &[u8]) {
        self.answer(Answer::Success { key, value: Bytes::copy_from_slice(value) }).await;
    }
}

async fn connected_with(options: Options) -> (Client, Node) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::connect_with(address, options).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    (client, Node { stream })
}

async fn connected() -> (Client, Node) {
    connected_with(Options::default()).await
}

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

#[tokio::test]
async fn a_put_stands_on_the_wire_as_the_protocol_says() {
    let (client, mut node) = connected().await;
    client.put(Put::new(key(0xaa), "v").ttl_seconds(0x0102).replication(3)).await.unwrap();
    let mut frame = [0; 41];
    node.stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..8], [0, 41, 0x02, 0x8a, 1, 2, 3, 0]);
    assert_eq!(frame[8..], [&[0xaa; 32][..], b"v"].concat());
}

#[tokio::test]
async fn a_count_a_value_and_their_absence() {
    let (client, mut node) = connected().await;
    let program = async {
        assert_eq!(client.put_acknowledged(Put::new(key(1), "v")).await.unwrap(), 20);
        assert_eq!(client.put_acknowledged(Put::new(key(2), "v")).await.unwrap(), 0);
        assert_eq!(client.get(key(1)).await.unwrap().unwrap(), "v");
        assert_eq!(client.get(key(2)).await.unwrap(), None);
    };
    let script = async {
        assert!(
            matches!(node.next_request().await, Request::Put(put) if put.acknowledge == Acknowledge::Count)
        );
        node.success(key(1), &[20]).await;
        node.next_request().await;
        node.answer(Answer::Failure { key: key(2) }).await;
        assert_eq!(node.next_request().await, Request::Get { key: key(1) });
        node.success(key(1), b"v").await;
        node.next_request().await;
        node.answer(Answer::Failure { key: key(2) }).await;
    };
    tokio::join!(program, script);
}

#[tokio::test]
async fn answers_in_reverse_order_and_in_single_bytes() {
    let (client, mut node) = connected().await;
    let program = async {
        let gets = (0..100).map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.get(key(number)).await.unwrap().unwrap() })
        });
        for (number, get) in gets.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(get.await.unwrap(), vec![number as u8; 3]);
        }
    };
    let script = async {
        let mut asked = Vec::new();
        for _ in 0..100 {
            let Request::Get { key } = node.next_request().await else { panic!("not a GET") };
            asked.push(key);
        }
        let mut buffer = BytesMut::new();
        for key in asked.into_iter().rev() {
            let value = Bytes::from(vec![key.to_bytes()[0]; 3]);
            Answer::Success { key, value }.encode(&mut buffer).unwrap();
        }
        for byte in buffer {
            node.stream.write_u8(byte).await.unwrap();
        }
    };
    tokio::join!(program, script);
}

#[tokio::test]
async fn the_largest_value_goes_both_ways_and_others_never_leave() {
    let (client, mut node) = connected().await;
    let largest = Bytes::from(vec![7; MAX_VALUE_BYTES]);
    for wrong in [Bytes::new(), Bytes::from(vec![7; MAX_VALUE_BYTES + 1])] {
        let bytes = wrong.len();
        let refused = client.put(Put::new(key(1), wrong)).await;
        assert!(matches!(refused, Err(RequestError::ValueSize { bytes: got }) if got == bytes));
    }
    let program = async {
        client.put(Put::new(key(1), largest.clone())).await.unwrap();
        assert_eq!(client.get(key(1)).await.unwrap().unwrap(), largest);
    };
    let script = async {
        let Request::Put(put) = node.next_request().await else { panic!("not a PUT") };
        assert_eq!(put.publication.value, largest);
        node.next_request().await;
        node.success(key(1), &largest).await;
    };
    tokio::join!(program, script);
}

#[tokio::test]
async fn a_place_is_waited_for() {
    let options = Options { max_in_flight: 1, ..Options::default() };
    let (client, mut node) = connected_with(options).await;
    let program = async {
        let (one, two) = tokio::join!(client.get(key(1)), client.get(key(2)));
        assert_eq!((one.unwrap(), two.unwrap()), (None, None));
    };
    let script = async {
        assert_eq!(node.next_request().await, Request::Get { key: key(1) });
        // The second request has not left: the answer is what lets it go.
        assert_eq!(
            node.stream.try_read(&mut [0]).unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
        node.answer(Answer::Failure { key: key(1) }).await;
        assert_eq!(node.next_request().await, Request::Get { key: key(2) });
        node.answer(Answer::Failure { key: key(2) }).await;
    };
    tokio::join!(program, script);
}

#[tokio::test]
async fn a_timeout_ends_one_request_and_its_late_answer_is_nobody_elses() {
    let (client, mut node) = connected().await;
    tokio::time::pause();
    let silent = client.get(key(1)).await;
    assert!(
        matches!(silent, Err(RequestError::Timeout { after }) if after == Options::REQUEST_TIMEOUT)
    );
    tokio::time::resume();
    let program = async {
        assert_eq!(client.put_acknowledged(Put::new(key(1), "v")).await.unwrap(), 2);
    };
    let script = async {
        node.next_request().await;
        node.success(key(1), b"late").await;
        assert!(matches!(node.next_request().await, Request::Put(_)));
        node.success(key(1), &[2]).await;
    };
    tokio::join!(program, script);
}

#[tokio::test]
async fn a_node_that_closes_is_told_from_one_that_babbles() {
    for (sent, is_expected) in [
        (&b""[..], (|error| matches!(error, RequestError::Closed)) as fn(&RequestError) -> bool),
        (b"\x00\x24", |error| matches!(error, RequestError::Protocol(ProtocolError::CutShort))),
        (b"\x00\x24\x02\x8dabc", |error| {
            matches!(error, RequestError::Protocol(ProtocolError::CutShort))
        }),
        (b"\x00\x00\x02\x8c", |error| {
            matches!(error, RequestError::Protocol(ProtocolError::Frame(_)))
        }),
        (b"\x00\x05\x02\x8cx", |error| {
            matches!(error, RequestError::Protocol(ProtocolError::Message(_)))
        }),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", |error| matches!(error, RequestError::Protocol(_))),
    ] {
        let (client, mut node) = connected().await;
        let script = async {
            node.next_request().await;
            node.stream.write_all(sent).await.unwrap();
            drop(node);
        };
        let (error, ()) = tokio::join!(client.get(key(1)), script);
        let error = error.unwrap_err();
        assert!(is_expected(&error), "{sent:?} became {error:?}");
        let later = client.put_acknowledged(Put::new(key(2), "v")).await.unwrap_err();
        assert!(is_expected(&later), "and later {later:?}");
    }
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_connection() {
    let (client, mut node) = connected().await;
    let script = async {
        node.next_request().await;
        node.success(key(2), b"v").await;
    };
    let (error, ()) = tokio::join!(client.get(key(1)), script);
    assert!(matches!(
        error,
        Err(RequestError::Protocol(ProtocolError::Unasked(got))) if got == key(2)
    ));
}

#[tokio::test]
async fn nobody_there_is_named_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(free).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { address, .. } if address == free));
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}

#[tokio::test]
async fn the_last_handle_closes_the_connection_after_what_was_put() {
    let (client, mut node) = connected().await;
    let clone = client.clone();
    drop(client);
    clone.put(Put::content_addressed("kept")).await.unwrap();
    drop(clone);
    assert!(
        matches!(node.next_request().await, Request::Put(put) if put.publication.value == "kept")
    );
    assert_eq!(node.stream.read(&mut [0]).await.unwrap(), 0);
}
