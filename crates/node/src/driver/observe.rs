//! What the driver shows of the core: copied here, put into words elsewhere.

use std::ops::Bound;

use voiddht_core::Node;
use voiddht_core::contact::Contact;
use voiddht_core::reachability::Reach;
use voiddht_core::time::{BootTime, Moment, Now};
use voiddht_wire::Key;
use voiddht_wire::id::ID_BYTES;

use super::Driver;
use crate::observation::{Observation, ObservedBucket, ObservedRecords, Parameters, Running};
use crate::snapshot::{Facts, MAX_RUNNING_SHOWN, MAX_SAMPLED_KEYS, SnapshotRequest};

/// Whether peers can dial the node, for programs.
fn reach_name(core: &Node) -> &'static str {
    match core.reach() {
        _ if core.config().client => "client",
        Reach::Reachable => "reachable",
        Reach::Unreachable => "unreachable",
        Reach::Unknown => "unknown",
    }
}

impl Driver {
    /// Copies what is wanted.
    pub(super) fn observe(&mut self, now: Now, request: SnapshotRequest) -> Observation {
        if request.watch {
            let trace = self.observer.watch(now.mono);
            self.session.set_trace_steps(trace);
        }
        let core = self.session.core();
        let config = core.config();
        let (requests, operations) = core.load();
        Observation {
            now,
            facts: self.facts(now),
            parameters: Parameters {
                k: config.k,
                alpha: config.alpha,
                disjoint_paths: config.disjoint_paths,
                vote_quorum: config.vote_quorum,
            },
            buckets: self.observe_buckets(request.contacts),
            contact_changes: if request.contacts {
                self.observer.contact_changes()
            } else {
                Vec::new()
            },
            records: self.observe_records(now.boot, request.contacts),
            kept: core.kept_usage(),
            network_size: core.network_size().map(|size| size.nodes().round() as u64),
            operations,
            max_operations: config.max_operations,
            requests,
            running: self.observe_running(now.mono),
            finished: self.observer.finished(request.after),
            bans: self.observer.bans(now.mono),
            peers: core.configured_peers().map(|(peer, state)| (peer.clone(), state)).collect(),
            reach: reach_name(core),
            public_address: core.public_address(),
            pins: self.session.pin_count(),
            connection_counts: self.session.connection_counts(),
            events: self.observer.events(),
        }
    }

    fn facts(&self, now: Now) -> Facts {
        let core = self.session.core();
        let limits = core.config().records;
        let (records, table) = (core.records(), core.table());
        Facts {
            contacts: table.len(),
            suspects: table.iter().filter(|contact| contact.is_suspect()).count(),
            joined: core.is_joined(),
            unreachable: core.reach() == Reach::Unreachable,
            duplicate: core.duplicate(),
            lost_address: self.context.own_address.now().lost,
            was_joined: self.observer.was_joined,
            leaving: self.observer.leaving,
            disk_failing: self.observer.disk_failing,
            records: [records.len(), limits.max_records],
            bytes: [records.bytes(), limits.max_bytes],
            connections: [self.session.connections(), self.most_connections()],
            api_connections: [
                self.context.counters.api_connections.read() as usize,
                self.context.limits.api_connections,
            ],
            clock: core.clock_estimate(now),
        }
    }

    fn observe_buckets(&self, contacts: bool) -> Vec<ObservedBucket> {
        let observe = |bucket: voiddht_core::routing::BucketView<'_>| {
            let members = bucket.contacts();
            let rtts = members.iter().filter_map(|contact| Some(contact.rtt()?.smoothed()));
            let shown = if contacts { members } else { &[] };
            let connected = |contact: &Contact| self.session.is_connected(contact.id());
            ObservedBucket {
                range: bucket.range(),
                size: members.len(),
                candidates: bucket.candidates(),
                last_looked_up: bucket.last_looked_up(),
                rtts: rtts.collect(),
                contacts: shown.iter().map(|one| (one.clone(), connected(one))).collect(),
            }
        };
        self.session.core().table().buckets().map(observe).collect()
    }

    fn observe_records(&self, now: BootTime, sample: bool) -> ObservedRecords {
        let records = self.session.core().records();
        let keys = if sample { self.sample_keys() } else { Vec::new() };
        let describe = |key: Key| {
            let record = records.get(&key, now)?;
            Some((key, record.value.bytes().len(), record.expires.since(now), record.is_cached()))
        };
        ObservedRecords {
            next_expiry: records.next_expiry().map(|at| at.since(now)),
            sample: keys.into_iter().filter_map(describe).collect(),
        }
    }

    /// All keys if they are few; else the next one after each of so many points, evenly spread.
    fn sample_keys(&self) -> Vec<Key> {
        let records = self.session.core().records();
        if records.len() <= MAX_SAMPLED_KEYS {
            return records.keys_from(Bound::Unbounded).collect();
        }
        let mut keys: Vec<Key> = (0..MAX_SAMPLED_KEYS)
            .filter_map(|index| {
                let mut bytes = [0; ID_BYTES];
                // The index is below the number of values of one byte.
                bytes[0] = (index * 256 / MAX_SAMPLED_KEYS) as u8;
                records.keys_from(Bound::Included(Key::from_bytes(bytes))).next()
            })
            .collect();
        keys.dedup();
        keys
    }

    fn observe_running(&self, now: Moment) -> Vec<Running> {
        let shown = self.session.core().operations().take(MAX_RUNNING_SHOWN);
        shown
            .map(|operation| Running {
                kind: operation.kind,
                purpose: operation.purpose,
                target: operation.target,
                since: now.since(operation.started),
                report: operation.report.clone(),
            })
            .collect()
    }
}
