//! What every request needs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use voiddht_node::Handle;

use crate::bounds::Bounds;
use crate::pace::Pace;

/// The node, the bounds, and what ends with the gateway; cloned for each request.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) node: Handle,
    pub(crate) bounds: Arc<Bounds>,
    /// Cancelled when the gateway stops.
    pub(crate) stop: CancellationToken,
    /// Everything that outlives the answer's head.
    pub(crate) tasks: TaskTracker,
    pub(crate) pace: Pace,
}
