//! What a scenario's pictures show: the lines of each, out of what was measured. And the figures
//! themselves, as CSV.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use voiddht_sim::run::Row;
use voiddht_sim::scenario::{Line, Plan, Plot, Setting, Settings};

use super::drawing::{self, Curve};
use crate::outcome::Failure;

/// Spans of time in a series, by the word with which its axis begins: seconds in each.
const TIME_UNITS: [(&str, f64); 3] = [("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)];

/// Writes all pictures and figures of a scenario, and says which files there are now.
pub(super) fn write_all(plan: &Plan, rows: &[Row], folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for plot in &plan.plots {
        let curves = curves(plot, rows);
        for ending in ["svg", "png"] {
            let file = folder.join(format!("{}.{ending}", plot.file));
            drawing::draw(plot, &curves, &file)
                .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            files.push(file);
        }
    }
    let file = folder.join(format!("{}.csv", plan.name));
    fs::write(&file, csv(rows))
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    files.push(file);
    Ok(files)
}

fn curves(plot: &Plot, rows: &[Row]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for line in &plot.line {
        if let Some(points) = &line.points {
            let label = line.label.clone();
            curves.push(Curve { label, points: points.clone(), dashed: line.dashed });
            continue;
        }
        let mut groups: Vec<(Option<&Setting>, Vec<&Row>)> = Vec::new();
        for row in rows.iter().filter(|row| line.is_about(&row.settings)) {
            let group = line.by.as_ref().and_then(|by| row.settings.get(by));
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((group, vec![row])),
            }
        }
        for (_, rows) in groups {
            let Some(first) = rows.first() else { continue };
            let label = labelled(line, &first.settings);
            let mut points = match &line.series {
                Some(series) => over_time(plot, series, &rows),
                None => rows.iter().filter_map(|row| point(line, row)).collect(),
            };
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            curves.push(Curve { label, points, dashed: line.dashed });
        }
    }
    curves
}

fn over_time(plot: &Plot, series: &str, rows: &[&Row]) -> Vec<(f64, f64)> {
    let unit = TIME_UNITS.iter().find(|(word, _)| plot.x.label.starts_with(word));
    let seconds = unit.map_or(1.0, |(_, seconds)| *seconds);
    let points = rows.iter().filter_map(|row| row.series.get(series)).flatten();
    points.map(|(at, value)| (at / seconds, *value)).collect()
}

fn point(line: &Line, row: &Row) -> Option<(f64, f64)> {
    let value = |name: &String| match row.settings.get(name) {
        Some(setting) => setting.number(),
        None => row.figure(name),
    };
    Some((value(line.x.as_ref()?)?, value(line.y.as_ref()?)?))
}

/// A label in which `{name}` is the value of that variable, and `{name%}` the same in percent.
fn labelled(line: &Line, settings: &Settings) -> String {
    settings.iter().fold(line.label.clone(), |label, (name, value)| {
        let percent =
            value.number().map(|number| format!("{} %", (number * 1000.0).round() / 10.0));
        label
            .replace(&format!("{{{name}}}"), &value.to_string())
            .replace(&format!("{{{name}%}}"), &percent.unwrap_or_default())
    })
}

fn csv(rows: &[Row]) -> String {
    let mut figures: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.figures) {
        if !figures.contains(&name.as_str()) {
            figures.push(name);
        }
    }
    let variables: Vec<&String> =
        rows.first().map_or_else(Vec::new, |row| row.settings.keys().collect());
    let mut text = String::new();
    let names = variables.iter().map(|name| name.as_str()).chain(figures.iter().copied());
    let _ = writeln!(text, "{}", names.collect::<Vec<_>>().join(","));
    for row in rows {
        let settings = variables.iter().map(|name| row.settings[*name].to_string());
        let values = figures
            .iter()
            .map(|name| row.figure(name).map_or_else(String::new, |it| it.to_string()));
        let _ = writeln!(text, "{}", settings.chain(values).collect::<Vec<_>>().join(","));
    }
    text
}
