//! One request to a gateway and its answer, on a connection of its own.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::url::GatewayUrl;
use crate::http::{self, Answer};
use crate::outcome::Failure;

/// An answer, at most: the largest value as JSON in Base64, and room around it.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Words of a problem that are shown, at most.
const MAX_PROBLEM_LETTERS: usize = 400;

/// What went wrong and what to do, in one line; something else than a gateway may have answered.
pub(super) fn problem(answer: &Answer) -> String {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let words = format!("{} {}", text("detail"), text("advice"));
    let words = words.trim();
    if words.is_empty() {
        return format!("refused with status {}; is this a voiddht gateway?", answer.status);
    }
    words.chars().filter(|letter| !letter.is_control()).take(MAX_PROBLEM_LETTERS).collect()
}

/// Sends a request, and reads the whole answer.
pub(super) async fn exchange(
    url: &GatewayUrl,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Failure> {
    let mut request = http::request(method, &url.authority(), &url.target(path), body)?;
    request.headers_mut().extend(headers);
    let tcp = connect(url).await?;
    let lost = |error: io::Error| unreachable(url, &error);
    let answer = match url.tls {
        false => http::exchange(tcp, request, MAX_ANSWER_BYTES).await,
        true => {
            let config = Arc::new(tls_config().map_err(lost)?);
            // An IPv6 address stands in brackets in URLs alone.
            let host = url.host().trim_matches(['[', ']']).to_owned();
            let name =
                ServerName::try_from(host).map_err(|error| Failure::Usage(error.to_string()))?;
            let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(lost)?;
            http::exchange(tls, request, MAX_ANSWER_BYTES).await
        }
    };
    answer.map_err(|error| unreachable(url, &error))
}

async fn connect(url: &GatewayUrl) -> Result<TcpStream, Failure> {
    let lost = |error: io::Error| unreachable(url, &error);
    let addresses = url.place.resolve().await.map_err(lost)?;
    TcpStream::connect(&addresses[..]).await.map_err(lost)
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
        let words = answer(r#"{"detail":"Too much.","advice":"Later.\n\u001b[31m"}"#);
        assert_eq!(problem(&words), "Too much. Later.[31m");
        for other in ["", "<html>", "[]", "3"] {
            assert!(problem(&answer(other)).contains("status 503"), "{other}");
        }
    }
}
