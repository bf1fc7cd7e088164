//! Which node is looked at, and its name beside others.

use crate::handle::Handle;

/// A node that is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Speaks to it.
    pub handle: Handle,
    /// What it is called beside others; `None` for a node by itself.
    pub label: Option<String>,
}
