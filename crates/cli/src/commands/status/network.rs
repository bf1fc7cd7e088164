//! A test network in words.

use std::fmt::Write;

use super::super::shown::{Network, NetworkNode};
use crate::paint::words::{bytes, millis, number, plural};
use crate::paint::{Paint, Tone};

/// Nodes that are listed; those that are not well always are.
const LISTED: usize = 32;

/// Everything that there is to say.
pub(super) fn words(network: &Network, paint: Paint) -> String {
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
    let head = format!(
        "{:<10} {:<8}  {:<9} {:<24} {:>8} {:>8} {:>9}",
        "node", "ID", "state", "programs at", "contacts", "records", "round trip"
    );
    let _ = write!(text, "\n\n  {}", paint.tone(Tone::Faint, head));
    let (mut listed, mut left_out) = (0, 0);
    for node in nodes {
        if listed >= LISTED && is_well(node) {
            left_out += 1;
            continue;
        }
        listed += 1;
        let state = format!("{:<9}", node.state);
        let state = if is_well(node) { state } else { paint.tone(Tone::Warning, state) };
        let rtt = node.rtt_median_ms.map_or("–".to_owned(), millis);
        let _ = write!(
            text,
            "\n  {:<10} {:<8}  {state} {:<24} {:>8} {:>8} {rtt:>10}",
            node.label,
            node.id.chars().take(8).collect::<String>(),
            node.api_address,
            number(node.contacts),
            number(node.records),
        );
    }
    if left_out > 0 {
        let _ = write!(text, "\n  … and {} more that have joined", number(left_out));
    }
    text + "\n\n  One of them alone: dht status --index NUMBER"
}
