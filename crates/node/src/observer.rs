//! Recent operations and events, for the dashboard and `dht status`.
//!
//! Written by the driver alone, so without a lock. Everything is bounded, and an operation that is
//! not looked at costs one copy of its report's counts.
//!
//! Steps are recorded only while a dashboard is connected, and then of some operations only: with
//! thousands per second, a few are as informative as all, and cost a thousandth.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use voiddht_core::configured::PeerState;
use voiddht_core::event::{Command, Notice, Outcome};
use voiddht_core::kept::KeepRequest;
use voiddht_core::label::{Limit, LookupPurpose, OperationKind, OperationPurpose};
use voiddht_core::quota::Account;
use voiddht_core::report::Report;
use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_wire::peer::NodeInfo;
use voiddht_wire::{ConditionalPut, Key, NodeId};

use crate::counters::tallies::OperationOutcome;
use crate::snapshot::health::clock_in_words;

/// Steps of one operation that are listed, at most: more than a lookup needs in a network of a
/// million nodes. 140 bytes each in memory.
pub const MAX_STEPS: usize = 64;
/// Operations of users that are remembered. With [`MAX_STEPS`] steps each, 300 KiB; without a
/// dashboard, 8 KiB.
const MAX_FINISHED: usize = 32;
/// Lookups of the node's own that are remembered, apart, so that they push no user's out.
const MAX_LOOKUPS: usize = 16;
/// Things that happened and are remembered.
const MAX_EVENTS: usize = 48;
/// Changes of the routing table that are remembered, the oldest dropped: 6 KiB.
const MAX_CONTACT_CHANGES: usize = 64;
/// Bans that are listed; the core remembers all.
const MAX_BANS: usize = 64;
/// How long after the last look steps are still listed: a few refresh intervals of a dashboard.
const WATCHED_FOR: Duration = Duration::from_secs(10);
/// Operations of one second whose steps are listed.
const TRACED_PER_SECOND: u32 = 32;

/// Recent operations and events, for the dashboard and `dht status`.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    finished: VecDeque<Finished>,
    lookups: VecDeque<Finished>,
    last_number: u64,
    events: VecDeque<Happened>,
    contact_changes: VecDeque<ContactChange>,
    bans: VecDeque<(NodeId, Moment)>,
    watched_until: Moment,
    /// The second to which `traced` belongs.
    second: u64,
    traced: u32,
    pub(crate) was_joined: bool,
    pub(crate) leaving: bool,
    pub(crate) disk_failing: bool,
}

/// A command that was handed to the core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// `None` for a command that is no operation.
    pub(crate) kind: Option<OperationKind>,
    key: Option<Key>,
    value_bytes: Option<usize>,
    /// Whether its steps are listed.
    pub(crate) traced: bool,
}

/// An operation that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) kind: OperationKind,
    pub(crate) purpose: OperationPurpose,
    pub(crate) key: Key,
    pub(crate) result: OperationOutcome,
    pub(crate) nodes: Option<usize>,
    pub(crate) value_bytes: Option<usize>,
    pub(crate) ended: WallTime,
    pub(crate) report: Report,
}

/// Something that happened, `times` in a row.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) at: WallTime,
    pub(crate) warning: bool,
    pub(crate) text: String,
    pub(crate) times: u32,
    /// The limit that was reached, so that a flood is recognised without a word being written.
    limit: Option<Limit>,
}

/// A contact that entered the routing table or left it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContactChange {
    pub(crate) at: WallTime,
    pub(crate) contact: NodeInfo,
    /// Whether it entered.
    pub(crate) joined: bool,
}

impl Observer {
    /// Notes that the node is observed. The answer is whether operations that start now are to list
    /// their steps.
    pub(crate) fn watch(&mut self, now: Moment) -> bool {
        self.watched_until = now + WATCHED_FOR;
        self.may_trace(now)
    }

    /// A command comes. With `explain`, its steps are listed in any case.
    pub(crate) fn asked(&mut self, now: Moment, command: &Command, explain: bool) -> Asked {
        let (kind, key, value_bytes) = match command {
            Command::Get { key } | Command::Ask { key, .. } => {
                (Some(OperationKind::Get), Some(*key), None)
            }
            Command::Put(put) | Command::PutIf(ConditionalPut { publication: put, .. }) => {
                (Some(OperationKind::Put), Some(put.key), Some(put.value.len()))
            }
            Command::Keep(KeepRequest { publication: put, .. }) => {
                (None, Some(put.key), Some(put.value.len()))
            }
            Command::Lookup { target } => (Some(OperationKind::Lookup), Some(*target), None),
            Command::Join { .. }
            | Command::SetPeers { .. }
            | Command::Reach
            | Command::Unkeep { .. } => (None, None, None),
            Command::Leave => {
                self.leaving = true;
                (None, None, None)
            }
        };
        let traced = explain || (key.is_some() && self.is_watched(now) && self.may_trace(now));
        self.traced += u32::from(traced);
        Asked { kind, key, value_bytes, traced }
    }

    /// The command has ended.
    pub(crate) fn answered(&mut self, now: Now, asked: Asked, outcome: &Outcome) {
        let (Some(kind), Some(key)) = (asked.kind, asked.key) else { return };
        if self.is_watched(now.mono) && !asked.traced {
            return;
        }
        let Some(result) = OperationOutcome::of(kind, outcome) else { return };
        let (nodes, value_bytes, report) = match outcome {
            Outcome::Get { value, report, .. } => (None, value.as_ref().map(Bytes::len), report),
            Outcome::Put { receipt, report } => (Some(receipt.stored), asked.value_bytes, report),
            Outcome::Lookup { nodes, report } => (Some(nodes.len()), None, report),
            // Its three operations have ended one by one, without a report of the whole.
            Outcome::PutIf(_)
            | Outcome::Keep(_)
            | Outcome::Unkept { .. }
            | Outcome::Busy
            | Outcome::Joined { .. }
            | Outcome::PeersSet { .. }
            | Outcome::Left { .. }
            | Outcome::Reach { .. } => return,
        };
        let finished = Finished {
            number: self.next_number(),
            kind,
            purpose: OperationPurpose::Command,
            key,
            result,
            nodes,
            value_bytes,
            ended: now.wall,
            report: shortened(report),
        };
        push_bounded(&mut self.finished, finished, MAX_FINISHED);
    }

    /// The core has noticed something.
    pub(crate) fn notice(&mut self, now: Now, notice: &Notice) {
        let (warning, text) = match notice {
            Notice::LimitReached { limit } => return self.limit_reached(now, *limit),
            Notice::LookupEnded { purpose, target, found, report } => {
                return self.lookup_ended(now, *purpose, *target, *found, report);
            }
            Notice::ContactAdded(contact) => return self.contact_changed(now.wall, *contact, true),
            Notice::ContactRemoved(contact) => {
                return self.contact_changed(now.wall, *contact, false);
            }
            Notice::RequestEnded { .. }
            | Notice::KeepPublished { .. }
            | Notice::StoreRefused { .. }
            | Notice::StoreRejected { .. } => return,
            Notice::ClockWrong(clock) => (true, clock_in_words(clock)),
            Notice::ClockRight => (false, "This machine's clock is right again.".into()),
            Notice::Joined { .. } => {
                self.was_joined = true;
                (false, "Joined the network.".into())
            }
            Notice::PeerChanged { peer, state } => match state {
                PeerState::Untried => return,
                PeerState::Joined { .. } => (false, format!("{peer} is part of the network.")),
                PeerState::Split { .. } => (
                    true,
                    format!("Network split: {peer} belongs to another network. Joining both."),
                ),
                PeerState::Failed(reason) => {
                    (true, format!("Cannot join through {peer}: {reason}."))
                }
                PeerState::OwnNode => {
                    (true, format!("{peer} is this node itself: dropped from the list."))
                }
            },
            Notice::Unreachable { asked } => (
                true,
                format!(
                    "None of {asked} contacts dialled back: the node is a client until one does."
                ),
            ),
            Notice::DuplicateIdentity { address } => {
                (true, format!("Another process has this node's identity: {address}."))
            }
            Notice::KeepEnded { key, state } => {
                (false, format!("The value of {} is kept no longer: {state}.", key.short()))
            }
            Notice::KeepAdopted { key } => {
                (false, format!("A newer signed value of {} is kept now.", key.short()))
            }
            Notice::Reachable => (false, "A peer dialled this node: it can be reached.".into()),
            Notice::Isolated => (true, "No contact is left: looking for the network again.".into()),
            Notice::JoinFailed { retry_in } => (
                true,
                format!(
                    "None of the known peers answered; next try in {:.1} s.",
                    retry_in.as_secs_f64()
                ),
            ),
            Notice::AccountLimited { account, evicted, .. } => {
                let Account { owner, address } = account;
                let ip = address.ip();
                let what = if *evicted > 0 { "gives way to others" } else { "may store no more" };
                (true, format!("Storage is limited: the largest account ({owner} at {ip}) {what}."))
            }
            Notice::Misbehaviour { peer, what } => {
                (true, format!("Node {} broke a rule: {what}.", peer.short()))
            }
            Notice::Banned { peer, lasts } => {
                push_bounded(&mut self.bans, (*peer, now.mono + *lasts), MAX_BANS);
                (true, format!("Node {} is banned for {} s.", peer.short(), lasts.as_secs()))
            }
        };
        self.happened(now.wall, warning, text);
    }

    /// A group of writes is on disk, or could not be brought there.
    pub(crate) fn persisted(&mut self, now: Now, durable: bool) {
        if durable == self.disk_failing {
            self.disk_failing = !durable;
            let text = if durable {
                "The disk takes writes again."
            } else {
                "The disk refuses writes: nothing new is taken."
            };
            self.happened(now.wall, !durable, text.into());
        }
    }

    /// What ended after operation number `after`, in the order in which it ended.
    pub(crate) fn finished(&self, after: u64) -> Vec<Finished> {
        let both = self.finished.iter().chain(&self.lookups);
        let mut later: Vec<_> = both.filter(|one| one.number > after).cloned().collect();
        later.sort_by_key(|one| one.number);
        later
    }

    /// What happened, the latest last.
    pub(crate) fn events(&self) -> Vec<Happened> {
        self.events.iter().cloned().collect()
    }

    /// Contacts that entered the routing table or left it, the latest last.
    pub(crate) fn contact_changes(&self) -> Vec<ContactChange> {
        self.contact_changes.iter().copied().collect()
    }

    /// Banned peers, and the remaining time.
    pub(crate) fn bans(&self, now: Moment) -> Vec<(NodeId, Duration)> {
        let lasting = self.bans.iter().filter(|(_, until)| *until > now);
        lasting.map(|(peer, until)| (*peer, until.since(now))).collect()
    }

    fn contact_changed(&mut self, at: WallTime, contact: NodeInfo, joined: bool) {
        let change = ContactChange { at, contact, joined };
        push_bounded(&mut self.contact_changes, change, MAX_CONTACT_CHANGES);
    }

    fn limit_reached(&mut self, now: Now, limit: Limit) {
        match self.events.back_mut() {
            Some(last) if last.limit == Some(limit) => {
                last.times = last.times.saturating_add(1);
                last.at = now.wall;
            }
            _ => {
                self.happened(now.wall, true, format!("The limit {limit} was reached."));
                if let Some(last) = self.events.back_mut() {
                    last.limit = Some(limit);
                }
            }
        }
    }

    fn lookup_ended(
        &mut self,
        now: Now,
        purpose: LookupPurpose,
        key: Key,
        found: usize,
        report: &Report,
    ) {
        let finished = Finished {
            number: self.next_number(),
            kind: OperationKind::Lookup,
            purpose: purpose.into(),
            key,
            result: OperationOutcome::LookupDone,
            nodes: Some(found),
            value_bytes: None,
            ended: now.wall,
            report: shortened(report),
        };
        push_bounded(&mut self.lookups, finished, MAX_LOOKUPS);
    }

    fn happened(&mut self, at: WallTime, warning: bool, text: String) {
        match self.events.back_mut() {
            Some(last) if last.text == text => {
                last.times = last.times.saturating_add(1);
                last.at = at;
            }
            _ => {
                let happened = Happened { at, warning, text, times: 1, limit: None };
                push_bounded(&mut self.events, happened, MAX_EVENTS);
            }
        }
    }

    fn is_watched(&self, now: Moment) -> bool {
        now < self.watched_until
    }

    fn may_trace(&mut self, now: Moment) -> bool {
        let second = now.as_micros() / 1_000_000;
        if self.second != second {
            self.second = second;
            self.traced = 0;
        }
        self.traced < TRACED_PER_SECOND
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// A report with no more steps than are shown.
fn shortened(report: &Report) -> Report {
    let steps = report.steps.iter().take(MAX_STEPS).copied().collect();
    Report { steps, ..*report }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, one: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        let mono = Moment::from_micros(seconds * 1_000_000);
        Now::never_suspended(mono, WallTime::from_millis(seconds))
    }

    fn get(observer: &mut Observer, seconds: u64) -> Asked {
        let now = at(seconds);
        let asked = observer.asked(now.mono, &Command::Get { key: Key::default() }, false);
        let outcome =
            Outcome::Get { value: None, version: None, proof: None, report: Report::default() };
        observer.answered(now, asked, &outcome);
        asked
    }

    #[test]
    fn the_last_operations_are_remembered_and_told_once() {
        let mut observer = Observer::default();
        for _ in 0..2 * MAX_FINISHED {
            assert!(!get(&mut observer, 1).traced, "not watched");
        }
        let finished = observer.finished(0);
        assert_eq!(finished.len(), MAX_FINISHED);
        let last = finished.last().unwrap().number;
        assert!(observer.finished(last).is_empty());
        get(&mut observer, 2);
        assert_eq!(observer.finished(last).len(), 1);
    }

    #[test]
    fn while_somebody_watches_some_operations_are_traced_and_only_those_are_shown() {
        let mut observer = Observer::default();
        assert!(observer.watch(at(10).mono));
        let traced = (0..100).filter(|_| get(&mut observer, 10).traced).count();
        assert_eq!(traced, TRACED_PER_SECOND as usize);
        assert_eq!(observer.finished(0).len(), traced.min(MAX_FINISHED));
        assert!(get(&mut observer, 11).traced, "a second later there are places again");
        assert!(!get(&mut observer, 21).traced, "no longer watched");
        assert!(observer.asked(at(21).mono, &Command::Get { key: Key::default() }, true).traced);
    }

    #[test]
    fn the_nodes_own_lookups_push_no_operation_out() {
        let mut observer = Observer::default();
        get(&mut observer, 1);
        for _ in 0..100 {
            let (purpose, target, report) =
                (LookupPurpose::Join, Key::default(), Report::default());
            observer.notice(at(2), &Notice::LookupEnded { purpose, target, found: 1, report });
        }
        let finished = observer.finished(0);
        assert_eq!(finished.len(), 1 + MAX_LOOKUPS);
        assert_eq!(finished[0].kind, OperationKind::Get);
    }

    #[test]
    fn what_repeats_is_one_line() {
        let mut observer = Observer::default();
        for seconds in 0..1000 {
            observer.notice(at(seconds), &Notice::LimitReached { limit: Limit::MaxBytes });
        }
        observer.notice(at(1000), &Notice::Isolated);
        let events = observer.events();
        assert_eq!((events.len(), events[0].times, events[0].at), (2, 1000, at(999).wall));
        assert!(events[0].text.contains("max_bytes") && events[1].warning);
    }

    #[test]
    fn contact_changes_are_listed_apart_from_events_and_bounded() {
        let mut observer = Observer::default();
        observer.notice(at(1), &Notice::Isolated);
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 7402)).into();
        for number in 0..=MAX_CONTACT_CHANGES as u8 {
            let contact = NodeInfo { address, id: NodeId::from_bytes([number; 32]) };
            observer.notice(at(2), &Notice::ContactAdded(contact));
            observer.notice(at(3), &Notice::ContactRemoved(contact));
        }
        let changes = observer.contact_changes();
        assert_eq!(changes.len(), MAX_CONTACT_CHANGES);
        let [before, last] = changes[changes.len() - 2..] else { panic!("two") };
        assert_eq!((before.joined, before.at), (true, at(2).wall));
        assert_eq!((last.joined, last.contact.id), (false, before.contact.id));
        assert_eq!(observer.events().len(), 1, "they push no event out");
    }

    #[test]
    fn a_ban_is_listed_until_it_ends() {
        let mut observer = Observer::default();
        let peer = NodeId::default();
        observer.notice(at(5), &Notice::Banned { peer, lasts: Duration::from_secs(10) });
        assert_eq!(observer.bans(at(8).mono), [(peer, Duration::from_secs(7))]);
        assert!(observer.bans(at(15).mono).is_empty());
    }

    #[test]
    fn a_failing_disk_is_told_once_and_so_is_its_return() {
        let mut observer = Observer::default();
        for durable in [true, false, false, true, true] {
            observer.persisted(at(1), durable);
        }
        let warnings: Vec<_> = observer.events().iter().map(|event| event.warning).collect();
        assert_eq!(warnings, [true, false]);
    }
}
