//! A gateway over a real node, and a client of few words.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../../node/tests/common/mod.rs"]
pub(crate) mod nodes;

use std::net::SocketAddr;
use std::time::Duration;

use nodes::soon;
#[allow(unused_imports, reason = "the browser's module looks for it here")]
pub(crate) use nodes::tools;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use voiddht_gateway::{BoundGateway, Gateway, Pace, Settings};
use voiddht_node::Node;

/// A network of nodes, and a gateway over the last one.
pub(crate) struct Served {
    pub(crate) nodes: Vec<Node>,
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
}

pub(crate) fn loopback() -> Settings {
    Settings::new(([127, 0, 0, 1], 0).into())
}

/// One that does not wait for seconds.
pub(crate) fn quick() -> Settings {
    let short = Duration::from_millis(20);
    let pace = Pace { poll: short, comment: short, body: Duration::from_millis(300) };
    Settings { pace, ..loopback() }
}

impl Served {
    pub(crate) async fn start(nodes: usize, settings: Settings) -> Self {
        Self::over(nodes::network(nodes).await, settings).await
    }

    pub(crate) async fn over(nodes: Vec<Node>, settings: Settings) -> Self {
        let gateway = Gateway::default();
        let bound = BoundGateway::bind(settings).await.unwrap();
        let address = bound.address();
        gateway.serve(bound, nodes.last().unwrap().handle());
        Self { nodes, gateway, address }
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("GET", path, fields, b"").await
    }

    pub(crate) async fn put(&self, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("PUT", path, fields, body).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = soon(TcpStream::connect(self.address)).await.unwrap();
        let request = head(self.address, method, path, fields, body.len());
        soon(stream.write_all(&[request.as_bytes(), body].concat())).await.unwrap();
        soon(Answer::read(stream)).await
    }

    /// How often a limit was reached.
    pub(crate) fn reached(&self, limit: &str) -> u64 {
        self.nodes.last().unwrap().handle().counts().limits[limit]
    }

    pub(crate) async fn stop(self) {
        soon(self.gateway.shutdown()).await;
        nodes::stop(self.nodes).await;
    }
}

/// The head of a request, with a Host unless the fields have one.
pub(crate) fn head(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    length: usize,
) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !fields.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads all that comes until the connection ends.
    pub(crate) async fn read(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Self {
        let mut all = Vec::new();
        // A server that refuses a body closes while some of it is on its way.
        let _ = stream.read_to_end(&mut all).await;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&all[..end]).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = head.lines().skip(1).map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let mut answer = Self { status, fields: fields.collect(), body: all[end + 4..].to_vec() };
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        answer
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// That it says that a value is stored. Slow nodes need not have answered yet.
    pub(crate) fn stored_on(&self, nodes: u64) {
        let json = self.json();
        let stored = json["stored_on"].as_u64().unwrap();
        let outstanding = json["outstanding"].as_u64().unwrap_or(0);
        assert!(stored >= 1 && stored + outstanding == nodes, "{json}");
    }

    /// The problem that it is, which says what to do.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let json = self.json();
        assert_eq!(self.status, status, "{json}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert_eq!((&json["status"], &json["code"]), (&status.into(), &code.into()));
        assert!(json["detail"].as_str().unwrap().ends_with('.'), "{json}");
        assert!(json["advice"].as_str().unwrap().len() > 10, "{json}");
        json
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    whole
}
