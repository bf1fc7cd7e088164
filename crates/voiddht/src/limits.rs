//! The limits that programs change.

use std::time::Duration;

use voiddht_core::record::RecordLimits;
use voiddht_node::Settings;

/// What a node may use. Where a limit is reached, requests are refused, connections closed or records of
/// the largest account evicted, and the metric `voiddht_limit_reached_total` counts it; nothing
/// queues without a bound. Limits that are not here have the defaults of `docs/limits.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections with peers: 1 024, some 10 KiB each. Held under the node's share of
    /// [`Descriptors`](crate::Descriptors) too.
    pub connections: usize,
    /// Connections with peers at one public address, or in one /64 of IPv6: 16.
    pub connections_per_address: usize,
    /// Bytes that wait to be sent to all peers together: 64 MiB.
    pub queued_bytes: usize,
    /// Records that the node holds for the network.
    pub records: usize,
    /// Bytes of memory for them, overhead included.
    pub record_bytes: usize,
    /// PUTs, GETs and lookups in flight, the node's own included: 4 096. Beyond it, calls end with
    /// [`HandleError::Busy`](crate::HandleError::Busy).
    pub operations: usize,
    /// How long [`Node::shutdown`](crate::Node::shutdown) may take to hand records over: 10 s.
    pub leave_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (node, core) = (voiddht_node::Limits::default(), voiddht_core::Config::default());
        Self {
            connections: node.connections,
            connections_per_address: node.connections_per_address,
            queued_bytes: node.queued_bytes,
            records: core.records.max_records,
            record_bytes: core.records.max_bytes,
            operations: core.max_operations,
            leave_deadline: node.leave_deadline,
        }
    }
}

impl Limits {
    /// Sets [`Self::connections`].
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Sets [`Self::connections_per_address`].
    pub fn connections_per_address(self, connections_per_address: usize) -> Self {
        Self { connections_per_address, ..self }
    }

    /// Sets [`Self::queued_bytes`].
    pub fn queued_bytes(self, queued_bytes: usize) -> Self {
        Self { queued_bytes, ..self }
    }

    /// Sets [`Self::records`].
    pub fn records(self, records: usize) -> Self {
        Self { records, ..self }
    }

    /// Sets [`Self::record_bytes`].
    pub fn record_bytes(self, record_bytes: usize) -> Self {
        Self { record_bytes, ..self }
    }

    /// Sets [`Self::operations`].
    pub fn operations(self, operations: usize) -> Self {
        Self { operations, ..self }
    }

    /// Sets [`Self::leave_deadline`].
    pub fn leave_deadline(self, leave_deadline: Duration) -> Self {
        Self { leave_deadline, ..self }
    }

    /// Into the settings of a node.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.limits.connections = self.connections;
        settings.limits.connections_per_address = self.connections_per_address;
        settings.limits.queued_bytes = self.queued_bytes;
        settings.limits.leave_deadline = self.leave_deadline;
        settings.core.max_operations = self.operations;
        settings.core.records = RecordLimits::of_size(self.records, self.record_bytes);
        let patience = settings.core.leave_patience;
        settings.core.leave_patience = patience.min(self.leave_deadline);
    }
}
