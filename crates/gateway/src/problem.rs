//! What a request did not get, why, and what to do: problem details (RFC 9457).
//!
//! Every refusal of the gateway is one of these: `title` and `status` as in HTTP, `code` for programs,
//! `detail` and `advice` for people.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use voiddht_node::HandleError;

/// The media type of problem details.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";
/// How long a client shall wait where the node is busy.
const RETRY_SECONDS: u64 = 1;
/// How long it shall wait where the node cannot reach its network.
const RETRY_CUT_OFF_SECONDS: u64 = 10;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    advice: Cow<'static, str>,
    retry_after: Option<u64>,
    /// Further members.
    members: Map<String, Value>,
}

#[derive(Serialize)]
struct Document<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    advice: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (detail, advice) = (detail.into(), advice.into());
        Self { status, code, detail, advice, retry_after: None, members: Map::new() }
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(
        detail: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail, advice)
    }

    /// No value was found.
    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        let advice = "Values end with their TTL: put it again, or look with `dht explain` at who was \
                      asked.";
        Self::new(StatusCode::NOT_FOUND, "not_found", detail, advice)
    }

    /// The node, or the gateway, has too much to do.
    pub(crate) fn busy(detail: impl Into<Cow<'static, str>>) -> Self {
        let advice = "Send fewer requests at a time, and this one again after Retry-After.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail, advice)
            .retry_after(RETRY_SECONDS)
    }

    /// No other node answers.
    pub(crate) fn cut_off(detail: impl Into<Cow<'static, str>>) -> Self {
        let advice = "Try again after Retry-After; `dht doctor` at the node says what is wrong.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "cut_off", detail, advice)
            .retry_after(RETRY_CUT_OFF_SECONDS)
    }

    #[must_use]
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The document, as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let document = Document {
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            advice: &self.advice,
            members: &self.members,
        };
        serde_json::to_value(document).unwrap_or_default()
    }
}

impl From<HandleError> for Problem {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Busy => Self::busy("The node has too many operations in flight."),
            HandleError::Stopped => Self::cut_off("The node has stopped, or is stopping."),
            HandleError::ValueSize(_) => Self::bad_request(
                format!("{error}."),
                "Split larger values, and put the keys of the parts into a value.",
            ),
            _ => Self::busy(format!("{error}.")),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.to_json().to_string();
        let headers = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        let mut response = (self.status, headers, body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_failed_and_what_to_do() {
        let problem = Problem::busy("Too much.").with("newest", "abc");
        let json = problem.to_json();
        assert_eq!((&json["title"], &json["status"]), (&"Service Unavailable".into(), &503.into()));
        assert_eq!((&json["code"], &json["newest"]), (&"busy".into(), &"abc".into()));
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
    }
}
