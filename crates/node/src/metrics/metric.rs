//! What a metric is, and what its samples are read from.

use voiddht_identity::Policy;
use voiddht_wire::NodeId;

use super::family::{Family, MetricFamily, MetricKind};
use crate::counters::Counts;
use crate::snapshot::Snapshot;

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    /// The names of its labels. `node` goes without saying.
    pub(super) labels: &'static [&'static str],
    /// What it counts or measures, in one sentence.
    pub(super) help: &'static str,
    /// What it is good for, for the documentation.
    #[cfg_attr(
        not(all(test, feature = "http")),
        expect(dead_code, reason = "read by the test that writes the docs")
    )]
    pub(super) watch: &'static str,
    pub(super) source: Source,
}

/// How the samples of a metric are read.
#[derive(Debug)]
pub(super) enum Source {
    /// One number of each node; `None` leaves it out.
    Number(fn(&Numbers<'_>) -> Option<u64>),
    /// Samples of each node, with labels.
    Samples(fn(&Numbers<'_>, &mut Family<'_>)),
    /// One number of the process.
    #[cfg(feature = "http")]
    Process(fn() -> Option<f64>),
}

impl Metric {
    const fn new(name: &'static str, kind: MetricKind, help: &'static str, source: Source) -> Self {
        Self { name, kind, labels: &[], help, watch: "", source }
    }

    pub(super) const fn counter(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, MetricKind::Counter, help, Source::Number(read))
    }

    pub(super) const fn gauge(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, MetricKind::Gauge, help, Source::Number(read))
    }

    /// Several samples of each node, distinguished by these labels.
    pub(super) const fn labelled(
        name: &'static str,
        kind: MetricKind,
        labels: &'static [&'static str],
        help: &'static str,
        write: fn(&Numbers<'_>, &mut Family<'_>),
    ) -> Self {
        Self { labels, ..Self::new(name, kind, help, Source::Samples(write)) }
    }

    #[cfg(feature = "http")]
    pub(super) const fn process(
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        read: fn() -> Option<f64>,
    ) -> Self {
        Self::new(name, kind, help, Source::Process(read))
    }

    /// When an operator looks at it.
    pub(super) const fn watch(self, watch: &'static str) -> Self {
        Self { watch, ..self }
    }

    pub(super) fn read(&self, all: &[Numbers<'_>]) -> MetricFamily {
        let mut found = MetricFamily::new(self.name, self.kind, self.help);
        let mut family = Family::new(&mut found, self.labels);
        #[cfg(feature = "http")]
        if let Source::Process(read) = self.source {
            if let Some(value) = read() {
                family.sample(&[], value);
            }
            return found;
        }
        for one in all {
            family.of_node(one.label);
            match self.source {
                Source::Number(read) => {
                    if let Some(value) = read(one) {
                        family.sample(&[], value);
                    }
                }
                Source::Samples(write) => write(one, &mut family),
                #[cfg(feature = "http")]
                Source::Process(_) => {}
            }
        }
        found
    }
}

/// One node's numbers, and its name where there are several.
#[derive(Debug)]
pub(crate) struct Numbers<'a> {
    pub(crate) label: &'a str,
    pub(crate) id: NodeId,
    pub(crate) policy: Policy,
    pub(crate) counts: Counts,
    /// `None` if the driver does not answer.
    pub(crate) seen: Option<Snapshot>,
    /// What is free on the disk of the data directory.
    pub(crate) free_bytes: Option<u64>,
}

impl Numbers<'_> {
    /// A number of what the driver shows.
    pub(super) fn seen(&self, read: fn(&Snapshot) -> u64) -> Option<u64> {
        self.seen.as_ref().map(read)
    }
}
