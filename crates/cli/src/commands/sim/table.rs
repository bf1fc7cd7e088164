//! What was measured, for people: figures down and runs across where there are few runs, else the
//! other way round.

use std::fmt::Write;

use voiddht_sim::run::Row;
use voiddht_sim::scenario::{Plan, Setting};

/// Runs that stand side by side.
const MAX_ACROSS: usize = 6;

/// The table of a scenario.
pub(super) fn of(plan: &Plan, rows: &[Row]) -> String {
    let variables = varying(rows);
    let mut figures: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.figures) {
        let wanted = plan.show.is_empty() || plan.show.contains(name);
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

/// The first column to the left, the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        text.push(' ');
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, " {cell:width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
