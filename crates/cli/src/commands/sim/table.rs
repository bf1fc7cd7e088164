//! What was measured, for people: figures down and runs across where there are few runs, else the
//! other way round. What nodes sent has a table of its own, by kind of message and by purpose.

use voiddht_sim::run::Row;
use voiddht_sim::scenario::{Plan, Setting, Settings};

use crate::paint::Paint;
use crate::paint::table::{Column, Table};

/// Runs that stand side by side.
const MAX_ACROSS: usize = 6;
/// Figures that are divided into parts, each named `figure.part`, and the headings of their columns.
const DIVIDED: [(&str, &str); 3] = [
    ("messages-per-s", "messages/s"),
    ("bytes-per-s", "bytes/s"),
    ("requests-per-s", "requests/s"),
];

/// The table of a scenario.
pub(super) fn of(plan: &Plan, rows: &[Row]) -> String {
    let variables = varying(rows);
    let mut figures: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.figures) {
        let wanted = plan.show.contains(name) || (plan.show.is_empty() && part_of(name).is_none());
        if wanted && !figures.contains(&name.as_str()) {
            figures.push(name);
        }
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    let header = variables.iter().map(|name| (*name).to_owned());
    lines.push(header.chain(figures.iter().map(|name| (*name).to_owned())).collect());
    for row in rows {
        let settings = variables.iter().map(|name| match row.settings.get(*name) {
            Some(Setting::Number(number)) => figure(*number),
            Some(text) => text.to_string(),
            None => String::new(),
        });
        let figures = figures.iter().map(|name| row.figure(name).map_or_else(String::new, figure));
        lines.push(settings.chain(figures).collect());
    }
    if rows.len() <= MAX_ACROSS {
        lines = transposed(&lines);
    }
    aligned(&lines)
}

/// What nodes sent in one row, per node and second: by kind of message, then requests by purpose.
/// Empty if that was not measured.
pub(super) fn of_traffic(row: &Row) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (name, _) in &row.figures {
        let Some((_, part)) = part_of(name) else { continue };
        if !lines.iter().any(|line| line[0] == part) {
            let cells = DIVIDED.iter().map(|(figure, _)| {
                let number = row.figure(&format!("{figure}.{part}"));
                number.map_or_else(String::new, self::figure)
            });
            lines.push(std::iter::once(part.to_owned()).chain(cells).collect());
        }
    }
    // A kind or purpose that did not occur says nothing.
    lines.retain(|line| line[1..].iter().any(|cell| !cell.is_empty() && cell != "0"));
    if lines.is_empty() {
        return String::new();
    }
    let heading = DIVIDED.iter().map(|(_, heading)| (*heading).to_owned());
    lines.insert(0, std::iter::once("sent by a node".to_owned()).chain(heading).collect());
    aligned(&lines)
}

/// The figure that one of this name is a part of, and which part.
fn part_of(name: &str) -> Option<(&'static str, &str)> {
    let is_it = |figure: &str| name.strip_prefix(figure)?.strip_prefix('.');
    DIVIDED.iter().find_map(|(figure, _)| Some((*figure, is_it(figure)?)))
}

/// The settings of a world, in words.
pub(super) fn words(settings: &Settings) -> String {
    let words: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.join(",")
}

/// A number with as many digits as matter.
pub(super) fn figure(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 {
        return format!("{number}");
    }
    match size {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        0.001.. => format!("{number:.4}"),
        _ => format!("{number:.1e}"),
    }
}

/// The variables that have more than one value, or all if none has.
fn varying(rows: &[Row]) -> Vec<&str> {
    let Some(first) = rows.first() else { return Vec::new() };
    let varies = |name: &&String| {
        rows.iter().any(|row| row.settings.get(*name) != first.settings.get(*name))
    };
    let names: Vec<_> = first.settings.keys().filter(varies).map(String::as_str).collect();
    if names.is_empty() { first.settings.keys().map(String::as_str).collect() } else { names }
}

fn transposed(lines: &[Vec<String>]) -> Vec<Vec<String>> {
    let width = lines.first().map_or(0, Vec::len);
    (0..width).map(|column| lines.iter().map(|line| line[column].clone()).collect()).collect()
}

/// The first line as titles, the first column to the left, the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let Some((titles, rows)) = lines.split_first() else { return String::new() };
    let column = |(number, title)| match number {
        0 => Column::text(title),
        _ => Column::number(title),
    };
    let columns = titles.iter().map(String::as_str).enumerate().map(column);
    let mut table = Table::new(columns.collect::<Vec<_>>());
    for row in rows {
        table.row(row.iter().map(|cell| cell.as_str().into()).collect::<Vec<_>>());
    }
    table.render(usize::MAX, Paint::PLAIN) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_a_table_of_its_own() {
        let figures = [
            ("messages-per-s", 1.5),
            ("messages-per-s.ping", 1.5),
            ("bytes-per-s.ping", 220.0),
            ("bytes-per-s.handshake", 300.25),
            ("requests-per-s.liveness", 0.75),
            ("requests-per-s.seed", 0.0),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let row = Row { figures, ..Row::default() };
        let text = "  sent by a node  messages/s  bytes/s  requests/s
  ping                  1.50      220
  handshake                       300
  liveness                                 0.7500
";
        assert_eq!(of_traffic(&row), text);
        assert_eq!(of_traffic(&Row::default()), "");
    }

    #[test]
    fn numbers_have_as_many_digits_as_matter() {
        for (number, text) in [
            (0.0, "0"),
            (20000.0, "20000"),
            (1234.56, "1235"),
            (12.345, "12.3"),
            (1.234, "1.23"),
            (0.99854, "0.9985"),
            (0.000_012_3, "1.2e-5"),
        ] {
            assert_eq!(figure(number), text);
        }
    }
}
