//! HTTP state.
//!
//! | path | what |
//! |---|---|
//! | `/` | the dashboard; with `?key=HEX` or `?key=WORDS`, it looks that key up |
//! | `/events?node=N` | what it shows, live |
//! | `/status.json?node=N` | the same, once |
//! | `/history.json?window=hour&node=N` | the rates of its charts, over five minutes or an hour |
//! | `/explain?key=HEX` or `?text=WORDS` | a GET with all its steps, without the value |
//! | `/doctor?node=N` | what is wrong with the node, if anything, and what to do about it |
//! | `/published?key=HEX&node=N` | whether a program put a value under that key at the node |
//! | `/get?key=HEX` | a GET with its value; on the Unix socket alone |
//! | `/pins.json?node=N` | the pinned certificates; on the Unix socket alone |
//! | `DELETE /pins/ID?node=N` | forgets a pin; on the Unix socket alone |
//! | `POST /network/reload?node=N` | reads the private network's secrets again; on the Unix socket alone |
//! | `/kept.json?node=N` | which values are kept; on the Unix socket alone |
//! | `PUT /kept/KEY?node=N&ttl=SECONDS&replication=NODES&until_ms=MS&published=BOOL` | keeps the value in the body; on the Unix socket alone |
//! | `DELETE /kept/KEY?node=N` | keeps a value no longer; on the Unix socket alone |
//! | `/metrics` | for Prometheus |
//! | `/healthz` | 200 while the driver answers |
//! | `/readyz` | 200 while the node is part of its network and a contact answers, and what is to be looked at; else 503, and why |
//!
//! `node` is the place of a node where there are several; without it, the network.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use voiddht_wire::{Key, NodeId};

use super::answer::{Refusal, bad, busy, json, refusal};
use super::guard::{self, Audience};
use super::history::Window;
use super::page::PAGE;
use super::server::{HTTP_CONNECTIONS, Site};
use super::state::RouterState;
use super::view::look;
use super::watched::Watched;
use super::{events, kept};
use crate::counters::Limit;
use crate::metrics;
use crate::network::NetworkReloadError;
use crate::snapshot::{OperationView, SnapshotRequest, ValueView};

/// For an address that browsers can reach: what changes nothing.
pub(super) fn for_browsers(state: &RouterState, address: std::net::SocketAddr) -> Site {
    site(state, Audience::Browsers(address), Router::new())
}

/// For the Unix socket, with the routes of another surface.
pub(super) fn for_tools(state: &RouterState, further: Router) -> Site {
    site(state, Audience::Tools, further)
}

fn site(state: &RouterState, audience: Audience, further: Router) -> Site {
    let router = match audience {
        Audience::Tools => Router::new()
            .route("/get", get(get_value))
            .route("/pins.json", get(list_pins))
            .route("/pins/{id}", delete(forget_pin))
            .route("/network/reload", post(reload_network))
            .merge(kept::routes()),
        Audience::Browsers(_) => Router::new(),
    };
    let router = router
        .route("/", get(page))
        .route("/events", get(live))
        .route("/status.json", get(status))
        .route("/history.json", get(history))
        .route("/explain", get(explain))
        .route("/doctor", get(doctor))
        .route("/published", get(published))
        .route("/metrics", get(prometheus))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(state.clone())
        .merge(further)
        .layer(from_fn_with_state(audience, guard::check));
    let state = state.clone();
    let when_full = move || state.note(Limit::HttpConnections);
    Site::new(router, HTTP_CONNECTIONS, when_full)
}

#[derive(Debug, Deserialize)]
struct WhichNode {
    node: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct WhichKey {
    node: Option<usize>,
    key: Option<String>,
    text: Option<String>,
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.as_str()),
    ];
    (headers, PAGE.html.as_str())
}

async fn live(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let Ok(place) = Arc::clone(&state.streams).try_acquire_owned() else {
        state.note(Limit::HttpStreams);
        return Err(busy("Too many are watching already."));
    };
    Ok(events::stream(state.viewer(node).map_err(refusal)?, state.stop.clone(), place))
}

async fn status(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let view = state.viewer(node).map_err(refusal)?.look().await.map_err(refusal)?;
    Ok(json(&view))
}

#[derive(Debug, Deserialize)]
struct WhichWindow {
    node: Option<usize>,
    #[serde(default)]
    window: Window,
}

async fn history(
    State(state): State<RouterState>,
    Query(WhichWindow { node, window }): Query<WhichWindow>,
) -> Result<Response, Refusal> {
    match state.viewer(node).map_err(refusal)?.history(window) {
        Some(view) => Ok(json(&view)),
        None => Err((StatusCode::NOT_FOUND, "No history is recorded without --http.\n".into())),
    }
}

async fn explain(
    State(state): State<RouterState>,
    Query(WhichKey { node, key, text }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = match (key, text) {
        (Some(key), None) => key.parse().map_err(|error| bad(format!("key: {error}")))?,
        (None, Some(text)) if !text.is_empty() => Key::of_value(text.as_bytes()),
        _ => return Err(bad("Either key (64 hexadecimal digits) or text is wanted.".into())),
    };
    let watched = state.watched(node)?;
    let _place = state.question()?;
    match watched.handle.explain(key).await {
        Ok(outcome) => Ok(json(&OperationView::explained(&key, &outcome, wall_millis()))),
        Err(error) => Err(busy(&error.to_string())),
    }
}

/// The answer of `/published`.
#[derive(Debug, Serialize)]
struct Published {
    node: String,
    published: bool,
}

async fn published(
    State(state): State<RouterState>,
    Query(WhichKey { node, key, .. }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = parse_key(key)?;
    let handle = &state.watched(node)?.handle;
    match handle.has_published(key).await {
        Ok(published) => Ok(json(&Published { node: handle.id().to_string(), published })),
        Err(error) => Err(busy(&error.to_string())),
    }
}

fn parse_key(key: Option<String>) -> Result<Key, Refusal> {
    key.unwrap_or_default().parse().map_err(|error| bad(format!("key: {error}")))
}

async fn get_value(
    State(state): State<RouterState>,
    Query(WhichKey { node, key, .. }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = parse_key(key)?;
    match state.watched(node)?.handle.get(key).await {
        Ok(outcome) => Ok(json(&ValueView::of(&key, &outcome))),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn doctor(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let watched = state.watched(node)?;
    let _place = state.question()?;
    match watched.handle.examine().await {
        Ok(examination) => Ok(json(&examination)),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn list_pins(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let pins = state.watched(node)?.handle.pins().await;
    Ok(json(&pins.map_err(|error| busy(&error.to_string()))?))
}

async fn forget_pin(
    State(state): State<RouterState>,
    Path(id): Path<String>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<&'static str, Refusal> {
    let id: NodeId = id.parse().map_err(|error| bad(format!("id: {error}")))?;
    match state.watched(node)?.handle.forget_pin(id).await {
        Ok(true) => Ok("forgotten\n"),
        Ok(false) => Err((StatusCode::NOT_FOUND, "There is no pin of that ID.\n".into())),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn reload_network(
    State(state): State<RouterState>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let reloaded = state.watched(node)?.handle.reload_network().await;
    reloaded.map(|reload| json(&reload)).map_err(|error| match error {
        NetworkReloadError::Stopped => busy(&error.to_string()),
        _ => bad(error.to_string()),
    })
}

async fn prometheus(State(state): State<RouterState>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    let mut all = Vec::new();
    for Watched { handle, label } in state.watched.iter() {
        all.push(handle.numbers(label.as_deref().unwrap_or_default()).await);
    }
    (headers, metrics::expose(&all))
}

async fn healthz(State(state): State<RouterState>) -> Result<&'static str, Refusal> {
    for watched in state.watched.iter() {
        look(watched, SnapshotRequest::default()).await.map_err(refusal)?;
    }
    Ok("ok\n")
}

async fn readyz(State(state): State<RouterState>) -> Result<String, Refusal> {
    let (mut is_ready, mut reasons) = (true, String::new());
    for watched in state.watched.iter() {
        let health = look(watched, SnapshotRequest::default()).await.map_err(refusal)?.health;
        is_ready &= health.ready;
        if !health.ready && health.reasons.is_empty() {
            reasons.push_str("The node is stopping.\n");
        }
        for reason in health.reasons {
            reasons.push_str(&format!("{} {}\n", reason.text, reason.hint));
        }
    }
    if is_ready {
        Ok(format!("ready\n{reasons}"))
    } else {
        Err((StatusCode::SERVICE_UNAVAILABLE, reasons))
    }
}

fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
