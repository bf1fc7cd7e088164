//! Several nodes, in one line each.

use super::super::shown::Status;
use crate::outcome::Failure;
use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{bytes, millis, number, span};
use crate::paint::{Paint, Tone};

/// One node, or why it says nothing.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) host: String,
    pub(super) status: Result<&'a Status, &'a Failure>,
}

const COLUMNS: [Column; 9] = [
    Column::text("host"),
    Column::text("state"),
    Column::text("ID").weight(3),
    Column::number("contacts"),
    Column::number("round trip").weight(4),
    Column::number("records").weight(5),
    Column::number("stored").weight(1),
    Column::number("up").weight(6),
    Column::text("version").weight(2),
];

/// The table, and below it why some are missing.
pub(super) fn table(lines: &[Line<'_>], width: usize, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    let mut reasons = String::new();
    for Line { host, status } in lines {
        match status {
            Ok(status) => table.row(cells(host, status)),
            Err(why) => {
                table.row([host.as_str().into(), Cell::toned(Tone::Bad, "unreachable")]);
                reasons += &format!("\n  {}", why.message().unwrap_or_default());
            }
        }
    }
    let text = table.render(width, paint);
    if reasons.is_empty() { text } else { format!("{text}\n{reasons}") }
}

fn cells(host: &str, status: &Status) -> Vec<Cell> {
    match status {
        Status::Node(node) => {
            let tone = match node.health.state.as_str() {
                "joined" => Tone::Well,
                _ if node.health.ready => Tone::Warning,
                _ => Tone::Bad,
            };
            vec![
                host.into(),
                Cell::toned(tone, node.health.state.as_str()),
                node.node.id.chars().take(8).collect::<String>().into(),
                number(node.table.contacts).into(),
                node.table.rtt_median_ms.map_or("–".to_owned(), millis).into(),
                number(node.records.count).into(),
                bytes(node.records.bytes).into(),
                span(node.node.uptime_seconds).into(),
                node.node.version.as_str().into(),
            ]
        }
        Status::Network(network) => {
            let joined = network.nodes.iter().filter(|node| node.state == "joined").count();
            let tone = if joined == network.nodes.len() { Tone::Well } else { Tone::Warning };
            let state = format!("{joined} of {} joined", network.nodes.len());
            vec![host.into(), Cell::toned(tone, state)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_a_line_and_one_that_is_missing_its_reason() {
        let network: Status = serde_json::from_str(r#"{"kind":"network","nodes":[]}"#).unwrap();
        let why = Failure::Unreachable("b:1: refused".into());
        let lines = [
            Line { host: "a:9402".into(), status: Ok(&network) },
            Line { host: "b:9402".into(), status: Err(&why) },
        ];
        let text = table(&lines, 80, Paint::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("  a:9402  0 of 0 joined"), "{text}");
        assert!(lines[2].starts_with("  b:9402  unreachable"), "{text}");
        assert_eq!(lines.last(), Some(&"  b:1: refused"));
    }
}
