//! Records, and the disk that they are on.

use voiddht_core::kept::KeptState;
use voiddht_core::label::{KeptPublication, RefusalReason, StoreRejection};

use super::family::MetricKind;
use super::metric::Metric;

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("voiddht_records", "Records stored.", |one| {
        one.seen(|it| it.records.count as u64)
    }),
    Metric::gauge("voiddht_records_limit", "Records that may be stored.", |one| {
        one.seen(|it| it.records.max_count as u64)
    }),
    Metric::gauge(
        "voiddht_record_bytes",
        "Memory that the records take, overhead included.",
        |one| one.seen(|it| it.records.bytes as u64),
    )
    .watch("the node fills up"),
    Metric::gauge("voiddht_record_limit_bytes", "Memory that the records may take.", |one| {
        one.seen(|it| it.records.max_bytes as u64)
    }),
    Metric::labelled(
        "voiddht_stores_refused_total",
        MetricKind::Counter,
        &["reason"],
        "STOREs of peers that were refused, by reason.",
        |one, family| {
            for (why, count) in RefusalReason::ALL.iter().zip(one.counts.tally.stores_refused) {
                family.sample(&[("reason", why.name())], count);
            }
        },
    )
    .watch(
        "PUTs of others fail here: `full`; a clock is wrong: `future_version`; signed values are forged: \
         `bad_signature`, `bad_delegation`, `weak_key`",
    ),
    Metric::labelled(
        "voiddht_stores_rejected_total",
        MetricKind::Counter,
        &["reason"],
        "STOREs of this node that peers refused, by reason.",
        |one, family| {
            for (why, count) in StoreRejection::ALL.iter().zip(one.counts.tally.stores_rejected) {
                family.sample(&[("reason", why.name())], count);
            }
        },
    )
    .watch("PUTs reach few nodes; this machine's clock is ahead: `future_version`"),
    Metric::labelled(
        "voiddht_kept_values",
        MetricKind::Gauge,
        &["state"],
        "Values that this node republishes, `kept`, and those that it no longer does.",
        |one, family| {
            if let Some(kept) = one.seen.as_ref().map(|seen| seen.kept) {
                family.sample(&[("state", KeptState::Kept.name())], kept.values);
                family.sample(&[("state", KeptState::Superseded.name())], kept.superseded);
                family.sample(&[("state", KeptState::Ended.name())], kept.ended);
            }
        },
    )
    .watch("`superseded`: another publisher's value has won a key, see `dht kept`"),
    Metric::gauge("voiddht_kept_bytes", "Bytes of the values that this node republishes.", |one| {
        one.seen(|it| it.kept.bytes as u64)
    }),
    Metric::gauge(
        "voiddht_kept_failing",
        "Values that this node republishes and whose last publication failed.",
        |one| one.seen(|it| it.kept.failing as u64),
    )
    .watch("not 0 for long: they end with their TTL, `dht kept` says why"),
    Metric::labelled(
        "voiddht_kept_publications_total",
        MetricKind::Counter,
        &["outcome"],
        "Publications of kept values that have ended, by outcome.",
        |one, family| {
            let counts = one.counts.tally.kept_publications;
            for (outcome, count) in KeptPublication::ALL.iter().zip(counts) {
                family.sample(&[("outcome", outcome.name())], count);
            }
        },
    )
    .watch("values are kept and nothing is `stored` for a third of their TTL"),
    Metric::labelled(
        "voiddht_clock_offset_seconds",
        MetricKind::Gauge,
        &[],
        "How far this machine's clock is ahead of its contacts', negative if behind; missing while \
         fewer than three are known.",
        |one, family| {
            if let Some(clock) = one.seen.as_ref().and_then(|seen| seen.clock.as_ref()) {
                family.sample(&[], clock.ahead_seconds);
            }
        },
    )
    .watch("beyond a minute the clock is wrong, and values are refused"),
    Metric::gauge("voiddht_storage_failing", "Whether the disk refused the last write.", |one| {
        one.seen(|it| it.storage.failing.into())
    }),
    Metric::gauge(
        "voiddht_disk_free_bytes",
        "Free bytes on the disk of the data directory; missing without one, or if the disk hangs.",
        |one| one.free_bytes,
    )
    .watch("planning; below 1 GiB the doctor warns"),
];
