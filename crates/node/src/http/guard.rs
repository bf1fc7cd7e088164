//! Access control of HTTP requests, and security headers of the answers.
//!
//! The address is mostly loopback, which any page in the owner's browser can send requests to.
//! Two things follow. A name that an attacker points at 127.0.0.1 (DNS rebinding) makes the
//! attacker's page same-origin with the node: so on loopback only loopback names are answered.
//! And a foreign page can send requests without reading the answers: so what it sends,
//! as the browser itself says, is refused before anything is done.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The clients that are answered on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// All clients that reach this address.
    Browsers(SocketAddr),
    /// All processes that may open the Unix socket.
    Tools,
}

/// Refuses what is not for this node, and tells browsers how to treat the rest.
pub(super) async fn check(
    State(audience): State<Audience>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match audience.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// On every answer. The dashboard's own policy says what it may load: nothing from elsewhere.
const PROTECTION: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

type Refusal = (StatusCode, &'static str);

impl Audience {
    fn judge(self, request: &Request) -> Result<(), Refusal> {
        let Self::Browsers(address) = self else { return Ok(()) };
        if !is_addressed(address.ip(), request.headers()) {
            let why = "This node is on loopback, and is not known by that name.\n";
            return Err((StatusCode::MISDIRECTED_REQUEST, why));
        }
        if is_foreign(request) {
            return Err((StatusCode::FORBIDDEN, "Not for pages of other sites.\n"));
        }
        Ok(())
    }
}

/// Whether the Host of a request is a name that a node on this address answers to: on loopback, loopback
/// names only, so that no page gets through by a name of its own that resolves to 127.0.0.1 (DNS
/// rebinding).
pub fn is_addressed(address: IpAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::to_str);
    host.is_some_and(|host| host.is_ok_and(|host| may_be_named(address, host)))
}

/// Whether a page of another site sent a request, as the browser itself says.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    matches!(field(headers, "sec-fetch-site"), Some("cross-site" | "same-site"))
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a node on this address may be called that in a request. Elsewhere than on loopback, it
/// may have any name: a client that reaches it there needs no trick with names.
fn may_be_named(address: IpAddr, host: &str) -> bool {
    if !address.to_canonical().is_loopback() {
        return true;
    }
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

/// Whether a page of another site sent this. Following a link to the dashboard itself is welcome.
fn is_foreign(request: &Request) -> bool {
    let follows_link = field(request.headers(), "sec-fetch-mode") == Some("navigate")
        && request.method() == Method::GET
        && request.uri().path() == "/";
    is_cross_site(request.headers()) && !follows_link
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn on_loopback_only_loopback_names_are_answered() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        for (host, answered) in [
            ("127.0.0.1:9090", true),
            ("127.8.8.8", true),
            ("localhost", true),
            ("LocalHost:80", true),
            ("[::1]:9090", true),
            ("[::ffff:127.0.0.1]:9090", true),
            ("attacker.example:9090", false),
            ("localhost.attacker.example", false),
            ("192.168.0.7:9090", false),
            ("127.0.0.1.attacker.example", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(may_be_named(loopback, host), answered, "{host}");
            assert!(may_be_named("192.0.2.1".parse().unwrap(), host));
        }
        assert!(!may_be_named("::1".parse().unwrap(), "attacker.example"));
    }

    fn judge(path: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(path).header("host", "localhost:1");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        Audience::Browsers(([127, 0, 0, 1], 1).into()).judge(&request).is_ok()
    }

    #[test]
    fn pages_of_other_sites_may_link_here_and_nothing_else() {
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        let image = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
        let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
        assert!(judge("/", &link));
        assert!(!judge("/explain?key=00", &link));
        assert!(!judge("/", &image));
        assert!(judge("/explain?key=00", &own));
        assert!(judge("/metrics", &[]), "no browser, no such field");
    }
}
