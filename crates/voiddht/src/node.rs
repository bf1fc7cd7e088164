//! A running node.

use std::net::SocketAddr;
use std::ops::Deref;

use crate::handle::Handle;

/// A running node of a distributed hash table. [`Self::shutdown`] ends it in good order, dropping it at
/// once.
///
/// Everything that it can be asked is a method of [`Handle`], to which it dereferences; other tasks take
/// a clone of [`Self::handle`].
#[derive(Debug)]
pub struct Node {
    inner: voiddht_node::Node,
    handle: Handle,
}

impl Node {
    pub(crate) fn new(inner: voiddht_node::Node) -> Self {
        let handle = Handle::new(inner.handle());
        Self { inner, handle }
    }

    /// A handle for other tasks. It does not keep the node running.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where it listens for peers: what other nodes on this machine are given as
    /// [`NodeBuilder::peer`](crate::NodeBuilder::peer).
    pub fn address(&self) -> SocketAddr {
        self.inner.p2p_address()
    }

    /// Where it serves the module API; `None` unless it was asked for.
    pub fn module_api_address(&self) -> Option<SocketAddr> {
        self.inner.api_address()
    }

    /// Where it serves the dashboard and `/metrics`; `None` unless it was asked for.
    #[cfg(feature = "http")]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.inner.http_address()
    }

    /// Waits until the node is part of a network: it has a contact, or knows of no peer to ask. There
    /// is no need to: operations wait for it by themselves, at most two seconds.
    pub async fn joined(&self) {
        self.inner.joined().await;
    }

    /// Stops the node in good order: hands over what it holds and says goodbye, for at most
    /// [`Limits::leave_deadline`](crate::Limits::leave_deadline); then closes its connections, port and
    /// storage.
    pub async fn shutdown(self) {
        self.inner.shutdown().await;
    }
}

impl Deref for Node {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}
