//! Builds views from what the driver has copied. Runs in the task that asked, not in the driver.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use voiddht_core::configured::{ConfiguredPeer, PeerState};
use voiddht_core::contact::Contact;
use voiddht_core::time::{Now, WallTime};
use voiddht_identity::{KeyExchangeGroup, Policy};
use voiddht_wire::NodeId;

use super::health::SPLIT_ADVICE;
use super::operation::millis;
use super::{
    BanView, BucketView, ClockView, ConfiguredPeerView, ConnectionsView, ContactChangeView,
    ContactView, EventView, GroupView, Health, LimitView, MAX_STEPS, NetworkView, NodeView,
    OperationView, OperationsView, RecordView, RecordsView, RefusedView, SecretView, Snapshot,
    StorageView, TableView, TrustView,
};
use crate::counters::{Counts, limit_names};
use crate::limits::Limits;
use crate::network::{MembershipRefusal, Network};
use crate::observation::{Observation, ObservedBucket, Running};
use crate::observer::{ContactChange, Finished, Happened};
use crate::own_address::Addresses;

/// What is known of a node without asking its driver.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) id: NodeId,
    pub(crate) own_address: Addresses,
    pub(crate) api: Option<SocketAddr>,
    pub(crate) policy: Policy,
    pub(crate) data_dir: Option<&'a Path>,
    pub(crate) limits: &'a Limits,
    pub(crate) queued_bytes: usize,
    pub(crate) last_caller: Option<SystemTime>,
    pub(crate) counts: Counts,
    pub(crate) network: Option<&'a Network>,
}

impl Snapshot {
    pub(crate) fn assemble(seen: Observation, around: &Surroundings<'_>) -> Self {
        Self {
            taken_at_ms: seen.now.wall.as_millis(),
            node: node(&seen, around),
            health: Health::of(&seen.facts).with_peers(&seen.peers),
            peers: seen.peers.iter().map(|(peer, state)| configured(peer, *state)).collect(),
            clock: seen.facts.clock.map(ClockView::of),
            connections: connections(&seen, around),
            network: around.network.map(|network| private_network(&seen, network)),
            limits: limits(&seen, around),
            trust: TrustView {
                bans: seen.bans.iter().map(|(id, left)| ban(id, *left)).collect(),
                misbehaved: around.counts.misbehaved,
                pins: seen.pins,
                conflicts: around.counts.pins.conflicts,
            },
            kept: seen.kept.into(),
            storage: StorageView {
                directory: around.data_dir.map(|path| path.display().to_string()),
                failing: seen.facts.disk_failing,
            },
            events: seen.events.into_iter().map(event).collect(),
            records: RecordsView {
                count: seen.facts.records[0],
                bytes: seen.facts.bytes[0],
                max_count: seen.facts.records[1],
                max_bytes: seen.facts.bytes[1],
                next_expiry_seconds: seen.records.next_expiry.map(|left| left.as_secs()),
                sample: seen
                    .records
                    .sample
                    .into_iter()
                    .map(|(key, bytes, left, cached)| RecordView {
                        key: key.to_string(),
                        bytes,
                        ttl_seconds: left.as_secs(),
                        cached,
                    })
                    .collect(),
            },
            operations: OperationsView {
                running_count: seen.operations,
                requests_in_flight: seen.requests,
                running: seen.running.iter().map(|one| running(one, seen.now)).collect(),
                finished: seen.finished.iter().map(finished).collect(),
            },
            table: TableView {
                contacts: seen.facts.contacts,
                suspects: seen.facts.suspects,
                network_size: seen.network_size,
                rtt_median_ms: median(&seen.buckets),
                buckets: seen.buckets.iter().map(|one| bucket(one, &around.id, seen.now)).collect(),
                changes: seen.contact_changes.iter().map(contact_change).collect(),
            },
        }
    }
}

fn node(seen: &Observation, around: &Surroundings<'_>) -> NodeView {
    NodeView {
        id: around.id.to_string(),
        p2p_address: around.own_address.bound.to_string(),
        announced_address: around.own_address.announced.to_string(),
        public_address: seen.public_address.map(|address| address.to_string()),
        reach: seen.reach,
        api_address: around.api.map(|api| api.to_string()).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION"),
        policy: around.policy.name(),
        // The driver's monotonic time begins with the node.
        uptime_seconds: seen.now.mono.as_micros() / 1_000_000,
        k: seen.parameters.k,
        alpha: seen.parameters.alpha,
        disjoint_paths: seen.parameters.disjoint_paths,
        vote_quorum: seen.parameters.vote_quorum,
    }
}

fn bucket(seen: &ObservedBucket, own: &NodeId, now: Now) -> BucketView {
    BucketView {
        prefix: seen.range.prefix().to_string(),
        depth: seen.range.depth(),
        own: seen.range.contains(own),
        size: seen.size,
        candidates: seen.candidates,
        looked_up_seconds_ago: seen.last_looked_up.map(|at| now.mono.since(at).as_secs()),
        contacts: seen
            .contacts
            .iter()
            .map(|(contact, connected)| self::contact(contact, *connected, now))
            .collect(),
    }
}

fn contact(seen: &Contact, connected: bool, now: Now) -> ContactView {
    let rtt = seen.rtt();
    ContactView {
        id: seen.id().to_string(),
        address: seen.address().to_string(),
        rtt_ms: rtt.map(|rtt| millis(rtt.smoothed())),
        rtt_deviation_ms: rtt.map(|rtt| millis(rtt.deviation())),
        seen_seconds_ago: now.mono.since(seen.last_seen()).as_secs(),
        failures: seen.failures(),
        connected,
    }
}

fn contact_change(seen: &ContactChange) -> ContactChangeView {
    ContactChangeView {
        at_ms: seen.at.as_millis(),
        id: seen.contact.id.to_string(),
        address: seen.contact.address.to_string(),
        change: if seen.joined { "joined" } else { "left" },
    }
}

fn median(buckets: &[ObservedBucket]) -> Option<f64> {
    let mut rtts: Vec<_> = buckets.iter().flat_map(|bucket| &bucket.rtts).collect();
    let middle = rtts.len() / 2;
    (!rtts.is_empty()).then(|| millis(**rtts.select_nth_unstable(middle).1))
}

fn running(seen: &Running, now: Now) -> OperationView {
    let started =
        WallTime::from_millis(now.wall.as_millis().saturating_sub(seen.since.as_millis() as u64));
    let view = OperationView {
        kind: seen.kind.name(),
        purpose: seen.purpose.name(),
        key: seen.target.to_string(),
        result: "running",
        started_at_ms: started.as_millis(),
        took_ms: millis(seen.since),
        ..OperationView::default()
    };
    view.with_report(&seen.report, MAX_STEPS)
}

fn finished(seen: &Finished) -> OperationView {
    let took = seen.report.took;
    let view = OperationView {
        number: seen.number,
        kind: seen.kind.name(),
        purpose: seen.purpose.name(),
        key: seen.key.to_string(),
        result: seen.result.name(),
        nodes: seen.nodes,
        value_bytes: seen.value_bytes,
        started_at_ms: seen.ended.as_millis().saturating_sub(took.as_millis() as u64),
        took_ms: millis(took),
        ..OperationView::default()
    };
    view.with_report(&seen.report, MAX_STEPS)
}

fn configured(peer: &ConfiguredPeer, state: PeerState) -> ConfiguredPeerView {
    let (place, text, advice) = match state {
        PeerState::Untried => (None, "not tried yet".to_owned(), ""),
        PeerState::Joined { node, address } => {
            (Some((node, address)), "part of this network".to_owned(), "")
        }
        PeerState::Split { node, address } => {
            let text = "answers, but belongs to another network than this node".to_owned();
            (Some((node, address)), text, SPLIT_ADVICE)
        }
        PeerState::Failed(problem) => (None, problem.to_string(), problem.advice()),
        PeerState::OwnNode => {
            let advice = "Nothing has to be done; or remove it from --peer.";
            (None, "this node itself".to_owned(), advice)
        }
    };
    ConfiguredPeerView {
        peer: peer.to_string(),
        state: state.code(),
        address: place.map(|(_, address)| address.to_string()),
        node: place.map(|(node, _)| node.to_string()),
        text,
        advice: advice.to_owned(),
    }
}

fn ban(id: &NodeId, left: Duration) -> BanView {
    BanView { id: id.to_string(), seconds_left: left.as_secs() }
}

fn event(seen: Happened) -> EventView {
    let Happened { at, warning, text, times, .. } = seen;
    EventView { at_ms: at.as_millis(), warning, text, times }
}

fn private_network(seen: &Observation, network: &Network) -> NetworkView {
    let membership = network.now();
    let connections = |secret| seen.connection_counts.by_secret.get(&secret).copied();
    let tally = network.tallies.read();
    let refused = MembershipRefusal::ALL.into_iter();
    NetworkView {
        secrets: membership
            .secrets()
            .fingerprints()
            .into_iter()
            .map(|secret| SecretView {
                fingerprint: secret.to_string(),
                connections: connections(secret).unwrap_or(0),
                has_been_first: network.has_been_first(secret),
            })
            .collect(),
        refused: refused
            .map(|reason| RefusedView {
                reason: reason.name(),
                count: tally.refused[reason.slot()],
            })
            .collect(),
        recent_wrong_proofs: tally.recent_wrong_proofs,
        recent_unopened_contacts: tally.recent_unopened_contacts,
        recent_closed_by_newer: tally.recent_closed_by_newer,
    }
}

fn connections(seen: &Observation, around: &Surroundings<'_>) -> ConnectionsView {
    let group = |(group, connections): (&KeyExchangeGroup, &usize)| GroupView {
        group: group.name(),
        connections: *connections,
    };
    let counts = &around.counts;
    let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).ok();
    let last_caller = around.last_caller.and_then(since_1970);
    ConnectionsView {
        open: counts.connections,
        dialed: counts.dialed,
        accepted: counts.accepted,
        dials_failed: counts.dials_failed,
        handshakes_failed: counts.handshakes_failed,
        groups: seen.connection_counts.by_group.iter().map(group).collect(),
        api: counts.api_connections,
        last_caller_ms: last_caller.map(|at| at.as_millis() as u64),
    }
}

/// Those of which something is in use first, then those that are only counted.
fn limits(seen: &Observation, around: &Surroundings<'_>) -> Vec<LimitView> {
    let counts = &around.counts;
    let reached = |name: &str| counts.limits.get(name).copied().unwrap_or(0);
    let recently = |name: &str| counts.recent_limits.get(name).copied().unwrap_or(0);
    let facts = &seen.facts;
    let settings = around.limits;
    let used = [
        ("connections", facts.connections[0], facts.connections[1]),
        ("max_records", facts.records[0], facts.records[1]),
        ("max_bytes", facts.bytes[0], facts.bytes[1]),
        ("max_operations", seen.operations, seen.max_operations),
        ("api_connections", counts.api_connections as usize, settings.api_connections),
        ("queued_bytes", around.queued_bytes, settings.queued_bytes),
    ];
    let in_use = used.iter().map(|(name, in_use, limit)| LimitView {
        name,
        limit: Some(*limit as u64),
        in_use: Some(*in_use as u64),
        reached: reached(name),
        reached_recently: recently(name),
    });
    let rest =
        limit_names().into_iter().filter(|name| !used.iter().any(|(known, ..)| known == name));
    let counted = rest.map(|name| LimitView {
        name,
        limit: None,
        in_use: None,
        reached: reached(name),
        reached_recently: recently(name),
    });
    in_use.chain(counted).collect()
}
