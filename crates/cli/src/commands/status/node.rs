//! The status of one node as text.

use std::fmt::Write;
use std::net::SocketAddr;

use super::super::shown::{Event, Group, History, Node, PrivateNetwork, Table, Who};
use crate::paint::words::{bytes, millis, number, plural, span};
use crate::paint::{Paint, Tone, bar, sparkline};

/// Rates that are drawn: as many as fit beside their name and number.
const SPARKLINE: usize = 48;
/// Rows of the routing table, at most: of a larger one, each depth is one row.
const BUCKET_ROWS: usize = 16;
/// Width of the longest bar.
const BAR: usize = 20;
/// Events that are shown, the latest.
const EVENTS: usize = 6;

/// Where the value of a fact begins, behind its name.
const VALUE_COLUMN: usize = 16;

/// Everything that there is to say.
pub(super) fn words(node: &Node, paint: Paint) -> String {
    let mut text = head(node, paint);
    let mut fact = |name: &str, value: &str| {
        let (name, value) = (format!("{name:<12}"), paint.hang(VALUE_COLUMN, value));
        let _ = write!(text, "\n  {}  {value}", paint.tone(Tone::Faint, name));
    };
    for (name, value) in facts(node, paint) {
        fact(name, &value);
    }
    for peer in &node.peers {
        let tone = match peer.state.as_str() {
            "joined" | "own_node" => Tone::Well,
            "untried" => Tone::Faint,
            _ => Tone::Warning,
        };
        fact("peer", &format!("{}: {}", peer.peer, paint.tone(tone, &peer.text)));
    }
    if let Some(history) = &node.history {
        text += &rates(history, paint);
    }
    if node.table.contacts > 0 {
        text += &buckets(&node.table, node.node.k, paint);
    }
    text += &events(&node.events, node.taken_at_ms, paint);
    text
}

fn head(node: &Node, paint: Paint) -> String {
    let health = &node.health;
    let (tone, feeling) = match health.state.as_str() {
        "joined" if node.table.contacts == 0 => {
            (Tone::Well, "The first node of its network, waiting for others.".to_owned())
        }
        "joined" => {
            (Tone::Well, format!("Joined, with {}.", plural(node.table.contacts, "contact")))
        }
        "degraded" => (Tone::Warning, "Joined, with warnings.".to_owned()),
        "joining" => (Tone::Warning, "Joining its network.".to_owned()),
        "isolated" => (Tone::Bad, "Isolated: no contact is left.".to_owned()),
        "leaving" => (Tone::Faint, "Leaving: handing over its records.".to_owned()),
        other => (Tone::Faint, other.to_owned()),
    };
    let label = node.label.as_ref().map_or(String::new(), |label| format!("{label}: "));
    let mut text = format!(
        "{} {}\n",
        paint.tone(tone, "●"),
        paint.tone(Tone::Strong, format!("{label}{feeling}"))
    );
    for reason in &health.reasons {
        let reason = format!("{} {}", paint.tone(Tone::Warning, &reason.text), reason.hint);
        let _ = writeln!(text, "  {}", paint.hang(2, &reason));
    }
    text
}

/// Where the node listens, where it is reached if that is elsewhere, and whether peers can dial it.
fn peers_at(who: &Who, paint: Paint) -> String {
    let mut text = who.p2p_address.clone();
    if let Some(announced) = who.announced_address.as_ref().filter(|it| **it != text) {
        let _ = match announced.parse::<SocketAddr>() {
            // Peers take the address that they see, and this port.
            Ok(address) if address.ip().is_unspecified() => {
                write!(text, ", announced as port {}", address.port())
            }
            _ => write!(text, ", announced as {announced}"),
        };
    }
    if let Some(public) = &who.public_address {
        let _ = write!(text, ", seen at {public}");
    }
    match who.reach.as_deref() {
        Some("reachable") => text += "; peers dial it",
        Some("unreachable") => {
            let _ = write!(text, "; {}", paint.tone(Tone::Warning, "no peer can dial it"));
        }
        Some("client") => text += "; a client",
        _ => {}
    }
    text
}

fn facts(node: &Node, paint: Paint) -> Vec<(&'static str, String)> {
    let Node { node: who, table, records, connections, operations, trust, storage, .. } = node;
    let median =
        table.rtt_median_ms.map_or(String::new(), |rtt| format!(", median {}", millis(rtt)));
    let suspects = match table.suspects {
        0 => String::new(),
        some => format!(", {}", paint.tone(Tone::Warning, format!("{} suspect", number(some)))),
    };
    let expiry = records.next_expiry_seconds;
    let expiry =
        expiry.map_or(String::new(), |left| format!("; the next expires in {}", span(left)));
    let kept = match &storage.directory {
        None => "memory only".to_owned(),
        Some(directory) if storage.failing => {
            format!("{directory}: {}", paint.tone(Tone::Bad, "the disk refuses writes"))
        }
        Some(directory) => directory.clone(),
    };
    let network = node.network.as_ref().map_or_else(|| "public".to_owned(), private);
    vec![
        ("node", who.id.clone()),
        ("network", network),
        ("peers at", peers_at(who, paint)),
        ("programs at", who.api_address.clone()),
        (
            "program",
            format!(
                "version {}, {}; k {}, alpha {}, {}, quorum {}; up {}",
                who.version,
                who.policy,
                who.k,
                who.alpha,
                plural(who.disjoint_paths, "path"),
                who.vote_quorum,
                span(who.uptime_seconds)
            ),
        ),
        (
            "contacts",
            format!(
                "{} in {}{median}{suspects}",
                number(table.contacts),
                plural(table.buckets.len() as u64, "bucket")
            ),
        ),
        (
            "records",
            format!(
                "{} of {}, {} of {}{expiry}",
                number(records.count),
                number(records.max_count),
                bytes(records.bytes),
                bytes(records.max_bytes)
            ),
        ),
        ("stored", kept),
        (
            "connections",
            format!(
                "{} open with peers, {}; {} dialled ({} more failed), {} accepted",
                number(connections.open),
                plural(connections.api, "program"),
                number(connections.dialed),
                number(connections.dials_failed),
                number(connections.accepted)
            ),
        ),
        ("key exchange", groups(&connections.groups)),
        (
            "operations",
            format!(
                "{} in progress, {} in flight",
                number(operations.running_count),
                plural(operations.requests_in_flight, "request")
            ),
        ),
        ("limits", limits(node, paint)),
        ("bans", bans(trust, paint)),
    ]
}

fn groups(groups: &[Group]) -> String {
    let some: Vec<_> = groups
        .iter()
        .map(|one| format!("{} by {}", plural(one.connections, "connection"), one.group))
        .collect();
    match some.is_empty() {
        true => "no connection".to_owned(),
        false => some.join(", "),
    }
}

fn private(network: &PrivateNetwork) -> String {
    let secrets = network.secrets.iter();
    let secrets: Vec<_> = secrets
        .map(|one| format!("{} ({})", one.fingerprint, plural(one.connections, "connection")))
        .collect();
    format!("private: {}", secrets.join(", "))
}

fn limits(node: &Node, paint: Paint) -> String {
    let reached = node.limits.iter().filter(|limit| limit.reached > 0);
    let reached: Vec<_> =
        reached.map(|limit| format!("{} {}×", limit.name, number(limit.reached))).collect();
    match reached.is_empty() {
        true => "none was reached".to_owned(),
        false => paint.tone(Tone::Warning, format!("reached: {}", reached.join(", "))),
    }
}

fn bans(trust: &super::super::shown::Trust, paint: Paint) -> String {
    let short = |id: &str| id.chars().take(8).collect::<String>();
    let bans: Vec<_> = trust
        .bans
        .iter()
        .map(|ban| format!("{} for {}", short(&ban.id), span(ban.seconds_left)))
        .collect();
    let broken = format!("peers broke {}", plural(trust.misbehaved, "rule"));
    match bans.is_empty() {
        true => format!("none; {broken}"),
        false => format!("{}; {broken}", paint.tone(Tone::Warning, bans.join(", "))),
    }
}

/// The last minutes, one line for each rate.
pub(super) fn rates(history: &History, paint: Paint) -> String {
    let mut text = String::new();
    let per_second = |value: f64| match value {
        ..0.05 => "0 /s".to_owned(),
        ..9.95 => format!("{value:.1} /s"),
        _ => format!("{} /s", number(value.round() as u64)),
    };
    let bytes_per_second = |value: f64| format!("{} /s", bytes(value.round() as u64));
    type Say<'a> = &'a dyn Fn(f64) -> String;
    let shown: [(&str, &str, Say<'_>); 6] = [
        ("gets_per_second", "GETs", &per_second),
        ("puts_per_second", "PUTs", &per_second),
        ("get_p50_ms", "time of a GET", &millis),
        ("served_per_second", "served", &per_second),
        ("received_bytes_per_second", "received", &bytes_per_second),
        ("sent_bytes_per_second", "sent", &bytes_per_second),
    ];
    for (name, title, say) in shown {
        let series = history.series.iter().find(|series| series.name == name);
        let Some(series) = series.filter(|series| series.values.iter().flatten().any(|v| *v > 0.0))
        else {
            continue;
        };
        let last = series.values.iter().rev().flatten().next().copied().unwrap_or(0.0);
        let line = sparkline(&series.values, SPARKLINE);
        let name = paint.tone(Tone::Faint, format!("{title:<14}"));
        let _ = write!(text, "\n  {name}{:>12}  {}", say(last), paint.tone(Tone::Well, line));
    }
    if !text.is_empty() {
        text.insert_str(0, &format!("\n\n{}", paint.tone(Tone::Strong, "The last minutes")));
    }
    text
}

/// The routing table: a bucket, or all of one depth, in each row.
fn buckets(table: &Table, k: u64, paint: Paint) -> String {
    let mut text = format!("\n\n{}", paint.tone(Tone::Strong, "Routing table"));
    let grouped = table.buckets.len() > BUCKET_ROWS;
    let mut rows: Vec<(String, u64, u64, u64, bool)> = Vec::new();
    for bucket in &table.buckets {
        let name = if grouped { format!("depth {}", bucket.depth) } else { prefix(bucket) };
        match rows.iter_mut().find(|row| grouped && row.0 == name) {
            Some(row) => {
                row.1 += bucket.size;
                row.2 += k;
                row.3 += bucket.candidates;
                row.4 |= bucket.own;
            }
            None => rows.push((name, bucket.size, k, bucket.candidates, bucket.own)),
        }
    }
    if grouped {
        rows.sort_by_key(|row| row.0.trim_start_matches("depth ").parse::<usize>().unwrap_or(0));
    }
    let width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    for (name, size, room, candidates, own) in rows {
        let drawn = paint.tone(Tone::Well, bar(size as f64, room as f64, BAR));
        let waiting = match candidates {
            0 => String::new(),
            some => paint.tone(Tone::Faint, format!("  {} waiting", number(some))),
        };
        let own = if own { paint.tone(Tone::Faint, "  this node is here") } else { String::new() };
        let _ = write!(text, "\n  {name:<width$}  {drawn} {size:>4}{waiting}{own}");
    }
    text
}

/// The bits that the IDs of a bucket begin with.
fn prefix(bucket: &super::super::shown::Bucket) -> String {
    let bits: String = bucket
        .prefix
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| format!("{digit:04b}"))
        .collect();
    match bucket.depth {
        0 => "all IDs".to_owned(),
        depth => format!("{}…", &bits[..depth.min(bits.len())]),
    }
}

fn events(events: &[Event], now_ms: u64, paint: Paint) -> String {
    let mut text = String::new();
    for event in events.iter().rev().take(EVENTS) {
        let ago = now_ms.saturating_sub(event.at_ms) / 1000;
        let times =
            if event.times > 1 { format!(" {}×", number(event.times)) } else { String::new() };
        let told = format!("{}{times}", event.text);
        let told = if event.warning { paint.tone(Tone::Warning, told) } else { told };
        let told = paint.hang(VALUE_COLUMN, &told);
        let ago = paint.tone(Tone::Faint, format!("{:>8} ago", span(ago)));
        let _ = write!(text, "\n  {ago}  {told}");
    }
    if !text.is_empty() {
        text.insert_str(0, &format!("\n\n{}", paint.tone(Tone::Strong, "Events")));
    }
    text
}
