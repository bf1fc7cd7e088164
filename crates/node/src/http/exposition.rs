//! Prometheus' text format, version 0.0.4: a few lines of it, written by hand.
//!
//! `prometheus-client` writes OpenMetrics only, in which the TYPE line of a counter has another
//! name than its samples; `promtool check metrics` reads the older format and refuses that. Our
//! numbers are atomics already, so there is nothing else that a library would do here.

use std::fmt::{Display, Write};

use crate::histogram::{BOUNDS_MICROS, Durations};

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

impl Exposition {
    /// Begins a family. Samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        debug_assert!(name.starts_with("voiddht_") || name.starts_with("process_"), "{name}");
        debug_assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { exposition: self, name }
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
}

impl Family<'_> {
    /// One number. Labels of which the value is empty are left out.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.write("", labels, &value);
    }

    /// One histogram, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, durations: &Durations) {
        let mut below = 0;
        for (index, count) in durations.buckets.iter().enumerate() {
            below += count;
            let bound = match BOUNDS_MICROS.get(index) {
                Some(micros) => (*micros as f64 / 1e6).to_string(),
                None => "+Inf".into(),
            };
            let labels = [labels, &[("le", &bound)]].concat();
            self.write("_bucket", &labels, &below);
        }
        self.write("_sum", labels, &(durations.sum_micros as f64 / 1e6));
        self.write("_count", labels, &below);
    }

    fn write(&mut self, suffix: &str, labels: Labels<'_>, value: &dyn Display) {
        let text = &mut self.exposition.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
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
    use crate::histogram::Histogram;

    #[test]
    fn samples_follow_their_help_and_labels_are_escaped() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("voiddht_x_total", Kind::Counter, "Things.");
        family.sample(&[], 1);
        family.sample(&[("a", "b\\\"\n"), ("empty", ""), ("c", "d")], 2.5);
        assert_eq!(
            exposition.finish(),
            "# HELP voiddht_x_total Things.\n# TYPE voiddht_x_total counter\n\
             voiddht_x_total 1\nvoiddht_x_total{a=\"b\\\\\\\"\\n\",c=\"d\"} 2.5\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_in_seconds() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(200));
        histogram.observe(Duration::from_secs(60));
        let mut exposition = Exposition::default();
        let mut family = exposition.family("voiddht_x_seconds", Kind::Histogram, "Time.");
        family.histogram(&[("type", "ping")], &histogram.read());
        let text = exposition.finish();
        for line in [
            "voiddht_x_seconds_bucket{type=\"ping\",le=\"0.0001\"} 0",
            "voiddht_x_seconds_bucket{type=\"ping\",le=\"0.00025\"} 1",
            "voiddht_x_seconds_bucket{type=\"ping\",le=\"10\"} 1",
            "voiddht_x_seconds_bucket{type=\"ping\",le=\"+Inf\"} 2",
            "voiddht_x_seconds_sum{type=\"ping\"} 60.0002",
            "voiddht_x_seconds_count{type=\"ping\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
