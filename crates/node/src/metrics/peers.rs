//! Connections, pins, and limits.

use super::family::{Family, MetricKind};
use super::metric::{Metric, Numbers};
use crate::snapshot::LimitView;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("voiddht_connections", "Open connections with peers.", |one| {
        Some(one.counts.connections)
    }),
    Metric::labelled(
        "voiddht_connections_by_group",
        MetricKind::Gauge,
        &["group"],
        "Open connections with peers, by the group of their key exchange.",
        |one, family| {
            for view in one.seen.iter().flat_map(|seen| &seen.connections.groups) {
                family.sample(&[("group", view.group)], view.connections as u64);
            }
        },
    )
    .watch(
        "a private network without `x25519mlkem768`: a node has an older build, or --key-exchange",
    ),
    Metric::labelled(
        "voiddht_network_connections",
        MetricKind::Gauge,
        &["secret", "first"],
        "Open connections of a private network, by the fingerprint of the secret by which the peer \
         proved its membership, and whether that is this node's first.",
        |one, family| {
            let secrets = one.seen.iter().filter_map(|seen| seen.network.as_ref());
            for (index, secret) in secrets.flat_map(|it| &it.secrets).enumerate() {
                let first = if index == 0 { "yes" } else { "no" };
                let labels = [("secret", secret.fingerprint.as_str()), ("first", first)];
                family.sample(&labels, secret.connections as u64);
            }
        },
    )
    .watch("rotating: the old secret can go when no node has a connection by it"),
    Metric::labelled(
        "voiddht_network_refused_total",
        MetricKind::Counter,
        &["reason"],
        "Handshakes of a private network that ended without a proof of membership.",
        |one, family| {
            let networks = one.seen.iter().filter_map(|seen| seen.network.as_ref());
            for refused in networks.flat_map(|it| &it.refused) {
                family.sample(&[("reason", refused.reason)], refused.count);
            }
        },
    )
    .watch("outsiders try, or a node missed a step of a rotation: `dht doctor`"),
    Metric::labelled(
        "voiddht_handshakes_total",
        MetricKind::Counter,
        &["side", "outcome"],
        "Handshakes with peers, by who dialled and how they ended. A probe, which reads the \
         certificate alone, is an accepted one that failed.",
        |one, family| {
            let counts = &one.counts;
            for (side, outcome, count) in [
                ("dialed", "succeeded", counts.dialed),
                ("dialed", "failed", counts.dials_failed),
                ("accepted", "succeeded", counts.accepted),
                ("accepted", "failed", counts.handshakes_failed),
            ] {
                family.sample(&[("side", side), ("outcome", outcome)], count);
            }
        },
    )
    .watch("processor time: a handshake costs as much as a hundred requests"),
    Metric::gauge(
        "voiddht_last_caller_timestamp_seconds",
        "When a peer last dialled this node, in seconds since 1970; missing if none ever has.",
        |one| Some(one.seen.as_ref()?.connections.last_caller_ms? / 1000),
    )
    .watch("the node may be behind a firewall; in a quiet network it may be long ago"),
    Metric::labelled(
        "voiddht_messages_total",
        MetricKind::Counter,
        &["direction"],
        "Messages exchanged with peers.",
        |one, family| {
            let counts = &one.counts;
            both_ways(family, counts.messages_received, counts.messages_sent);
        },
    ),
    Metric::labelled(
        "voiddht_message_bytes_total",
        MetricKind::Counter,
        &["direction"],
        "Bytes of messages exchanged with peers, without the overhead of TLS.",
        |one, family| both_ways(family, one.counts.bytes_received, one.counts.bytes_sent),
    ),
    Metric::gauge("voiddht_api_connections", "Open connections of local programs.", |one| {
        Some(one.counts.api_connections)
    }),
    Metric::labelled(
        "voiddht_api_requests_total",
        MetricKind::Counter,
        &["type"],
        "Requests of local programs, by type.",
        |one, family| {
            family.sample(&[("type", "get")], one.counts.api_gets);
            family.sample(&[("type", "put")], one.counts.api_puts);
        },
    ),
    Metric::counter(
        "voiddht_api_violations_total",
        "Connections of local programs that were closed because of a broken rule.",
        |one| Some(one.counts.api_broken),
    )
    .watch("a program is cut off: the log says which rule"),
    Metric::labelled(
        "voiddht_gateway_requests_total",
        MetricKind::Counter,
        &["type"],
        "Requests to the HTTP gateway: reads, writes (each line of a batch counts), refused ones.",
        |one, family| {
            family.sample(&[("type", "read")], one.counts.gateway_reads);
            family.sample(&[("type", "write")], one.counts.gateway_writes);
            family.sample(&[("type", "refused")], one.counts.gateway_refused);
        },
    )
    .watch("refused ones grow: a token is wrong, or pages of other sites try"),
    Metric::counter("voiddht_peer_violations_total", "Rules that peers broke.", |one| {
        Some(one.counts.misbehaved)
    })
    .watch("an attack, or another implementation with a fault"),
    Metric::counter(
        "voiddht_records_evicted_total",
        "Records of the largest account that were dropped because the store was full.",
        |one| Some(one.counts.records_evicted),
    )
    .watch("a peer floods the store (the log names it), or the network needs more nodes"),
    Metric::counter("voiddht_bans_total", "Bans that began.", |one| Some(one.counts.banned)),
    Metric::gauge("voiddht_banned_peers", "Peers that are banned.", |one| {
        one.seen(|it| it.trust.bans.len() as u64)
    }),
    Metric::gauge("voiddht_pins", "Pinned certificates.", |one| {
        one.seen(|it| it.trust.pins as u64)
    }),
    Metric::labelled(
        "voiddht_pin_changes_total",
        MetricKind::Counter,
        &["change"],
        "Pins that were made, renewed under their key, replaced by another key, or evicted.",
        |one, family| {
            let pins = &one.counts.pins;
            for (change, count) in [
                ("pinned", pins.pinned),
                ("renewed", pins.renewed),
                ("replaced", pins.replaced),
                ("evicted", pins.evicted),
            ] {
                family.sample(&[("change", change)], count);
            }
        },
    )
    .watch("`replaced`: an ID is reassigned to another key, see [trust.md](trust.md)"),
    Metric::counter(
        "voiddht_pin_conflicts_total",
        "Connections authenticated with a pinned ID under another key.",
        |one| Some(one.counts.pins.conflicts),
    )
    .watch("takeover attempts; or nodes lost their keys and kept their IDs"),
    Metric::labelled(
        "voiddht_takeover_checks_total",
        MetricKind::Counter,
        &["outcome"],
        "Ended conflicts over an ID, by what the pinned owner did.",
        |one, family| {
            let pins = &one.counts.pins;
            for (outcome, count) in [
                ("owner_answered", pins.owner_answered),
                ("owner_silent", pins.owner_silent),
                ("undecided", pins.undecided),
            ] {
                family.sample(&[("outcome", outcome)], count);
            }
        },
    ),
    Metric::counter(
        "voiddht_takeover_pings_total",
        "PINGs sent to pinned owners because of a conflict.",
        |one| Some(one.counts.pins.pings),
    ),
    Metric::labelled(
        "voiddht_limit_reached_total",
        MetricKind::Counter,
        &["limit"],
        "Times that a limit was reached, by its name.",
        |one, family| {
            for (name, count) in &one.counts.limits {
                family.sample(&[("limit", name)], *count);
            }
        },
    )
    .watch("see [Limits](#limits)"),
    Metric::labelled(
        "voiddht_limit",
        MetricKind::Gauge,
        &["limit"],
        "How much a limit allows, where that is one number.",
        |one, family| each_limit(one, family, |limit| limit.limit),
    ),
    Metric::labelled(
        "voiddht_limit_in_use",
        MetricKind::Gauge,
        &["limit"],
        "How much of a limit is in use.",
        |one, family| each_limit(one, family, |limit| limit.in_use),
    ),
    Metric::counter(
        "voiddht_log_lines_suppressed_total",
        "Log lines dropped because too many of their kind were written.",
        |one| Some(one.counts.log_lines_suppressed),
    )
    .watch("the log seems incomplete: see [Limits](#limits)"),
];

fn both_ways(family: &mut Family<'_>, received: u64, sent: u64) {
    family.sample(&[("direction", "received")], received);
    family.sample(&[("direction", "sent")], sent);
}

fn each_limit(one: &Numbers<'_>, family: &mut Family<'_>, read: fn(&LimitView) -> Option<u64>) {
    for limit in one.seen.iter().flat_map(|seen| &seen.limits) {
        if let Some(value) = read(limit) {
            family.sample(&[("limit", limit.name)], value);
        }
    }
}
