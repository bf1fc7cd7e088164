//! The live stream of the dashboard: server-sent events, each a [`View`](super::view::View) as
//! JSON.
//!
//! A view is made only when the previous one has been taken, so a slow or suspended reader costs
//! nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::view::Viewer;

/// How often a view is sent.
const INTERVAL: Duration = Duration::from_secs(1);
/// How soon a browser shall come again when the stream has ended.
const RETRY: Duration = Duration::from_secs(2);

/// A stream that goes on until its reader leaves, the node stops, or the connection's life ends.
pub(super) fn stream(
    viewer: Viewer,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) -> Response {
    // One that is being read, and one that waits.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _ = stop.run_until_cancelled(produce(viewer, sender)).await;
        drop(place);
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (headers, body_of(receiver)).into_response()
}

/// The body of an answer whose parts are sent one by one, until the sender is dropped.
pub fn body_of(parts: mpsc::Receiver<Bytes>) -> Body {
    Body::new(Stream(parts))
}

async fn produce(mut viewer: Viewer, sender: mpsc::Sender<Bytes>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = format!("retry: {}\n\n", RETRY.as_millis());
    loop {
        ticks.tick().await;
        // A slot is reserved first, so that no event is built that cannot be sent.
        let Ok(place) = sender.reserve().await else { return };
        let Ok(view) = viewer.look().await else { return };
        let Ok(json) = serde_json::to_string(&view) else { return };
        place.send(format!("{before}data: {json}\n\n").into());
        before.clear();
    }
}

struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
