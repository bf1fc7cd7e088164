//! The doctor's check of limits: which were reached or nearly are, and which option changes them.

use super::check::{Check, Grade};
use super::findings::Findings;
use crate::counters::recent::RECENT;

/// What to do about a limit that was reached, by its name in the metrics.
const ADVICE: &[(&str, &str)] = &[
    ("address_checks", "Many new peers connect; the addresses of some are checked later."),
    ("api_connections", "Local programs should share connections; or raise --max-api-connections."),
    ("api_queued_bytes", "A local program does not read its answers; it was disconnected."),
    (
        "api_requests_per_connection",
        "A program asks faster than the network answers; nothing is lost.",
    ),
    ("bytes_per_peer", "One peer stores a large share here; its STOREs are refused."),
    ("bytes_per_prefix", "One network stores a large share here; its STOREs are refused."),
    ("configured_peers", "More than 64 peers are configured; the others are ignored."),
    (
        "connections",
        "Raise --max-connections and the limit of open files (LimitNOFILE=, ulimit -n).",
    ),
    (
        "connections_per_address",
        "Many peers share an address; if that is right, raise --max-connections-per-address.",
    ),
    (
        "connections_per_peer",
        "A peer opens more connections than it needs; its oldest were closed. See the log.",
    ),
    ("gateway_batches", "Send fewer batches at a time, or longer ones."),
    ("gateway_body_bytes", "A client sent a body that no value may have, and was refused."),
    ("gateway_connections", "Clients should share connections, or use another node's gateway too."),
    ("gateway_kept_packets", "Packets are published once; their owners publish them again."),
    (
        "gateway_packets",
        "Clients publish packets faster than they are taken, and were told to wait.",
    ),
    (
        "gateway_requests",
        "Clients send more requests at a time than are taken, and were told to wait.",
    ),
    ("gateway_streams", "Close event streams that are not read."),
    ("given_up_requests", "Many requests were not answered; see this machine's network."),
    (
        "handshakes",
        "Many peers connect simultaneously, or a client floods the port; see voiddht_handshakes_total.",
    ),
    (
        "handshakes_per_address",
        "One address connects more often than a node does; its connections were closed.",
    ),
    ("http_connections", "Too many dashboards and metrics requests."),
    ("http_questions", "Too many ask for explanations at once."),
    ("http_streams", "Too many open dashboards."),
    (
        "inbox_events",
        "The node's one task is behind; peers feel that as delay. See its processor time.",
    ),
    (
        "legacy_peers",
        "Many peers of the original network; what was known of them is found out again.",
    ),
    ("lookup_requests", "Lookups end early: peers name many nodes that do not answer."),
    (
        "lost_contacts",
        "More contacts failed than are tried again; those known for the shortest time were forgotten.",
    ),
    ("max_bytes", "Raise --max-stored, or add nodes."),
    ("max_corrections", "Many peers hold outdated records: check whether clocks differ."),
    ("max_kept_bytes", "Local tools keep more bytes than a node may: see dht kept."),
    ("max_kept_values", "Local tools keep more values than a node may: see dht kept."),
    (
        "max_operations",
        "Local programs ask more than the node can do; further requests were refused.",
    ),
    ("max_records", "Raise --max-records, or add nodes."),
    (
        "max_signature_checks",
        "Peers bring more signed values than this node verifies; they come again. If it lasts: an attack.",
    ),
    ("max_unsynced", "The disk is slower than the values come: a faster one, or more nodes."),
    ("movements", "Many nodes joined or failed at once; the next renewal serves the rest."),
    ("newcomer_bytes", "New nodes are handed their records slowly; nothing is lost."),
    (
        "opinions",
        "Many peers break rules: an attack, or a build that this node does not understand.",
    ),
    ("probes", "Many new peers at once; they are looked at later."),
    (
        "publications",
        "Local programs store more than read-your-writes can remember; nothing is lost.",
    ),
    ("queued_bytes", "Peers read slower than they ask; see this machine's network."),
    ("queued_copies", "Maintenance is behind; the next renewal makes up for it."),
    ("reach_checks", "Too many concurrent doctors; further ones were refused."),
    ("records_per_peer", "One peer stores a large share here; its STOREs are refused."),
    ("records_per_prefix", "One network stores a large share here; its STOREs are refused."),
    (
        "referral_scope",
        "Peers name addresses that they may not: loopback, a local network, or a port below 1024.",
    ),
    ("refused_addresses", "Many peers listen where none can reach them; nothing is lost."),
    (
        "requests_per_peer",
        "One peer asks faster than --max-peer-rate allows; further requests are refused.",
    ),
    (
        "requests_per_prefix",
        "One network asks faster than four times --max-peer-rate allows; further requests are refused.",
    ),
    (
        "takeover_checks",
        "Many nodes present known IDs with other keys: an attack; see docs/trust.md and the log.",
    ),
    (
        "unauthenticated_connections",
        "Clients without a certificate hold a quarter of all connections; the rest were closed.",
    ),
    ("unfinished_writes", "The disk is slower than the values come: a faster one, or more nodes."),
    (
        "unreached_replicas",
        "Many replicas did not answer PUTs of this node; the next renewal reaches them.",
    ),
    ("unsaved_pins", "The disk refuses writes: certificates of new peers are not remembered."),
];

pub(super) fn check(found: &Findings<'_>) -> Check {
    let (mut texts, mut advice) = (Vec::new(), Vec::new());
    let allowed = found.snapshot.limits.iter().find(|limit| limit.name == "connections");
    if let Some(allowed) = allowed.and_then(|limit| limit.limit)
        && allowed < found.wanted_connections as u64
    {
        let wanted = found.wanted_connections;
        texts.push(format!("Open files allow {allowed} connections instead of {wanted}."));
        advice.push("Raise the limit of open files (LimitNOFILE=, ulimit -n).");
    }
    let full = ["records", "bytes", "connections", "api_connections"];
    let reasons = found.snapshot.health.reasons.iter();
    for reason in reasons.filter(|reason| full.contains(&reason.code)) {
        texts.push(reason.text.clone());
        advice.push(reason.hint);
    }
    let minutes = RECENT.as_secs() / 60;
    for limit in found.snapshot.limits.iter().filter(|limit| limit.reached_recently > 0) {
        let times = match limit.reached_recently {
            1 => "once".to_owned(),
            many => format!("{many} times"),
        };
        texts.push(format!("{} was reached {times} in the last {minutes} minutes.", limit.name));
        let known = ADVICE.iter().find(|(name, _)| *name == limit.name);
        advice.extend(known.map(|(_, advice)| *advice));
    }
    if texts.is_empty() {
        let text = format!("No limit was reached in the last {minutes} minutes.");
        return Check::new("limits", Grade::Well, text, "");
    }
    Check::new("limits", Grade::Warning, texts.join(" "), advice.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::limit_names;

    #[test]
    fn there_is_advice_for_every_limit() {
        let advised: Vec<_> = ADVICE.iter().map(|(name, _)| *name).collect();
        assert_eq!(advised, limit_names().into_iter().collect::<Vec<_>>());
    }
}
