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
mod metric;
mod peers;
#[cfg(feature = "http")]
mod process;
mod storage;
mod work;

use std::time::Duration;

pub use self::exposition::{CONTENT_TYPE, to_text};
pub use self::family::{Labels, MetricFamily, MetricKind, Sample, SampleValue};
use self::metric::Metric;
pub(crate) use self::metric::Numbers;

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

/// The metrics of one node; the process as a whole is its program's to measure.
pub(crate) fn of_node(numbers: &Numbers<'_>) -> Vec<MetricFamily> {
    let all = std::slice::from_ref(numbers);
    of_nodes().map(|metric| metric.read(all)).collect()
}

/// Those of several nodes, each with its label, and of the process, in Prometheus' text format.
#[cfg(feature = "http")]
pub(crate) fn expose(all: &[Numbers<'_>]) -> String {
    let families: Vec<_> = metrics().map(|metric| metric.read(all)).collect();
    to_text(&families)
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    use super::metric::Source;
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
