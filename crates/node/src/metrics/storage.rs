//! Records, and the disk that they are on.

use voiddht_core::label::{RefusalReason, StoreRejection};

use super::{Metric, MetricKind};

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
    .watch("PUTs of others fail here: `full`; a clock is wrong: `future_version`"),
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
