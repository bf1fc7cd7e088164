//! `/v1/signed`: values that only their owner can replace.
//!
//! The gateway signs nothing, and verifies before it asks the network. A reader that does not want to
//! trust the gateway asks for the envelope, and verifies that.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::json;
use voiddht_core::operation::PutFailure;
use voiddht_core::operation::get::ReadMode;
use voiddht_node::{PutIfResult, PutOutcome as Put};
use voiddht_signed::{Envelope, Name};
use voiddht_wire::api::Freshness;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{ConditionalPut, Key};

use crate::found::{self, JSON, PROOF, SEQ, text};
use crate::problem::Problem;
use crate::request::{Condition, EntityTag, Parameters, Terms, accepts, name};
use crate::shared::Shared;
use crate::values::Stored;
use crate::{body, values};

/// The media type of an envelope.
pub(crate) const ENVELOPE: &str = "application/vnd.voiddht.envelope";
/// The generation of the delegation under which a value was written; 0 without one.
const GENERATION: HeaderName = HeaderName::from_static("voiddht-generation");
/// What an envelope that no value expects is compared with.
const NOTHING: [u8; 32] = [0; 32];

/// Reads the newest value of an owner.
pub(crate) async fn get(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = name(&uri)?;
    let parameters = Parameters::of(&uri, &["first", "thorough"])?;
    let freshness = match (parameters.has("first"), parameters.has("thorough")) {
        (false, false) => Freshness::Latest,
        (true, false) => Freshness::First,
        (false, true) => Freshness::Thorough,
        (true, true) => {
            let advice = "Take ?first for speed, or ?thorough for certainty.";
            return Err(Problem::bad_request("?first and ?thorough exclude each other.", advice));
        }
    };
    let newest = newest(&shared, name.key(), freshness).await?;
    let envelope = newest.ok_or_else(|| {
        Problem::not_found("Nothing was found that this owner has signed under this salt.")
    })?;
    Ok(show(&name, envelope, &headers))
}

/// The newest envelope of a key, verified by the node.
pub(crate) async fn newest(
    shared: &Shared,
    key: Key,
    freshness: Freshness,
) -> Result<Option<Envelope>, Problem> {
    let mode = ReadMode { freshness, proved_only: true, ..ReadMode::default() };
    let outcome = shared.node.ask(key, mode).await?;
    let report = outcome.report;
    match outcome.value {
        None if report.asked > 0 && report.answered == 0 => {
            Err(Problem::cut_off("None of the known nodes answered."))
        }
        None => Ok(None),
        // Content-addressed values are proved too, but no key of a name is the hash of a value.
        Some(value) => Ok(Envelope::parse(value).ok().filter(|envelope| envelope.key() == key)),
    }
}

fn show(name: &Name, envelope: Envelope, request: &HeaderMap) -> Response {
    let tag = EntityTag(envelope.digest());
    let mut headers = HeaderMap::new();
    headers.insert(PROOF, HeaderValue::from_static("signature"));
    headers.insert(SEQ, HeaderValue::from(envelope.seq()));
    headers.insert(GENERATION, HeaderValue::from(envelope.generation()));
    headers.insert(header::ETAG, text(tag.to_string()));
    headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT));
    if tag.is_known(request) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if accepts(request, ENVELOPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ENVELOPE));
        return (headers, envelope.bytes().clone()).into_response();
    }
    if envelope.is_withdrawal() {
        let problem = Problem::not_found("The owner has withdrawn the value.");
        return (headers, problem.with("withdrawn", true)).into_response();
    }
    if accepts(request, JSON) {
        return (headers, found::json(&view(name, &envelope))).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    (headers, envelope.body_bytes()).into_response()
}

fn view(name: &Name, envelope: &Envelope) -> serde_json::Value {
    json!({
        "key": envelope.key().to_string(),
        "owner": name.owner.to_string(),
        "salt": BASE64.encode(name.salt.as_bytes()),
        "seq": envelope.seq().to_string(),
        "generation": envelope.generation(),
        "not_after": envelope.effective_end(),
        "value": BASE64.encode(envelope.body()),
    })
}

/// Publishes an envelope, if need be on a condition.
pub(crate) async fn put(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (terms, condition) = (Terms::of(&uri)?, Condition::of(&headers)?);
    let bytes = body::read(&shared, &headers, body, MAX_VALUE_BYTES).await?;
    let envelope = verified(bytes)?;
    let published = match condition {
        Condition::Always => publish(&shared, &envelope, terms).await?,
        Condition::Newest(EntityTag(expected)) => {
            publish_if(&shared, &envelope, terms, expected).await?
        }
        Condition::Nothing => publish_if(&shared, &envelope, terms, NOTHING).await?,
    };
    match published {
        Published::Stored(stored) => {
            let tag = text(EntityTag(envelope.digest()).to_string());
            Ok(([(header::ETAG, tag)], found::json(&stored.view(json!({})))).into_response())
        }
        Published::Newer(newest) => {
            let detail = "A newer value of this owner and salt is published.";
            Ok(conflict((StatusCode::CONFLICT, "superseded", detail), newest, &headers))
        }
        Published::Other(newest) => {
            let detail = match newest {
                Some(_) => "Another value is the newest.",
                None => "There is no value, and the condition names one.",
            };
            let status = StatusCode::PRECONDITION_FAILED;
            Ok(conflict((status, "not_the_newest", detail), newest, &headers))
        }
    }
}

/// How a publication ended.
#[derive(Debug)]
pub(crate) enum Published {
    /// It is stored.
    Stored(Stored),
    /// A newer one holds the place; it, if it was found.
    Newer(Option<Envelope>),
    /// The condition does not hold; what is there.
    Other(Option<Envelope>),
}

fn verified(bytes: Bytes) -> Result<Envelope, Problem> {
    let envelope = Envelope::parse(bytes).map_err(|error| {
        let advice = "The body is an envelope as docs/signed-values.md lays it out; a plain value goes \
                      to /v1/values.";
        Problem::bad_request(format!("This is no envelope: {error}."), advice)
    })?;
    verify(envelope)
}

/// Refuses an envelope that no node would hold.
pub(crate) fn verify(envelope: Envelope) -> Result<Envelope, Problem> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let verified = envelope.verify(now);
    let refused = verified.map_err(PutFailure::Envelope);
    refused.map(|verified| verified.into_inner()).map_err(|failure| values::not_stored(&failure))
}

/// Publishes without a condition.
pub(crate) async fn publish(
    shared: &Shared,
    envelope: &Envelope,
    terms: Terms,
) -> Result<Published, Problem> {
    let key = envelope.key();
    let put = shared.node.put(terms.publication(key, envelope.bytes().clone())).await?;
    match put.failure {
        None => {
            let Put { stored: nodes, outstanding, .. } = put;
            Ok(Published::Stored(Stored { nodes, outstanding }))
        }
        Some(PutFailure::Superseded { .. }) => {
            let newest = newest(shared, key, Freshness::Thorough).await?;
            Ok(Published::Newer(newest))
        }
        Some(failure) => Err(values::not_stored(&failure)),
    }
}

async fn publish_if(
    shared: &Shared,
    envelope: &Envelope,
    terms: Terms,
    expected: [u8; 32],
) -> Result<Published, Problem> {
    let key = envelope.key();
    let publication = terms.publication(key, envelope.bytes().clone());
    match shared.node.put_if(ConditionalPut { publication, expected }).await? {
        PutIfResult::Put { stored: nodes, outstanding, failure: None } => {
            Ok(Published::Stored(Stored { nodes, outstanding }))
        }
        PutIfResult::Conflict(newest) => {
            let newest = Envelope::parse(newest).ok();
            let is_newer = |newest: &Envelope| newest.compare(envelope).is_gt();
            let is_expected = |newest: &Envelope| newest.digest() == expected;
            match newest {
                // The condition held, and what it named outranks the new one.
                Some(newest) if is_expected(&newest) && is_newer(&newest) => {
                    Ok(Published::Newer(Some(newest)))
                }
                newest => Ok(Published::Other(newest)),
            }
        }
        PutIfResult::Put { failure: Some(PutFailure::Superseded { .. }), .. } => {
            Ok(Published::Newer(newest(shared, key, Freshness::Thorough).await?))
        }
        // A node that expected one, and found none, says no more than that.
        PutIfResult::Put { failure: Some(PutFailure::Refused), .. } if expected != NOTHING => {
            match newest(shared, key, Freshness::Thorough).await? {
                Some(newest) if newest.digest() == expected => {
                    Err(values::not_stored(&PutFailure::Refused))
                }
                other => Ok(Published::Other(other)),
            }
        }
        PutIfResult::Put { failure: Some(failure), .. } => Err(values::not_stored(&failure)),
    }
}

/// A conflict, with the newest envelope in the body: as it is where the client accepts that, otherwise
/// in Base64 as a member of the problem.
fn conflict(
    (status, code, detail): (StatusCode, &'static str, &'static str),
    newest: Option<Envelope>,
    request: &HeaderMap,
) -> Response {
    let advice = "Read the newest, decide, and sign again with a higher sequence number.";
    let Some(newest) = newest else {
        return Problem::new(status, code, detail, advice).into_response();
    };
    let tag = text(EntityTag(newest.digest()).to_string());
    let headers = [(header::ETAG, tag), (SEQ, HeaderValue::from(newest.seq()))];
    if accepts(request, ENVELOPE) {
        let kind = [(header::CONTENT_TYPE, ENVELOPE)];
        return (status, headers, kind, newest.bytes().clone()).into_response();
    }
    let problem = Problem::new(status, code, detail, advice)
        .with("seq", newest.seq().to_string())
        .with("newest", BASE64.encode(newest.bytes()));
    (headers, problem).into_response()
}
