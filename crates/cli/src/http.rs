//! One HTTP request and its answer, on a connection of its own.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::outcome::Failure;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Whether the body is of this media type.
    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == media_type)
    }
}

/// A request to the server that is called `authority`.
///
/// # Errors
/// If the target or the authority cannot be written in a request.
pub(crate) fn request(
    method: Method,
    authority: &str,
    target: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().map_err(Failure::failed)?;
    let authority = HeaderValue::try_from(authority).map_err(Failure::failed)?;
    let headers = request.headers_mut();
    headers.insert(HOST, authority);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let agent = concat!("dht/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    Ok(request)
}

/// Sends a request, and reads the whole answer, with a body of so many bytes at most.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Answer, Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asking = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, most).collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    // The connection ends after the answer, or with the reason why there is none.
    tokio::select! {
        biased;
        answer = asking => answer,
        Err(error) = connection => Err(error.into()),
    }
}
