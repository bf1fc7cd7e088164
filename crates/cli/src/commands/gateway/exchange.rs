//! One request to a gateway and its answer, on a connection of its own.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::url::GatewayUrl;
use crate::outcome::Failure;

/// An answer, at most: the largest value as JSON in Base64, and room around it.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Words of a problem that are shown, at most.
const MAX_PROBLEM_LETTERS: usize = 400;

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Whether the body is of this media type.
    pub(super) fn is(&self, media_type: &str) -> bool {
        self.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == media_type)
    }

    /// What went wrong and what to do, in one line; something else than a gateway may have answered.
    pub(super) fn problem(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| json[name].as_str().unwrap_or_default();
        let words = format!("{} {}", text("detail"), text("advice"));
        let words = words.trim();
        if words.is_empty() {
            return format!("refused with status {}; is this a voiddht gateway?", self.status);
        }
        words.chars().filter(|letter| !letter.is_control()).take(MAX_PROBLEM_LETTERS).collect()
    }
}

/// Sends a request, and reads the whole answer.
pub(super) async fn exchange(
    url: &GatewayUrl,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Failure> {
    let request = request(url, method, path, headers, body)?;
    let tcp = connect(url).await?;
    if !url.tls {
        return send(url, tcp, request).await;
    }
    let lost = |error: io::Error| unreachable(url, &error);
    let config = tls_config().map_err(lost)?;
    // An IPv6 address stands in brackets in URLs alone.
    let host = url.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| Failure::Usage(error.to_string()))?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(lost)?;
    send(url, tls, request).await
}

fn request(
    url: &GatewayUrl,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.target(path).parse().map_err(Failure::failed)?;
    *request.headers_mut() = headers;
    let authority = HeaderValue::try_from(url.authority()).map_err(Failure::failed)?;
    let fields = request.headers_mut();
    fields.insert(HOST, authority);
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    let agent = concat!("dht/", env!("CARGO_PKG_VERSION"));
    fields.insert(USER_AGENT, HeaderValue::from_static(agent));
    Ok(request)
}

async fn connect(url: &GatewayUrl) -> Result<TcpStream, Failure> {
    let lost = |error: io::Error| unreachable(url, &error);
    let addresses = url.place.resolve().await.map_err(lost)?;
    TcpStream::connect(&addresses[..]).await.map_err(lost)
}

async fn send<S>(
    url: &GatewayUrl,
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lost = |error: hyper::Error| unreachable(url, &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(lost)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| unreachable(url, &error))?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    // The connection ends after the answer, or with an error that the request tells too.
    tokio::select! {
        answer = asking => answer,
        Err(error) = connection => Err(lost(error)),
    }
}

/// The certificates that this machine trusts; `SSL_CERT_FILE` names others.
fn tls_config() -> io::Result<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = "no certificate authority is known here: install ca-certificates, or set \
                   SSL_CERT_FILE";
        return Err(io::Error::other(why));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn unreachable(url: &GatewayUrl, error: &dyn std::fmt::Display) -> Failure {
    Failure::Unreachable(format!("no gateway at {url}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_answers() {
        let answer = |body: &'static str| Answer {
            status: 503,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let problem = answer(r#"{"detail":"Too much.","advice":"Later.\n\u001b[31m"}"#).problem();
        assert_eq!(problem, "Too much. Later.[31m");
        for other in ["", "<html>", "[]", "3"] {
            assert!(answer(other).problem().contains("status 503"), "{other}");
        }
    }
}
