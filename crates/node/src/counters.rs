//! What a node counts, for its status and its metrics.
//!
//! Plain atomic numbers, written where things happen and read at any time. They say nothing to
//! each other: two that are read together may be a step apart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use voiddht_core::event::Notice;
use voiddht_identity::pin::PinCounters;

pub mod tallies;

use tallies::{Tallies, Tally};

/// A limit of the connection layer, by the name under which it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    Handshakes,
    RequestsPerPeer,
    QueuedBytes,
    InboxEvents,
    Probes,
    ApiConnections,
    ApiRequests,
    HttpConnections,
    HttpStreams,
    HttpQuestions,
    TakeoverChecks,
}

/// Every limit that is counted when it is reached, the core's among them, so that each has its
/// place in the metrics before that happens.
pub const LIMIT_NAMES: [&str; 22] = [
    "api_connections",
    "api_requests_per_connection",
    "bytes_per_peer",
    "bytes_per_prefix",
    "connections",
    "connections_per_address",
    "handshakes",
    "http_connections",
    "http_questions",
    "http_streams",
    "inbox_events",
    "max_bytes",
    "max_operations",
    "max_records",
    "max_unsynced",
    "probes",
    "queued_bytes",
    "records_per_peer",
    "records_per_prefix",
    "requests_per_peer",
    "requests_per_prefix",
    "takeover_checks",
];

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshakes => "handshakes",
            Self::RequestsPerPeer => "requests_per_peer",
            Self::QueuedBytes => "queued_bytes",
            Self::InboxEvents => "inbox_events",
            Self::Probes => "probes",
            Self::ApiConnections => "api_connections",
            Self::ApiRequests => "api_requests_per_connection",
            Self::HttpConnections => "http_connections",
            Self::HttpStreams => "http_streams",
            Self::HttpQuestions => "http_questions",
            Self::TakeoverChecks => "takeover_checks",
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// See the module's description.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Count,)*
            /// Limits reached, by name. Rare, so a lock will do; as long as there are names.
            limits: Mutex<BTreeMap<&'static str, u64>>,
            /// Pins, and what became of conflicts over them: written once for a connection.
            pins: Mutex<PinCounters>,
            /// What is counted by kind and outcome.
            pub(crate) tallies: Tallies,
        }

        /// The numbers of a node at one moment. Those that are not said to be current count from
        /// its start.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
            /// How often each limit was reached, by its name.
            pub limits: BTreeMap<&'static str, u64>,
            /// Pins, and what became of conflicts over them.
            pub pins: PinCounters,
            /// What is counted by kind and outcome.
            pub tally: Tally,
            /// Bytes of peer messages that were queued to be sent, without what TLS adds.
            pub bytes_sent: u64,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.read(),)*
                    limits: self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                    pins: *self.pins.lock().unwrap_or_else(PoisonError::into_inner),
                    tally: self.tallies.read(),
                    bytes_sent: 0,
                }
            }
        }
    };
}

counters! {
    /// Connections with peers, current.
    connections,
    /// Connections that this node dialled, and whose handshake succeeded.
    dialed,
    /// Dials that brought no connection.
    dials_failed,
    /// Connections that were accepted, and whose handshake succeeded.
    accepted,
    /// Accepted connections whose handshake failed, those included that came to see the
    /// certificate only.
    handshakes_failed,
    /// Peer messages received.
    messages_received,
    /// Peer messages sent.
    messages_sent,
    /// Connections closed because the peer broke a rule.
    misbehaved,
    /// Peers banned.
    banned,
    /// Contacts in the routing table, current.
    contacts,
    /// Times that the node found itself without any contact.
    isolated,
    /// Times that none of the known peers answered.
    joins_failed,
    /// Bytes of peer messages received, without what TLS adds.
    bytes_received,
    /// Module API connections, current.
    api_connections,
    /// GETs that local programs asked for.
    api_gets,
    /// PUTs that local programs asked for.
    api_puts,
    /// Module API connections closed because the program broke a rule.
    api_broken,
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_many(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    /// For numbers that go down again.
    pub(crate) fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn limit_reached(&self, limit: Limit) {
        self.count_limit(limit.name());
    }

    /// Takes over what the pins have counted.
    pub(crate) fn note_pins(&self, counted: PinCounters) {
        *self.pins.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    /// Counts what the core has noticed.
    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::ContactAdded(_) => self.contacts.add(),
            Notice::ContactRemoved(_) => self.contacts.subtract(),
            Notice::RequestEnded { kind, purpose, outcome, took } => {
                self.tallies.request_ended(kind, purpose, *outcome, *took);
            }
            Notice::LookupEnded { purpose, .. } => self.tallies.lookup_ended(purpose),
            Notice::LimitReached { limit } => self.count_limit(limit),
            Notice::StoreRefused { why } => self.tallies.store_refused(why),
            Notice::Banned { .. } => self.banned.add(),
            Notice::Isolated => self.isolated.add(),
            Notice::Misbehaviour { .. } => self.misbehaved.add(),
            Notice::JoinFailed { .. } => self.joins_failed.add(),
            Notice::Joined { .. } => {}
        }
    }

    fn count_limit(&self, name: &'static str) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        *limits.entry(name).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read() {
        let counters = Counters::default();
        counters.connections.add();
        counters.connections.add();
        counters.connections.subtract();
        counters.limit_reached(Limit::Probes);
        counters.notice(&Notice::LimitReached { limit: "probes" });
        let counts = counters.read();
        assert_eq!(counts.connections, 1);
        assert_eq!(counts.limits.get("probes"), Some(&2));
    }
}
