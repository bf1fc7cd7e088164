//! Prometheus' text format, version 0.0.4: a few lines of it, written by hand.
//!
//! `prometheus-client` writes OpenMetrics only, in which the TYPE line of a counter has another
//! name than its samples; `promtool check metrics` reads the older format and refuses that. Our
//! numbers are atomics already, so there is nothing else that a library would do here.

use std::fmt::{Display, Write};

use super::family::{Labels, MetricFamily, Sample, SampleValue};

/// The content type to serve it as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families in Prometheus' text format.
pub fn to_text(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    for family in families {
        // A String takes everything.
        let _ = writeln!(text, "# HELP {} {}", family.name, family.help);
        let _ = writeln!(text, "# TYPE {} {}", family.name, family.kind.name());
        for sample in &family.samples {
            write_sample(family.name, sample, &mut text);
        }
    }
    text
}

fn write_sample(name: &str, sample: &Sample, text: &mut String) {
    let labels = &sample.labels;
    match &sample.value {
        SampleValue::Number(value) => line(name, "", labels, None, value, text),
        SampleValue::Histogram { buckets, sum, count } => {
            for (bound, below) in buckets {
                line(name, "_bucket", labels, Some(&bound.to_string()), below, text);
            }
            line(name, "_bucket", labels, Some("+Inf"), count, text);
            line(name, "_sum", labels, None, sum, text);
            line(name, "_count", labels, None, count, text);
        }
    }
}

fn line(
    name: &str,
    suffix: &str,
    labels: &Labels,
    bound: Option<&str>,
    value: &dyn Display,
    text: &mut String,
) {
    text.push_str(name);
    text.push_str(suffix);
    let mut before = '{';
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
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

    use super::super::family::{Family, MetricKind};
    use super::*;
    use crate::histogram::{DURATION_BOUNDS, DurationHistogram};

    #[test]
    fn samples_follow_their_help_and_labels_are_escaped() {
        let mut found = MetricFamily::new("voiddht_x_total", MetricKind::Counter, "Things.");
        let mut family = Family::new(&mut found, &["a", "empty", "c"]);
        family.sample(&[("a", ""), ("empty", ""), ("c", "")], 1_u64);
        family.sample(&[("a", "b\\\"\n"), ("empty", ""), ("c", "d")], 2.5);
        assert_eq!(
            to_text(&[found]),
            "# HELP voiddht_x_total Things.\n# TYPE voiddht_x_total counter\n\
             voiddht_x_total 1\nvoiddht_x_total{a=\"b\\\\\\\"\\n\",c=\"d\"} 2.5\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_in_seconds() {
        let histogram = DurationHistogram::default();
        histogram.observe(Duration::from_micros(200));
        histogram.observe(Duration::from_secs(60));
        let mut found = MetricFamily::new("voiddht_x_seconds", MetricKind::Histogram, "Time.");
        let mut family = Family::new(&mut found, &["type"]);
        family.of_node("node 1");
        family.histogram(&[("type", "ping")], &DURATION_BOUNDS, &histogram.read());
        let text = to_text(&[found]);
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
