//! The metrics of a node, for the registry of the embedding program and for `/metrics`.
//!
//! Each metric is declared once, as a row of a table: its name, type, help text, and how its samples
//! are read. The samples and the table in `docs/operating.md` are made of these rows. To add one,
//! add a row in the file of its subject:
//!
//! * `membership`: state of the node, routing table. `storage`: records and the disk.
//! * `work`: requests, operations, upkeep. `peers`: connections, messages, trust, limits.
//! * `process`: the process as a whole.
//!
//! Counters and histograms are read from atomics. Gauges come from one look at the driver; when
//! that does not answer they are left out, and `voiddht_driver_responding` says so.

mod exposition;
mod family;
mod membership;
mod peers;
#[cfg(feature = "http")]
mod process;
mod storage;
mod work;

use std::time::Duration;

pub use self::exposition::{CONTENT_TYPE, to_text};
use self::family::Family;
pub use self::family::{Labels, MetricFamily, MetricKind, Sample, SampleValue};
use crate::counters::Counts;
use crate::handle::Handle;
use crate::snapshot::{Snapshot, SnapshotRequest};

/// How long the driver may take to answer. A node that is slower is unhealthy, and says so.
pub const DRIVER_DEADLINE: Duration = Duration::from_secs(2);

/// Every metric of a node, in the order of the exposition and of the documentation.
fn of_nodes() -> impl Iterator<Item = &'static Metric> {
    [membership::METRICS, storage::METRICS, work::METRICS, peers::METRICS].into_iter().flatten()
}

/// Every metric.
#[cfg(feature = "http")]
fn metrics() -> impl Iterator<Item = &'static Metric> {
    of_nodes().chain(process::METRICS)
}

/// One metric.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    kind: MetricKind,
    /// The names of its labels. `node` goes without saying.
    labels: &'static [&'static str],
    /// What it counts or measures, in one sentence.
    help: &'static str,
    /// What it is good for, for the documentation.
    #[cfg_attr(
        not(all(test, feature = "http")),
        expect(dead_code, reason = "read by the test that writes the docs")
    )]
    watch: &'static str,
    source: Source,
}

/// How the samples of a metric are read.
#[derive(Debug)]
enum Source {
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

    const fn counter(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, MetricKind::Counter, help, Source::Number(read))
    }

    const fn gauge(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, MetricKind::Gauge, help, Source::Number(read))
    }

    /// Several samples of each node, distinguished by these labels.
    const fn labelled(
        name: &'static str,
        kind: MetricKind,
        labels: &'static [&'static str],
        help: &'static str,
        write: fn(&Numbers<'_>, &mut Family<'_>),
    ) -> Self {
        Self { labels, ..Self::new(name, kind, help, Source::Samples(write)) }
    }

    #[cfg(feature = "http")]
    const fn process(
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        read: fn() -> Option<f64>,
    ) -> Self {
        Self::new(name, kind, help, Source::Process(read))
    }

    /// When an operator looks at it.
    const fn watch(self, watch: &'static str) -> Self {
        Self { watch, ..self }
    }

    fn read(&self, all: &[Numbers<'_>]) -> MetricFamily {
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
struct Numbers<'a> {
    label: &'a str,
    handle: &'a Handle,
    counts: Counts,
    /// `None` if the driver does not answer.
    seen: Option<Snapshot>,
    /// What is free on the disk of the data directory.
    free_bytes: Option<u64>,
}

impl<'a> Numbers<'a> {
    async fn of(handle: &'a Handle, label: &'a str) -> Self {
        let looking = handle.snapshot(SnapshotRequest::default());
        let looking = tokio::time::timeout(DRIVER_DEADLINE, looking);
        let (seen, free_bytes) = tokio::join!(looking, handle.free_bytes());
        let seen = seen.ok().and_then(Result::ok);
        Self { label, handle, counts: handle.counts(), seen, free_bytes }
    }

    /// A number of what the driver shows.
    fn seen(&self, read: fn(&Snapshot) -> u64) -> Option<u64> {
        self.seen.as_ref().map(read)
    }
}

/// The metrics of one node; the process as a whole is its program's to measure.
pub(crate) async fn of_node(handle: &Handle) -> Vec<MetricFamily> {
    let all = [Numbers::of(handle, "").await];
    of_nodes().map(|metric| metric.read(&all)).collect()
}

/// Those of several nodes, each with its label, and of the process, in Prometheus' text format.
#[cfg(feature = "http")]
pub(crate) async fn expose<'a>(nodes: impl Iterator<Item = (&'a Handle, &'a str)>) -> String {
    let mut all = Vec::new();
    for (handle, label) in nodes {
        all.push(Numbers::of(handle, label).await);
    }
    let families: Vec<_> = metrics().map(|metric| metric.read(&all)).collect();
    to_text(&families)
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- Made of crates/node/src/metrics/: VOIDDHT_WRITE_DOCS=1 cargo \
        test -p voiddht-node metrics -->\n";
    const END: &str = "<!-- End of the metrics. -->";

    /// The table as it stands in the documentation.
    fn table() -> String {
        let mut table =
            String::from("| metric | type | meaning | look at it when |\n|---|---|---|---|\n");
        for metric in metrics() {
            let labels = match metric.labels {
                [] => String::new(),
                labels => format!("{{{}}}", labels.join(",")),
            };
            let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
            let watch = metric.watch;
            let _ = writeln!(table, "| `{name}{labels}` | {kind} | {help} | {watch} |");
        }
        table
    }

    #[test]
    fn the_documentation_has_every_metric() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the table begins");
        let (found, after) = rest.split_once(END).expect("the table ends");
        if found == table() {
            return;
        }
        if std::env::var_os("VOIDDHT_WRITE_DOCS").is_some() {
            let text = format!("{before}{BEGIN}{}{END}{after}", table());
            return std::fs::write(&path, text).unwrap();
        }
        panic!("docs/operating.md lacks the present metrics: run again with VOIDDHT_WRITE_DOCS=1");
    }

    #[test]
    fn names_are_unique_and_follow_prometheus_rules() {
        let mut names = BTreeSet::new();
        for metric in metrics() {
            let name = metric.name;
            assert!(names.insert(name), "{name} twice");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}");
            let of_process = matches!(metric.source, Source::Process(_));
            assert_eq!(name.starts_with("process_"), of_process, "{name}");
            assert!(of_process || name.starts_with("voiddht_"), "{name}");
        }
    }
}
