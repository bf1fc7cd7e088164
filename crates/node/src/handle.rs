//! The handle by which the rest of a process uses its node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use voiddht_core::configured::ConfiguredPeer;
use voiddht_core::event::{Command, Outcome, PutIfOutcome};
use voiddht_core::operation::Receipt;
use voiddht_core::operation::get::ReadMode;
use voiddht_identity::Policy;
use voiddht_wire::limits::MAX_VALUE_BYTES;
use voiddht_wire::{ConditionalPut, Key, NodeId, Publication};

use crate::context::Context;
use crate::counters::{Counts, Limit};
use crate::event::{AnswerTo, Event};
use crate::kept::{Keep, KeepError, KeepOutcome, KeptView};
use crate::metrics::{self, DRIVER_DEADLINE, MetricFamily, Numbers};
use crate::network::reload::reload;
use crate::network::{NetworkReload, NetworkReloadError};
use crate::node_events::NodeEvents;
use crate::outcome::{GetOutcome, HandleError, LookupOutcome, PutIfResult, PutOutcome};
use crate::pins::PinView;
use crate::snapshot::assemble::Surroundings;
use crate::snapshot::{Snapshot, SnapshotRequest};
use crate::status::Status;

/// How long the disk may take to say how much room it has.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// A node, from elsewhere in its process. Cheap to clone. It does not keep the node running.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) context: Arc<Context>,
    api_address: Option<SocketAddr>,
}

/// What a request through the gateway was, for its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayRequest {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It was refused: no token or a wrong one, or a page of another site.
    Refused,
}

impl Handle {
    pub(crate) fn new(context: Arc<Context>, api_address: Option<SocketAddr>) -> Self {
        Self { context, api_address }
    }

    /// The node's ID.
    pub fn id(&self) -> NodeId {
        self.context.own.id
    }

    /// The identity policy of its network.
    pub fn policy(&self) -> Policy {
        self.context.identity.policy()
    }

    /// Stores a value on the closest nodes.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn put(&self, publication: Publication) -> Result<PutOutcome, HandleError> {
        check_size(&publication)?;
        match self.command(Command::Put(publication)).await? {
            Outcome::Put { receipt, report } => {
                let Receipt { stored, outstanding, failure } = receipt;
                Ok(PutOutcome { stored, outstanding, failure, report })
            }
            _ => Err(HandleError::Busy),
        }
    }

    /// Finds a value.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn get(&self, key: Key) -> Result<GetOutcome, HandleError> {
        GetOutcome::of(self.command(Command::Get { key }).await?)
    }

    /// Finds a value, verified as the reader asks.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn ask(&self, key: Key, mode: ReadMode) -> Result<GetOutcome, HandleError> {
        GetOutcome::of(self.command(Command::Ask { key, mode }).await?)
    }

    /// Publishes an envelope, unless the newest one is another than the writer has read.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn put_if(&self, put: ConditionalPut) -> Result<PutIfResult, HandleError> {
        check_size(&put.publication)?;
        match self.command(Command::PutIf(put)).await? {
            Outcome::PutIf(PutIfOutcome::Put(Receipt { stored, outstanding, failure })) => {
                Ok(PutIfResult::Put { stored, outstanding, failure })
            }
            Outcome::PutIf(PutIfOutcome::Conflict(newest)) => Ok(PutIfResult::Conflict(newest)),
            _ => Err(HandleError::Busy),
        }
    }

    /// Keeps a value: publishes it, and republishes it until [`Self::unkeep`], its end, or until another
    /// publisher's value has won its key. The answer comes after the first publication, and once the
    /// value is on disk where there is a data directory.
    ///
    /// # Errors
    /// [`KeepError`]: the value is not kept. [`HandleError::Busy`] also while another call keeps a
    /// value of the same key.
    pub async fn keep(&self, keep: Keep) -> Result<KeepOutcome, KeepError> {
        let Keep(request) = keep;
        check_size(&request.publication)?;
        match self.command(Command::Keep(request)).await? {
            Outcome::Keep(kept) => Ok(KeepOutcome::new(kept?, self.context.is_durable)),
            _ => Err(HandleError::Busy.into()),
        }
    }

    /// Every kept value, by key, and those that are kept no longer and were not removed.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn kept(&self) -> Result<Vec<KeptView>, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::ListKept(asking)).await {
            return Err(HandleError::Stopped);
        }
        let kept = answer.await.map_err(|_| HandleError::Stopped)?;
        Ok(kept.into_iter().map(KeptView::from).collect())
    }

    /// Keeps a value no longer: it ends with the TTL of its last publication. Whether there was one.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn unkeep(&self, key: Key) -> Result<bool, HandleError> {
        match self.command(Command::Unkeep { key }).await? {
            Outcome::Unkept { was_listed } => Ok(was_listed),
            _ => Err(HandleError::Busy),
        }
    }

    /// Finds the nodes closest to a point.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn lookup(&self, target: Key) -> Result<LookupOutcome, HandleError> {
        match self.command(Command::Lookup { target }).await? {
            Outcome::Lookup { nodes, report } => Ok(LookupOutcome { nodes, report }),
            _ => Err(HandleError::Busy),
        }
    }

    /// Replaces the configured peers: those that stay keep their state, new ones are tried at once.
    /// The answer is how many there are now.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn set_peers(&self, peers: Vec<ConfiguredPeer>) -> Result<usize, HandleError> {
        match self.command(Command::SetPeers { peers }).await? {
            Outcome::PeersSet { peers } => Ok(peers),
            _ => Err(HandleError::Busy),
        }
    }

    /// How the node is.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn status(&self) -> Result<Status, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::Status(asking)).await {
            return Err(HandleError::Stopped);
        }
        Ok(Status {
            id: self.id(),
            p2p_address: self.context.own_address.now().bound,
            api_address: self.api_address,
            core: answer.await.map_err(|_| HandleError::Stopped)?,
            counts: self.counts(),
        })
    }

    /// Like `get`, but the report lists every request. Ordinary operations record steps only while
    /// a dashboard is connected.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn explain(&self, key: Key) -> Result<GetOutcome, HandleError> {
        let (answer, explained) = oneshot::channel();
        if !self.context.tell(Event::Explain { key, answer }).await {
            return Err(HandleError::Stopped);
        }
        GetOutcome::of(explained.await.map_err(|_| HandleError::Stopped)?)
    }

    /// Everything that the node shows of itself, or the parts that are wanted.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn snapshot(&self, request: SnapshotRequest) -> Result<Snapshot, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::Observe { request, asking }).await {
            return Err(HandleError::Stopped);
        }
        let seen = answer.await.map_err(|_| HandleError::Stopped)?;
        let context = &self.context;
        let around = Surroundings {
            id: self.id(),
            own_address: context.own_address.now(),
            api: self.api_address,
            policy: context.identity.policy(),
            data_dir: context.data_dir.as_deref(),
            limits: &context.limits,
            queued_bytes: context.budget.used(),
            last_caller: context.callers.last(),
            counts: self.counts(),
            network: context.network.as_ref(),
        };
        Ok(Snapshot::assemble(*seen, &around))
    }

    /// Whether a program put a value under this key at this node, and its TTL has not ended: how a
    /// tool makes sure that the module API which it uses is this node's.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn has_published(&self, key: Key) -> Result<bool, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::HasPublished { key, asking }).await {
            return Err(HandleError::Stopped);
        }
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// What is free on the disk of the data directory; `None` without one, or if the disk does not
    /// say so in time.
    pub(crate) async fn free_bytes(&self) -> Option<u64> {
        free_bytes(self.context.data_dir.clone()).await
    }

    /// Every pin of the node, by ID.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn pins(&self) -> Result<Vec<PinView>, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::ListPins(asking)).await {
            return Err(HandleError::Stopped);
        }
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// Forgets the pin of an ID: the next node to authenticate it is trusted. Whether there was
    /// one.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn forget_pin(&self, id: NodeId) -> Result<bool, HandleError> {
        let (asking, answer) = oneshot::channel();
        if !self.context.tell(Event::ForgetPin { id, asking }).await {
            return Err(HandleError::Stopped);
        }
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// Reads the secrets of the private network again, and goes on with them. Fails or succeeds as a
    /// whole, and logs either.
    ///
    /// # Errors
    /// [`NetworkReloadError`]; nothing has changed.
    pub async fn reload_network(&self) -> Result<NetworkReload, NetworkReloadError> {
        reload(&self.context).await
    }

    /// Whether the node belongs to a private network.
    pub fn is_private(&self) -> bool {
        self.context.network.is_some()
    }

    /// Counts a limit of something that serves this node's data elsewhere.
    pub fn limit_reached(&self, limit: Limit) {
        self.context.counters.limit_reached(limit);
    }

    /// Counts a request through the gateway.
    pub fn gateway_request(&self, request: GatewayRequest) {
        let counters = &self.context.counters;
        let count = match request {
            GatewayRequest::Read => &counters.gateway_reads,
            GatewayRequest::Write => &counters.gateway_writes,
            GatewayRequest::Refused => &counters.gateway_refused,
        };
        count.add();
    }

    /// Every metric of the node, to be shown in a registry of the embedding program. Gauges come from the
    /// driver: where it does not answer within two seconds they have no samples, and
    /// `voiddht_driver_responding` is 0.
    pub async fn metrics(&self) -> Vec<MetricFamily> {
        metrics::of_node(&self.numbers("").await)
    }

    /// What its metrics are read from, under this name where there are several nodes.
    pub(crate) async fn numbers<'a>(&self, label: &'a str) -> Numbers<'a> {
        let looking = self.snapshot(SnapshotRequest::default());
        let looking = tokio::time::timeout(DRIVER_DEADLINE, looking);
        let (seen, free_bytes) = tokio::join!(looking, self.free_bytes());
        let seen = seen.ok().and_then(Result::ok);
        let (id, policy) = (self.id(), self.policy());
        Numbers { label, id, policy, counts: self.counts(), seen, free_bytes }
    }

    /// What happens to the node from now on; at most [`NodeEvents::CAPACITY`] events wait to be taken.
    pub fn events(&self) -> NodeEvents {
        self.context.subscribers.subscribe()
    }

    /// What was counted. Costs the node nothing.
    pub fn counts(&self) -> Counts {
        Counts { bytes_sent: self.context.budget.total(), ..self.context.counters.read() }
    }

    /// Has the core do something, and waits for its answer.
    pub(crate) async fn command(&self, command: Command) -> Result<Outcome, HandleError> {
        let (asking, answer) = oneshot::channel();
        let event = Event::Command { command, answer: AnswerTo::Handle(asking) };
        if !self.context.tell(event).await {
            return Err(HandleError::Stopped);
        }
        answer.await.map_err(|_| HandleError::Stopped)
    }
}

fn check_size(publication: &Publication) -> Result<(), HandleError> {
    match publication.value.len() {
        1..=MAX_VALUE_BYTES => Ok(()),
        other => Err(HandleError::ValueSize(other)),
    }
}

/// What is free on the disk of this directory. Not on the node's own thread: a disk may hang.
async fn free_bytes(directory: Option<PathBuf>) -> Option<u64> {
    let directory = directory?;
    let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&directory));
    let found = tokio::time::timeout(DISK_PATIENCE, asked).await.ok()?.ok()?.ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
