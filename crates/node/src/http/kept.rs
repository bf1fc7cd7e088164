//! Kept values over the control socket: who may make a node work for ever is its operator.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{Key, Publication};

use super::answer::{Refusal, bad, busy, json};
use super::state::RouterState;
use crate::kept::{Keep, KeepError, KeepOutcome, KeepRefusal};
use crate::outcome::HandleError;

/// How keeping a value began, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeepView {
    /// The key, 64 hexadecimal digits.
    pub key: String,
    /// Nodes from which the value can be fetched after its first publication; `None` where that is yet
    /// to come.
    pub stored: Option<usize>,
    /// Nodes that were sent the value and have not answered yet.
    pub outstanding: usize,
    /// Why the first publication has failed, if it has: it is tried again.
    pub failure: Option<String>,
    /// The TTL of each publication.
    pub ttl_seconds: u64,
    /// Whether the value is on disk: otherwise it is kept until the node stops.
    pub on_disk: bool,
}

impl KeepView {
    fn new(key: &Key, outcome: &KeepOutcome) -> Self {
        Self {
            key: key.to_string(),
            stored: outcome.stored,
            outstanding: outcome.outstanding,
            failure: outcome.failure.map(|failure| failure.to_string()),
            ttl_seconds: outcome.ttl.as_secs(),
            on_disk: outcome.on_disk,
        }
    }
}

#[derive(Debug, Deserialize)]
struct How {
    node: Option<usize>,
    ttl: Option<u16>,
    replication: Option<u8>,
    until_ms: Option<u64>,
    #[serde(default)]
    published: bool,
}

#[derive(Debug, Deserialize)]
struct WhichNode {
    node: Option<usize>,
}

/// What is served of kept values.
pub(super) fn routes() -> Router<RouterState> {
    Router::new()
        .route("/kept.json", get(list))
        .route("/kept/{key}", put(keep).delete(unkeep))
        .layer(DefaultBodyLimit::max(MAX_VALUE_BYTES))
}

async fn list(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let kept = state.watched(node)?.handle.kept().await;
    Ok(json(&kept.map_err(|error| busy(&error.to_string()))?))
}

async fn keep(
    State(state): State<RouterState>,
    Path(key): Path<String>,
    Query(how): Query<How>,
    value: Bytes,
) -> Result<Response, Refusal> {
    let key = key_of(&key)?;
    // The request's buffer is larger than the value, and would live as long.
    let publication = Publication::new(key, Bytes::copy_from_slice(&value))
        .ttl(how.ttl.map(|ttl| Duration::from_secs(ttl.into())))
        .replication(how.replication);
    let mut keep = Keep::from(publication);
    if let Some(end) = how.until_ms {
        let end = UNIX_EPOCH.checked_add(Duration::from_millis(end));
        keep = keep.until(end.ok_or_else(|| bad("until_ms: the time is too far away".into()))?);
    }
    if how.published {
        keep = keep.already_published();
    }
    let outcome = state.watched(how.node)?.handle.keep(keep).await.map_err(refused)?;
    Ok(json(&KeepView::new(&key, &outcome)))
}

async fn unkeep(
    State(state): State<RouterState>,
    Path(key): Path<String>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<&'static str, Refusal> {
    match state.watched(node)?.handle.unkeep(key_of(&key)?).await {
        Ok(true) => Ok("kept no longer\n"),
        Ok(false) => Err((StatusCode::NOT_FOUND, "No value of that key is kept.\n".into())),
        Err(error) => Err(busy(&error.to_string())),
    }
}

fn key_of(text: &str) -> Result<Key, Refusal> {
    text.parse().map_err(|error| bad(format!("key: {error}")))
}

fn refused(error: KeepError) -> Refusal {
    let status = match error {
        KeepError::Handle(HandleError::ValueSize(_)) => StatusCode::BAD_REQUEST,
        KeepError::Handle(_) => StatusCode::SERVICE_UNAVAILABLE,
        KeepError::Refused(KeepRefusal::Full { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        KeepError::Refused(KeepRefusal::NotWritten) => StatusCode::INTERNAL_SERVER_ERROR,
        KeepError::Refused(KeepRefusal::Older) => StatusCode::CONFLICT,
        KeepError::Refused(KeepRefusal::Envelope(_) | KeepRefusal::Ended) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    (status, format!("{error}\n"))
}
