//! HTTP routes.
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

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Router, http};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use voiddht_wire::{Key, NodeId};

use super::guard::{self, Audience};
use super::history::{History, Window};
use super::page::PAGE;
use super::server::Site;
use super::view::{ViewError, Viewer, look};
use super::{HTTP_CONNECTIONS, Watched, events, kept};
use crate::counters::Limit;
use crate::metrics;
use crate::network::NetworkReloadError;
use crate::snapshot::{OperationView, SnapshotRequest, ValueView};

/// Concurrent live streams. Each costs a view a second.
const STREAMS: usize = 16;
/// Concurrent questions, each of which is real work for several nodes: GETs that a user wants
/// explained, examinations.
const QUESTIONS: usize = 4;

/// Everything that is served, to whomever.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    watched: Arc<[Watched]>,
    history: Option<Arc<History>>,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
    questions: Arc<Semaphore>,
}

impl Routes {
    pub(super) fn new(
        watched: Arc<[Watched]>,
        history: Option<Arc<History>>,
        stop: CancellationToken,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS));
        let questions = Arc::new(Semaphore::new(QUESTIONS));
        Self { watched, history, stop, streams, questions }
    }

    /// For an address that browsers can reach: what changes nothing.
    pub(super) fn for_browsers(&self, address: std::net::SocketAddr) -> Site {
        self.site(Audience::Browsers(address), Router::new())
    }

    /// For the Unix socket, with the routes of another surface.
    pub(super) fn for_tools(&self, further: Router) -> Site {
        self.site(Audience::Tools, further)
    }

    fn site(&self, audience: Audience, further: Router) -> Site {
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
            .with_state(self.clone())
            .merge(further)
            .layer(from_fn_with_state(audience, guard::check));
        let routes = self.clone();
        let when_full = move || routes.note(Limit::HttpConnections);
        Site::new(router, HTTP_CONNECTIONS, when_full)
    }

    /// Counts a limit of what is served; of several nodes, with the first.
    fn note(&self, limit: Limit) {
        if let Some(first) = self.watched.first() {
            first.handle.limit_reached(limit);
        }
    }

    pub(super) fn watched(&self, node: Option<usize>) -> Result<&Watched, Refusal> {
        let found = self.watched.get(node.unwrap_or(0));
        found.ok_or(ViewError::NoSuchNode).map_err(refusal)
    }

    /// A place for a question that makes the network work.
    fn question(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.questions.try_acquire().map_err(|_| {
            self.note(Limit::HttpQuestions);
            busy("Too many questions are being answered already.")
        })
    }

    fn viewer(&self, node: Option<usize>) -> Result<Viewer, ViewError> {
        Viewer::new(Arc::clone(&self.watched), self.history.clone(), node)
    }
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

/// What a request did not get, and why, in a line of text.
pub(super) type Refusal = (StatusCode, String);

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.as_str()),
    ];
    (headers, PAGE.html.as_str())
}

async fn live(
    State(routes): State<Routes>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let Ok(place) = Arc::clone(&routes.streams).try_acquire_owned() else {
        routes.note(Limit::HttpStreams);
        return Err(busy("Too many are watching already."));
    };
    Ok(events::stream(routes.viewer(node).map_err(refusal)?, routes.stop.clone(), place))
}

async fn status(
    State(routes): State<Routes>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let view = routes.viewer(node).map_err(refusal)?.look().await.map_err(refusal)?;
    Ok(json(&view))
}

#[derive(Debug, Deserialize)]
struct WhichWindow {
    node: Option<usize>,
    #[serde(default)]
    window: Window,
}

async fn history(
    State(routes): State<Routes>,
    Query(WhichWindow { node, window }): Query<WhichWindow>,
) -> Result<Response, Refusal> {
    match routes.viewer(node).map_err(refusal)?.history(window) {
        Some(view) => Ok(json(&view)),
        None => Err((StatusCode::NOT_FOUND, "No history is recorded without --http.\n".into())),
    }
}

async fn explain(
    State(routes): State<Routes>,
    Query(WhichKey { node, key, text }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = match (key, text) {
        (Some(key), None) => key.parse().map_err(|error| bad(format!("key: {error}")))?,
        (None, Some(text)) if !text.is_empty() => Key::of_value(text.as_bytes()),
        _ => return Err(bad("Either key (64 hexadecimal digits) or text is wanted.".into())),
    };
    let watched = routes.watched(node)?;
    let _place = routes.question()?;
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
    State(routes): State<Routes>,
    Query(WhichKey { node, key, .. }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = parse_key(key)?;
    let handle = &routes.watched(node)?.handle;
    match handle.has_published(key).await {
        Ok(published) => Ok(json(&Published { node: handle.id().to_string(), published })),
        Err(error) => Err(busy(&error.to_string())),
    }
}

fn parse_key(key: Option<String>) -> Result<Key, Refusal> {
    key.unwrap_or_default().parse().map_err(|error| bad(format!("key: {error}")))
}

async fn get_value(
    State(routes): State<Routes>,
    Query(WhichKey { node, key, .. }): Query<WhichKey>,
) -> Result<Response, Refusal> {
    let key = parse_key(key)?;
    match routes.watched(node)?.handle.get(key).await {
        Ok(outcome) => Ok(json(&ValueView::of(&key, &outcome))),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn doctor(
    State(routes): State<Routes>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let watched = routes.watched(node)?;
    let _place = routes.question()?;
    match watched.handle.examine().await {
        Ok(examination) => Ok(json(&examination)),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn list_pins(
    State(routes): State<Routes>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let pins = routes.watched(node)?.handle.pins().await;
    Ok(json(&pins.map_err(|error| busy(&error.to_string()))?))
}

async fn forget_pin(
    State(routes): State<Routes>,
    Path(id): Path<String>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<&'static str, Refusal> {
    let id: NodeId = id.parse().map_err(|error| bad(format!("id: {error}")))?;
    match routes.watched(node)?.handle.forget_pin(id).await {
        Ok(true) => Ok("forgotten\n"),
        Ok(false) => Err((StatusCode::NOT_FOUND, "There is no pin of that ID.\n".into())),
        Err(error) => Err(busy(&error.to_string())),
    }
}

async fn reload_network(
    State(routes): State<Routes>,
    Query(WhichNode { node }): Query<WhichNode>,
) -> Result<Response, Refusal> {
    let reloaded = routes.watched(node)?.handle.reload_network().await;
    reloaded.map(|reload| json(&reload)).map_err(|error| match error {
        NetworkReloadError::Stopped => busy(&error.to_string()),
        _ => bad(error.to_string()),
    })
}

async fn prometheus(State(routes): State<Routes>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    let mut all = Vec::new();
    for Watched { handle, label } in routes.watched.iter() {
        all.push(handle.numbers(label.as_deref().unwrap_or_default()).await);
    }
    (headers, metrics::expose(&all))
}

async fn healthz(State(routes): State<Routes>) -> Result<&'static str, Refusal> {
    for watched in routes.watched.iter() {
        look(watched, SnapshotRequest::default()).await.map_err(refusal)?;
    }
    Ok("ok\n")
}

async fn readyz(State(routes): State<Routes>) -> Result<String, Refusal> {
    let (mut is_ready, mut reasons) = (true, String::new());
    for watched in routes.watched.iter() {
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

pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot serialize the status as JSON");
            http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refusal(error: ViewError) -> Refusal {
    let status = match error {
        ViewError::NoSuchNode => StatusCode::NOT_FOUND,
        ViewError::Stopped | ViewError::Silent => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n"))
}

pub(super) fn bad(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{why}\n"))
}

pub(super) fn busy(why: &str) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
