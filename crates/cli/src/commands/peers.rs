//! `dht peers`: the contacts of a node, one in each line.

use clap::Args;
use serde_json::Value;

use super::shown::{Contact, Status};
use crate::connection::{ConnectionArguments, Preference, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::table::{Cell, Column, Table};
use crate::paint::words::{millis, plural, span};
use crate::paint::{Paint, Tone, width_of_stdout};

/// List the contacts of a node, with their state and round-trip time
///
/// The nearest first. A suspect did not answer the last request.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht peers
  dht peers --http 192.0.2.1:9402
  dht peers --json | jq -r '.[] | select(.failures > 0) | .address'

Exit status:
  0  the node has contacts
  1  it has none
  2  a wrong argument
  3  the node could not be reached";

/// The table of contacts.
const COLUMNS: [Column; 6] = [
    Column::text("ID"),
    Column::text("address"),
    Column::text("state"),
    Column::number("round trip"),
    Column::number("±").weight(1),
    Column::number("answered").weight(2),
];

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let node = self.connection.node(preference).await?;
        let json = node.fetch("/status.json").await?;
        let Status::Node(status) = node.understand(&json)? else {
            let text = "a test network answers there: choose a node with --index NUMBER";
            return Err(Failure::Usage(text.to_owned()));
        };
        let buckets = status.table.buckets.iter();
        let mut contacts: Vec<&Contact> = buckets.flat_map(|bucket| &bucket.contacts).collect();
        contacts.sort_by(|one, other| slowness(one).total_cmp(&slowness(other)));
        if self.connection.json {
            let all = contacts.iter().map(serde_json::to_value);
            let all: Result<Vec<_>, _> = all.collect();
            output.line(pretty(&Value::Array(all.map_err(Failure::failed)?)))?;
        } else if !contacts.is_empty() {
            output.line(words(&contacts, width_of_stdout(), Paint::of_stdout()))?;
        }
        output.notice(plural(contacts.len() as u64, "contact"));
        Ok(if contacts.is_empty() { Exit::Negative } else { Exit::Success })
    }
}

/// The order of the list: those whose time is not known last.
fn slowness(contact: &Contact) -> f64 {
    contact.rtt_ms.unwrap_or(f64::MAX)
}

fn words(contacts: &[&Contact], width: usize, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    for contact in contacts {
        let state = match (contact.failures, contact.connected) {
            (0, true) => Cell::toned(Tone::Well, "connected"),
            (0, false) => "idle".into(),
            (times, _) => Cell::toned(Tone::Warning, format!("suspect, {times}×")),
        };
        let time = |ms: Option<f64>| ms.map_or("–".to_owned(), millis);
        table.row([
            contact.id.chars().take(16).collect::<String>().into(),
            contact.address.as_str().into(),
            state,
            time(contact.rtt_ms).into(),
            time(contact.rtt_deviation_ms).into(),
            format!("{} ago", span(contact.seen_seconds_ago)).into(),
        ]);
    }
    table.render(width, paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_connected_idle_or_suspect() {
        let contact = |failures, connected| Contact {
            id: "ab".repeat(32),
            address: "[2001:db8:1:2:3:4:5:6]:7402".into(),
            rtt_ms: (failures == 0).then_some(12.5),
            rtt_deviation_ms: None,
            seen_seconds_ago: 7,
            failures,
            connected,
        };
        let all = [contact(0, true), contact(0, false), contact(2, false)];
        let text = words(&all.iter().collect::<Vec<_>>(), 80, Paint::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        let states = ["connected ", "idle ", "suspect, 2×"];
        for (line, state) in lines[1..].iter().zip(states) {
            assert!(line.starts_with("  abababababababab  [2001:db8:1:") && line.contains(state));
        }
        assert!(lines[1].contains("12 ms") || lines[1].contains("13 ms"), "{text}");
    }
}
