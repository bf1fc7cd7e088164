//! What came out, as a table for people.

use std::fmt;
use std::time::Duration;

/// How long each of many operations took.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    taken: Vec<Duration>,
}

/// Operations, and whether each brought what it should.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    /// Those that did.
    pub(super) right: usize,
    /// Those that brought something else.
    pub(super) wrong: usize,
    /// Those that brought nothing in time.
    pub(super) missing: usize,
    pub(super) latencies: Latencies,
}

/// Operations that ran at once.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) checked: Checked,
    pub(super) took: Duration,
    /// Of the whole process: the nodes, and the program that asks them.
    pub(super) processor_time: Duration,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) seed: u64,
    pub(super) nodes: usize,
    pub(super) threads: usize,
    pub(super) joined_after: Duration,
    pub(super) bytes_per_node: Option<u64>,
    pub(super) value_bytes: usize,
    pub(super) at_once: usize,
    pub(super) puts: Checked,
    pub(super) gets: Checked,
    pub(super) puts_at_once: Option<Load>,
    pub(super) gets_at_once: Option<Load>,
}

impl Latencies {
    pub(super) fn add(&mut self, taken: Duration) {
        self.taken.push(taken);
    }

    /// The least time within which this share of the operations ended (the nearest rank); zero
    /// if there were none.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.taken.clone();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        match sorted.is_empty() {
            true => Duration::ZERO,
            false => *sorted.select_nth_unstable(rank).1,
        }
    }
}

impl Checked {
    pub(super) fn merge(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.latencies.taken.extend(other.latencies.taken);
    }

    fn all(&self) -> usize {
        self.right + self.wrong + self.missing
    }

    fn is_flawless(&self) -> bool {
        self.right == self.all()
    }
}

impl Figures {
    /// Whether every operation brought what it should.
    pub(super) fn is_flawless(&self) -> bool {
        let loads = [&self.puts_at_once, &self.gets_at_once].into_iter().flatten();
        loads.map(|load| &load.checked).chain([&self.puts, &self.gets]).all(Checked::is_flawless)
    }

    fn rows(&self) -> Vec<(String, String)> {
        let row = |name: &str, value: String| (name.to_owned(), value);
        let mut rows = vec![
            row("all nodes joined after", format!("{:.2} s", self.joined_after.as_secs_f64())),
            row("values stored", outcome(&self.puts)),
            row("values found", outcome(&self.gets)),
            row("put, one at a time", self.puts.latencies.to_string()),
            row("get, one at a time", self.gets.latencies.to_string()),
        ];
        for (name, load) in [("put", &self.puts_at_once), ("get", &self.gets_at_once)] {
            if let Some(load) = load {
                rows.push((format!("{name}, {} at once", self.at_once), load.to_string()));
                rows.push((format!("{name}, processor time"), millis(load.processor_time_each())));
            }
        }
        if let Some(bytes) = self.bytes_per_node {
            let mebibytes = bytes as f64 / (1024.0 * 1024.0);
            rows.push(row("memory of a node", format!("{mebibytes:.2} MiB")));
        }
        rows
    }
}

impl Load {
    fn processor_time_each(&self) -> Duration {
        let operations = u32::try_from(self.checked.all()).unwrap_or(u32::MAX);
        self.processor_time.checked_div(operations).unwrap_or(Duration::ZERO)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, threads, value_bytes, seed, .. } = self;
        writeln!(
            f,
            "{nodes} nodes on {threads} threads, values of {value_bytes} bytes, seed {seed}"
        )?;
        let rows = self.rows();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            write!(f, "\n  {name:width$}   {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.checked.all() as f64 / self.took.as_secs_f64().max(f64::EPSILON);
        write!(f, "{rate:.0} /s   {}", self.checked.latencies)?;
        match self.checked.is_flawless() {
            true => Ok(()),
            false => write!(f, "   right: {}", outcome(&self.checked)),
        }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {}   p99 {}", millis(self.percentile(50)), millis(self.percentile(99)))
    }
}

fn outcome(checked: &Checked) -> String {
    let mut text = format!("{} of {}", checked.right, checked.all());
    if checked.wrong > 0 {
        text += &format!(", {} wrong", checked.wrong);
    }
    text
}

fn millis(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(right: usize, wrong: usize, missing: usize) -> Checked {
        let mut latencies = Latencies::default();
        (1..=right + wrong + missing).for_each(|n| latencies.add(Duration::from_millis(n as u64)));
        Checked { right, wrong, missing, latencies }
    }

    fn figures(gets: Checked) -> Figures {
        Figures {
            seed: 7,
            nodes: 20,
            threads: 2,
            joined_after: Duration::from_millis(250),
            bytes_per_node: Some(512 * 1024),
            value_bytes: 100,
            at_once: 64,
            puts: checked(200, 0, 0),
            gets,
            puts_at_once: None,
            gets_at_once: Some(Load {
                checked: checked(100, 0, 0),
                took: Duration::from_millis(500),
                processor_time: Duration::from_millis(20),
            }),
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let percentile = |count, percent| checked(count, 0, 0).latencies.percentile(percent);
        assert_eq!(percentile(0, 50), Duration::ZERO);
        assert_eq!(percentile(1, 99), Duration::from_millis(1));
        assert_eq!(percentile(100, 50), Duration::from_millis(50));
        assert_eq!(percentile(200, 99), Duration::from_millis(198));
    }

    #[test]
    fn the_table_tells_what_was_right_and_what_was_not() {
        let good = figures(checked(200, 0, 0));
        assert!(good.is_flawless());
        assert_eq!(
            good.to_string(),
            "20 nodes on 2 threads, values of 100 bytes, seed 7\n\n  \
             all nodes joined after   0.25 s\n  \
             values stored            200 of 200\n  \
             values found             200 of 200\n  \
             put, one at a time       p50 100.000 ms   p99 198.000 ms\n  \
             get, one at a time       p50 100.000 ms   p99 198.000 ms\n  \
             get, 64 at once          200 /s   p50 50.000 ms   p99 99.000 ms\n  \
             get, processor time      0.200 ms\n  \
             memory of a node         0.50 MiB"
        );
        for (bad, found) in
            [(checked(198, 0, 2), "198 of 200"), (checked(199, 1, 0), "199 of 200, 1 wrong")]
        {
            let bad = figures(bad);
            assert!(!bad.is_flawless());
            assert!(bad.to_string().contains(&format!("values found             {found}\n")));
        }
    }
}
