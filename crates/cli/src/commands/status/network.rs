//! The status of a test network as text.

use std::fmt::Write;

use super::super::shown::{Network, NetworkNode};
use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{bytes, millis, number, plural};
use crate::paint::{Paint, Tone};

/// Nodes that are listed; those that are not well always are.
const LISTED: usize = 32;

/// The table of nodes.
const COLUMNS: [Column; 7] = [
    Column::text("node"),
    Column::text("ID").weight(1),
    Column::text("state"),
    Column::text("programs at").weight(3),
    Column::number("contacts"),
    Column::number("records").weight(4),
    Column::number("round trip").weight(2),
];

/// Everything that there is to say.
pub(super) fn words(network: &Network, width: usize, paint: Paint) -> String {
    let nodes = &network.nodes;
    let is_well = |node: &NetworkNode| node.state == "joined";
    let well = nodes.iter().filter(|node| is_well(node)).count();
    let tone = if well == nodes.len() { Tone::Well } else { Tone::Warning };
    let joined = format!("{} of {} have joined.", well, plural(nodes.len() as u64, "node"));
    let mut text = format!("{} {}\n", paint.tone(tone, "●"), paint.tone(Tone::Strong, joined));
    let sum = |read: fn(&NetworkNode) -> u64| nodes.iter().map(read).sum::<u64>();
    let _ = write!(
        text,
        "  {} records with all copies, {}; {} between nodes",
        number(sum(|node| node.records)),
        bytes(sum(|node| node.record_bytes)),
        plural(sum(|node| node.connections) / 2, "connection")
    );
    if let Some(history) = &network.history {
        text += &super::node::rates(history, paint);
    }
    let mut table = Table::new(COLUMNS);
    let (mut listed, mut left_out) = (0, 0);
    for node in nodes {
        if listed >= LISTED && is_well(node) {
            left_out += 1;
            continue;
        }
        listed += 1;
        let tone = if is_well(node) { Tone::Well } else { Tone::Warning };
        table.row([
            node.label.as_str().into(),
            node.id.chars().take(8).collect::<String>().into(),
            Cell::toned(tone, node.state.as_str()),
            node.api_address.as_str().into(),
            number(node.contacts).into(),
            number(node.records).into(),
            node.rtt_median_ms.map_or("–".to_owned(), millis).into(),
        ]);
    }
    let _ = write!(text, "\n\n{}", table.render(width, paint));
    if left_out > 0 {
        let _ = write!(text, "\n  … and {} more that have joined", number(left_out));
    }
    text + "\n\n  One of them alone: dht status --index NUMBER"
}
