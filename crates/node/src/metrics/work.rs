//! What the node does for programs, for peers and for itself.

use voiddht_core::label::{LookupPurpose, OperationKind, RequestKind, RequestOutcome};

use super::family::MetricKind;
use super::metric::Metric;
use crate::counters::tallies::OperationOutcome;
use crate::histogram::{COPIES_BOUNDS, DURATION_BOUNDS};

pub(super) const METRICS: &[Metric] = &[
    Metric::labelled(
        "voiddht_requests_total",
        MetricKind::Counter,
        &["type", "outcome"],
        "Requests to peers that have ended, by type and outcome.",
        |one, family| {
            for (kind, counts) in RequestKind::ALL.iter().zip(one.counts.tally.requests) {
                for (outcome, count) in RequestOutcome::ALL.iter().zip(counts) {
                    family.sample(&[("type", kind.name()), ("outcome", outcome.name())], count);
                }
            }
        },
    )
    .watch("the network loses packets: `timed_out` and `undelivered` grow"),
    Metric::labelled(
        "voiddht_request_duration_seconds",
        MetricKind::Histogram,
        &["type"],
        "How long answered requests to peers took.",
        |one, family| {
            let durations = &one.counts.tally.request_durations;
            for (kind, durations) in RequestKind::ALL.iter().zip(durations) {
                family.histogram(&[("type", kind.name())], &DURATION_BOUNDS, durations);
            }
        },
    ),
    Metric::gauge(
        "voiddht_requests_in_flight",
        "Requests to peers that await their answer.",
        |one| one.seen(|it| it.operations.requests_in_flight as u64),
    ),
    Metric::labelled(
        "voiddht_served_requests_total",
        MetricKind::Counter,
        &["type"],
        "Requests of peers, by type.",
        |one, family| {
            for (kind, count) in RequestKind::ALL.iter().zip(one.counts.tally.served) {
                family.sample(&[("type", kind.name())], count);
            }
        },
    )
    .watch("who works: this node or the others"),
    Metric::labelled(
        "voiddht_operations_total",
        MetricKind::Counter,
        &["operation", "outcome"],
        "Operations of local programs that have ended, by outcome.",
        |one, family| {
            for (outcome, count) in OperationOutcome::ALL.iter().zip(one.counts.tally.operations) {
                let operation = ("operation", outcome.kind().name());
                family.sample(&[operation, ("outcome", outcome.name())], count);
            }
        },
    )
    .watch("programs complain"),
    Metric::labelled(
        "voiddht_operation_duration_seconds",
        MetricKind::Histogram,
        &["operation"],
        "How long operations of local programs took.",
        |one, family| {
            let durations = &one.counts.tally.operation_durations;
            for (kind, durations) in OperationKind::ALL.iter().zip(durations) {
                family.histogram(&[("operation", kind.name())], &DURATION_BOUNDS, durations);
            }
        },
    ),
    Metric::labelled(
        "voiddht_put_copies",
        MetricKind::Histogram,
        &[],
        "Nodes from which the value of a PUT can be fetched when it ends; 0 is a failed PUT.",
        |one, family| family.histogram(&[], &COPIES_BOUNDS, &one.counts.tally.put_copies),
    )
    .watch("values are lost early: should be 20, or all nodes of a smaller network"),
    Metric::gauge(
        "voiddht_operations_in_flight",
        "Operations in flight, the node's own included.",
        |one| one.seen(|it| it.operations.running_count as u64),
    ),
    Metric::labelled(
        "voiddht_votes_total",
        MetricKind::Counter,
        &["vote"],
        "Votes in GETs, for the returned value and for others.",
        |one, family| {
            for (vote, count) in ["agreeing", "dissenting"].iter().zip(one.counts.tally.votes) {
                family.sample(&[("vote", vote)], count);
            }
        },
    )
    .watch("forgeries are suspected; updates in flight also look like this for a moment"),
    Metric::labelled(
        "voiddht_own_lookups_total",
        MetricKind::Counter,
        &["purpose"],
        "Lookups that the node made for itself, by purpose.",
        |one, family| {
            for (purpose, count) in LookupPurpose::ALL.iter().zip(one.counts.tally.lookups) {
                family.sample(&[("purpose", purpose.name())], count);
            }
        },
    )
    .watch("there is traffic without programs"),
    Metric::labelled(
        "voiddht_upkeep_copies_total",
        MetricKind::Counter,
        &["outcome"],
        "Copies of records that upkeep sent to other nodes, by outcome.",
        |one, family| {
            let counts = one.counts.tally.upkeep_requests;
            for (outcome, count) in RequestOutcome::ALL.iter().zip(counts) {
                family.sample(&[("outcome", outcome.name())], count);
            }
        },
    )
    .watch("the network churns"),
];
