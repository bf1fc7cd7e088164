//! The tables, as Markdown that is readable as it is, and the same figures as JSON.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::process;
use crate::rows::{self, Figures, ROWS, Row, Unit};

/// What is measured, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// Bare TLS, without a DHT
    Floor,
    Voiddht,
    Opendht,
    #[value(name = "libp2p-kad")]
    Libp2p,
    Mainline,
}

/// All runs so far.
#[derive(Debug)]
pub(crate) struct Report {
    settings: Settings,
    load_before: Option<f64>,
    load_after: Option<f64>,
    runs: BTreeMap<System, Vec<Figures>>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    nodes: u16,
    seconds: u64,
    rounds: u16,
}

impl System {
    /// Its name on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Voiddht => "voiddht",
            Self::Opendht => "opendht",
            Self::Libp2p => "libp2p-kad",
            Self::Mainline => "mainline",
        }
    }

    /// Its name, and its version where that is not this repository's.
    fn title(self) -> String {
        let version = match self {
            Self::Floor | Self::Voiddht => None,
            Self::Opendht => option_env!("VERSION_OF_OPENDHT"),
            Self::Libp2p => option_env!("VERSION_OF_LIBP2P_KAD"),
            Self::Mainline => option_env!("VERSION_OF_MAINLINE"),
        };
        format!("{} {}", self.name(), version.unwrap_or_default()).trim_end().to_owned()
    }

    /// Why it cannot be measured, if so.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Opendht if cfg!(not(opendht)) => {
                Some("libopendht-c-dev was not installed when this program was built")
            }
            _ => None,
        }
    }
}

impl Report {
    pub(crate) fn begin(nodes: u16, seconds: u64, rounds: u16) -> Self {
        let settings = Settings { nodes, seconds, rounds };
        Self { settings, load_before: process::load(), load_after: None, runs: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, system: System, figures: Figures) {
        self.runs.entry(system).or_default().push(figures);
    }

    pub(crate) fn end(&mut self) {
        self.load_after = process::load();
    }

    pub(crate) fn json(&self) -> Result<String> {
        let medians: BTreeMap<_, BTreeMap<_, _>> = self
            .runs
            .keys()
            .map(|&system| {
                let rows = self.ids(system).map(|id| (id, self.median(system, id)));
                (system.name(), rows.collect())
            })
            .collect();
        let runs: BTreeMap<_, _> =
            self.runs.iter().map(|(system, runs)| (system.name(), runs)).collect();
        let Settings { nodes, seconds, rounds } = self.settings;
        Ok(serde_json::to_string_pretty(&json!({
            "nodes": nodes, "seconds": seconds, "rounds": rounds,
            "processors": processors(),
            "load_before": self.load_before, "load_after": self.load_after,
            "medians": medians, "runs": runs,
        }))?)
    }

    fn ids(&self, system: System) -> impl Iterator<Item = &str> {
        let first = self.runs.get(&system).and_then(|runs| runs.first());
        first.into_iter().flat_map(|figures| figures.keys().map(String::as_str))
    }

    /// Of all runs; of an even number, the upper of the two in the middle.
    fn median(&self, system: System, id: &str) -> Option<f64> {
        let runs = self.runs.get(&system)?;
        let mut values: Vec<f64> =
            runs.iter().filter_map(|figures| figures.get(id).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().filter(|value| value.is_finite())
    }

    /// The systems that have columns.
    fn columns(&self) -> Vec<System> {
        self.runs.keys().copied().filter(|&system| system != System::Floor).collect()
    }

    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        columns: &[System],
        cell: impl Fn(Row, System) -> Option<String>,
    ) -> fmt::Result {
        let mut lines = vec![vec![title.to_owned()]];
        lines[0].extend(columns.iter().map(|system| system.title()));
        for &row in ROWS {
            let cells: Vec<_> = columns.iter().map(|&system| cell(row, system)).collect();
            if cells.iter().any(Option::is_some) {
                let mut line = vec![row.title.to_owned()];
                line.extend(cells.into_iter().map(Option::unwrap_or_default));
                lines.push(line);
            }
        }
        let widths: Vec<usize> = (0..=columns.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        for (number, line) in lines.iter().enumerate() {
            write!(f, "| {:<width$} |", line[0], width = widths[0])?;
            for (text, width) in line[1..].iter().zip(&widths[1..]) {
                write!(f, " {text:>width$} |")?;
            }
            writeln!(f)?;
            if number == 0 {
                write!(f, "|{}|", "-".repeat(widths[0] + 2))?;
                for width in &widths[1..] {
                    write!(f, "{}:|", "-".repeat(width + 1))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { nodes, seconds, rounds } = self.settings;
        let load =
            |load: Option<f64>| load.map_or("unknown".to_owned(), |load| format!("{load:.1}"));
        writeln!(
            f,
            "{nodes} nodes, {seconds} s for each measurement, median of {rounds}; {} processors, \
             load {} before and {} after (with nothing else on the machine, the load before is \
             near 0).\n",
            processors(),
            load(self.load_before),
            load(self.load_after),
        )?;
        let columns = self.columns();
        if !columns.is_empty() {
            self.table(f, "figure", &columns, |row, system| {
                Some(row.unit.show(self.median(system, row.id)?))
            })?;
        }
        let peers: Vec<System> =
            columns.into_iter().filter(|&system| system != System::Voiddht).collect();
        if self.runs.contains_key(&System::Voiddht) && !peers.is_empty() {
            writeln!(f, "\nvoiddht's figure divided by the peer's: below 1 is better for voiddht")?;
            writeln!(f, "where less is better, above 1 where the figure is a rate.\n")?;
            self.table(f, "voiddht / peer", &peers, |row, peer| {
                let ours = self.median(System::Voiddht, row.id)?;
                let theirs = self.median(peer, row.id)?;
                (row.unit.has_ratio() && theirs > 0.0).then(|| three_digits(ours / theirs))
            })?;
        }
        let floor = |id| self.median(System::Floor, id);
        if let (Some(one), Some(two)) =
            (floor(rows::FLOOR_ONE_THREAD), floor(rows::FLOOR_TWO_THREADS))
        {
            writeln!(
                f,
                "\nThe floor, one TLS request and its answer: {} ms with both ends on one thread, \
                 {} ms across two.",
                three_digits(one),
                three_digits(two)
            )?;
        }
        Ok(())
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        let unit = match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::Percent => "%",
            Self::Count => return format!("{value:.0}"),
        };
        format!("{} {unit}", three_digits(value))
    }

    fn has_ratio(self) -> bool {
        !matches!(self, Self::Percent | Self::Count)
    }
}

/// As many digits as such figures deserve.
fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(runs: &[(System, f64)]) -> Report {
        let mut report = Report::begin(64, 5, 1);
        for &(system, value) in runs {
            report.add(system, Figures::from([(rows::GET_P50.to_owned(), value)]));
        }
        report
    }

    #[test]
    fn the_median_of_the_runs_is_shown() {
        let runs = [9.0, 1.0, 2.0].map(|value| (System::Voiddht, value));
        assert_eq!(report(&runs).median(System::Voiddht, rows::GET_P50), Some(2.0));
        assert_eq!(report(&runs).median(System::Opendht, rows::GET_P50), None);
    }

    #[test]
    fn ratios_are_ours_by_theirs() {
        let text = report(&[(System::Voiddht, 0.25), (System::Opendht, 50.0)]).to_string();
        assert!(text.contains("0.250 ms"), "{text}");
        assert!(text.contains("| GET, one at a time, p50 |    0.005 |"), "{text}");
    }

    #[test]
    fn figures_have_about_three_digits() {
        let shown = [1234.5, 56.78, 1.234, 0.0567, 0.0].map(three_digits);
        assert_eq!(shown, ["1234", "56.8", "1.23", "0.057", "0"]);
    }
}
