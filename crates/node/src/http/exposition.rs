//! Prometheus' text format, version 0.0.4: a few lines of it, written by hand.
//!
//! `prometheus-client` writes OpenMetrics only, in which the TYPE line of a counter has another
//! name than its samples; `promtool check metrics` reads the older format and refuses that. Our
//! numbers are atomics already, so there is nothing else that a library would do here.

use std::fmt::{Display, Write};

use crate::histogram::{Bounds, Distribution};

/// The content type to serve it as.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// Names and values; the names are ours, the values may be anything.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Kind {
    /// As the format calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Exposition {
    /// Begins a family of which the samples, which follow, have these labels.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        labels: &'static [&'static str],
    ) -> Family<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
        Family { exposition: self, name, labels, node: "" }
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = writeln!(self.text, "{line}");
    }
}

/// One family of an [`Exposition`].
#[derive(Debug)]
pub(super) struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'static str,
    labels: &'static [&'static str],
    /// The name of the node of the samples that follow; empty where there is one alone.
    node: &'a str,
}

impl<'a> Family<'a> {
    /// Samples of this node follow.
    pub(super) fn of_node(&mut self, label: &'a str) {
        self.node = label;
    }

    /// One number. Labels of which the value is empty are left out.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.check(labels);
        self.write("", labels, &value);
    }

    /// One histogram.
    pub(super) fn histogram<const BUCKETS: usize>(
        &mut self,
        labels: Labels<'_>,
        bounds: &Bounds,
        counted: &Distribution<BUCKETS>,
    ) {
        self.check(labels);
        let mut below = 0;
        for (index, count) in counted.buckets.iter().enumerate() {
            below += count;
            let bound = match bounds.upper.get(index) {
                Some(upper) => (*upper as f64 / bounds.unit).to_string(),
                None => "+Inf".into(),
            };
            let labels = [labels, &[("le", &bound)]].concat();
            self.write("_bucket", &labels, &below);
        }
        self.write("_sum", labels, &(counted.sum as f64 / bounds.unit));
        self.write("_count", labels, &below);
    }

    /// The declared labels, and no others: the documentation names them.
    fn check(&self, labels: Labels<'_>) {
        let names = labels.iter().map(|(name, _)| name);
        debug_assert!(names.eq(self.labels), "{}: {labels:?}", self.name);
    }

    fn write(&mut self, suffix: &str, labels: Labels<'_>, value: &dyn Display) {
        let text = &mut self.exposition.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let mut before = '{';
        let node = [("node", self.node)];
        let labels = node.iter().chain(labels);
        for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
            text.push(before);
            before = ',';
            text.push_str(name);
            text.push_str("=\"");
            escape(value, text);
            text.push('"');
        }
        if before == ',' {
            text.push('}');
        }
        // A String takes everything.
        let _ = writeln!(text, " {value}");
    }
}

/// A label's value, as the format wants it.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::histogram::{DURATION_BOUNDS, DurationHistogram};

    #[test]
    fn samples_follow_their_help_and_labels_are_escaped() {
        let mut exposition = Exposition::default();
        let mut family =
            exposition.family("voiddht_x_total", Kind::Counter, "Things.", &["a", "empty", "c"]);
        family.sample(&[("a", ""), ("empty", ""), ("c", "")], 1);
        family.sample(&[("a", "b\\\"\n"), ("empty", ""), ("c", "d")], 2.5);
        assert_eq!(
            exposition.finish(),
            "# HELP voiddht_x_total Things.\n# TYPE voiddht_x_total counter\n\
             voiddht_x_total 1\nvoiddht_x_total{a=\"b\\\\\\\"\\n\",c=\"d\"} 2.5\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_in_seconds() {
        let histogram = DurationHistogram::default();
        histogram.observe(Duration::from_micros(200));
        histogram.observe(Duration::from_secs(60));
        let mut exposition = Exposition::default();
        let mut family =
            exposition.family("voiddht_x_seconds", Kind::Histogram, "Time.", &["type"]);
        family.of_node("node 1");
        family.histogram(&[("type", "ping")], &DURATION_BOUNDS, &histogram.read());
        let text = exposition.finish();
        for line in [
            "voiddht_x_seconds_bucket{node=\"node 1\",type=\"ping\",le=\"0.0001\"} 0",
            "voiddht_x_seconds_bucket{node=\"node 1\",type=\"ping\",le=\"0.00025\"} 1",
            "voiddht_x_seconds_bucket{node=\"node 1\",type=\"ping\",le=\"10\"} 1",
            "voiddht_x_seconds_bucket{node=\"node 1\",type=\"ping\",le=\"+Inf\"} 2",
            "voiddht_x_seconds_sum{node=\"node 1\",type=\"ping\"} 60.0002",
            "voiddht_x_seconds_count{node=\"node 1\",type=\"ping\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
