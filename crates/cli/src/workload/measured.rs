//! How many operations brought what they should, how long they took, and both as a table.

use std::time::Duration;

use serde_json::{Value, json};

use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{millis, number};
use crate::paint::{Paint, Tone, sparkline};

/// Width of the line on which the times of a row are drawn.
const DRAWN: usize = 24;
/// The shares of which the times are told.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

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

/// How long each of many operations took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    taken: Vec<Duration>,
}

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

/// Operations that ran one after the other or at once, and how long all of them took.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: String,
    pub(crate) checked: Checked,
    pub(crate) took: Duration,
    /// Of this process.
    pub(crate) processor_time: Duration,
}

impl Latencies {
    pub(crate) fn add(&mut self, taken: Duration) {
        self.taken.push(taken);
    }

    /// The least time within which this share of the operations ended (the nearest rank); zero
    /// if there were none.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.taken.clone();
        let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
        if sorted.is_empty() {
            return Duration::ZERO;
        }
        let place = rank.clamp(1, sorted.len()) - 1;
        *sorted.select_nth_unstable(place).1
    }

    fn mean(&self) -> Duration {
        let count = u32::try_from(self.taken.len()).unwrap_or(u32::MAX);
        self.taken.iter().sum::<Duration>().checked_div(count).unwrap_or(Duration::ZERO)
    }

    /// How many took how long, on a line that begins at `least` and ends at `most`, each place
    /// longer than the one before by the same factor.
    fn drawn(&self, least: Duration, most: Duration) -> String {
        let mut places = [0.0; DRAWN];
        let log = |taken: &Duration| taken.as_secs_f64().max(1e-9).ln();
        let (from, to) = (log(&least), log(&most));
        for taken in &self.taken {
            let share = if to > from { (log(taken) - from) / (to - from) } else { 0.0 };
            let place = (share * DRAWN as f64) as usize;
            places[place.min(DRAWN - 1)] += 1.0;
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
        self.latencies.taken.extend(other.latencies.taken);
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
        for (name, percent) in PERCENTILES {
            times.insert(name.into(), json!(ms(latencies.percentile(percent))));
        }
        times.insert("max".into(), json!(ms(latencies.percentile(100.0))));
        times.insert("mean".into(), json!(ms(latencies.mean())));
        json!({
            "name": self.name, "right": right, "wrong": wrong, "missing": missing,
            "seconds": self.took.as_secs_f64(), "per_second": self.rate(), "latency_ms": times,
        })
    }
}

/// All of them as a table: rates, times, and where the times lie.
pub(crate) fn table(loads: &[Load], width: usize, paint: Paint) -> String {
    let all = || loads.iter().flat_map(|load| &load.checked.latencies.taken);
    let least = all().min().copied().unwrap_or_default();
    let most = all().max().copied().unwrap_or_default();
    let mut table = Table::new(COLUMNS);
    for load in loads {
        let latencies = &load.checked.latencies;
        let mut row: Vec<Cell> =
            vec![load.name.as_str().into(), number(load.rate().round() as u64).into()];
        for (_, percent) in PERCENTILES.into_iter().chain([("most", 100.0)]) {
            row.push(millis(ms(latencies.percentile(percent))).into());
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

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let percentile = |count, percent| checked(count, 0, 0).latencies.percentile(percent);
        assert_eq!(percentile(0, 50.0), Duration::ZERO);
        assert_eq!(percentile(1, 99.0), Duration::from_millis(1));
        assert_eq!(percentile(100, 50.0), Duration::from_millis(50));
        assert_eq!(percentile(200, 99.0), Duration::from_millis(198));
        assert_eq!(percentile(1000, 99.9), Duration::from_millis(999));
        assert_eq!(percentile(10, 100.0), Duration::from_millis(10));
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
    fn times_are_drawn_where_they_lie() {
        let mut latencies = Latencies::default();
        for millis in [1, 1, 1, 1, 1000] {
            latencies.add(Duration::from_millis(millis));
        }
        let drawn = latencies.drawn(Duration::from_millis(1), Duration::from_secs(1));
        assert_eq!(drawn, format!("█{}▄", " ".repeat(DRAWN - 2)));
    }

    #[test]
    fn json_has_the_times_in_milliseconds() {
        let json = load(checked(100, 0, 0)).json();
        assert_eq!(
            (&json["latency_ms"]["p50"], &json["per_second"]),
            (&json!(50.0), &json!(200.0))
        );
        assert_eq!((&json["right"], &json["latency_ms"]["max"]), (&json!(100), &json!(100.0)));
    }
}
