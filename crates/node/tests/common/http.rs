//! A small HTTP client: one request, one answer.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::soon;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("it says that it is JSON")
    }
}

/// Asks on the TCP address, as a tool would.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n")).await
}

/// Sends this request line and these fields.
pub(crate) async fn request(address: SocketAddr, head: &str) -> Answer {
    let stream = soon(TcpStream::connect(address)).await.expect("it listens");
    exchange(stream, head).await
}

/// Asks on the Unix socket.
pub(crate) async fn get_on_socket(path: &Path, what: &str) -> Answer {
    let stream = soon(UnixStream::connect(path)).await.expect("it listens");
    exchange(stream, &format!("GET {what} HTTP/1.1\r\nhost: node\r\n")).await
}

/// The same, and says that nothing more will be sent before reading the answer.
pub(crate) async fn get_and_shut_down(address: SocketAddr, path: &str) -> Answer {
    let mut stream = soon(TcpStream::connect(address)).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    soon(stream.write_all(request.as_bytes())).await.expect("it reads");
    soon(stream.shutdown()).await.expect("it is connected");
    read_answer(stream).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str) -> Answer {
    let request = format!("{head}connection: close\r\n\r\n");
    soon(stream.write_all(request.as_bytes())).await.expect("it reads");
    read_answer(stream).await
}

async fn read_answer(mut stream: impl AsyncRead + Unpin) -> Answer {
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("it answers in words");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Answer { status: status.expect("a status"), head: head.to_ascii_lowercase(), body }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    whole
}
