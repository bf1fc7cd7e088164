//! How routes answer: with JSON, or with a status and a line of text.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::view::ViewError;

/// What a request did not get, and why, in a line of text.
pub(super) type Refusal = (StatusCode, String);

/// 200 with JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot serialize the status as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The status for what cannot be seen.
pub(super) fn refusal(error: ViewError) -> Refusal {
    let status = match error {
        ViewError::NoSuchNode => StatusCode::NOT_FOUND,
        ViewError::Stopped | ViewError::Silent => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n"))
}

/// 400: the request is wrong.
pub(super) fn bad(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{why}\n"))
}

/// 503: not now.
pub(super) fn busy(why: &str) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}
