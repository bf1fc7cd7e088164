//! What is too long, too slow or too much.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::nodes::soon;
use common::{Answer, Served, head, loopback, quick};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use voiddht_gateway::bounds::{MAX_BATCH_BYTES, MAX_CONNECTIONS};
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_VALUE_BYTES;

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let served = Served::start(1, loopback()).await;
    for (method, path, limit) in [
        ("PUT", "/v1/text/a", MAX_VALUE_BYTES),
        ("POST", "/v1/values", MAX_VALUE_BYTES),
        ("PUT", "/v1/signed", MAX_VALUE_BYTES),
        ("POST", "/v1/batch", MAX_BATCH_BYTES),
        ("PUT", "/pkarr/o4dksfbqk85ogzdb5osziw6befigbuxmuxkuxq8434q89uj56uyy", 1072),
    ] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = head(served.address, method, path, &[], limit + 1);
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = soon(Answer::read(stream)).await;
        let problem = answer.problem(413, "too_large");
        assert!(problem["detail"].as_str().unwrap().contains(&limit.to_string()), "{problem}");
    }
    assert_eq!(served.reached("gateway_body_bytes"), 5);
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_cut_off() {
    let served = Served::start(1, loopback()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = head(served.address, "PUT", "/v1/text/a", &[("transfer-encoding", "chunked")], 0);
    let request = request.replace("content-length: 0\r\n", "");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(5);
    stream.write_all(format!("{request}{chunk}").as_bytes()).await.unwrap();
    soon(Answer::read(stream)).await.problem(413, "too_large");
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let served = Served::start(1, quick()).await;
    for path in ["/v1/text/a", "/v1/signed"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = head(served.address, "PUT", path, &[], 100);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"some of it").await.unwrap();
        soon(Answer::read(stream)).await.problem(408, "too_slow");
    }
    // A batch has begun to answer by then, and says so in a line.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = head(served.address, "POST", "/v1/batch", &[], 100);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"{\"value\":\"aGVsbG8=\"}\n{").await.unwrap();
    let lines = lines(&soon(Answer::read(stream)).await);
    assert_eq!((&lines[0]["line"], &lines[0]["stored_on"]), (&1.into(), &1.into()));
    assert_eq!(lines[1]["error"]["code"], "too_slow");
    served.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_counted() {
    let served = Served::start(1, loopback()).await;
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = head(served.address, "GET", "/v1/openapi.json", &[], 0);
        let request = request.replace("connection: close\r\n", "");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        soon(stream.read_exact(&mut start)).await.unwrap();
        open.push(stream);
    }
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    // Closed without an answer.
    assert_eq!(soon(refused.read(&mut [0; 1])).await.unwrap_or(0), 0);
    assert_eq!(served.reached("gateway_connections"), 1);
    drop(open);
    served.stop().await;
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_batch_is_answered_line_by_line() {
    let served = Served::start(4, loopback()).await;
    let value = |text: &str| BASE64.encode(text.as_bytes());
    let mut body = String::new();
    for number in 0..300 {
        let line = json!({"text": format!("batch {number}"), "value": value(&number.to_string())});
        body.push_str(&format!("{line}\n"));
    }
    body.push_str("\nnonsense\n");
    body.push_str(&json!({"value": value("content"), "ttl": 60, "replication": 2}).to_string());
    let answer = served.send("POST", "/v1/batch", &[], body.as_bytes()).await;
    assert_eq!(answer.field("content-type"), Some("application/x-ndjson"));
    let answers: BTreeMap<u64, Value> =
        lines(&answer).into_iter().map(|line| (line["line"].as_u64().unwrap(), line)).collect();
    assert_eq!(answers.len(), 302);
    assert!(
        answers.range(..=300).all(|(_, line)| line["stored_on"].as_u64() >= Some(1)),
        "{answers:?}"
    );
    assert_eq!(answers[&302]["error"]["status"], 400);
    assert_eq!(answers[&303]["key"], Key::of_value(b"content").to_string());
    let got = served.get("/v1/text/batch%20123", &[]).await;
    assert_eq!(got.text(), "123");
    let counts = served.nodes.last().unwrap().handle().counts();
    assert_eq!(counts.gateway_writes, 301, "each line that is a put");
    served.stop().await;
}

#[tokio::test]
async fn puts_of_one_batch_go_by_region() {
    let served = Served::start(1, loopback()).await;
    let body: String = (0..500)
        .map(|n| format!("{}\n", json!({"text": n.to_string(), "value": "aGVsbG8="})))
        .collect();
    let answer = served.send("POST", "/v1/batch", &[], body.as_bytes()).await;
    // A node alone answers in the order in which it is asked.
    let keys: Vec<String> =
        lines(&answer).iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    served.stop().await;
}

#[tokio::test]
async fn a_batch_is_streamed_and_ends_at_its_bound() {
    let served = Served::start(1, loopback()).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    let request = head(served.address, "POST", "/v1/batch", &[("transfer-encoding", "chunked")], 0);
    let request = request.replace("content-length: 0\r\n", "");
    let big = BASE64.encode(&vec![7; MAX_VALUE_BYTES]);
    let sending = async move {
        writing.write_all(request.as_bytes()).await.unwrap();
        for number in 0.. {
            let line = format!("{}\n", json!({"text": number.to_string(), "value": big}));
            let chunk = format!("{:x}\r\n{line}\r\n", line.len());
            // The gateway has closed.
            if writing.write_all(chunk.as_bytes()).await.is_err() {
                return number;
            }
        }
        0
    };
    let reading = async move {
        let mut reading = reading;
        let mut all = Vec::new();
        let _ = reading.read_to_end(&mut all).await;
        String::from_utf8(all).unwrap()
    };
    let (sent, read) = soon(async { tokio::join!(sending, reading) }).await;
    let stored = read.matches("\"stored_on\":1").count();
    let held = MAX_BATCH_BYTES / (MAX_VALUE_BYTES.div_ceil(3) * 4);
    assert!((held - 1..=held).contains(&stored), "{stored} of {sent}");
    assert!(read.contains("too_large"), "what was not read is told");
    served.stop().await;
}
