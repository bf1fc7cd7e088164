//! The health of a node: one state, and the reasons as text.
//!
//! A judgement over a few facts, so that the dashboard, `/readyz` and `dht status` say the same.

use std::net::IpAddr;

use serde::Serialize;
use voiddht_core::configured::{ConfiguredPeer, PeerState};
use voiddht_core::peer_clocks::ClockEstimate;
use voiddht_wire::PeerAddress;

/// How a node feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Part of its network, or the first node of one.
    Joined,
    /// Part of it, and something is to be looked at.
    Degraded,
    /// It has not found its network yet.
    Joining,
    /// It has lost its network.
    Isolated,
    /// It was asked to stop.
    Leaving,
}

/// A state with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The state.
    pub state: State,
    /// Whether the node is part of its network and takes requests: what `/readyz` says.
    pub ready: bool,
    /// Why it is not simply joined.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Its name, for programs.
    pub code: &'static str,
    /// What is the matter.
    pub text: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// What the judgement is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Contacts of the routing table.
    pub contacts: usize,
    /// Those that failed to answer the last time.
    pub suspects: usize,
    /// Whether the node has a contact, or has no peer to find.
    pub joined: bool,
    /// Whether enough contacts were asked to dial the node, and none did.
    pub unreachable: bool,
    /// Where another process with this node's identity was seen, within the last minutes.
    pub duplicate: Option<PeerAddress>,
    /// The address of this node that the machine no longer has.
    pub lost_address: Option<IpAddr>,
    /// Whether it ever had a contact.
    pub was_joined: bool,
    /// Whether it was asked to stop.
    pub leaving: bool,
    /// Whether the disk refuses writes.
    pub disk_failing: bool,
    /// Records and bytes that are held, and that may be.
    pub records: [usize; 2],
    /// See above.
    pub bytes: [usize; 2],
    /// Connections open, and allowed.
    pub connections: [usize; 2],
    /// The same of local programs.
    pub api_connections: [usize; 2],
    /// What contacts' clocks say of this machine's.
    pub clock: Option<ClockEstimate>,
}

impl Health {
    /// Judges.
    pub fn of(facts: &Facts) -> Self {
        let mut reasons = Vec::new();
        let state = if facts.leaving {
            State::Leaving
        } else if facts.joined {
            reasons = complaints(facts);
            if reasons.is_empty() { State::Joined } else { State::Degraded }
        } else if facts.was_joined {
            reasons.extend(lost_address(facts));
            reasons.push(Reason {
                code: "isolated",
                text: "No contact is left. Trying the known peers again.".into(),
                hint: "Check this machine's network, and whether the peers are up.",
            });
            State::Isolated
        } else {
            reasons.extend(lost_address(facts));
            reasons.push(Reason {
                code: "joining",
                text: "No known peer has answered yet.".into(),
                hint: "Check the addresses given with --peer, and whether they can be reached.",
            });
            State::Joining
        };
        let ready = matches!(state, State::Joined | State::Degraded)
            && facts.lost_address.is_none()
            && !is_unanswered(facts);
        Self { state, ready, reasons }
    }
}

/// What to do about a split that does not heal by itself.
pub(super) const SPLIT_ADVICE: &str = "It heals by itself within a minute if both sides can dial each other: if it does not, see that \
     this node can be reached from there (dht doctor).";

impl Health {
    /// The same, with what the configured peers say: a network that is split, and, of a node that has
    /// not joined, why each peer fails.
    #[must_use]
    pub fn with_peers(mut self, peers: &[(ConfiguredPeer, PeerState)]) -> Self {
        for (peer, state) in peers {
            let reason = match (self.state, state) {
                (State::Leaving, _) => continue,
                (_, PeerState::Split { node, .. }) => Reason {
                    code: "split",
                    text: format!(
                        "The network is split: node {} at {peer} knows none of this node's contacts.",
                        node.short()
                    ),
                    hint: SPLIT_ADVICE,
                },
                (State::Joining | State::Isolated, PeerState::Failed(problem)) => Reason {
                    code: problem.code(),
                    text: format!("Cannot join through {peer}: {problem}."),
                    hint: problem.advice(),
                },
                // Which of two networks the others have joined cannot be seen while it is away.
                (_, PeerState::Failed(problem)) => Reason {
                    code: "peer",
                    text: format!(
                        "The configured peer {peer} cannot be joined through: {problem}."
                    ),
                    hint: problem.advice(),
                },
                _ => continue,
            };
            self.reasons.push(reason);
            if self.state == State::Joined {
                self.state = State::Degraded;
            }
        }
        self
    }
}

/// By how much this machine's clock is wrong.
pub(crate) fn clock_in_words(clock: &ClockEstimate) -> String {
    let seconds = clock.ahead_ms.unsigned_abs() / 1000;
    let side = if clock.ahead_ms > 0 { "ahead of" } else { "behind" };
    let least = if clock.at_least { "at least " } else { "" };
    let contacts = clock.contacts;
    format!("This machine's clock is {least}{seconds} s {side} those of {contacts} contacts.")
}

/// Whether there are contacts, and none of them answered the last time.
fn is_unanswered(facts: &Facts) -> bool {
    facts.contacts > 0 && facts.suspects == facts.contacts
}

fn lost_address(facts: &Facts) -> Option<Reason> {
    let lost = facts.lost_address?;
    Some(Reason {
        code: "address",
        text: format!("This machine no longer has the address {lost}."),
        hint: "`dht doctor` has details on the address.",
    })
}

fn complaints(facts: &Facts) -> Vec<Reason> {
    let mut reasons: Vec<_> = lost_address(facts).into_iter().collect();
    if let Some(address) = facts.duplicate {
        reasons.push(Reason {
            code: "duplicate",
            text: format!("Another process has this node's identity: {address}."),
            hint: "Stop one of the two, or start one with a data directory of its own.",
        });
    }
    if facts.unreachable {
        reasons.push(Reason {
            code: "unreachable",
            text: "Contacts cannot dial this node: it is a client, and holds nothing for others."
                .into(),
            hint: "`dht doctor` has details on the port; use --client if this is intended.",
        });
    }
    if is_unanswered(facts) {
        reasons.push(Reason {
            code: "unanswered",
            text: format!("None of {} contacts answered the last time.", facts.contacts),
            hint: "Check this machine's network, and whether the peers are up.",
        });
        return reasons;
    }
    // A third: more than die in an hour where sessions last as long as that, with k = 20.
    if facts.suspects >= 2 && 3 * facts.suspects > facts.contacts {
        reasons.push(Reason {
            code: "suspects",
            text: format!(
                "{} of {} contacts did not answer the last time.",
                facts.suspects, facts.contacts
            ),
            hint: "Either they are gone, or this machine's network loses packets.",
        });
    }
    if let Some(clock) = facts.clock.filter(ClockEstimate::is_wrong) {
        reasons.push(Reason {
            code: "clock",
            text: clock_in_words(&clock),
            hint: "Have it set by NTP (timedatectl).",
        });
    }
    if facts.disk_failing {
        reasons.push(Reason {
            code: "disk",
            text: "The disk refuses writes: what is held is served, nothing new is taken.".into(),
            hint: "Make room in the data directory, or mend the disk; the log has the error.",
        });
    }
    for (code, [used, most], hint) in [
        ("records", facts.records, "Raise the limit of records, or add nodes."),
        ("bytes", facts.bytes, "Raise the limit of bytes, or add nodes."),
        ("connections", facts.connections, "Raise the limits of connections and open files."),
        (
            "api_connections",
            facts.api_connections,
            "Local programs should share connections; or raise --max-api-connections.",
        ),
    ] {
        if used * 10 > most * 9 {
            let name = match code {
                "bytes" => "bytes for records",
                "api_connections" => "connections of local programs",
                _ => code,
            };
            reasons.push(Reason {
                code,
                text: format!("{used} of {most} {name} are in use."),
                hint,
            });
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use voiddht_core::configured::JoinProblem;
    use voiddht_core::event::Undelivered;

    use super::*;

    fn check(facts: Facts, state: State, codes: &[&str]) {
        let health = Health::of(&facts);
        assert_eq!(health.state, state);
        let named: Vec<_> = health.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(named, codes);
        assert_eq!(health.ready, matches!(state, State::Joined | State::Degraded));
    }

    #[test]
    fn a_node_is_ready_once_it_is_joined() {
        let alone = Facts::default();
        check(alone, State::Joining, &["joining"]);
        check(Facts { was_joined: true, ..alone }, State::Isolated, &["isolated"]);
        check(Facts { joined: true, ..alone }, State::Joined, &[]);
        check(Facts { joined: true, leaving: true, ..alone }, State::Leaving, &[]);
    }

    #[test]
    fn what_is_to_be_looked_at_is_named_and_leaves_it_ready() {
        let well = Facts { joined: true, contacts: 9, suspects: 3, ..Facts::default() };
        check(well, State::Joined, &[]);
        check(Facts { suspects: 4, ..well }, State::Degraded, &["suspects"]);
        let full = Facts {
            disk_failing: true,
            records: [91, 100],
            bytes: [90, 100],
            connections: [100, 100],
            api_connections: [16, 16],
            ..well
        };
        check(full, State::Degraded, &["disk", "records", "connections", "api_connections"]);
        let clock = |ahead_ms| Facts {
            clock: Some(ClockEstimate { ahead_ms, at_least: false, contacts: 5 }),
            ..well
        };
        check(clock(59_000), State::Joined, &[]);
        check(clock(-7_200_000), State::Degraded, &["clock"]);
    }

    #[test]
    fn a_node_whose_contacts_are_all_silent_is_not_ready() {
        let facts = Facts { joined: true, contacts: 3, suspects: 3, ..Facts::default() };
        let health = Health::of(&facts);
        assert_eq!((health.state, health.ready), (State::Degraded, false));
        assert_eq!(health.reasons[0].code, "unanswered");
        assert!(Health::of(&Facts { suspects: 2, ..facts }).ready);
    }

    #[test]
    fn a_node_without_its_address_is_not_ready_and_a_client_is() {
        let well = Facts { joined: true, contacts: 3, ..Facts::default() };
        let lost = Facts { lost_address: Some([192, 0, 2, 1].into()), ..well };
        for facts in [lost, Facts { joined: false, ..lost }] {
            let health = Health::of(&facts);
            assert!(!health.ready);
            assert_eq!(health.reasons[0].text, "This machine no longer has the address 192.0.2.1.");
        }
        check(Facts { unreachable: true, ..well }, State::Degraded, &["unreachable"]);
    }

    #[test]
    fn one_silent_contact_of_two_is_no_outage() {
        let few = Facts { joined: true, contacts: 2, suspects: 1, ..Facts::default() };
        check(few, State::Joined, &[]);
    }

    fn peer_is(state: PeerState, facts: Facts) -> Health {
        let peer =
            ConfiguredPeer::Address(std::net::SocketAddr::from(([192, 0, 2, 1], 7402)).into());
        Health::of(&facts).with_peers(&[(peer, state)])
    }

    #[test]
    fn a_split_is_named_and_leaves_the_node_ready() {
        let joined = Facts { joined: true, contacts: 9, ..Facts::default() };
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 7402)).into();
        let node = voiddht_wire::NodeId::default();
        let split = peer_is(PeerState::Split { node, address }, joined);
        assert_eq!((split.state, split.reasons[0].code), (State::Degraded, "split"));
        assert!(split.ready && split.reasons[0].text.contains("192.0.2.1:7402"));
        let whole = peer_is(PeerState::Joined { node, address }, joined);
        assert_eq!((whole.state, whole.reasons.len()), (State::Joined, 0));
    }

    #[test]
    fn why_a_node_has_not_joined_is_named() {
        let refused = JoinProblem::Undelivered(Undelivered::Refused);
        let joining = peer_is(PeerState::Failed(refused), Facts::default());
        let codes: Vec<_> = joining.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!((joining.state, &codes[..]), (State::Joining, &["joining", "refused"][..]));
        let joined = Facts { joined: true, contacts: 9, ..Facts::default() };
        let away = peer_is(PeerState::Failed(refused), joined);
        assert_eq!((away.state, away.reasons[0].code), (State::Degraded, "peer"));
    }
}
