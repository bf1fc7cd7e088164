//! Who may ask: the name by which the gateway is called, pages of other sites, and the token.
//!
//! On loopback, where any page in the user's browser can send requests to, only loopback names are answered
//! and pages of other sites are refused. Where there is a token, it is required on loopback too: a reverse
//! proxy makes a loopback address reachable from elsewhere.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use voiddht_node::http::guard::{is_addressed, is_cross_site};
use voiddht_node::{GatewayRequest, Handle};

use crate::problem::Problem;
use crate::settings::{Origin, Token};

/// Who is answered on the TCP address.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) node: Handle,
    pub(crate) address: IpAddr,
    pub(crate) token: Option<Arc<Token>>,
    pub(crate) public: bool,
    pub(crate) origins: Arc<[Origin]>,
}

/// What a script of another origin may see of an answer.
const EXPOSED: &str = "ETag, Location, Retry-After, Voiddht-Generation, Voiddht-Proof, Voiddht-Seq, \
                       Voiddht-TTL, Pkarr-Dht-Stored-Nodes, Pkarr-Invalid-Signed-Packet-Seq";
/// What it may send.
const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";
const FIELDS: &str = "Accept, Authorization, Cache-Control, Content-Type, If-Match, \
                      If-Modified-Since, If-None-Match, Last-Event-ID";
/// How long a browser may remember that, in seconds.
const MAX_AGE: &str = "600";

/// What a browser may do with an answer: nothing but hand it to the script that asked for it.
const PROTECTION: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    // Kept if wanted, and asked for again each time.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Refuses what is not for this gateway, and tells browsers how to treat the rest.
pub(crate) async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    let origin = access.shared_with(&request);
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match access.judge(&request, origin.as_ref()) {
        Ok(()) if is_preflight && origin.is_some() => preflight(),
        Ok(()) => next.run(request).await,
        Err(problem) => {
            access.node.gateway_request(GatewayRequest::Refused);
            refusal(problem)
        }
    };
    protect(response.headers_mut(), origin);
    response
}

impl Access {
    /// The origin with whose scripts the answer is shared, as the field that says so.
    fn shared_with(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        // What is signed may be read and published from everywhere: pkarr's clients in browsers do.
        if is_pkarr(request) {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed.as_str() == text).then(|| origin.clone())
    }

    fn judge(&self, request: &Request, origin: Option<&HeaderValue>) -> Result<(), Problem> {
        if !is_addressed(self.address, request.headers()) {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "The gateway is on loopback, and is not known by the name in Host.",
                "Use 127.0.0.1 or localhost; a reverse proxy must send one of them as Host.",
            ));
        }
        if origin.is_none() && is_cross_site(request.headers()) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "other_site",
                "The request comes from a page of another site.",
                "The operator can allow the page's origin with --gateway-origin.",
            ));
        }
        // A preflight carries no token.
        if request.method() == Method::OPTIONS {
            return Ok(());
        }
        self.check_token(request)
    }

    fn check_token(&self, request: &Request) -> Result<(), Problem> {
        let reads = is_read(request);
        match &self.token {
            _ if self.public && reads => Ok(()),
            None if self.public => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "read_only",
                "This gateway is public, and serves reads only.",
                "Write through a gateway for which you have a token.",
            )),
            None => Ok(()),
            Some(token) if bearer(request.headers()).is_some_and(|it| token.is(it)) => Ok(()),
            Some(_) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "The request has no token, or a wrong one.",
                "Send Authorization: Bearer with the content of the file of --gateway-token.",
            )),
        }
    }
}

fn is_pkarr(request: &Request) -> bool {
    request.uri().path().starts_with("/pkarr/")
}

/// Whether a request leaves everything as it is, and asks for nothing of the operator's own.
fn is_read(request: &Request) -> bool {
    let is_kept = request.uri().path().starts_with("/v1/kept");
    [Method::GET, Method::HEAD].contains(request.method()) && !is_kept
}

/// RFC 6750, section 2.1.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let field = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = field.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn refusal(problem: Problem) -> Response {
    let is_unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
    let mut response = problem.into_response();
    if is_unauthorized {
        let challenge = HeaderValue::from_static("Bearer realm=\"voiddht gateway\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, FIELDS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn protect(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_name(header::ORIGIN));
    let resource_policy = HeaderName::from_static("cross-origin-resource-policy");
    let Some(origin) = origin else {
        headers.insert(resource_policy, HeaderValue::from_static("same-origin"));
        return;
    };
    headers.insert(resource_policy, HeaderValue::from_static("cross-origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_follows_bearer() {
        let of = |field: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, field.parse().unwrap());
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of("Bearer abc"), Some(b"abc".to_vec()));
        assert_eq!(of("bearer  abc "), Some(b"abc".to_vec()));
        assert_eq!((of("Basic abc"), of("Bear")), (None, None));
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
