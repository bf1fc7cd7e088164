//! A node's metrics in the registry of its program, beside the program's own: `prometheus-client`.
//!
//! `cargo run --example host_metrics`

#![allow(clippy::print_stdout, reason = "an example prints what it does")]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use voiddht::{Handle, MetricFamily, MetricKind, Node, Put, Sample, SampleValue};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    run().await
}

/// The example, which a test runs too.
pub async fn run() -> Outcome<()> {
    let node = Node::builder().listen(([127, 0, 0, 1], 0).into()).start().await?;
    let requests = Counter::<u64>::default();
    let metrics = NodeMetrics::default();
    let mut registry = Registry::default();
    registry.register("app_requests", "Requests of the program's own", requests.clone());
    registry.register_collector(Box::new(metrics.clone()));

    requests.inc();
    node.put(Put::content_addressed("counted")).await?;

    // As often as the registry is scraped: collectors are not async.
    metrics.refresh(&node).await;
    let mut text = String::new();
    encode(&mut text, &registry)?;
    for line in text.lines().filter(|line| line.contains("records") || line.contains("app_")) {
        println!("{line}");
    }
    for expected in ["app_requests_total 1", "voiddht_records 1.0", "voiddht_put_copies_count 1"] {
        assert!(text.lines().any(|line| line == expected), "{expected} in\n{text}");
    }
    node.shutdown().await;
    Ok(())
}

/// The metrics of a node as they were last read.
#[derive(Clone, Debug, Default)]
struct NodeMetrics(Arc<Mutex<Vec<MetricFamily>>>);

impl NodeMetrics {
    async fn refresh(&self, node: &Handle) {
        let families = node.metrics().await;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = families;
    }
}

impl Collector for NodeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for family in families.iter().filter(|family| !family.samples.is_empty()) {
            let kind = metric_type(family.kind);
            // OpenMetrics adds this ending to counters, and a full stop to help texts, by itself.
            let name = match kind {
                MetricType::Counter => family.name.trim_end_matches("_total"),
                _ => family.name,
            };
            let help = family.help.trim_end_matches('.');
            let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
            match family.samples.as_slice() {
                [sample] if sample.labels.is_empty() => {
                    AsMetric { kind, sample }.encode(encoder)?
                }
                samples => {
                    for sample in samples {
                        let labelled = encoder.encode_family(&sample.labels)?;
                        AsMetric { kind, sample }.encode(labelled)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn metric_type(kind: MetricKind) -> MetricType {
    match kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Histogram => MetricType::Histogram,
        _ => MetricType::Gauge,
    }
}

struct AsMetric<'a> {
    kind: MetricType,
    sample: &'a Sample,
}

impl EncodeMetric for AsMetric<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match (&self.sample.value, self.kind) {
            (SampleValue::Number(value), MetricType::Counter) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
            }
            (SampleValue::Number(value), _) => encoder.encode_gauge(value),
            (SampleValue::Histogram { buckets, sum, count }, _) => {
                // It wants the number in each bucket, and the last bucket without a bound.
                let mut below = 0;
                let mut each: Vec<(f64, u64)> = Vec::new();
                for (bound, cumulative) in buckets.iter().copied().chain([(f64::MAX, *count)]) {
                    each.push((bound, cumulative - below));
                    below = cumulative;
                }
                encoder.encode_histogram::<NoLabelSet>(*sum, *count, &each, None)
            }
            (_, _) => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}
