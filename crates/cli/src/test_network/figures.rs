//! The results of a test network, as a table.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::paint::words::millis;
use crate::paint::{Paint, Tone};
use crate::workload::measured::{Load, table};

/// A network of which all nodes have joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Where the module APIs listen, of each node.
    pub apis: Vec<SocketAddr>,
    /// Threads that the nodes share; `None` for processes of their own.
    pub threads: Option<usize>,
    /// From the start of the first node until the last had joined.
    pub after: Duration,
    /// Memory of a node at that moment, where it is known: before it has a connection with each other.
    pub bytes_per_node: Option<u64>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures<'a> {
    pub(super) seed: u64,
    pub(super) network: &'a Joined,
    pub(super) value_bytes: usize,
    pub(super) loads: Vec<Load>,
}

impl Figures<'_> {
    /// Whether every operation brought what it should.
    pub(super) fn is_flawless(&self) -> bool {
        self.loads.iter().all(|load| load.checked.is_flawless())
    }

    /// As a table, with a verdict.
    pub(super) fn words(&self, width: usize, paint: Paint) -> String {
        let Self { value_bytes, seed, .. } = self;
        let Joined { apis, threads, after, bytes_per_node } = self.network;
        let nodes = apis.len();
        let place = match threads {
            Some(threads) => format!("{nodes} nodes on {threads} threads"),
            None => format!("{nodes} processes"),
        };
        let joined = format!("{:.2} s", after.as_secs_f64());
        let mut text = format!(
            "{place}, all joined after {joined}\n\
             values of {value_bytes} bytes, seed {seed}\n\n{}\n",
            table(&self.loads, width, paint)
        );
        if let Some(bytes) = bytes_per_node {
            let mebibytes = *bytes as f64 / (1024.0 * 1024.0);
            let _ = write!(text, "\n  memory of a node, just joined: {mebibytes:.2} MiB");
        }
        // Of processes of their own, the system tells this one nothing.
        let measured = self.loads.iter().filter(|_| threads.is_some());
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
    use std::net::Ipv4Addr;

    use super::*;
    use crate::workload::measured::{Checked, Latencies};

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

    fn network(nodes: usize) -> Joined {
        Joined {
            apis: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7401)); nodes],
            threads: Some(2),
            after: Duration::from_millis(250),
            bytes_per_node: Some(512 * 1024),
        }
    }

    fn figures(network: &Joined, missing: usize) -> Figures<'_> {
        Figures {
            seed: 7,
            network,
            value_bytes: 100,
            loads: vec![load("put, one at a time", 200, 0), load("get, 64 at once", 100, missing)],
        }
    }

    #[test]
    fn the_verdict_is_that_of_all_operations() {
        let network = network(20);
        let text = figures(&network, 0).words(80, Paint::PLAIN);
        assert!(figures(&network, 0).is_flawless());
        for needle in [
            "20 nodes on 2 threads, all joined after 0.25 s\nvalues of 100 bytes, seed 7\n",
            "200 of 200\n",
            "memory of a node, just joined: 0.50 MiB",
            "get, 64 at once: 0.20 ms each",
            "● Every value was stored, and found.",
        ] {
            assert!(text.contains(needle), "{needle} in\n{text}");
        }
        let most = Joined { apis: vec![network.apis[0]; 10_000], ..network.clone() };
        let most = Figures { seed: u64::MAX, ..figures(&most, 0) };
        let lines = most.words(80, Paint::PLAIN);
        assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        assert!(!figures(&network, 3).is_flawless());
        assert!(figures(&network, 3).words(80, Paint::PLAIN).contains("100 of 103"));
    }
}
