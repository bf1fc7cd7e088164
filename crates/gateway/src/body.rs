//! Bodies of requests: never longer than allowed, never for longer than allowed.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;
use voiddht_node::Handle;

use crate::bounds::too_large;
use crate::problem::Problem;
use crate::shared::Shared;

/// Reads a whole body.
pub(crate) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    check_length(&shared.node, headers, limit)?;
    let deadline = shared.pace.body;
    let whole = timeout(deadline, collect(shared, body, limit)).await;
    whole.unwrap_or_else(|_| Err(slow(deadline)))
}

/// Refuses a body that says itself that it is too long, before any of it is read.
pub(crate) fn check_length(
    node: &Handle,
    headers: &HeaderMap,
    limit: usize,
) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    match length {
        Some(length) if length > limit as u64 => Err(too_large(node, limit)),
        _ => Ok(()),
    }
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_part(
    body: &mut Body,
    deadline: Duration,
) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = timeout(deadline, body.frame()).await.map_err(|_| slow(deadline))?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(broken()),
            // Trailers say nothing here.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_) => continue,
            },
        }
    }
}

async fn collect(shared: &Shared, mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut whole: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(part) = next_part(&mut body, shared.pace.body).await? {
        let before = joined.len() + whole.as_ref().map_or(0, Bytes::len);
        if before + part.len() > limit {
            return Err(too_large(&shared.node, limit));
        }
        // Most bodies are one part, which need not be copied.
        match whole.take() {
            None if joined.is_empty() => whole = Some(part),
            first => {
                joined.extend_from_slice(&first.unwrap_or_default());
                joined.extend_from_slice(&part);
            }
        }
    }
    Ok(whole.unwrap_or_else(|| joined.freeze()))
}

fn slow(deadline: Duration) -> Problem {
    let seconds = deadline.as_secs_f32();
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "too_slow",
        format!("The body did not come within {seconds} s."),
        "Send the request again on a new connection.",
    )
}

fn broken() -> Problem {
    let advice = "Send the request again on a new connection.";
    Problem::bad_request("The body ended before its end, or is not well-formed.", advice)
}
