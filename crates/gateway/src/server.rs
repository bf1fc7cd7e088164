//! Listening: a TCP address of its own, and the node's control socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voiddht_node::Handle;
use voiddht_node::counters::Limit;
use voiddht_node::http::server::{Lifetime, Site, serve};
use voiddht_node::http::{ControlRoutes, HttpError, listen};

use crate::access::{self, Access};
use crate::bounds::{Bounds, MAX_CONNECTIONS};
use crate::pace::Pace;
use crate::router;
use crate::settings::{OpenToAll, Settings};
use crate::shared::Shared;

/// How long requests may take to end when the gateway stops.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// The gateway of a node: what its TCP address and the control socket have in common. Dropping it ends
/// nothing; [`Gateway::shutdown`] does.
#[derive(Debug, Default)]
pub struct Gateway {
    bounds: Arc<Bounds>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Why the gateway is not served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would be open to other machines.
    #[error(transparent)]
    OpenToAll(#[from] OpenToAll),
    /// The address cannot be listened on.
    #[error("gateway: {0}")]
    Listen(#[from] HttpError),
}

/// An address that is taken and not served yet.
#[derive(Debug)]
pub struct BoundGateway {
    settings: Settings,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundGateway {
    /// Takes the address, before the node is started: a gateway that cannot listen prevents the start.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(settings: Settings) -> Result<Self, StartError> {
        settings.check()?;
        let (listener, address) = listen(settings.address).await?;
        Ok(Self { settings, listener, address })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Gateway {
    /// What a node serves on its control socket ([`voiddht_node::Settings::control_routes`]). Who may
    /// open that socket needs no token.
    pub fn control_routes(&self) -> ControlRoutes {
        let (bounds, stop, tasks) =
            (Arc::clone(&self.bounds), self.stop.clone(), self.tasks.clone());
        ControlRoutes::new(move |node| {
            let (bounds, stop, tasks) = (Arc::clone(&bounds), stop.clone(), tasks.clone());
            let pace = Pace::default();
            router::router(&Shared { node, bounds, stop, tasks, pace })
        })
    }

    /// Begins to serve on the current runtime.
    pub fn serve(&self, bound: BoundGateway, node: Handle) {
        let BoundGateway { settings, listener, address } = bound;
        let shared = Shared {
            node: node.clone(),
            bounds: Arc::clone(&self.bounds),
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
            pace: settings.pace,
        };
        let access = Access {
            node: node.clone(),
            address: address.ip(),
            token: settings.token.map(Arc::new),
            public: settings.public,
            origins: settings.origins.into(),
        };
        let router = router::router(&shared)
            .fallback(router::no_such_path)
            .layer(from_fn_with_state(access, access::check));
        let when_full = move || node.limit_reached(Limit::GatewayConnections);
        let site = Site::new(router, MAX_CONNECTIONS, when_full).without_half_close();
        let lifetime = Lifetime { stop: self.stop.clone(), tasks: self.tasks.clone() };
        self.tasks.spawn(serve(listener, site, lifetime));
        tracing::info!("gateway at http://{address}/v1/");
    }

    /// Stops serving: streams end, and other requests are finished.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        // What has not ended by then is dropped with the runtime.
        let _ = tokio::time::timeout(STOP_DEADLINE, self.tasks.wait()).await;
    }
}
