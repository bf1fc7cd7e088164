//! The doctor: checks a node, and says what its operator can do about failures.
//!
//! An [`Examination`] depends on [`Findings`] only, so that `/doctor` and `dht doctor` agree, and
//! each sentence has its test. Most findings are those of the dashboard. Reachability is tested for
//! the doctor: some contacts are pinged, each dials this node back, and [`callers`](crate::callers)
//! counts them.

mod check;
mod examine;
mod findings;
mod limits;
mod membership;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

pub use self::check::{Check, Grade};
use self::findings::Findings;
use crate::snapshot::State;

/// How long contacts have to dial back: what a dial may take until the certificate is there, and a
/// little for their being busy.
pub(crate) const DIAL_BACK_PATIENCE: Duration = Duration::from_secs(4);
/// A caller within this time shows as well that the node can be reached: contacts do
/// not dial back twice in a minute.
const RECENTLY: Duration = Duration::from_secs(120);
/// Less free room on the disk is worth a warning. A guess: what a busy hour of values takes.
const LITTLE_ROOM: u64 = 1 << 30;

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// The node's ID.
    pub node: String,
    /// When this was, by the node's clock, in milliseconds since 1970.
    pub taken_at_ms: u64,
    /// The checks, in the order in which they are of use.
    pub checks: Vec<Check>,
}

impl Examination {
    pub(crate) fn of(found: &Findings<'_>) -> Self {
        Self {
            node: found.snapshot.node.id.clone(),
            taken_at_ms: found.snapshot.taken_at_ms,
            checks: [Some(network(found)), membership::check(found)]
                .into_iter()
                .flatten()
                .chain([
                    join(found),
                    reachable(found),
                    address(found),
                    clock(found),
                    disk(found),
                    limits::check(found),
                    peers(found),
                ])
                .collect(),
        }
    }

    /// The worst of all results.
    pub fn worst(&self) -> Grade {
        self.checks.iter().map(|check| check.result).max().unwrap_or(Grade::Unknown)
    }
}

fn network(found: &Findings<'_>) -> Check {
    let (health, table) = (&found.snapshot.health, &found.snapshot.table);
    let check = |result, text: String, advice: &str| Check::new("network", result, text, advice);
    let own_reason = health.reasons.iter().find(|reason| {
        matches!(reason.code, "isolated" | "joining" | "suspects" | "split" | "duplicate")
    });
    match (health.state, own_reason) {
        (State::Leaving, _) => check(Grade::Failed, "The node is stopping.".into(), ""),
        (State::Joining | State::Isolated, Some(why)) => {
            check(Grade::Failed, why.text.clone(), why.hint)
        }
        (_, Some(why)) => check(Grade::Warning, why.text.clone(), why.hint),
        _ if table.contacts == 0 => check(
            Grade::Unknown,
            "The node has no contacts and no configured peers: it is a network of its own.".into(),
            "If there is one to join, start the node with --peer HOST:PORT.",
        ),
        _ => {
            let text = format!("Joined: {} contacts, {} suspect.", table.contacts, table.suspects);
            check(Grade::Well, text, "")
        }
    }
}

/// What becomes of joining through the configured peers.
fn join(found: &Findings<'_>) -> Check {
    let peers = &found.snapshot.peers;
    let check = |result, text: String, advice: String| Check::new("join", result, text, advice);
    if peers.is_empty() {
        return check(Grade::Well, "No peers are configured.".into(), String::new());
    }
    let wrong: Vec<_> = peers
        .iter()
        .filter(|peer| !matches!(peer.state, "joined" | "untried" | "own_node"))
        .collect();
    let Some(first) = wrong.first() else {
        let own = peers.iter().filter(|peer| peer.state == "own_node").count();
        let text = match (peers.len() - own, own) {
            (some, 0) => format!("Configured peers that are part of the network: {some}."),
            (some, _) => format!(
                "Configured peers that are part of the network: {some}; that are this node: {own}."
            ),
        };
        return check(Grade::Well, text, String::new());
    };
    let texts: Vec<_> = wrong.iter().map(|peer| format!("{}: {}", peer.peer, peer.text)).collect();
    let has_joined = found.snapshot.table.contacts > 0;
    let grade = if has_joined { Grade::Warning } else { Grade::Failed };
    check(grade, format!("{}.", texts.join("; ")), first.advice.clone())
}

fn reachable(found: &Findings<'_>) -> Check {
    let check =
        |result, text: String, advice: String| Check::new("reachable", result, text, advice);
    let answered = found.sightings.iter().filter(|one| one.answered).count();
    let ago = found.last_caller.and_then(|last| last.elapsed().ok());
    let port = found.own_address.announced.port();
    if found.snapshot.node.reach == "client" {
        let text = "The node is a client (--client): peers need not dial it.".to_owned();
        return check(Grade::Well, text, String::new());
    }
    if !found.dialed_back.is_empty() {
        let from: BTreeSet<_> = found.dialed_back.iter().map(IpAddr::to_string).collect();
        let from: Vec<_> = from.into_iter().collect();
        let text = format!(
            "Contacts dialled port {port} back, from {}; {answered} were asked.",
            from.join(", ")
        );
        return check(Grade::Well, text, String::new());
    }
    if let Some(ago) = ago.filter(|ago| *ago < RECENTLY) {
        let text = format!("A peer came to port {port} {} s ago.", ago.as_secs());
        return check(Grade::Well, text, String::new());
    }
    let before = match ago {
        Some(ago) => format!("The last one came {} min ago.", ago.as_secs() / 60),
        None => "None ever has.".to_owned(),
    };
    if answered == 0 {
        let text = format!("No contact could be asked to dial port {port} back. {before}");
        return check(Grade::Unknown, text, String::new());
    }
    let bound = found.own_address.bound.port();
    // Of a node that announces no address it is not known whether something translates.
    let own = found.own_address.announced.ip();
    let anywhere = || found.sightings.iter().find_map(|one| one.seen).map(|seen| seen.ip());
    let seen = seen_elsewhere(found).or_else(|| anywhere().filter(|_| own.is_unspecified()));
    let open = match seen {
        None => format!("Open TCP port {bound} in this machine's firewall."),
        Some(seen) => format!(
            "Open TCP port {bound} in this machine's firewall, and in the router or container \
             engine forward it from {seen} to this machine; where it forwards another port P to \
             it, restart the node with --announce-port P."
        ),
    };
    check(
        Grade::Failed,
        format!("None of {answered} contacts that were asked dialled port {port} back. {before}"),
        format!(
            "{open} Until then the node is a client: it puts and gets, and holds nothing for \
             others. If that is meant, start it with --client."
        ),
    )
}

/// An address that contacts see the node come from and that is not its own.
fn seen_elsewhere(found: &Findings<'_>) -> Option<IpAddr> {
    let own = found.own_address.announced.ip();
    let seen = found.sightings.iter().filter_map(|one| one.seen).map(|seen| seen.ip());
    seen.into_iter().find(|seen| *seen != own && !own.is_unspecified())
}

fn address(found: &Findings<'_>) -> Check {
    let own = found.own_address.announced.ip();
    let check = |result, text: String, advice: &str| Check::new("address", result, text, advice);
    if let Some(lost) = found.own_address.lost {
        let text = format!("This machine no longer has the address {lost}.");
        return check(Grade::Failed, text, advice_for_lost(found.follows_address));
    }
    if let Some(seen) = seen_elsewhere(found) {
        if found.snapshot.node.reach == "client" || !found.dialed_back.is_empty() {
            let text = format!("The node is at {own}; contacts see it come from {seen}.");
            return check(Grade::Well, text, "");
        }
        let text = format!("The node announces {own}; contacts see it come from {seen}.");
        return check(
            Grade::Warning,
            text,
            "If a router translates between them, forward the port; peers use the address that \
             they see. If this machine has both, choose one with --host-address.",
        );
    }
    if own.is_unspecified() {
        let text = "The node listens on all addresses; peers use the one that they see.".to_owned();
        return check(Grade::Well, text, "");
    }
    if own.is_loopback() {
        return check(
            Grade::Warning,
            format!("The node is at {own}: no other machine can reach it."),
            "Right for a network on this machine. For any other, give --host-address.",
        );
    }
    let agree = found.sightings.iter().filter(|one| one.seen.is_some()).count();
    check(Grade::Well, format!("{agree} contacts see the node at {own}, as announced."), "")
}

fn advice_for_lost(follows: bool) -> &'static str {
    if follows {
        "Connect the machine to its network: the node moves by itself to the address from which its \
         peers are reached."
    } else {
        "Give the machine that address again, or restart the node with an address that it has. \
         Without --host-address and --listen the node follows such changes by itself."
    }
}

fn clock(found: &Findings<'_>) -> Check {
    let Findings { stores, future_versions: refused, .. } = *found;
    let check = |result, text: String, advice: &str| Check::new("clock", result, text, advice);
    match &found.snapshot.clock {
        Some(clock) if clock.wrong => {
            let advice = "Have it set by NTP (timedatectl). Until then other nodes refuse values \
                          from here, or this one refuses theirs.";
            return check(Grade::Failed, clock.text.clone(), advice);
        }
        Some(clock) if refused == 0 => return check(Grade::Well, clock.text.clone(), ""),
        None if refused == 0 => {
            let text = "No peer's clock is more than a minute ahead of this one's.";
            return check(Grade::Well, text.into(), "");
        }
        _ => {}
    }
    let text = format!(
        "{refused} of {stores} values were refused because their publishers' clocks are more than \
         a minute ahead."
    );
    // One publisher with a wrong clock may be the only one: how many there are says nothing.
    let advice = "Most likely the publishers' fault. To be sure, see timedatectl here.";
    check(Grade::Warning, text, advice)
}

fn disk(found: &Findings<'_>) -> Check {
    let storage = &found.snapshot.storage;
    let check = |result, text: String, advice: &str| Check::new("disk", result, text, advice);
    let Some(directory) = &storage.directory else {
        return check(
            Grade::Well,
            "No data directory: identity and values end with the process.".into(),
            "To keep them over a restart, give --data-dir.",
        );
    };
    if storage.failing {
        let text = format!("{directory} cannot be written: new values are refused.");
        return check(
            Grade::Failed,
            text,
            "Make room there, or mend the disk; the log has the error.",
        );
    }
    match found.free_bytes {
        Some(free) if free < LITTLE_ROOM => check(
            Grade::Warning,
            format!("{directory} has {} MiB left.", free >> 20),
            "Make room, or lower --max-stored: at the end of it new values are refused.",
        ),
        Some(free) => check(Grade::Well, format!("{directory} has {} GiB left.", free >> 30), ""),
        None => check(Grade::Unknown, format!("How much room {directory} has is not known."), ""),
    }
}

fn peers(found: &Findings<'_>) -> Check {
    let trust = &found.snapshot.trust;
    if trust.bans.is_empty() {
        let text = format!("No peer is banned; peers broke {} rules.", trust.misbehaved);
        return Check::new("peers", Grade::Well, text, "");
    }
    Check::new(
        "peers",
        Grade::Warning,
        match trust.bans.len() {
            1 => "1 peer is banned.".to_owned(),
            some => format!("{some} peers are banned."),
        },
        "The log has the reasons. Bans expire; no action is needed.",
    )
}

#[cfg(test)]
mod tests;
