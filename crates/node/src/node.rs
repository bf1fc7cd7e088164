//! A running node: its start, and its end.

pub(crate) mod error;
mod start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use voiddht_core::event::{Command, Outcome};
use voiddht_wire::NodeId;

use crate::context::Context;
use crate::handle::Handle;
#[cfg(feature = "http")]
use crate::http::HttpServer;

/// How long the tasks of a node may take to end once it has been asked to stop: what the driver
/// allows its connections, and their goodbyes, and the disk a moment.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A running node. Dropping it stops it at once; [`Node::shutdown`] does so in good order.
#[derive(Debug)]
pub struct Node {
    context: Arc<Context>,
    api_address: Option<SocketAddr>,
    joined: watch::Receiver<bool>,
    /// Ends when every local program has been answered.
    api: JoinHandle<()>,
    /// `None` where nothing is served, or not any more.
    #[cfg(feature = "http")]
    http: Option<HttpServer>,
}

impl Node {
    /// The node's ID.
    pub fn id(&self) -> NodeId {
        self.context.own.id
    }

    /// Where it listens for peers; another address after it has followed a change of this machine's.
    pub fn p2p_address(&self) -> SocketAddr {
        self.context.own_address.now().bound
    }

    /// Where it serves the module API; `None`: nowhere.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.api_address
    }

    /// Where it serves metrics and its page, if it does.
    #[cfg(feature = "http")]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.address()
    }

    /// Speaks to it from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.context), self.api_address)
    }

    /// Waits until the node is part of a network: it has a contact, or knows of no peer to ask.
    pub async fn joined(&self) {
        // An error means that the node has stopped: it will not join any more.
        let _ = self.joined.clone().wait_for(|joined| *joined).await;
    }

    /// Stops the node in good order: it answers local programs what they have asked, hands over
    /// what it holds and says goodbye, for at most
    /// [`crate::Limits::leave_deadline`]; then its connections and ports are closed.
    pub async fn shutdown(mut self) {
        self.context.finish.cancel();
        let handle = self.handle();
        let leaving = async { tokio::join!(handle.command(Command::Leave), &mut self.api) };
        match timeout(self.context.limits.leave_deadline, leaving).await {
            Ok((Ok(Outcome::Left { handed_over }), _)) => {
                tracing::info!(records = handed_over, "left the network: records handed over");
            }
            Ok(_) => {}
            Err(_) => tracing::warn!("leave deadline reached: not all records were handed over"),
        }
        self.context.stop.cancel();
        self.context.tasks.close();
        if timeout(STOP_DEADLINE, self.context.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not stop in time");
        }
        // Last, so that observers see the node leave.
        #[cfg(feature = "http")]
        if let Some(http) = self.http.take() {
            http.shutdown().await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}
