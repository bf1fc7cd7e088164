//! `dht kept`: which values a node keeps, and how that goes.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::Value;
use voiddht_node::kept::KeptView;

use super::ControlArguments;
use crate::connection::pretty;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{bytes, plural, span};
use crate::paint::{Paint, Tone, width_of_stdout};

/// List the values that a node keeps, with their last and next publication
///
/// The replicas are the nodes on which the last publication was stored. A value that is superseded or
/// has ended is listed until dht unkeep.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct Arguments {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: ControlArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht kept
  dht kept --data-dir /var/lib/voiddht
  dht kept --json | jq '.[] | select(.failure != null)'

Ends with status 1 if the node keeps nothing.";

/// The table of kept values.
const COLUMNS: [Column; 7] = [
    Column::text("key").above(),
    Column::text("state"),
    Column::number("size").weight(3),
    Column::text("signed").weight(2),
    Column::number("published"),
    Column::number("next"),
    Column::number("replicas"),
];

impl Arguments {
    pub(in crate::commands) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let node = self.place.node().await?;
        let json = node.fetch("/kept.json").await?;
        let kept: Vec<KeptView> = node.understand(&json)?;
        if self.json {
            output.line(pretty(&node.understand::<Value>(&json)?))?;
        } else if !kept.is_empty() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            output.line(words(&kept, now_ms, width_of_stdout(), Paint::of_stdout()))?;
        }
        output.notice(plural(kept.len() as u64, "kept value"));
        Ok(if kept.is_empty() { Exit::Negative } else { Exit::Success })
    }
}

fn words(kept: &[KeptView], now_ms: u64, width: usize, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    for one in kept {
        let tone = match (one.state.as_str(), &one.failure) {
            ("kept", None) => Tone::Well,
            _ => Tone::Warning,
        };
        let ago = |at: u64| format!("{} ago", span(now_ms.saturating_sub(at) / 1000));
        let none = || "–".to_owned();
        table.row([
            one.key.as_str().into(),
            Cell::toned(tone, state(one)),
            bytes(one.bytes as u64).into(),
            signed(one).into(),
            one.published_ms.map_or_else(none, ago).into(),
            one.next_seconds.map_or_else(none, |left| format!("in {}", span(left))).into(),
            one.replicas.map_or_else(none, |replicas| replicas.to_string()).into(),
        ]);
    }
    table.render(width, paint)
}

fn state(kept: &KeptView) -> String {
    match &kept.failure {
        Some(_) if kept.state == "kept" => "failing".to_owned(),
        _ => kept.state.clone(),
    }
}

fn signed(kept: &KeptView) -> String {
    let Some(seq) = &kept.seq else { return String::new() };
    let generation = match kept.generation {
        None | Some(0) => String::new(),
        Some(generation) => format!("generation {generation} "),
    };
    let what = if kept.withdrawal { ", withdrawn" } else { "" };
    format!("{generation}seq {seq}{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_it_was_published_and_will_be_next() {
        let mut kept: KeptView = serde_json::from_value(serde_json::json!({
            "key": "ab".repeat(32), "bytes": 145, "verified": "signature", "owner": "cd".repeat(32),
            "generation": 0, "seq": "7", "withdrawal": true, "state": "kept", "ttl_seconds": 3600,
            "end_ms": null, "published_ms": 1_000_000, "next_seconds": 600, "replicas": 20,
            "failure": null,
        }))
        .unwrap();
        let text = words(std::slice::from_ref(&kept), 1_060_000, 200, Paint::PLAIN);
        for needle in ["abab", "kept", "145 B", "seq 7, withdrawn", "60 s ago", "in 10 min", "20"] {
            assert!(text.contains(needle), "{needle} in\n{text}");
        }
        kept.failure = Some("no node took it".to_owned());
        assert_eq!(state(&kept), "failing");
    }
}
