//! One request to a node and its answer: HTTP/1.0, so that the answer ends with the connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::place::Place;
use crate::outcome::Failure;

/// An answer, at most: a thousand nodes take less than a megabyte.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// What is done with a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method<'a> {
    /// Read it.
    Get,
    /// Put this there.
    Put(&'a [u8]),
    /// Remove it.
    Delete,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends one request on a connection of its own.
pub(super) async fn exchange(
    place: &Place,
    method: Method<'_>,
    path: &str,
) -> Result<Answer, Failure> {
    let lost = |error: io::Error| Failure::Unreachable(format!("{place}: {error}"));
    let mut stream = place.connect().await.map_err(|error| place.unreachable(&error))?;
    let (method, body) = match method {
        Method::Get => ("GET", &[][..]),
        Method::Put(body) => ("PUT", body),
        Method::Delete => ("DELETE", &[][..]),
    };
    let (host, length) = (place.host(), body.len());
    let head =
        format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.map_err(lost)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.map_err(lost)?;
    parse(&answer).ok_or_else(|| not_ours(place))
}

/// The failure where something answers that is no node.
pub(super) fn not_ours(place: &Place) -> Failure {
    Failure::Unreachable(format!("{place}: what answers there is not a voiddht node"))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..head_end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: answer[head_end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_is_an_answer() {
        let answer = parse(b"HTTP/1.0 404 Not Found\r\na: b\r\n\r\nno\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"no\r\n\r\n".as_slice()));
        for other in ["", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.0 x\r\n\r\n", "HTTP/1.0 200 OK\r\n"] {
            assert!(parse(other.as_bytes()).is_none(), "{other:?}");
        }
    }
}
