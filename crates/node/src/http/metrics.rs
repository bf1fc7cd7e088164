//! What `/metrics` exposes to Prometheus.
//!
//! Each metric is declared once, as a row of a table: its name, type, help text, and how its samples
//! are read. The exposition and the table in `docs/operating.md` are made of these rows. To add one,
//! add a row in the file of its subject:
//!
//! * `membership`: state of the node, routing table. `storage`: records and the disk.
//! * `work`: requests, operations, upkeep. `peers`: connections, messages, trust, limits.
//! * `process`: the process as a whole.
//!
//! Counters and histograms are read from atomics. Gauges come from one look at the driver; when
//! that does not answer they are left out, and `voiddht_driver_responding` says so.

mod membership;
mod peers;
mod process;
mod storage;
mod work;

use super::exposition::{Exposition, Family, Kind};
use super::{DRIVER_DEADLINE, Watched};
use crate::counters::Counts;
use crate::snapshot::{Snapshot, SnapshotRequest};

/// Every metric, in the order of the exposition and of the documentation.
fn metrics() -> impl Iterator<Item = &'static Metric> {
    let of_nodes = [membership::METRICS, storage::METRICS, work::METRICS, peers::METRICS];
    of_nodes.into_iter().flatten().chain(process::METRICS)
}

/// One metric.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    kind: Kind,
    /// The names of its labels. `node` goes without saying.
    labels: &'static [&'static str],
    /// What it counts or measures, in one sentence.
    help: &'static str,
    /// What it is good for, for the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test that writes the docs"))]
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
    Process(fn() -> Option<f64>),
}

impl Metric {
    const fn new(name: &'static str, kind: Kind, help: &'static str, source: Source) -> Self {
        Self { name, kind, labels: &[], help, watch: "", source }
    }

    const fn counter(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, Kind::Counter, help, Source::Number(read))
    }

    const fn gauge(
        name: &'static str,
        help: &'static str,
        read: fn(&Numbers<'_>) -> Option<u64>,
    ) -> Self {
        Self::new(name, Kind::Gauge, help, Source::Number(read))
    }

    /// Several samples of each node, distinguished by these labels.
    const fn labelled(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
        write: fn(&Numbers<'_>, &mut Family<'_>),
    ) -> Self {
        Self { labels, ..Self::new(name, kind, help, Source::Samples(write)) }
    }

    const fn process(
        name: &'static str,
        kind: Kind,
        help: &'static str,
        read: fn() -> Option<f64>,
    ) -> Self {
        Self::new(name, kind, help, Source::Process(read))
    }

    /// When an operator looks at it.
    const fn watch(self, watch: &'static str) -> Self {
        Self { watch, ..self }
    }

    fn expose(&self, all: &[Numbers<'_>], exposition: &mut Exposition) {
        let mut family = exposition.family(self.name, self.kind, self.help, self.labels);
        if let Source::Process(read) = self.source {
            if let Some(value) = read() {
                family.sample(&[], value);
            }
            return;
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
                Source::Process(_) => {}
            }
        }
    }
}

/// One node's numbers, and its name where there are several.
#[derive(Debug)]
struct Numbers<'a> {
    label: &'a str,
    watched: &'a Watched,
    counts: Counts,
    /// `None` if the driver does not answer.
    seen: Option<Snapshot>,
    /// What is free on the disk of the data directory.
    free_bytes: Option<u64>,
}

impl<'a> Numbers<'a> {
    async fn of(watched: &'a Watched) -> Self {
        let looking = watched.handle.snapshot(SnapshotRequest::default());
        let looking = tokio::time::timeout(DRIVER_DEADLINE, looking);
        let (seen, free_bytes) = tokio::join!(looking, watched.handle.free_bytes());
        Self {
            label: watched.label.as_deref().unwrap_or_default(),
            watched,
            counts: watched.handle.counts(),
            seen: seen.ok().and_then(Result::ok),
            free_bytes,
        }
    }

    /// A number of what the driver shows.
    fn seen(&self, read: fn(&Snapshot) -> u64) -> Option<u64> {
        self.seen.as_ref().map(read)
    }
}

/// The whole answer.
pub(super) async fn expose(watched: &[Watched]) -> String {
    let mut all = Vec::with_capacity(watched.len());
    for one in watched {
        all.push(Numbers::of(one).await);
    }
    let mut exposition = Exposition::default();
    for metric in metrics() {
        metric.expose(&all, &mut exposition);
    }
    exposition.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- Made of crates/node/src/http/metrics/: VOIDDHT_WRITE_DOCS=1 cargo \
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
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}");
            let of_process = matches!(metric.source, Source::Process(_));
            assert_eq!(name.starts_with("process_"), of_process, "{name}");
            assert!(of_process || name.starts_with("voiddht_"), "{name}");
        }
    }
}
