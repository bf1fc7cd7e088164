//! What a node counts, for its status and its metrics.
//!
//! Plain atomic numbers, written where things happen and read at any time. They say nothing to
//! each other: two that are read together may be a step apart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use voiddht_core::event::{Notice, RequestOutcome};

/// A limit of the connection layer, by the name under which it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    RequestsPerPeer,
    QueuedBytes,
    Probes,
    ApiConnections,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::RequestsPerPeer => "requests_per_peer",
            Self::QueuedBytes => "queued_bytes",
            Self::Probes => "probes",
            Self::ApiConnections => "api_connections",
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
        }

        /// The numbers of a node at one moment. Those that are not said to be current count from
        /// its start.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
            /// How often each limit was reached, by its name.
            pub limits: BTreeMap<&'static str, u64>,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.read(),)*
                    limits: self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
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
    /// Requests of this node that were answered.
    requests_answered,
    /// Requests that were answered by an error.
    requests_refused,
    /// Requests that were not answered in time.
    requests_timed_out,
    /// Requests that could not be delivered.
    requests_undelivered,
    /// Times that the node found itself without any contact.
    isolated,
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

    /// Counts what the core has noticed.
    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::ContactAdded(_) => self.contacts.add(),
            Notice::ContactRemoved(_) => self.contacts.subtract(),
            Notice::RequestEnded { outcome, .. } => match outcome {
                RequestOutcome::Answered => self.requests_answered.add(),
                RequestOutcome::Refused => self.requests_refused.add(),
                RequestOutcome::TimedOut => self.requests_timed_out.add(),
                RequestOutcome::Undelivered => self.requests_undelivered.add(),
            },
            Notice::LimitReached { limit } => self.count_limit(limit),
            Notice::Banned { .. } => self.banned.add(),
            Notice::Isolated => self.isolated.add(),
            Notice::Misbehaviour { .. } => self.misbehaved.add(),
            Notice::Joined { .. } | Notice::JoinFailed { .. } => {}
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
