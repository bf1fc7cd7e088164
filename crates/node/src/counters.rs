//! Counters of a node, for its status and its metrics.
//!
//! Plain atomic numbers, written where things happen and read at any time. They are not consistent
//! with each other: two that are read together may be a step apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use voiddht_core::event::Notice;
use voiddht_core::label::Limit as CoreLimit;
use voiddht_identity::pin::PinCounters;

mod count;
pub(crate) mod recent;
pub mod tallies;

use count::Count;
use recent::{MinuteClock, RecentCount};
use tallies::{Tallies, Tally};

use crate::log_limit::LogLimits;

voiddht_core::label! {
    /// Limits of the connection layer and of what local programs and browsers may ask.
    pub enum Limit {
        /// Connections of local programs.
        ApiConnections = "api_connections",
        /// Answers that wait to be written to local programs.
        ApiQueuedBytes = "api_queued_bytes",
        /// Requests in flight on one of them.
        ApiRequests = "api_requests_per_connection",
        /// Connections with peers.
        Connections = "connections",
        /// Connections with peers at one address.
        ConnectionsPerAddress = "connections_per_address",
        /// Connections with one authenticated peer.
        ConnectionsPerPeer = "connections_per_peer",
        /// Batches under way.
        GatewayBatches = "gateway_batches",
        /// Bytes of a body that the gateway reads.
        GatewayBodyBytes = "gateway_body_bytes",
        /// Connections of the gateway.
        GatewayConnections = "gateway_connections",
        /// DNS packets that are kept for their owners.
        GatewayKeptPackets = "gateway_kept_packets",
        /// Publications of DNS packets in a time.
        GatewayPackets = "gateway_packets",
        /// Requests in flight through the gateway.
        GatewayRequests = "gateway_requests",
        /// Event streams of the gateway.
        GatewayStreams = "gateway_streams",
        /// Handshakes in progress.
        Handshakes = "handshakes",
        /// Handshakes of one address in a time.
        HandshakesPerAddress = "handshakes_per_address",
        /// Connections of browsers.
        HttpConnections = "http_connections",
        /// Explanations in progress.
        HttpQuestions = "http_questions",
        /// Event streams.
        HttpStreams = "http_streams",
        /// Events that wait for the driver.
        InboxEvents = "inbox_events",
        /// Peers of the original network, remembered as such.
        LegacyPeers = "legacy_peers",
        /// Probes of listening addresses in progress.
        Probes = "probes",
        /// Bytes that wait to be sent to peers.
        QueuedBytes = "queued_bytes",
        /// Requests in flight on one connection. Counted under the name of the core's quota too.
        RequestsPerPeer = "requests_per_peer",
        /// Takeover checks in progress.
        TakeoverChecks = "takeover_checks",
        /// Groups of writes that the disk has not taken.
        UnfinishedWrites = "unfinished_writes",
        /// Pins that wait for a disk that refuses writes.
        UnsavedPins = "unsaved_pins",
        /// Connections of clients without a certificate.
        UnauthenticatedConnections = "unauthenticated_connections",
    }
}

impl From<voiddht_session::Limit> for Limit {
    fn from(limit: voiddht_session::Limit) -> Self {
        use voiddht_session::Limit as Session;
        match limit {
            Session::Connections => Self::Connections,
            Session::ConnectionsPerPeer => Self::ConnectionsPerPeer,
            Session::LegacyPeers => Self::LegacyPeers,
            Session::Probes => Self::Probes,
            Session::QueuedBytes => Self::QueuedBytes,
            Session::RequestsPerPeer => Self::RequestsPerPeer,
            Session::TakeoverChecks => Self::TakeoverChecks,
            Session::UnauthenticatedConnections => Self::UnauthenticatedConnections,
        }
    }
}

/// The names of all limits, those of the core among them, in the order of the alphabet.
pub fn limit_names() -> BTreeSet<&'static str> {
    let core = CoreLimit::ALL.iter().map(|limit| limit.name());
    Limit::ALL.iter().map(|limit| limit.name()).chain(core).collect()
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of a node.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Count,)*
            limits: [RecentCount; Limit::COUNT],
            core_limits: [RecentCount; CoreLimit::COUNT],
            clock: MinuteClock,
            /// Pins, and what became of conflicts over them: written once for a connection.
            pins: Mutex<PinCounters>,
            /// What is counted by kind and outcome.
            pub(crate) tallies: Tallies,
            /// What may be written into the log.
            pub(crate) logs: LogLimits,
        }

        /// The numbers of a node at one moment. Those that are not said to be current count from
        /// its start.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
            /// How often each limit was reached, by its name: an entry for each of [`limit_names`].
            pub limits: BTreeMap<&'static str, u64>,
            /// How often in the last ten minutes.
            pub recent_limits: BTreeMap<&'static str, u64>,
            /// Pins, and what became of conflicts over them.
            pub pins: PinCounters,
            /// What is counted by kind and outcome.
            pub tally: Tally,
            /// Bytes of peer messages that were queued to be sent, without what TLS adds.
            pub bytes_sent: u64,
            /// Log lines that were dropped because there were too many of their kind.
            pub log_lines_suppressed: u64,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.read(),)*
                    limits: self.read_limits(RecentCount::total),
                    recent_limits: self.read_limits(|count| count.recent(self.clock.now())),
                    pins: *self.pins.lock().unwrap_or_else(PoisonError::into_inner),
                    tally: self.tallies.read(),
                    bytes_sent: 0,
                    log_lines_suppressed: self.logs.suppressed(),
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
    /// Records of the largest account that were dropped because the store was full.
    records_evicted,
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
    /// Requests through the gateway that read.
    gateway_reads,
    /// Requests through the gateway that write, each line of a batch among them.
    gateway_writes,
    /// Requests to the gateway without the right token, or from a page of another site.
    gateway_refused,
}

impl Counters {
    pub(crate) fn limit_reached(&self, limit: Limit) {
        self.limits[limit.slot()].add(self.clock.now());
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
                self.tallies.request_ended(*kind, *purpose, *outcome, *took);
            }
            Notice::LookupEnded { purpose, .. } => self.tallies.lookup_ended(*purpose),
            Notice::KeepPublished { outcome } => self.tallies.kept_published(*outcome),
            Notice::LimitReached { limit } => {
                self.core_limits[limit.slot()].add(self.clock.now());
            }
            Notice::StoreRefused { why } => self.tallies.store_refused(*why),
            Notice::AccountLimited { evicted, .. } => {
                self.records_evicted.add_many(*evicted as u64);
            }
            Notice::StoreRejected { why } => self.tallies.store_rejected(*why),
            Notice::Banned { .. } => self.banned.add(),
            Notice::Isolated => self.isolated.add(),
            Notice::Misbehaviour { .. } => self.misbehaved.add(),
            Notice::JoinFailed { .. } => self.joins_failed.add(),
            Notice::Joined { .. }
            | Notice::PeerChanged { .. }
            | Notice::ClockWrong(_)
            | Notice::ClockRight
            | Notice::Reachable
            | Notice::DuplicateIdentity { .. }
            | Notice::KeepEnded { .. }
            | Notice::KeepAdopted { .. }
            | Notice::Unreachable { .. } => {}
        }
    }

    /// A limit that both layers have is one entry.
    fn read_limits(&self, read: impl Fn(&RecentCount) -> u64) -> BTreeMap<&'static str, u64> {
        let mut limits = BTreeMap::new();
        let own = Limit::ALL.into_iter().map(|limit| (limit.name(), &self.limits[limit.slot()]));
        let core = CoreLimit::ALL.into_iter();
        let core = core.map(|limit| (limit.name(), &self.core_limits[limit.slot()]));
        for (name, count) in own.chain(core) {
            *limits.entry(name).or_default() += read(count);
        }
        limits
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
        counters.limit_reached(Limit::RequestsPerPeer);
        counters.notice(&Notice::LimitReached { limit: CoreLimit::RequestsPerPeer });
        let counts = counters.read();
        assert_eq!(counts.connections, 1);
        assert!(counts.limits.keys().copied().eq(limit_names()), "each has an entry");
        assert_eq!(counts.limits.get("requests_per_peer"), Some(&2));
        assert_eq!(counts.recent_limits, counts.limits, "all of it just now");
    }
}
