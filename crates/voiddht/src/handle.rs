//! What a node can be asked.

use voiddht_node::kept::{Keep, KeepError, KeepOutcome, KeptView};
use voiddht_node::metrics::MetricFamily;
use voiddht_node::{HandleError, NodeEvents};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{Key, NodeId};

use crate::error::{GetError, PutError};
use crate::get::{Found, Get};
use crate::put::{Put, PutReceipt};
use crate::status::Status;

/// A node, for any task of its process. Cheap to clone. It does not keep the node running: once that
/// has stopped, every call ends with [`HandleError::Stopped`].
///
/// Calls may run concurrently, thousands at a time. Dropping the future of a call does not undo it: a PUT
/// goes on.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) inner: voiddht_node::Handle,
}

impl Handle {
    pub(crate) fn new(inner: voiddht_node::Handle) -> Self {
        Self { inner }
    }

    /// The node's ID.
    pub fn id(&self) -> NodeId {
        self.inner.id()
    }

    /// The handle of `voiddht-node`, which [`gateway`](crate::gateway) serves.
    #[cfg(feature = "gateway")]
    pub fn inner(&self) -> &voiddht_node::Handle {
        &self.inner
    }

    /// Stores a value on the nodes closest to its key, and returns once they have confirmed it.
    ///
    /// # Errors
    /// [`PutError::NotStored`] where no node or too few have stored it; [`PutError::Handle`] for a value
    /// that is empty or too long, a node that has stopped, and too many operations in flight.
    pub async fn put(&self, put: Put) -> Result<PutReceipt, PutError> {
        let key = put.key();
        let outcome = self.inner.put(put.0).await?;
        match outcome.failure {
            Some(why) => Err(PutError::NotStored(why)),
            None => {
                Ok(PutReceipt { key, stored: outcome.stored, outstanding: outcome.outstanding })
            }
        }
    }

    /// Finds a value: of a [`Key`], or as a [`Get`] says. `None`: no node that answered has it.
    ///
    /// # Errors
    /// [`GetError::Handle`].
    pub async fn get(&self, get: impl Into<Get>) -> Result<Option<Found>, GetError> {
        let Get { key, mode } = get.into();
        let outcome = self.inner.ask(key, mode).await?;
        let found = outcome.value.zip(outcome.proof);
        Ok(found.map(|(value, proof)| Found { value, version: outcome.version, proof }))
    }

    /// Keeps a value: puts it, and republishes it, also after restarts where the node has storage, until
    /// [`Self::unkeep`], its end, or until another publisher's value has won its key.
    ///
    /// # Errors
    /// [`KeepError`]: the value is not kept.
    pub async fn keep(&self, keep: Keep) -> Result<KeepOutcome, KeepError> {
        self.inner.keep(keep).await
    }

    /// Every kept value, by key, and those that ended by themselves and were not removed.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn kept(&self) -> Result<Vec<KeptView>, HandleError> {
        self.inner.kept().await
    }

    /// Keeps a value no longer: it ends with the TTL of its last publication. `false`: none was kept.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] or [`HandleError::Busy`].
    pub async fn unkeep(&self, key: Key) -> Result<bool, HandleError> {
        self.inner.unkeep(key).await
    }

    /// Finds the nodes closest to a point, nearest first: at most 20 that have answered.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] or [`HandleError::Busy`].
    pub async fn lookup(&self, target: Key) -> Result<Vec<NodeInfo>, HandleError> {
        Ok(self.inner.lookup(target).await?.nodes)
    }

    /// What happens to the node from now on: joined and departed contacts, reachability, the clock. The
    /// stream is bounded; events that it had to drop are counted in it.
    pub fn events(&self) -> NodeEvents {
        self.inner.events()
    }

    /// The node at this moment.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn status(&self) -> Result<Status, HandleError> {
        Ok(self.inner.status().await?.into())
    }

    /// Every metric of the node, to be shown in the program's own registry, or by
    /// [`to_text`](crate::to_text). Counters cost the node nothing, gauges one look at its task.
    pub async fn metrics(&self) -> Vec<MetricFamily> {
        self.inner.metrics().await
    }

    /// Reads the secrets of the private network again, and goes on with them.
    ///
    /// # Errors
    /// The text of what is wrong with the file; nothing has changed.
    pub async fn reload_network_secret(
        &self,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.inner.reload_network().await?;
        Ok(())
    }
}
