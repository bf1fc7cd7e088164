//! The node itself, and its contacts.

use std::collections::BTreeMap;

use super::family::{Family, MetricKind};
use super::metric::{Metric, Numbers};
use crate::snapshot::{BucketView, State};

/// Of which commit the program was built; `unknown` where neither the builder nor git says it.
const COMMIT: &str = match option_env!("VOIDDHT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(super) const METRICS: &[Metric] = &[
    Metric::labelled(
        "voiddht_build_info",
        MetricKind::Gauge,
        &["version", "commit", "policy", "node_id"],
        "Always 1; which program runs, and which node it is.",
        |one, family| {
            let id = one.id.to_string();
            let labels = [
                ("version", env!("CARGO_PKG_VERSION")),
                ("commit", COMMIT),
                ("policy", one.policy.name()),
                ("node_id", &id),
            ];
            family.sample(&labels, 1_u64);
        },
    )
    .watch("nodes refuse each other: one network has one policy"),
    Metric::gauge(
        "voiddht_driver_responding",
        "Whether the node's one task answered within two seconds; gauges are missing otherwise.",
        |one| Some(one.seen.is_some().into()),
    )
    .watch("everything is slow"),
    Metric::gauge(
        "voiddht_start_time_seconds",
        "When the node started, in seconds since 1970.",
        |one| one.seen(|it| (it.taken_at_ms / 1000).saturating_sub(it.node.uptime_seconds)),
    ),
    Metric::gauge(
        "voiddht_ready",
        "Whether the node is part of its network and takes requests.",
        |one| one.seen(|it| it.health.ready.into()),
    )
    .watch("programs find nothing"),
    Metric::gauge(
        "voiddht_isolated",
        "Whether the node has lost every contact and looks for its network.",
        |one| one.seen(|it| (it.health.state == State::Isolated).into()),
    ),
    Metric::gauge(
        "voiddht_reachable",
        "Whether peers can dial the node: 0 for a client, absent while too few were asked.",
        |one| match one.seen.as_ref()?.node.reach {
            "reachable" => Some(1),
            "unreachable" | "client" => Some(0),
            _ => None,
        },
    )
    .watch("the node holds nothing: `dht doctor` says what to do"),
    Metric::counter(
        "voiddht_isolations_total",
        "Times that the node found itself without any contact.",
        |one| Some(one.counts.isolated),
    )
    .watch("the network comes and goes"),
    Metric::counter(
        "voiddht_join_failures_total",
        "Times that none of the known peers answered.",
        |one| Some(one.counts.joins_failed),
    ),
    Metric::labelled(
        "voiddht_contacts",
        MetricKind::Gauge,
        &["state"],
        "Contacts of the routing table: `responsive`, or `suspect` if the last request failed.",
        |one, family| {
            let Some(seen) = &one.seen else { return };
            let table = &seen.table;
            family.sample(&[("state", "responsive")], table.contacts - table.suspects);
            family.sample(&[("state", "suspect")], table.suspects);
        },
    )
    .watch("lookups are slow"),
    Metric::labelled(
        "voiddht_buckets",
        MetricKind::Gauge,
        &["depth"],
        "Buckets of the routing table, by how many leading bits their contacts share.",
        |one, family| each_depth(one, family, |_| 1),
    ),
    Metric::labelled(
        "voiddht_bucket_contacts",
        MetricKind::Gauge,
        &["depth"],
        "Contacts of the routing table, by the depth of their bucket.",
        |one, family| each_depth(one, family, |bucket| bucket.size),
    )
    .watch("the table's shape is in question: some 20 in each bucket but the deepest"),
    Metric::gauge(
        "voiddht_network_size_estimate",
        "Estimated nodes of the whole network, from the density of IDs; right to about a fifth.",
        |one| one.seen.as_ref()?.table.network_size,
    )
    .watch("planning"),
    Metric::gauge(
        "voiddht_replacement_candidates",
        "Nodes that wait for a slot in a full bucket.",
        |one| one.seen(|it| it.table.buckets.iter().map(|bucket| bucket.candidates as u64).sum()),
    ),
];

/// Sums over the buckets of each depth.
fn each_depth(one: &Numbers<'_>, family: &mut Family<'_>, read: fn(&BucketView) -> usize) {
    let mut by_depth = BTreeMap::new();
    for bucket in one.seen.iter().flat_map(|seen| &seen.table.buckets) {
        *by_depth.entry(bucket.depth).or_insert(0) += read(bucket);
    }
    for (depth, value) in by_depth {
        family.sample(&[("depth", &depth.to_string())], value);
    }
}
