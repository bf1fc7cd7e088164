//! `/v1/kept`: values that the node republishes until they are removed.
//!
//! Who may make a node work for ever is its operator: where there is a token, it is required for all of
//! this, reading included.

use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use voiddht_node::kept::{Keep, KeepError, KeepOutcome, KeepRefusal};
use voiddht_wire::Key;
use voiddht_wire::limits::MAX_VALUE_BYTES;

use crate::problem::Problem;
use crate::request::{Condition, Parameters, Terms, key_of_digits, number};
use crate::shared::Shared;
use crate::{body, found};

/// Lists what is kept.
pub(crate) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri, &[])?;
    let kept = shared.node.kept().await?;
    Ok(found::json(&kept))
}

/// One of them.
pub(crate) async fn get(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri, &[])?;
    let key = key_of_digits(&uri)?;
    let text = key.to_string();
    let kept = shared.node.kept().await?;
    let found = kept.iter().find(|kept| kept.key == text).ok_or_else(|| not_kept(&key))?;
    Ok(found::json(found))
}

/// Keeps a value.
pub(crate) async fn put(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = key_of_digits(&uri)?;
    Condition::refuse(&headers)?;
    let parameters = Parameters::of(&uri, &["ttl", "replication", "until"])?;
    let terms = Terms::among(&parameters)?;
    let until = number(&parameters, "until")?;
    let value = body::read(&shared, &headers, body, MAX_VALUE_BYTES).await?;
    // The connection's buffer is larger than the value, and would live as long.
    let value = bytes::Bytes::copy_from_slice(&value);
    let mut keep = Keep::from(terms.publication(key, value));
    if let Some(until) = until {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(until));
        let far = || Problem::bad_request("until is too far away.", "Leave it out for no end.");
        keep = keep.until(end.ok_or_else(far)?);
    }
    let outcome = shared.node.keep(keep).await.map_err(|error| refused(&error))?;
    Ok(found::json(&view(&key, &outcome)))
}

/// Keeps a value no longer.
pub(crate) async fn delete(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri, &[])?;
    let key = key_of_digits(&uri)?;
    match shared.node.unkeep(key).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(not_kept(&key)),
    }
}

/// A value that could not be published yet is kept all the same, and published again.
fn view(key: &Key, outcome: &KeepOutcome) -> Value {
    json!({
        "key": key.to_string(),
        "stored_on": outcome.stored,
        "failure": outcome.failure.map(|failure| failure.to_string()),
        "ttl": outcome.ttl.as_secs(),
        "on_disk": outcome.on_disk,
    })
}

fn not_kept(key: &Key) -> Problem {
    let detail = format!("No value is kept under {key}.");
    Problem::new(StatusCode::NOT_FOUND, "not_kept", detail, "GET /v1/kept lists what is kept.")
}

/// Why a value is not kept.
pub(crate) fn refused(error: &KeepError) -> Problem {
    let detail = format!("The value is not kept: {error}.");
    let refusal = match error {
        KeepError::Handle(error) => return Problem::from(*error),
        KeepError::Refused(refusal) => refusal,
        _ => return Problem::busy(detail),
    };
    let (status, code, advice) = match refusal {
        KeepRefusal::Full { .. } => (
            StatusCode::INSUFFICIENT_STORAGE,
            "full",
            "Remove what need not be kept any more: DELETE /v1/kept/{key}.",
        ),
        KeepRefusal::Envelope(_) => (
            StatusCode::BAD_REQUEST,
            "bad_signature",
            "Sign it with the owner's key, or a delegation of it, and an end in the future.",
        ),
        KeepRefusal::Ended => {
            (StatusCode::BAD_REQUEST, "ended", "Choose an end in the future, or none.")
        }
        KeepRefusal::Older => {
            (StatusCode::CONFLICT, "superseded", "Sign again with a higher sequence number.")
        }
        KeepRefusal::NotWritten => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "not_written",
            "See the node's log: its disk may be full.",
        ),
    };
    Problem::new(status, code, detail, advice)
}
