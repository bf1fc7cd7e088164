//! The recent past of a node, as rates: what the charts of the dashboard show.
//!
//! One task reads the counters of every node in turn, which are atomics: no node is asked. Two
//! windows are stored: the last minutes in fine steps, the last hour in coarse ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use voiddht_core::label::{OperationKind, RequestKind, RequestOutcome};

use super::watched::Watched;
use crate::counters::Counts;
use crate::histogram::Durations;

/// How often counters are read.
const INTERVAL: Duration = Duration::from_secs(2);
/// Series of a sample.
const SERIES: usize = 9;
/// Their names, in their order.
const NAMES: [&str; SERIES] = [
    "gets_per_second",
    "puts_per_second",
    "served_per_second",
    "received_bytes_per_second",
    "sent_bytes_per_second",
    "failed_requests_per_second",
    "get_p50_ms",
    "get_p99_ms",
    "request_p50_ms",
];

type Sample = [Option<f64>; SERIES];

/// How far back a chart reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Window {
    /// Five minutes, a sample every two seconds.
    #[default]
    Minutes,
    /// One hour, a sample every thirty seconds.
    Hour,
}

impl Window {
    /// Readings of the counters that make one sample.
    fn readings(self) -> u64 {
        match self {
            Self::Minutes => 1,
            Self::Hour => 15,
        }
    }

    /// Samples stored. A sample is 144 bytes: 21 KiB and 17 KiB for each node, the oldest dropped.
    fn samples(self) -> usize {
        match self {
            Self::Minutes => 150,
            Self::Hour => 120,
        }
    }
}

/// The rates of every node, and of all together.
#[derive(Debug)]
pub(super) struct History {
    /// Locked for a copy now and then, and by nothing that a node does.
    nodes: Mutex<Vec<Track>>,
}

/// The samples of one node.
#[derive(Debug, Default)]
struct Track {
    minutes: VecDeque<Sample>,
    hour: VecDeque<Sample>,
    /// What was counted since the last sample of the hour.
    pending: Change,
    pending_seconds: f64,
    pending_readings: u64,
}

impl Track {
    fn of(&self, window: Window) -> &VecDeque<Sample> {
        match window {
            Window::Minutes => &self.minutes,
            Window::Hour => &self.hour,
        }
    }

    fn push(&mut self, change: &Change, seconds: f64) {
        push_bounded(&mut self.minutes, change.sample(seconds), Window::Minutes.samples());
        self.pending.add(change);
        self.pending_seconds += seconds;
        self.pending_readings += 1;
        if self.pending_readings == Window::Hour.readings() {
            let sample = self.pending.sample(self.pending_seconds);
            push_bounded(&mut self.hour, sample, Window::Hour.samples());
            self.pending = Change::default();
            self.pending_seconds = 0.0;
            self.pending_readings = 0;
        }
    }
}

fn push_bounded(samples: &mut VecDeque<Sample>, sample: Sample, most: usize) {
    if samples.len() >= most {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// The rates as the dashboard gets them, each series from the oldest on. `null` where there was
/// nothing to measure.
#[derive(Debug, Serialize)]
pub(super) struct HistoryView {
    window: Window,
    interval_seconds: u64,
    samples: usize,
    series: Vec<Series>,
}

#[derive(Debug, Serialize)]
struct Series {
    name: &'static str,
    values: Vec<Option<f64>>,
}

impl History {
    /// Of so many nodes, empty. The last entry is for all together.
    pub(super) fn new(nodes: usize) -> Self {
        let nodes = std::iter::repeat_with(Track::default).take(nodes + 1);
        Self { nodes: Mutex::new(nodes.collect()) }
    }

    /// Takes samples for ever.
    pub(super) async fn run(self: Arc<Self>, watched: Arc<[Watched]>) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let read = || watched.iter().map(|one| one.handle.counts()).collect::<Vec<_>>();
        let mut before = read();
        let mut then = Instant::now();
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let counts = read();
            let seconds = then.elapsed().as_secs_f64().max(0.001);
            then = Instant::now();
            self.take(&before, &counts, seconds);
            before = counts;
        }
    }

    /// The rates of one node, or of all.
    pub(super) fn view(&self, node: Option<usize>, window: Window) -> HistoryView {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let all = nodes.len() - 1;
        let samples = nodes.get(node.unwrap_or(all)).map(|track| track.of(window));
        let series = NAMES.iter().enumerate().map(|(place, name)| Series {
            name,
            values: samples.into_iter().flatten().map(|sample| sample[place]).collect(),
        });
        HistoryView {
            window,
            interval_seconds: INTERVAL.as_secs() * window.readings(),
            samples: window.samples(),
            series: series.collect(),
        }
    }

    fn take(&self, before: &[Counts], counts: &[Counts], seconds: f64) {
        let changes: Vec<_> =
            before.iter().zip(counts).map(|(before, now)| Change::between(before, now)).collect();
        let mut all = Change::default();
        for change in &changes {
            all.add(change);
        }
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for (track, change) in nodes.iter_mut().zip(changes.iter().chain([&all])) {
            track.push(change, seconds);
        }
    }
}

/// What was counted within one interval.
#[derive(Debug, Default)]
struct Change {
    gets: u64,
    puts: u64,
    served: u64,
    received: u64,
    sent: u64,
    failed: u64,
    get_durations: Durations,
    request_durations: Durations,
}

impl Change {
    fn between(before: &Counts, now: &Counts) -> Self {
        let (old, new) = (&before.tally, &now.tally);
        let ended = |kind| new.operations_ended(kind) - old.operations_ended(kind);
        let failed = |tally: &crate::counters::tallies::Tally| {
            tally.requests_ended(RequestOutcome::TimedOut)
                + tally.requests_ended(RequestOutcome::Undelivered)
        };
        let mut request_durations = Durations::default();
        for kind in 0..RequestKind::COUNT {
            let took = new.request_durations[kind].since(&old.request_durations[kind]);
            request_durations.add(&took);
        }
        Self {
            gets: ended(OperationKind::Get),
            puts: ended(OperationKind::Put),
            served: new.served.iter().sum::<u64>() - old.served.iter().sum::<u64>(),
            received: now.bytes_received - before.bytes_received,
            sent: now.bytes_sent - before.bytes_sent,
            failed: failed(new) - failed(old),
            get_durations: new.operation_durations[OperationKind::Get.slot()]
                .since(&old.operation_durations[OperationKind::Get.slot()]),
            request_durations,
        }
    }

    fn add(&mut self, other: &Self) {
        self.gets += other.gets;
        self.puts += other.puts;
        self.served += other.served;
        self.received += other.received;
        self.sent += other.sent;
        self.failed += other.failed;
        self.get_durations.add(&other.get_durations);
        self.request_durations.add(&other.request_durations);
    }

    fn sample(&self, seconds: f64) -> Sample {
        let rate = |count: u64| Some(rounded(count as f64 / seconds));
        [
            rate(self.gets),
            rate(self.puts),
            rate(self.served),
            rate(self.received),
            rate(self.sent),
            rate(self.failed),
            self.get_durations.quantile_ms(0.5).map(rounded),
            self.get_durations.quantile_ms(0.99).map(rounded),
            self.request_durations.quantile_ms(0.5).map(rounded),
        ]
    }
}

/// Three decimals: more would only be bytes.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(gets: u64, sent: u64) -> Counts {
        let mut counts = Counts { bytes_sent: sent, ..Counts::default() };
        counts.tally.operations[0] = gets;
        counts.tally.operation_durations[0].buckets[0] = gets;
        counts
    }

    fn latest(history: &History, node: Option<usize>, name: &str) -> Option<f64> {
        let view = history.view(node, Window::Minutes);
        let series = view.series.into_iter().find(|series| series.name == name).unwrap();
        series.values.last().copied().unwrap()
    }

    #[test]
    fn rates_are_those_of_the_interval_and_of_all_nodes_together() {
        let history = History::new(2);
        let before = [counts(5, 100), counts(0, 0)];
        history.take(&before, &[counts(25, 300), counts(2, 50)], 2.0);
        assert_eq!(latest(&history, Some(0), "gets_per_second"), Some(10.0));
        assert_eq!(latest(&history, None, "gets_per_second"), Some(11.0));
        assert_eq!(latest(&history, None, "sent_bytes_per_second"), Some(125.0));
        assert_eq!(latest(&history, Some(1), "get_p50_ms"), Some(0.05));
        assert_eq!(latest(&history, Some(1), "request_p50_ms"), None, "nothing was measured");
    }

    #[test]
    fn each_window_is_bounded_and_the_hour_has_the_rates_of_its_longer_steps() {
        let history = History::new(1);
        let per_sample = Window::Hour.readings() as usize;
        for reading in 0..2 * Window::Hour.samples() * per_sample {
            // Thirty GETs in the first reading of each sample: one a second over its 30 seconds.
            let gets = if reading.is_multiple_of(per_sample) { 30 } else { 0 };
            history.take(&[counts(0, 0)], &[counts(gets, 0)], 2.0);
        }
        for window in [Window::Minutes, Window::Hour] {
            let view = history.view(Some(0), window);
            assert!(view.series.iter().all(|series| series.values.len() == window.samples()));
        }
        let hour = history.view(None, Window::Hour);
        assert_eq!(hour.interval_seconds * hour.samples as u64, 3600);
        assert_eq!(hour.series[0].values.first(), Some(&Some(1.0)));
        assert_eq!(hour.series[6].name, "get_p50_ms");
        assert_eq!(hour.series[6].values.last(), Some(&Some(0.05)), "over all of its readings");
    }
}
