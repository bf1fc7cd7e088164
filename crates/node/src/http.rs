//! HTTP for browsers and tools: metrics for Prometheus, health checks, a dashboard, and its JSON.
//!
//! The same router serves a TCP address (off by default, and best on loopback) and a Unix socket,
//! by which the tools of this machine's owner speak to the running node. Requests that change
//! anything are served on the Unix socket only.
//!
//! * `server`: accepting, bounds and deadlines. `control`: path and permissions of the Unix socket.
//! * `router`: routes. `state`: what they share. `answer`: how they answer. `guard`: access control
//!   and security headers.
//! * `view`: one node, or a network of several in this process. `history`: the last minutes.
//! * `events`: the live stream. `page`: the document.
//!
//! Nothing here holds a lock that a request of the DHT takes, and no value's content is sent.

mod answer;
pub(crate) mod control;
pub(crate) mod control_routes;
mod events;
pub mod guard;
mod history;
mod kept;
mod page;
mod router;
pub mod server;
mod state;
mod view;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::control::{CONTROL_SOCKET, ControlSocket};
pub use self::control_routes::ControlRoutes;
pub use self::events::body_of;
use self::history::History;
pub use self::kept::KeepView;
pub use self::server::HTTP_CONNECTIONS;
use self::server::Lifetime;
use self::state::RouterState;
pub use self::watched::Watched;
pub use crate::metrics::DRIVER_DEADLINE;

/// How long connections may take to end when the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// Where to serve. At least one should be given.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// For browsers and Prometheus.
    pub address: Option<SocketAddr>,
    /// For the tools of this machine's owner: the path of a Unix socket. Its directory is made,
    /// for the owner alone, if there is none.
    pub control: Option<PathBuf>,
    /// What else is served on that socket, of the first node.
    pub control_routes: Option<ControlRoutes>,
}

/// Why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (HTTP): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot make the control socket {path}: {source}")]
    Control {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Places that are taken and not served yet.
#[derive(Debug)]
pub struct BoundHttp {
    tcp: Option<(TcpListener, SocketAddr)>,
    control: Option<(UnixListener, control::SocketFile)>,
    control_routes: Option<ControlRoutes>,
}

/// A running HTTP server. Dropping it stops it at once.
#[derive(Debug)]
pub struct HttpServer {
    address: Option<SocketAddr>,
    /// Removes the socket's file when dropped.
    _control: Option<control::SocketFile>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl BoundHttp {
    /// Takes both places.
    ///
    /// # Errors
    /// [`HttpError`]; nothing is taken then.
    pub async fn bind(settings: HttpSettings) -> Result<Self, HttpError> {
        let tcp = match settings.address {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let control = match settings.control {
            Some(path) => {
                let bound = control::bind(&path).await;
                Some(bound.map_err(|source| HttpError::Control { path, source })?)
            }
            None => None,
        };
        Ok(Self { tcp, control, control_routes: settings.control_routes })
    }

    /// Begins to serve on the current runtime. With one node the dashboard shows that node, with
    /// several the network that they are.
    pub fn serve(self, watched: Vec<Watched>) -> HttpServer {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let watched: Arc<[Watched]> = watched.into();
        // Only the dashboard shows the last minutes.
        let history = self.tcp.is_some().then(|| Arc::new(History::new(watched.len())));
        if let Some(history) = &history {
            let sampler = Arc::clone(history).run(Arc::clone(&watched));
            tasks.spawn(stop.clone().run_until_cancelled_owned(sampler));
        }
        let state = RouterState::new(Arc::clone(&watched), history, stop.clone());
        let lifetime = Lifetime { stop: stop.clone(), tasks: tasks.clone() };
        let address = self.tcp.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = self.tcp {
            let site = router::for_browsers(&state, address);
            tasks.spawn(server::serve(listener, site, lifetime.clone()));
        }
        let further = watched.first().zip(self.control_routes);
        let further = further.map(|(first, routes)| routes.make(first.handle.clone()));
        let control = self.control.map(|(listener, file)| {
            let site = router::for_tools(&state, further.unwrap_or_default());
            tasks.spawn(server::serve(listener, site, lifetime));
            file
        });
        HttpServer { address, _control: control, stop, tasks }
    }
}

impl HttpServer {
    /// Takes the places, and serves: [`BoundHttp::bind`] and [`BoundHttp::serve`].
    ///
    /// # Errors
    /// [`HttpError`]; nothing is left running.
    pub async fn start(settings: HttpSettings, watched: Vec<Watched>) -> Result<Self, HttpError> {
        Ok(BoundHttp::bind(settings).await?.serve(watched))
    }

    /// The TCP address that is served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops serving.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        // What has not ended by then is dropped with the runtime.
        let _ = tokio::time::timeout(STOP_DEADLINE, self.tasks.wait()).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes a TCP address; the port that is chosen where 0 was asked for is in the answer.
///
/// # Errors
/// [`HttpError::Listen`].
pub async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), HttpError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| HttpError::Listen { address, source })
}
