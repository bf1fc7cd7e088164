//! One request to a node and its answer.

use bytes::Bytes;
use hyper::Method;

use super::place::Place;
use crate::http::{self, Answer};
use crate::outcome::Failure;

/// An answer, at most: a thousand nodes take less than a megabyte.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Sends one request on a connection of its own.
pub(super) async fn exchange(
    place: &Place,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Answer, Failure> {
    let request = http::request(method, &place.host(), path, body)?;
    let stream = place.connect().await.map_err(|error| place.unreachable(&error))?;
    http::exchange(stream, request, MAX_ANSWER_BYTES).await.map_err(|error| {
        match error.downcast_ref::<hyper::Error>() {
            Some(error) if is_not_http(error) => not_ours(place),
            _ => Failure::Unreachable(format!("{place}: {error}")),
        }
    })
}

/// Whether something else than an answer came; before the request was written, that cancels it.
fn is_not_http(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_incomplete_message() || error.is_canceled()
}

/// The failure where something answers that is no node.
pub(super) fn not_ours(place: &Place) -> Failure {
    Failure::Unreachable(format!("{place}: what answers there is not a voiddht node"))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;

    use super::*;

    /// What comes of a request to what answers so.
    async fn answered(with: &'static [u8]) -> Result<Answer, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(with).await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let place = Place::Control(path);
        let asked = exchange(&place, Method::GET, "/status.json", Bytes::new());
        tokio::join!(asked, serve).0
    }

    #[tokio::test]
    async fn only_http_is_an_answer() {
        let answer = answered(b"HTTP/1.0 404 Not Found\r\na: b\r\n\r\nno\r\n\r\n").await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (404, &b"no\r\n\r\n"[..]));
        for other in ["", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.0 x\r\n\r\n", "HTTP/1.0 200 OK\r\n"] {
            let failure = answered(other.as_bytes()).await.unwrap_err();
            assert!(failure.message().unwrap().ends_with("is not a voiddht node"), "{other:?}");
        }
    }
}
