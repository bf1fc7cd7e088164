//! The public API of the crate is listed in `public-api.txt`, so that a change of it is deliberate.
//!
//! The list is made from the sources: the public items of this crate, and those of other crates that it
//! re-exports, each with its fields, variants, methods and implemented traits. What macros make is
//! named only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod index;
mod text;

use std::fs;
use std::path::Path;

use index::{Exported, Index};

const RENEW: &str = "VOIDDHT_WRITE_API=1 cargo test -p voiddht --test public_api";

/// One entry for each public name, sorted by path.
fn listing() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let own = Index::of(&crates.join("voiddht/src"));
    let mut entries: Vec<(String, String)> = Vec::new();
    for Exported { path, source, name } in own.exported() {
        let entry = match source {
            None => own.describe(&name),
            Some(source) => {
                let directory = crates.join(source.trim_start_matches("voiddht_")).join("src");
                if directory.exists() && name != "*crate*" {
                    Index::of(&directory).describe(&name)
                } else {
                    format!("pub use {source}\n")
                }
            }
        };
        entries.push((path, entry));
    }
    entries.sort();
    entries.iter().map(|(path, entry)| format!("# {path}\n{entry}\n")).collect()
}

#[test]
fn the_public_api_is_the_one_that_is_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("public-api.txt");
    let now = listing();
    if std::env::var_os("VOIDDHT_WRITE_API").is_some() {
        return fs::write(&path, now).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    if let Some(difference) = text::first_difference(&listed, &now) {
        panic!("public-api.txt differs: {difference}\nIf that is meant: {RENEW}");
    }
}

#[test]
fn what_matters_is_in_it() {
    let now = listing();
    for line in [
        "# voiddht::NodeBuilder",
        "pub async fn start(self) -> Result<Node, StartError>",
        "pub struct NodeInfo",
        "fn commit(&mut self, changes: &[RowChange]) -> Result<(), StorageError>",
        "# voiddht::signed::SignedPut",
    ] {
        assert!(now.lines().any(|found| found.trim().starts_with(line)), "{line} in\n{now}");
    }
    assert!(now.contains("#[non_exhaustive]"));
}
