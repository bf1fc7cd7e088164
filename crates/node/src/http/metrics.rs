//! What `/metrics` tells Prometheus; `docs/operating.md` says what to make of it.
//!
//! Counters and histograms are read from atomics. Gauges come from one look at the driver; when
//! that does not answer they are left out, and `voiddht_driver_responding` says so.

use voiddht_core::label::{
    LookupPurpose, OperationKind, RefusalReason, RequestKind, RequestOutcome,
};

use super::exposition::{Exposition, Family, Kind};
use super::{DRIVER_DEADLINE, Watched, process};
use crate::counters::Counts;
use crate::counters::tallies::OperationOutcome;
use crate::snapshot::{Snapshot, SnapshotRequest, State};

/// One node's numbers, and its name where there are several.
struct Numbers<'a> {
    label: &'a str,
    counts: Counts,
    /// `None` if the driver does not answer.
    seen: Option<Snapshot>,
}

/// The whole answer.
pub(super) async fn expose(watched: &[Watched]) -> String {
    let mut all = Vec::with_capacity(watched.len());
    for one in watched {
        let looking = one.handle.snapshot(SnapshotRequest::default());
        let seen = tokio::time::timeout(DRIVER_DEADLINE, looking).await;
        let label = one.label.as_deref().unwrap_or_default();
        let seen = seen.ok().and_then(Result::ok);
        all.push(Numbers { label, counts: one.handle.counts(), seen });
    }
    let mut page = Page { exposition: Exposition::default(), all: &all };
    page.node();
    page.table();
    page.records();
    page.requests();
    page.operations();
    page.connections();
    page.trust();
    page.limits();
    process::expose(&mut page.exposition);
    page.exposition.finish()
}

struct Page<'a> {
    exposition: Exposition,
    all: &'a [Numbers<'a>],
}

impl Page<'_> {
    fn node(&mut self) {
        let version = env!("CARGO_PKG_VERSION");
        let mut info = self.exposition.family("voiddht_build_info", Kind::Gauge, "Always 1.");
        info.sample(&[("version", version)], 1);
        self.each("voiddht_driver_responding", Kind::Gauge, HELP_RESPONDING, |one| {
            Some(u64::from(one.seen.is_some()))
        });
        let seen =
            |read: fn(&Snapshot) -> u64| move |one: &Numbers<'_>| one.seen.as_ref().map(read);
        let help = "When the node started, in seconds since 1970.";
        self.each("voiddht_start_time_seconds", Kind::Gauge, help, seen(start_seconds));
        let help = "Whether the node is part of its network and takes requests.";
        self.each("voiddht_ready", Kind::Gauge, help, seen(|it| it.health.ready.into()));
        let help = "Whether the node has lost every contact and looks for its network.";
        self.each(
            "voiddht_isolated",
            Kind::Gauge,
            help,
            seen(|it| u64::from(it.health.state == State::Isolated)),
        );
        let help = "Times that the node found itself without any contact.";
        self.each("voiddht_isolations_total", Kind::Counter, help, counted(|it| it.isolated));
        let help = "Times that none of the known peers answered.";
        self.each(
            "voiddht_join_failures_total",
            Kind::Counter,
            help,
            counted(|it| it.joins_failed),
        );
    }

    fn table(&mut self) {
        let help = "Contacts of the routing table, by whether they answered the last time.";
        self.family("voiddht_contacts", Kind::Gauge, help, |one, family| {
            let Some(seen) = &one.seen else { return };
            let table = &seen.table;
            let responsive = table.contacts - table.suspects;
            family.sample(&[("node", one.label), ("state", "responsive")], responsive);
            family.sample(&[("node", one.label), ("state", "suspect")], table.suspects);
        });
        let help = "Buckets of the routing table, by how many bits their contacts share.";
        self.family("voiddht_buckets", Kind::Gauge, help, |one, family| {
            each_depth(one, family, |_| 1);
        });
        let help = "Contacts of the routing table, by the depth of their bucket.";
        self.family("voiddht_bucket_contacts", Kind::Gauge, help, |one, family| {
            each_depth(one, family, |bucket| bucket.size);
        });
        let help = "Nodes of the whole network, as this one estimates.";
        self.each("voiddht_network_size_estimate", Kind::Gauge, help, |one| {
            one.seen.as_ref()?.table.network_size
        });
        let help = "Nodes that wait for a place in a bucket.";
        self.each("voiddht_replacement_candidates", Kind::Gauge, help, |one| {
            let buckets = &one.seen.as_ref()?.table.buckets;
            Some(buckets.iter().map(|bucket| bucket.candidates as u64).sum())
        });
    }

    fn records(&mut self) {
        let seen =
            |read: fn(&Snapshot) -> u64| move |one: &Numbers<'_>| one.seen.as_ref().map(read);
        let gauge = Kind::Gauge;
        let help = "Records held.";
        self.each("voiddht_records", gauge, help, seen(|it| it.records.count as u64));
        let help = "Memory that the records take, overhead included.";
        self.each("voiddht_record_bytes", gauge, help, seen(|it| it.records.bytes as u64));
        let help = "Records that may be held.";
        self.each("voiddht_records_limit", gauge, help, seen(|it| it.records.max_count as u64));
        let help = "Memory that the records may take.";
        self.each(
            "voiddht_record_limit_bytes",
            gauge,
            help,
            seen(|it| it.records.max_bytes as u64),
        );
        let help = "Whether the disk refused the last write.";
        self.each("voiddht_storage_failing", gauge, help, seen(|it| it.storage.failing.into()));
    }

    fn requests(&mut self) {
        let help = "Requests to peers that have ended, by type and outcome.";
        self.family("voiddht_requests_total", Kind::Counter, help, |one, family| {
            for (kind, counts) in RequestKind::ALL.iter().zip(one.counts.tally.requests) {
                for (outcome, count) in RequestOutcome::ALL.iter().zip(counts) {
                    let labels =
                        [("node", one.label), ("type", kind.name()), ("outcome", outcome.name())];
                    family.sample(&labels, count);
                }
            }
        });
        let help = "How long requests to peers took that were answered.";
        self.family("voiddht_request_duration_seconds", Kind::Histogram, help, |one, family| {
            let durations = &one.counts.tally.request_durations;
            for (kind, durations) in RequestKind::ALL.iter().zip(durations) {
                family.histogram(&[("node", one.label), ("type", kind.name())], durations);
            }
        });
        let help = "Requests to peers that await their answer.";
        self.each("voiddht_requests_in_flight", Kind::Gauge, help, |one| {
            Some(one.seen.as_ref()?.operations.requests_in_flight as u64)
        });
        let help = "Requests of peers, by type.";
        self.family("voiddht_served_requests_total", Kind::Counter, help, |one, family| {
            for (kind, count) in RequestKind::ALL.iter().zip(one.counts.tally.served) {
                family.sample(&[("node", one.label), ("type", kind.name())], count);
            }
        });
        let help = "STOREs of peers that were not taken, by why.";
        self.family("voiddht_stores_refused_total", Kind::Counter, help, |one, family| {
            for (why, count) in RefusalReason::ALL.iter().zip(one.counts.tally.stores_refused) {
                family.sample(&[("node", one.label), ("reason", why.name())], count);
            }
        });
        let help = "Copies of records that upkeep sent to other nodes, by outcome.";
        self.family("voiddht_upkeep_copies_total", Kind::Counter, help, |one, family| {
            for (outcome, count) in RequestOutcome::ALL.iter().zip(one.counts.tally.upkeep_requests)
            {
                family.sample(&[("node", one.label), ("outcome", outcome.name())], count);
            }
        });
    }

    fn operations(&mut self) {
        let help = "Operations of users that have ended, by what came of them.";
        self.family("voiddht_operations_total", Kind::Counter, help, |one, family| {
            for (outcome, count) in OperationOutcome::ALL.iter().zip(one.counts.tally.operations) {
                let operation = ("operation", outcome.kind().name());
                let labels = [("node", one.label), operation, ("outcome", outcome.name())];
                family.sample(&labels, count);
            }
        });
        let help = "How long operations of users took.";
        self.family("voiddht_operation_duration_seconds", Kind::Histogram, help, |one, family| {
            let durations = &one.counts.tally.operation_durations;
            for (kind, durations) in OperationKind::ALL.iter().zip(durations) {
                family.histogram(&[("node", one.label), ("operation", kind.name())], durations);
            }
        });
        let help = "Operations under way, those of the node's own among them.";
        self.each("voiddht_operations_in_flight", Kind::Gauge, help, |one| {
            Some(one.seen.as_ref()?.operations.running_count as u64)
        });
        let help = "Votes in GETs: for the value that was returned, and for others.";
        self.family("voiddht_votes_total", Kind::Counter, help, |one, family| {
            for (vote, count) in ["agreeing", "dissenting"].iter().zip(one.counts.tally.votes) {
                family.sample(&[("node", one.label), ("vote", vote)], count);
            }
        });
        let help = "Lookups that the node made for itself, by what for.";
        self.family("voiddht_own_lookups_total", Kind::Counter, help, |one, family| {
            for (purpose, count) in LookupPurpose::ALL.iter().zip(one.counts.tally.lookups) {
                family.sample(&[("node", one.label), ("purpose", purpose.name())], count);
            }
        });
    }

    fn connections(&mut self) {
        let help = "Connections with peers that are open.";
        self.each("voiddht_connections", Kind::Gauge, help, counted(|it| it.connections));
        let help = "Handshakes with peers, by who dialled and how they ended. Probes, which look \
            at the certificate alone, are among the accepted ones that failed.";
        self.family("voiddht_handshakes_total", Kind::Counter, help, |one, family| {
            let counts = &one.counts;
            for (side, outcome, count) in [
                ("dialed", "succeeded", counts.dialed),
                ("dialed", "failed", counts.dials_failed),
                ("accepted", "succeeded", counts.accepted),
                ("accepted", "failed", counts.handshakes_failed),
            ] {
                family.sample(&[("node", one.label), ("side", side), ("outcome", outcome)], count);
            }
        });
        let help = "When somebody last came to the port for peers, in seconds since 1970.";
        self.each("voiddht_last_caller_timestamp_seconds", Kind::Gauge, help, |one| {
            Some(one.seen.as_ref()?.connections.last_caller_ms? / 1000)
        });
        let help = "Messages exchanged with peers.";
        self.family("voiddht_messages_total", Kind::Counter, help, |one, family| {
            both_ways(one, family, one.counts.messages_received, one.counts.messages_sent);
        });
        let help = "Bytes of messages exchanged with peers, without what TLS adds.";
        self.family("voiddht_message_bytes_total", Kind::Counter, help, |one, family| {
            both_ways(one, family, one.counts.bytes_received, one.counts.bytes_sent);
        });
        let help = "Connections of local programs that are open.";
        self.each("voiddht_api_connections", Kind::Gauge, help, counted(|it| it.api_connections));
        let help = "Requests of local programs, by type.";
        self.family("voiddht_api_requests_total", Kind::Counter, help, |one, family| {
            family.sample(&[("node", one.label), ("type", "get")], one.counts.api_gets);
            family.sample(&[("node", one.label), ("type", "put")], one.counts.api_puts);
        });
        let help = "Connections of local programs that were closed for a broken rule.";
        self.each("voiddht_api_violations_total", Kind::Counter, help, counted(|it| it.api_broken));
    }

    fn trust(&mut self) {
        let help = "Rules that peers broke.";
        self.each(
            "voiddht_peer_violations_total",
            Kind::Counter,
            help,
            counted(|it| it.misbehaved),
        );
        let help = "Bans that began.";
        self.each("voiddht_bans_total", Kind::Counter, help, counted(|it| it.banned));
        let help = "Peers that are banned.";
        self.each("voiddht_banned_peers", Kind::Gauge, help, |one| {
            Some(one.seen.as_ref()?.trust.bans.len() as u64)
        });
        let help = "Certificates that are pinned.";
        self.each("voiddht_pins", Kind::Gauge, help, |one| {
            Some(one.seen.as_ref()?.trust.pins as u64)
        });
        let help = "Pins that were made, renewed under their key, given to another, or dropped.";
        self.family("voiddht_pin_changes_total", Kind::Counter, help, |one, family| {
            let pins = &one.counts.pins;
            for (change, count) in [
                ("pinned", pins.pinned),
                ("renewed", pins.renewed),
                ("replaced", pins.replaced),
                ("evicted", pins.evicted),
            ] {
                family.sample(&[("node", one.label), ("change", change)], count);
            }
        });
        let help = "Connections that proved a pinned ID under another key.";
        self.each(
            "voiddht_pin_conflicts_total",
            Kind::Counter,
            help,
            counted(|it| it.pins.conflicts),
        );
        let help = "Ends of conflicts over an ID, by what the pinned owner did.";
        self.family("voiddht_takeover_checks_total", Kind::Counter, help, |one, family| {
            let pins = &one.counts.pins;
            for (outcome, count) in [
                ("owner_answered", pins.owner_answered),
                ("owner_silent", pins.owner_silent),
                ("undecided", pins.undecided),
            ] {
                family.sample(&[("node", one.label), ("outcome", outcome)], count);
            }
        });
        let help = "PINGs sent to pinned owners because of a conflict.";
        self.each("voiddht_takeover_pings_total", Kind::Counter, help, counted(|it| it.pins.pings));
    }

    fn limits(&mut self) {
        let help = "Times that a limit was reached, by its name.";
        self.family("voiddht_limit_reached_total", Kind::Counter, help, |one, family| {
            for (name, count) in one.counts.limits.iter().map(|(name, count)| (*name, *count)) {
                family.sample(&[("node", one.label), ("limit", name)], count);
            }
        });
        let help = "How much a limit allows, where that is one number.";
        self.family("voiddht_limit", Kind::Gauge, help, |one, family| {
            each_limit(one, family, |limit| limit.limit);
        });
        let help = "How much of a limit is in use.";
        self.family("voiddht_limit_in_use", Kind::Gauge, help, |one, family| {
            each_limit(one, family, |limit| limit.in_use);
        });
    }

    /// A family of one number for each node.
    fn each(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        read: impl Fn(&Numbers<'_>) -> Option<u64>,
    ) {
        self.family(name, kind, help, |one, family| {
            if let Some(value) = read(one) {
                family.sample(&[("node", one.label)], value);
            }
        });
    }

    fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        write: impl Fn(&Numbers<'_>, &mut Family<'_>),
    ) {
        let mut family = self.exposition.family(name, kind, help);
        for one in self.all {
            write(one, &mut family);
        }
    }
}

const HELP_RESPONDING: &str = "Whether the node answered within two seconds.";

fn counted(read: fn(&Counts) -> u64) -> impl Fn(&Numbers<'_>) -> Option<u64> {
    move |one| Some(read(&one.counts))
}

fn start_seconds(seen: &Snapshot) -> u64 {
    (seen.taken_at_ms / 1000).saturating_sub(seen.node.uptime_seconds)
}

fn both_ways(one: &Numbers<'_>, family: &mut Family<'_>, received: u64, sent: u64) {
    family.sample(&[("node", one.label), ("direction", "received")], received);
    family.sample(&[("node", one.label), ("direction", "sent")], sent);
}

fn each_limit(
    one: &Numbers<'_>,
    family: &mut Family<'_>,
    read: impl Fn(&crate::snapshot::LimitView) -> Option<u64>,
) {
    for limit in one.seen.iter().flat_map(|seen| &seen.limits) {
        if let Some(value) = read(limit) {
            family.sample(&[("node", one.label), ("limit", limit.name)], value);
        }
    }
}

/// Sums over the buckets of each depth.
fn each_depth(
    one: &Numbers<'_>,
    family: &mut Family<'_>,
    read: impl Fn(&crate::snapshot::BucketView) -> usize,
) {
    let mut by_depth = std::collections::BTreeMap::new();
    for bucket in one.seen.iter().flat_map(|seen| &seen.table.buckets) {
        *by_depth.entry(bucket.depth).or_insert(0) += read(bucket);
    }
    for (depth, value) in by_depth {
        family.sample(&[("node", one.label), ("depth", &depth.to_string())], value);
    }
}
