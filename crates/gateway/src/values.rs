//! `/v1/values` and `/v1/text`: values as bytes.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use voiddht_core::operation::PutFailure;
use voiddht_node::PutOutcome;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{Key, Publication};

use crate::body;
use crate::found::{self, Found, text};
use crate::problem::Problem;
use crate::request::{Condition, Parameters, Terms, key_of_digits, key_of_words};
use crate::shared::Shared;

pub(crate) async fn get(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(&shared, key_of_digits(&uri)?, &uri, &headers).await
}

pub(crate) async fn get_text(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(&shared, key_of_words(&uri), &uri, &headers).await
}

pub(crate) async fn put(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    write(&shared, key_of_digits(&uri)?, &uri, &headers, body).await
}

pub(crate) async fn put_text(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    write(&shared, key_of_words(&uri), &uri, &headers, body).await
}

/// Content-addressed: under the SHA-256 of the body.
pub(crate) async fn post(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Condition::refuse(&headers)?;
    let terms = Terms::of(&uri)?;
    let value = body::read(&shared, &headers, body, MAX_VALUE_BYTES).await?;
    let key = Key::of_value(&value);
    let stored = store(&shared, terms.publication(key, value)).await?;
    let location = [(header::LOCATION, text(format!("/v1/values/{key}")))];
    let document = stored.view(json!({"key": key.to_string()}));
    Ok((StatusCode::CREATED, location, found::json(&document)).into_response())
}

async fn read(
    shared: &Shared,
    key: Key,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    Parameters::of(uri, &[])?;
    let outcome = shared.node.get(key).await?;
    Ok(Found::of(key, outcome)?.into_response(headers))
}

async fn write(
    shared: &Shared,
    key: Key,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Condition::refuse(headers)?;
    let terms = Terms::of(uri)?;
    let value = body::read(shared, headers, body, MAX_VALUE_BYTES).await?;
    let stored = store(shared, terms.publication(key, value)).await?;
    Ok(found::json(&stored.view(json!({}))))
}

/// A value that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Nodes from which it can be fetched.
    pub(crate) nodes: usize,
    /// Nodes that were sent it and have not answered yet.
    pub(crate) outstanding: usize,
}

impl Stored {
    /// What a client is told, beside these members.
    pub(crate) fn view(self, mut members: Value) -> Value {
        members["stored_on"] = self.nodes.into();
        if self.outstanding > 0 {
            members["outstanding"] = self.outstanding.into();
        }
        members
    }
}

/// Puts a value.
pub(crate) async fn store(shared: &Shared, publication: Publication) -> Result<Stored, Problem> {
    let put = shared.node.put(publication).await?;
    let PutOutcome { stored: nodes, outstanding, failure, .. } = put;
    match failure {
        None => Ok(Stored { nodes, outstanding }),
        Some(failure) => Err(not_stored(&failure)),
    }
}

/// Why a value is stored nowhere, and what to do.
pub(crate) fn not_stored(failure: &PutFailure) -> Problem {
    use StatusCode as Status;
    // The failure's own words say what to do.
    let (what, advice) = split_advice(failure.to_string());
    match failure {
        PutFailure::Superseded { .. } => Problem::new(Status::CONFLICT, "superseded", what, advice),
        PutFailure::Envelope(_) => Problem::new(
            Status::BAD_REQUEST,
            "bad_signature",
            what,
            "Sign it with the owner's key, or a delegation of it, and an end in the future.",
        ),
        PutFailure::NotSigned => Problem::bad_request(what, advice),
        PutFailure::Unreachable => Problem::cut_off(what),
        PutFailure::VersionRefused { .. } | PutFailure::Refused => {
            Problem::new(Status::INSUFFICIENT_STORAGE, "not_stored", what, advice)
        }
    }
}

/// The failure and its advice are parted by the last colon or semicolon.
fn split_advice(failure: String) -> (String, String) {
    match failure.rsplit_once([':', ';']) {
        Some((what, advice)) => (sentence(what), sentence(advice.trim_start())),
        None => (sentence(&failure), "Change the request.".to_owned()),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_to_do() {
        let superseded = PutFailure::Superseded { refused: 3, confirmed: 1 };
        for (failure, status, advice) in [
            (superseded, 409, "Read the value, and put again if it must be replaced."),
            (PutFailure::Refused, 507, "Try again later."),
            (
                PutFailure::VersionRefused { refused: 2, confirmed: 0 },
                507,
                "Correct it and put again.",
            ),
            (PutFailure::Unreachable, 503, "Try again after Retry-After;"),
        ] {
            let json = not_stored(&failure).to_json();
            assert_eq!(json["status"], status);
            let found = json["advice"].as_str().unwrap();
            assert!(found.starts_with(advice), "{found}");
        }
    }
}
