//! Server-sent events: what is sent, and that streams end with their readers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::nodes::{soon, until};
use common::{Served, head, quick};
use data_encoding::BASE64;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voiddht_gateway::bounds::MAX_STREAMS;
use voiddht_wire::Key;

struct Events {
    stream: TcpStream,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

fn path() -> String {
    format!("/v1/values/{}/events", Key::of_value(b"a"))
}

impl Events {
    async fn open(address: SocketAddr, fields: &[(&str, &str)]) -> Self {
        let mut stream = soon(TcpStream::connect(address)).await.unwrap();
        let request = head(address, "GET", &path(), fields, 0);
        soon(stream.write_all(request.as_bytes())).await.unwrap();
        let mut events = Self { stream, text: String::new() };
        let head = soon(events.block("\r\n\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        events
    }

    /// What comes up to an end mark.
    async fn block(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the stream has ended: {}", self.text);
            self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }

    /// The next event; comments and chunk sizes are passed over.
    async fn next(&mut self) -> Event {
        loop {
            let block = soon(self.block("\n\n")).await;
            let field = |name: &str| {
                let start = format!("{name}: ");
                block.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
            };
            if let Some(name) = field("event") {
                let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                return Event { name, id: field("id").unwrap(), data };
            }
        }
    }
}

#[tokio::test]
async fn a_value_is_sent_whenever_it_changes() {
    let served = Served::start(3, quick()).await;
    let mut events = Events::open(served.address, &[]).await;
    let first = events.next().await;
    assert_eq!((first.name.as_str(), first.id.as_str()), ("gone", "gone"));
    assert_eq!(first.data["key"], Key::of_value(b"a").to_string());
    for value in ["one", "two"] {
        served.put("/v1/text/a", &[], value.as_bytes()).await;
        let event = events.next().await;
        assert_eq!((event.name.as_str(), &event.data["proof"]), ("value", &"vote".into()));
        assert_eq!(event.data["value"], BASE64.encode(value.as_bytes()));
        assert!(event.id.parse::<u64>().unwrap() > 1_600_000_000_000, "{}", event.id);
        // A client that has it and connects again is sent the next one only.
        let mut again = Events::open(served.address, &[("last-event-id", &event.id)]).await;
        let mut fresh = Events::open(served.address, &[]).await;
        assert_eq!(fresh.next().await.id, event.id);
        let next = format!("after {value}");
        served.put("/v1/text/a", &[], next.as_bytes()).await;
        for events in [&mut again, &mut fresh, &mut events] {
            assert_eq!(events.next().await.data["value"], BASE64.encode(next.as_bytes()));
        }
    }
    served.put("/v1/text/a?ttl=1", &[], b"short").await;
    while events.next().await.name != "gone" {}
    served.stop().await;
}

#[tokio::test]
async fn a_stream_without_news_is_kept_alive_by_comments() {
    let served = Served::start(1, quick()).await;
    let mut events = Events::open(served.address, &[]).await;
    assert_eq!(events.next().await.name, "gone");
    for _ in 0..3 {
        let block = soon(events.block("\n\n")).await;
        assert!(block.ends_with(":\n\n") && !block.contains("event"), "{block}");
    }
    served.stop().await;
}

#[tokio::test]
async fn more_streams_than_there_are_slots_are_refused() {
    let served = Served::start(1, quick()).await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(Events::open(served.address, &[]).await);
    }
    let refused = served.get(&path(), &[]).await;
    refused.problem(503, "busy");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(served.reached("gateway_streams"), 1);
    // Others are answered.
    assert_eq!(served.get("/v1/openapi.json", &[]).await.status, 200);
    drop(open);
    until(|| async { served.get("/v1/openapi.json", &[]).await.status == 200 }).await;
    Events::open(served.address, &[]).await;
    served.stop().await;
}

/// Each stream ends with its client, at once: the next batch finds its slots free.
#[tokio::test]
async fn ten_thousand_streams_end_with_their_clients() {
    let served = Served::start(1, quick()).await;
    let handle = served.nodes[0].handle();
    let reads = || handle.counts().gateway_reads;
    let mut opened = 0;
    while opened < 10_000 {
        let mut batch = Vec::new();
        while batch.len() < MAX_STREAMS {
            // A slot whose client has left may not be free yet.
            let stream = TcpStream::connect(served.address).await.unwrap();
            batch.push(stream);
        }
        let request = head(served.address, "GET", &path(), &[], 0);
        for stream in &mut batch {
            // Closed at once where all connections are taken.
            let _ = stream.write_all(request.as_bytes()).await;
        }
        for mut stream in batch {
            let mut start = [0; 12];
            if soon(stream.read_exact(&mut start)).await.is_ok() && &start == b"HTTP/1.1 200" {
                opened += 1;
            }
        }
    }
    assert!(reads() >= 10_000);
    // No slot is lost.
    soon(async {
        loop {
            let mut open = Vec::new();
            for _ in 0..MAX_STREAMS {
                let mut stream = TcpStream::connect(served.address).await.unwrap();
                let request = head(served.address, "GET", &path(), &[], 0);
                let _ = stream.write_all(request.as_bytes()).await;
                let mut start = [0; 12];
                let is_open = stream.read_exact(&mut start).await.is_ok();
                if is_open && &start == b"HTTP/1.1 200" {
                    open.push(stream);
                }
            }
            if open.len() == MAX_STREAMS {
                break;
            }
            drop(open);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    served.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_gateway() {
    let served = Served::start(1, quick()).await;
    let mut events = Events::open(served.address, &[]).await;
    events.next().await;
    soon(served.gateway.shutdown()).await;
    let mut rest = Vec::new();
    soon(events.stream.read_to_end(&mut rest)).await.unwrap();
    common::nodes::stop(served.nodes).await;
}
