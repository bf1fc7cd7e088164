//! docs/limits.md against the code: every bound has a row, and every row is right.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use voiddht_node::counters::limit_names;

/// Types of bounds; factors and times are none.
const INTEGERS: [&str; 5] = ["usize", "u8", "u16", "u32", "u64"];
/// The crates whose bounds are listed.
const CRATES: [&str; 6] = ["core", "session", "node", "identity", "store", "gateway"];

/// A row of the table.
struct Row {
    name: String,
    file: String,
    default: String,
    counted_as: String,
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(crates().parent().unwrap().join("docs/limits.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, file, default, _, _, counted_as] = cells[..] else { panic!("{line}") };
        let bare = |cell: &str| cell.trim_matches('`').to_owned();
        Row {
            name: bare(name),
            file: bare(file),
            default: bare(default),
            counted_as: counted_as.to_owned(),
        }
    })
    .collect()
}

/// The integer constants of a file, tests left out, with the expressions that give them their values.
fn constants(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeMap::new();
    let statements = text.split(';').map(str::trim_start);
    for statement in statements {
        let Some(line) = statement.lines().find(|line| line.contains("const ")) else { continue };
        let definition = &statement[statement.find(line).unwrap()..];
        let Some((head, value)) = definition.split_once('=') else { continue };
        let Some((_, head)) = head.split_once("const ") else { continue };
        let Some((name, kind)) = head.split_once(':') else { continue };
        if !INTEGERS.contains(&kind.trim()) {
            continue;
        }
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        found.insert(name.trim().to_owned(), value);
    }
    found
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_row_names_a_bound_with_its_default() {
    let rows = rows();
    assert!(rows.len() > 50, "{} rows were read", rows.len());
    for row in rows {
        let (package, file) = row.file.split_once('/').unwrap();
        let found = constants(&crates().join(package).join(file));
        assert_eq!(found.get(&row.name), Some(&row.default), "{} in {}", row.name, row.file);
    }
}

#[test]
fn every_bound_has_a_row() {
    let rows: BTreeSet<(String, String)> =
        rows().into_iter().map(|row| (row.file, row.name)).collect();
    for package in CRATES {
        let mut files = Vec::new();
        sources(&crates().join(package).join("src"), &mut files);
        for file in files {
            let place = file.strip_prefix(crates()).unwrap().to_str().unwrap().to_owned();
            for name in constants(&file).into_keys() {
                let is_bound = name.starts_with("MAX_");
                let is_documented = rows.contains(&(place.clone(), name.clone()));
                assert!(!is_bound || is_documented, "docs/limits.md lacks {name} of {place}");
            }
        }
    }
}

#[test]
fn every_counted_limit_is_listed() {
    let page = fs::read_to_string(crates().parent().unwrap().join("docs/limits.md")).unwrap();
    let listed: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let names = limit_names();
    // What bounds operations of the network layer and of HTTP alike.
    for name in &names {
        assert!(listed.contains(name), "docs/limits.md does not say where {name} is counted");
    }
    for row in rows() {
        for label in row.counted_as.split('`').skip(1).step_by(2) {
            assert!(names.contains(label), "{} is counted as {label}, which is none", row.name);
        }
    }
}
