//! What the dashboard shows, as JSON: one node, or the network that several nodes of this process
//! are.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::history::{History, HistoryView, Window};
use super::watched::Watched;
use crate::metrics::DRIVER_DEADLINE;
use crate::outcome::HandleError;
use crate::snapshot::{EventView, OperationView, Snapshot, SnapshotRequest, State};

/// Operations of a network that are shown together, at most: more cannot be followed by eye.
const MAX_NETWORK_OPERATIONS: usize = 48;
/// Events of a network that are shown together, the latest.
const MAX_NETWORK_EVENTS: usize = 48;
/// With more contacts than this they are told with every [`CONTACTS_EVERY`]th look only.
const MANY_CONTACTS: usize = 200;
/// See [`MANY_CONTACTS`].
const CONTACTS_EVERY: u64 = 5;

/// Why there is nothing to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ViewError {
    /// There is no node of that number.
    #[error("there is no such node")]
    NoSuchNode,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
    /// The driver does not answer.
    #[error("the node does not answer within {} s", DRIVER_DEADLINE.as_secs())]
    Silent,
}

/// What is shown.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum View {
    /// One node.
    Node(Box<NodePage>),
    /// Several.
    Network(NetworkPage),
}

/// One node.
#[derive(Debug, Serialize)]
pub(super) struct NodePage {
    /// What it is called beside others.
    label: Option<String>,
    /// How many nodes this process runs.
    nodes: usize,
    #[serde(flatten)]
    snapshot: Snapshot,
    history: Option<HistoryView>,
}

/// Several nodes.
#[derive(Debug, Serialize)]
pub(super) struct NetworkPage {
    taken_at_ms: u64,
    nodes: Vec<NetworkNode>,
    /// What ended since the last look, in the order of time.
    operations: Vec<NetworkOperation>,
    events: Vec<NetworkEvent>,
    history: Option<HistoryView>,
}

/// One node of several.
#[derive(Debug, Serialize)]
struct NetworkNode {
    label: String,
    id: String,
    /// `silent` if it does not answer.
    state: StateOrSilent,
    address: String,
    api_address: String,
    contacts: usize,
    suspects: usize,
    records: usize,
    record_bytes: usize,
    connections: u64,
    operations: usize,
    rtt_median_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
enum StateOrSilent {
    State(State),
    Silent(&'static str),
}

#[derive(Debug, Serialize)]
struct NetworkOperation {
    /// The place in the list of nodes of the one that asked.
    node: usize,
    #[serde(flatten)]
    operation: OperationView,
}

#[derive(Debug, Serialize)]
struct NetworkEvent {
    node: usize,
    #[serde(flatten)]
    event: EventView,
}

/// A repeated observer: receives only what is new.
#[derive(Debug)]
pub(super) struct Viewer {
    watched: Arc<[Watched]>,
    history: Option<Arc<History>>,
    node: Option<usize>,
    /// The last operation of each node that was told.
    told: Vec<u64>,
    looks: u64,
    contacts: usize,
}

impl Viewer {
    /// A dashboard that looks at one node, or at the whole network if there are several.
    pub(super) fn new(
        watched: Arc<[Watched]>,
        history: Option<Arc<History>>,
        node: Option<usize>,
    ) -> Result<Self, ViewError> {
        let node = match (node, watched.len()) {
            (None, 1) => Some(0),
            (Some(node), nodes) if node >= nodes => return Err(ViewError::NoSuchNode),
            (node, _) => node,
        };
        let told = vec![0; watched.len()];
        Ok(Self { watched, history, node, told, looks: 0, contacts: 0 })
    }

    /// The rates over a window, of what this one looks at; `None` where no history is recorded.
    pub(super) fn history(&self, window: Window) -> Option<HistoryView> {
        Some(self.history.as_ref()?.view(self.node, window))
    }

    /// What there is to see now.
    pub(super) async fn look(&mut self) -> Result<View, ViewError> {
        let view = match self.node {
            Some(node) => View::Node(Box::new(self.look_at_node(node).await?)),
            None => View::Network(self.look_at_network().await),
        };
        self.looks += 1;
        Ok(view)
    }

    async fn look_at_node(&mut self, node: usize) -> Result<NodePage, ViewError> {
        let watched = &self.watched[node];
        let contacts = self.contacts <= MANY_CONTACTS || self.looks.is_multiple_of(CONTACTS_EVERY);
        let request = SnapshotRequest { contacts, watch: true, after: self.told[node] };
        let snapshot = look(watched, request).await?;
        self.contacts = snapshot.table.contacts;
        if let Some(last) = snapshot.operations.finished.last() {
            self.told[node] = last.number;
        }
        Ok(NodePage {
            label: watched.label.clone(),
            nodes: self.watched.len(),
            snapshot,
            history: self.history.as_ref().map(|history| history.view(Some(node), Window::Minutes)),
        })
    }

    async fn look_at_network(&mut self) -> NetworkPage {
        let mut looking = JoinSet::new();
        for (node, watched) in self.watched.iter().enumerate() {
            let after = self.told[node];
            let request = SnapshotRequest { contacts: false, watch: true, after };
            let watched = watched.clone();
            looking.spawn(async move { (node, look(&watched, request).await) });
        }
        let mut seen: Vec<Option<Snapshot>> = Vec::new();
        seen.resize_with(self.watched.len(), || None);
        while let Some(looked) = looking.join_next().await {
            if let Ok((node, Ok(snapshot))) = looked {
                seen[node] = Some(snapshot);
            }
        }
        self.assemble(seen)
    }

    fn assemble(&mut self, seen: Vec<Option<Snapshot>>) -> NetworkPage {
        let mut page = NetworkPage {
            taken_at_ms: 0,
            nodes: Vec::with_capacity(seen.len()),
            operations: Vec::new(),
            events: Vec::new(),
            history: self.history.as_ref().map(|history| history.view(None, Window::Minutes)),
        };
        for (node, (snapshot, watched)) in seen.into_iter().zip(self.watched.iter()).enumerate() {
            page.nodes.push(NetworkNode::of(watched, node, snapshot.as_ref()));
            let Some(snapshot) = snapshot else { continue };
            page.taken_at_ms = page.taken_at_ms.max(snapshot.taken_at_ms);
            let events = snapshot.events.into_iter();
            page.events.extend(events.map(|event| NetworkEvent { node, event }));
            for operation in snapshot.operations.finished {
                self.told[node] = operation.number;
                page.operations.push(NetworkOperation { node, operation });
            }
        }
        page.operations.sort_by_key(|one| one.operation.started_at_ms);
        keep_last(&mut page.operations, MAX_NETWORK_OPERATIONS);
        page.events.sort_by_key(|one| one.event.at_ms);
        keep_last(&mut page.events, MAX_NETWORK_EVENTS);
        page
    }
}

impl NetworkNode {
    fn of(watched: &Watched, number: usize, seen: Option<&Snapshot>) -> Self {
        let count = |read: fn(&Snapshot) -> usize| seen.map(read).unwrap_or_default();
        Self {
            label: watched.label.clone().unwrap_or_else(|| number.to_string()),
            id: watched.handle.id().to_string(),
            state: seen.map_or(StateOrSilent::Silent("silent"), |seen| {
                StateOrSilent::State(seen.health.state)
            }),
            address: seen.map(|seen| seen.node.p2p_address.clone()).unwrap_or_default(),
            api_address: seen.map(|seen| seen.node.api_address.clone()).unwrap_or_default(),
            contacts: count(|seen| seen.table.contacts),
            suspects: count(|seen| seen.table.suspects),
            records: count(|seen| seen.records.count),
            record_bytes: count(|seen| seen.records.bytes),
            connections: seen.map(|seen| seen.connections.open).unwrap_or_default(),
            operations: count(|seen| seen.operations.running_count),
            rtt_median_ms: seen.and_then(|seen| seen.table.rtt_median_ms),
        }
    }
}

/// One look at one node, within the deadline.
pub(super) async fn look(
    watched: &Watched,
    request: SnapshotRequest,
) -> Result<Snapshot, ViewError> {
    within(DRIVER_DEADLINE, watched.handle.snapshot(request)).await
}

async fn within<T>(
    deadline: Duration,
    looking: impl Future<Output = Result<T, HandleError>>,
) -> Result<T, ViewError> {
    match timeout(deadline, looking).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(_)) => Err(ViewError::Stopped),
        Err(_) => Err(ViewError::Silent),
    }
}

fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
