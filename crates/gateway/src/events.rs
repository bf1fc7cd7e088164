//! `/v1/values/{key}/events`: a value whenever it changes, as server-sent events.
//!
//! The value is read every ten seconds, and sent if it differs from what was sent last. What is promised is
//! the latest state, at least once; not every state. An event is `value`, with the value as JSON, or
//! `gone`; its ID is the sequence number or version, so that a client that connects again with
//! Last-Event-ID is not sent what it has.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use voiddht_node::http::body_of;
use voiddht_wire::Key;

use crate::found::Found;
use crate::problem::Problem;
use crate::request::{EntityTag, Parameters, key_of_digits};
use crate::shared::Shared;

/// How soon a client shall connect again when the stream has ended.
const RETRY: Duration = Duration::from_secs(2);
/// The ID of an event that says that there is no value.
const GONE: &str = "gone";

pub(crate) async fn get(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = key_of_digits(&uri)?;
    Parameters::of(&uri, &[])?;
    let slot = shared.bounds.stream(&shared.node)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    // One that is being sent, and one that waits.
    let (sender, receiver) = mpsc::channel(1);
    let (stop, tasks) = (shared.stop.clone(), shared.tasks.clone());
    tasks.spawn(async move {
        let mut stream = Stream { shared, key, sender, told: Told { id: last, tag: None } };
        let _ = stop.run_until_cancelled(stream.run()).await;
        drop(slot);
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    Ok((headers, body_of(receiver)).into_response())
}

/// What the reader has.
#[derive(Debug)]
struct Told {
    /// The ID of the last event, this connection's or the one before.
    id: Option<String>,
    /// What was sent on this connection.
    tag: Option<EntityTag>,
}

struct Stream {
    shared: Shared,
    key: Key,
    sender: mpsc::Sender<Bytes>,
    told: Told,
}

impl Stream {
    /// Ends when the reader leaves or the node stops.
    async fn run(&mut self) {
        if !self.send(format!("retry: {}\n\n", RETRY.as_millis())).await {
            return;
        }
        let mut polls = interval(self.shared.pace.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pause = self.shared.pace.comment;
        let mut comments = interval_at(Instant::now() + pause, pause);
        comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = self.sender.clone();
        loop {
            let goes_on = tokio::select! {
                () = closed.closed() => false,
                _ = comments.tick() => self.send(":\n\n".to_owned()).await,
                _ = polls.tick() => self.poll().await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Reads the value, and sends what is new. `false`: the stream has ended.
    async fn poll(&mut self) -> bool {
        let outcome = match self.shared.node.get(self.key).await {
            Ok(outcome) => outcome,
            // Later, unless the node has stopped: then the stream is.
            Err(_) => return true,
        };
        // Where no node answers, nothing is known: neither a value nor that there is none.
        if outcome.value.is_none() && outcome.report.asked > 0 && outcome.report.answered == 0 {
            return true;
        }
        match Found::of(self.key, outcome) {
            Ok(found) => {
                let (id, tag) = (found.event_id(), found.tag());
                if !self.told.is_news(&id, Some(tag)) {
                    return true;
                }
                let Ok(data) = serde_json::to_string(&found.view()) else { return true };
                self.send(format!("event: value\nid: {id}\ndata: {data}\n\n")).await
            }
            Err(_) if !self.told.is_news(GONE, None) => true,
            Err(_) => {
                let data = format!("{{\"key\":\"{}\"}}", self.key);
                self.send(format!("event: gone\nid: {GONE}\ndata: {data}\n\n")).await
            }
        }
    }

    async fn send(&self, text: String) -> bool {
        self.sender.send(text.into()).await.is_ok()
    }
}

impl Told {
    /// Whether this state is another than the reader has; it has it now. On one connection values
    /// are told apart by their content; only a new connection relies on the ID.
    fn is_news(&mut self, id: &str, tag: Option<EntityTag>) -> bool {
        let is_same = match (self.tag, tag) {
            (Some(told), Some(tag)) => told == tag,
            _ => self.id.as_deref() == Some(id),
        };
        self.id = Some(id.to_owned());
        self.tag = tag;
        !is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let tag = |byte| Some(EntityTag([byte; 32]));
        let mut told = Told { id: Some("7".to_owned()), tag: None };
        assert!(!told.is_news("7", tag(1)), "the connection before had it");
        assert!(!told.is_news("8", tag(1)), "renewed: the same value");
        assert!(told.is_news("8", tag(2)), "another value of the same number");
        assert!(told.is_news(GONE, None));
        assert!(!told.is_news(GONE, None));
        assert!(told.is_news("8", tag(2)), "back again");
        let mut fresh = Told { id: None, tag: None };
        assert!(fresh.is_news(GONE, None), "that there is none is told, too");
    }
}
