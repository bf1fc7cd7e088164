//! Metrics as plain data, for the registry of the embedding program and for the text format.

use crate::histogram::{Bounds, Distribution};

/// Names and values of labels. None is empty.
pub type Labels = Vec<(&'static str, String)>;

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Counts from the start of the node, and never goes down.
    Counter,
    /// A number now.
    Gauge,
    /// A distribution since the start of the node.
    Histogram,
}

impl MetricKind {
    /// As Prometheus calls it: `counter`, `gauge` or `histogram`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric with its samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricFamily {
    /// Its name by Prometheus' rules, such as `voiddht_requests_total`: counters end in `_total`, and
    /// other names end in their unit where they have one.
    pub name: &'static str,
    /// What kind of numbers it has.
    pub kind: MetricKind,
    /// What it counts or measures, in one sentence.
    pub help: &'static str,
    /// Its numbers, distinguished by labels; none where nothing is known.
    pub samples: Vec<Sample>,
}

impl MetricFamily {
    pub(crate) const fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, kind, help, samples: Vec::new() }
    }
}

/// One number of a metric, or one distribution.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// Distinguish it from the other samples of its metric.
    pub labels: Labels,
    /// The number or distribution.
    pub value: SampleValue,
}

/// The value of a [`Sample`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SampleValue {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// Upper bounds, ascending, each with how many values are at most as large. The bucket without
        /// a bound is left out: `count` is its number.
        buckets: Vec<(f64, u64)>,
        /// The sum of all values.
        sum: f64,
        /// How many values there are.
        count: u64,
    },
}

/// What a sample may be given as.
pub(super) trait Number {
    fn to_f64(self) -> f64;
}

impl Number for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl Number for u64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

/// Adds samples to a [`MetricFamily`].
#[derive(Debug)]
pub(super) struct Family<'a> {
    found: &'a mut MetricFamily,
    labels: &'static [&'static str],
    /// The name of the node of the samples that follow; empty where there is one alone.
    node: &'a str,
}

impl<'a> Family<'a> {
    /// The samples that follow have these labels.
    pub(super) fn new(found: &'a mut MetricFamily, labels: &'static [&'static str]) -> Self {
        Self { found, labels, node: "" }
    }

    /// Samples of this node follow.
    pub(super) fn of_node(&mut self, label: &'a str) {
        self.node = label;
    }

    /// One number. Labels of which the value is empty are left out.
    pub(super) fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Number) {
        self.push(labels, SampleValue::Number(value.to_f64()));
    }

    /// One histogram.
    pub(super) fn histogram<const BUCKETS: usize>(
        &mut self,
        labels: &[(&'static str, &str)],
        bounds: &Bounds,
        counted: &Distribution<BUCKETS>,
    ) {
        let mut below = 0;
        let buckets = bounds.upper.iter().zip(&counted.buckets);
        let buckets = buckets.map(|(upper, count)| {
            below += count;
            (*upper as f64 / bounds.unit, below)
        });
        let buckets = buckets.collect();
        let (sum, count) = (counted.sum as f64 / bounds.unit, counted.count());
        self.push(labels, SampleValue::Histogram { buckets, sum, count });
    }

    fn push(&mut self, labels: &[(&'static str, &str)], value: SampleValue) {
        // The declared labels, and no others: the documentation names them.
        debug_assert!(
            labels.iter().map(|(name, _)| name).eq(self.labels),
            "{}: {labels:?}",
            self.found.name
        );
        let all = [("node", self.node)].into_iter().chain(labels.iter().copied());
        let labels = all.filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| (name, value.to_owned())).collect();
        self.found.samples.push(Sample { labels, value });
    }
}
