//! What else is served on the control socket: the routes of other surfaces over the same node.

use std::fmt;
use std::sync::Arc;

use axum::Router;

use crate::handle::Handle;

/// Further routes of the control socket: those of another surface over the same node.
#[derive(Clone)]
pub struct ControlRoutes(Arc<dyn Fn(Handle) -> Router + Send + Sync>);

impl ControlRoutes {
    /// Routes that are made once the node runs. Their paths must be none of the control socket's own.
    pub fn new(routes: impl Fn(Handle) -> Router + Send + Sync + 'static) -> Self {
        Self(Arc::new(routes))
    }

    /// The routes over this node.
    pub(super) fn make(&self, handle: Handle) -> Router {
        (self.0)(handle)
    }
}

impl fmt::Debug for ControlRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlRoutes")
    }
}
