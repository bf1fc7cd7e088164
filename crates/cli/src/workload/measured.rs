//! How many operations brought what they should, how long they took, and both as a table.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{millis, number};
use crate::paint::{Paint, Tone, sparkline};

/// Width of the line on which the times of a row are drawn.
const DRAWN: usize = 24;
/// Digits of a time that are kept.
const DIGITS: u8 = 3;
/// The longest time that is told from longer ones, a day: no timeout is longer. A histogram then has
/// 300 KiB, of which it uses as much as times differ.
const MOST_NANOS: u64 = 86_400_000_000_000;
/// The shares of which the times are told.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The table of loads.
const COLUMNS: [Column; 9] = [
    Column::text(""),
    Column::number("per second"),
    Column::number("p50"),
    Column::number("p90").weight(3),
    Column::number("p99"),
    Column::number("p99.9").weight(2),
    Column::number("most").weight(4),
    // On a scale from the shortest to the longest time of all.
    Column::text("from shortest to longest").weight(1),
    Column::text("right"),
];

/// How long each of many operations took, in nanoseconds to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// Operations, and whether each brought what it should.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// Those that did.
    pub(crate) right: usize,
    /// Those that brought something else.
    pub(crate) wrong: usize,
    /// Those that brought nothing in time.
    pub(crate) missing: usize,
    pub(crate) latencies: Latencies,
}

impl Checked {
    /// Counts a GET that took so long and found this, where `stored` was to be found.
    pub(crate) fn count(&mut self, took: Duration, found: Option<&[u8]>, stored: &[u8]) {
        self.latencies.add(took);
        match found {
            Some(value) if value == stored => self.right += 1,
            Some(_) => self.wrong += 1,
            None => self.missing += 1,
        }
    }
}

/// Operations that ran one after the other or at once, and how long all of them took.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) checked: Checked,
    pub(crate) took: Duration,
    /// Of this process.
    pub(crate) processor_time: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(MOST_NANOS, DIGITS);
        Self(histogram.expect("a histogram has up to five digits, and a most of two or more"))
    }
}

impl Latencies {
    /// Adds an operation that took so long.
    pub(crate) fn add(&mut self, taken: Duration) {
        let nanos = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanos);
    }

    /// The least time within which this share of the operations ended (the nearest rank); zero
    /// if there were none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }

    /// How many took how long, on a line that begins at `least` and ends at `most`, each place
    /// longer than the one before by the same factor.
    fn drawn(&self, least: u64, most: u64) -> String {
        let mut places = [0.0; DRAWN];
        let log = |nanos: u64| (nanos.max(1) as f64).ln();
        let (from, to) = (log(least), log(most));
        for taken in self.0.iter_recorded() {
            let at = log(taken.value_iterated_to());
            let share = if to > from { (at - from) / (to - from) } else { 0.0 };
            let place = (share * DRAWN as f64) as usize;
            places[place.min(DRAWN - 1)] += taken.count_at_value() as f64;
        }
        // Roots, so that what is rare is seen beside what is common.
        let heights = places.map(|count: f64| (count > 0.0).then(|| count.sqrt()));
        sparkline(&heights, DRAWN)
    }
}

impl Checked {
    pub(crate) fn merge(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.latencies.0 += &other.latencies.0;
    }

    /// How many there were.
    pub(crate) fn all(&self) -> usize {
        self.right + self.wrong + self.missing
    }

    /// Whether all brought what they should.
    pub(crate) fn is_flawless(&self) -> bool {
        self.right == self.all()
    }

    /// In words.
    fn outcome(&self) -> String {
        let of = |count: usize| number(count as u64);
        let mut text = format!("{} of {}", of(self.right), of(self.all()));
        if self.wrong > 0 {
            text += &format!(", {} wrong", of(self.wrong));
        }
        text
    }
}

impl Load {
    /// No operations yet.
    pub(crate) fn none(name: String) -> Self {
        let (took, processor_time) = (Duration::ZERO, Duration::ZERO);
        Self { name, checked: Checked::default(), took, processor_time }
    }

    /// Adds operations of another time.
    pub(crate) fn merge(&mut self, other: Self) {
        self.checked.merge(other.checked);
        self.took += other.took;
        self.processor_time += other.processor_time;
    }

    /// Operations in a second.
    fn rate(&self) -> f64 {
        self.checked.all() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// Of this process, for each operation.
    pub(crate) fn processor_time_each(&self) -> Duration {
        let operations = u32::try_from(self.checked.all()).unwrap_or(u32::MAX);
        self.processor_time.checked_div(operations).unwrap_or(Duration::ZERO)
    }

    /// For programs. Times are in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let Checked { right, wrong, missing, latencies } = &self.checked;
        let mut times = serde_json::Map::new();
        for (name, share) in QUANTILES {
            times.insert(name.into(), json!(ms(latencies.quantile(share))));
        }
        times.insert("max".into(), json!(ms(latencies.quantile(1.0))));
        times.insert("mean".into(), json!(ms(latencies.mean())));
        json!({
            "name": self.name, "right": right, "wrong": wrong, "missing": missing,
            "seconds": self.took.as_secs_f64(), "per_second": self.rate(), "latency_ms": times,
        })
    }
}

/// All of them as a table: rates, times, and where the times lie.
pub(crate) fn table(loads: &[Load], width: usize, paint: Paint) -> String {
    let all = || loads.iter().map(|load| &load.checked.latencies.0).filter(|all| !all.is_empty());
    let least = all().map(Histogram::min).min().unwrap_or_default();
    let most = all().map(Histogram::max).max().unwrap_or_default();
    let mut table = Table::new(COLUMNS);
    for load in loads {
        let latencies = &load.checked.latencies;
        let mut row: Vec<Cell> =
            vec![load.name.as_str().into(), number(load.rate().round() as u64).into()];
        for (_, share) in QUANTILES.into_iter().chain([("most", 1.0)]) {
            row.push(millis(ms(latencies.quantile(share))).into());
        }
        row.push(Cell::toned(Tone::Well, latencies.drawn(least, most)));
        let tone = if load.checked.is_flawless() { Tone::Well } else { Tone::Bad };
        row.push(Cell::toned(tone, load.checked.outcome()));
        table.row(row);
    }
    table.render(width, paint)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(right: usize, wrong: usize, missing: usize) -> Checked {
        let mut latencies = Latencies::default();
        (1..=right + wrong + missing).for_each(|n| latencies.add(Duration::from_millis(n as u64)));
        Checked { right, wrong, missing, latencies }
    }

    fn load(checked: Checked) -> Load {
        Load {
            name: "get, 64 at once".into(),
            checked,
            took: Duration::from_millis(500),
            processor_time: Duration::from_millis(20),
        }
    }

    /// To three digits.
    #[track_caller]
    fn check_millis(is: f64, expected: f64) {
        assert!((is - expected).abs() < expected / 1000.0, "{is} is not {expected}");
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        assert_eq!(checked(0, 0, 0).latencies.quantile(0.5), Duration::ZERO);
        for (count, share, millis) in [
            (1, 0.99, 1.0),
            (100, 0.5, 50.0),
            (200, 0.99, 198.0),
            (1000, 0.999, 999.0),
            (10, 1.0, 10.0),
        ] {
            check_millis(ms(checked(count, 0, 0).latencies.quantile(share)), millis);
        }
    }

    #[test]
    fn the_table_tells_what_was_right_and_what_was_not() {
        let loads = [load(checked(1000, 0, 0)), load(checked(98, 1, 1))];
        let narrow = table(&loads, 80, Paint::PLAIN);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("p99") && !narrow.contains("shortest"), "{narrow}");
        let text = table(&loads, 120, Paint::PLAIN);
        let mut rows = text.lines();
        let head = rows.next().unwrap();
        assert!(head.contains("p99.9") && head.contains("shortest to longest"), "{head}");
        let row = rows.next().unwrap();
        assert!(row.starts_with("  get, 64 at once       2,000  500 ms  900 ms"), "{row}");
        assert!(row.ends_with("1,000 of 1,000"), "{row}");
        assert!(rows.next().unwrap().ends_with("98 of 100, 1 wrong"));
        assert_eq!(load(checked(100, 0, 0)).processor_time_each(), Duration::from_micros(200));
    }

    #[test]
    fn no_time_is_too_long_or_too_short() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::ZERO);
        latencies.add(Duration::from_secs(60));
        latencies.add(Duration::MAX);
        check_millis(ms(latencies.quantile(0.6)), 60_000.0);
        check_millis(ms(latencies.quantile(1.0)), 86_400_000.0);
        assert_eq!(latencies.quantile(0.01), Duration::ZERO);
    }

    #[test]
    fn times_are_drawn_where_they_lie() {
        let mut latencies = Latencies::default();
        for millis in [1, 1, 1, 1, 1000] {
            latencies.add(Duration::from_millis(millis));
        }
        let drawn = latencies.drawn(latencies.0.min(), latencies.0.max());
        assert_eq!(drawn, format!("█{}▄", " ".repeat(DRAWN - 2)));
    }

    #[test]
    fn json_has_the_times_in_milliseconds() {
        let json = load(checked(100, 0, 0)).json();
        assert_eq!((&json["right"], &json["per_second"]), (&json!(100), &json!(200.0)));
        for (name, millis) in [("p50", 50.0), ("max", 100.0), ("mean", 50.5)] {
            check_millis(json["latency_ms"][name].as_f64().unwrap(), millis);
        }
    }
}
