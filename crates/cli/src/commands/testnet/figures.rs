//! The results of a test network, as a table.

use std::fmt::Write;
use std::time::Duration;

use super::super::workload::measured::{Load, table};
use crate::paint::words::millis;
use crate::paint::{Paint, Tone};

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    /// Threads that the nodes share; `None` for processes of their own.
    pub(super) threads: Option<usize>,
    pub(super) joined_after: Duration,
    pub(super) bytes_per_node: Option<u64>,
    pub(super) value_bytes: usize,
    pub(super) loads: Vec<Load>,
}

impl Figures {
    /// Whether every operation brought what it should.
    pub(super) fn is_flawless(&self) -> bool {
        self.loads.iter().all(|load| load.checked.is_flawless())
    }

    /// As a table, with a verdict.
    pub(super) fn words(&self, width: usize, paint: Paint) -> String {
        let Self { nodes, value_bytes, seed, .. } = self;
        let place = match self.threads {
            Some(threads) => format!("{nodes} nodes on {threads} threads"),
            None => format!("{nodes} processes"),
        };
        let joined = format!("{:.2} s", self.joined_after.as_secs_f64());
        let mut text = format!(
            "{place}, all joined after {joined}\n\
             values of {value_bytes} bytes, seed {seed}\n\n{}\n",
            table(&self.loads, width, paint)
        );
        if let Some(bytes) = self.bytes_per_node {
            let mebibytes = bytes as f64 / (1024.0 * 1024.0);
            let _ = write!(text, "\n  memory of a node: {mebibytes:.2} MiB");
        }
        // Of processes of their own, the system tells this one nothing.
        let measured = self.loads.iter().filter(|_| self.threads.is_some());
        // One at a time, most of it is the nodes' own work, unless kinds of values are compared.
        let is_alone =
            |load: &&Load| ["put, one", "get, one"].iter().any(|it| load.name.starts_with(it));
        for load in measured.filter(|load| !is_alone(load)) {
            let each = millis(load.processor_time_each().as_secs_f64() * 1e3);
            let _ = write!(text, "\n  processor time of all, {}: {each} each", load.name);
        }
        let (tone, verdict) = match self.is_flawless() {
            true => (Tone::Well, "Every value was stored, and found."),
            false => (Tone::Bad, "Some values were not stored, not found, or others came back."),
        };
        let _ = write!(text, "\n\n{} {}", paint.tone(tone, "●"), paint.tone(Tone::Strong, verdict));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::workload::measured::{Checked, Latencies};
    use super::*;

    fn load(name: &str, right: usize, missing: usize) -> Load {
        let mut latencies = Latencies::default();
        (0..right + missing).for_each(|_| latencies.add(Duration::from_millis(2)));
        Load {
            name: name.into(),
            checked: Checked { right, wrong: 0, missing, latencies },
            took: Duration::from_millis(500),
            processor_time: Duration::from_millis(20),
        }
    }

    fn figures(missing: usize) -> Figures {
        Figures {
            seed: 7,
            nodes: 20,
            threads: Some(2),
            joined_after: Duration::from_millis(250),
            bytes_per_node: Some(512 * 1024),
            value_bytes: 100,
            loads: vec![load("put, one at a time", 200, 0), load("get, 64 at once", 100, missing)],
        }
    }

    #[test]
    fn the_verdict_is_that_of_all_operations() {
        let text = figures(0).words(80, Paint::PLAIN);
        assert!(figures(0).is_flawless());
        for needle in [
            "20 nodes on 2 threads, all joined after 0.25 s\nvalues of 100 bytes, seed 7\n",
            "200 of 200\n",
            "memory of a node: 0.50 MiB",
            "get, 64 at once: 0.20 ms each",
            "● Every value was stored, and found.",
        ] {
            assert!(text.contains(needle), "{needle} in\n{text}");
        }
        let most = Figures { nodes: 10_000, seed: u64::MAX, ..figures(0) };
        let lines = most.words(80, Paint::PLAIN);
        assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        assert!(!figures(3).is_flawless());
        assert!(figures(3).words(80, Paint::PLAIN).contains("100 of 103"));
    }
}
