//! Accepts HTTP connections, with limits on their number and lifetime.
//!
//! Connections beyond the limit are closed at once. A connection has a deadline for each request's
//! head, which is also how long it may be idle, and one for its whole life, so that a client that
//! does not read cannot keep its place for ever; browsers and Prometheus come again by themselves.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::log_limit::{Line, LogLimits, log_limited};
use crate::sockets::{self, CLIENT_KEEPALIVE};

/// Concurrent HTTP connections, on the TCP address and on the Unix socket each: a few people, a
/// few tools. Each takes some 20 KiB.
pub const HTTP_CONNECTIONS: usize = 64;
/// How long a request's head may take, and a connection be idle: longer than the usual interval
/// of Prometheus, 15 s.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection lives at most. A live stream that ends is opened again by the browser.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a connection whose life is over may take to finish what it is sending.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// A request's head, at most: the least that hyper allows.
const HEAD_BYTES: usize = 8 * 1024;
/// Fields of a request's head, at most.
const HEAD_FIELDS: usize = 64;
/// How long accepting pauses after it failed, mostly for want of file descriptors.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What ends with a server.
#[derive(Clone, Debug)]
pub struct Lifetime {
    /// Cancelled when the server stops: connections finish what they are sending.
    pub stop: CancellationToken,
    /// The tasks of its connections.
    pub tasks: TaskTracker,
}

/// What is served on one listener.
#[derive(Clone)]
pub struct Site {
    router: Router,
    connections: usize,
    /// Whether a client may close its sending side and still await its answer.
    half_close: bool,
    when_full: Arc<dyn Fn() + Send + Sync>,
}

impl Site {
    /// The answers of a router, on at most so many connections. `when_full` is called for each
    /// connection that is closed because there are too many.
    pub fn new(
        router: Router,
        connections: usize,
        when_full: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { router, connections, half_close: true, when_full: Arc::new(when_full) }
    }

    /// Ends a connection as soon as its client sends no more: what a client that has left was still
    /// to be sent, like a stream of events, then takes no connection.
    #[must_use]
    pub fn without_half_close(self) -> Self {
        Self { half_close: false, ..self }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A listener of either kind.
pub trait Listener: Send + Sync + 'static {
    /// What it accepts.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let stream = self.accept().await?.0;
        sockets::prepare(&stream, CLIENT_KEEPALIVE);
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Serves until the server stops.
pub async fn serve(listener: impl Listener, site: Site, lifetime: Lifetime) {
    let slots = Arc::new(Semaphore::new(site.connections));
    let logs = LogLimits::default();
    while let Some(accepted) = lifetime.stop.run_until_cancelled(listener.next()).await {
        match accepted {
            Ok(stream) => {
                let Ok(permit) = Arc::clone(&slots).try_acquire_owned() else {
                    (site.when_full)();
                    continue;
                };
                let stop = lifetime.stop.clone();
                lifetime.tasks.spawn(connection(stream, site.clone(), stop, permit));
            }
            Err(error) => {
                log_limited!(logs, Line::AcceptFailed, warn, %error,
                    "cannot accept HTTP connections: pausing");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

async fn connection<S>(
    stream: S,
    site: Site,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .half_close(site.half_close)
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS);
    let service = TowerToHyperService::new(site.router);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = tokio::time::sleep(CONNECTION_LIFE) => finish(serving).await,
        () = stop.cancelled() => finish(serving).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

/// Lets a connection finish its answer, but not for long.
async fn finish<S>(
    mut serving: std::pin::Pin<&mut http1::Connection<TokioIo<S>, TowerToHyperService<Router>>>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serving.as_mut().graceful_shutdown();
    tokio::time::timeout(LAST_WORDS, serving).await.unwrap_or(Ok(()))
}
