//! Trust on first use: which certificate each node ID was first authenticated with, and what
//! happens when another one is (PROTOCOL, section 4).
//!
//! [`Pins`] is a state machine without clock, sockets or tasks. The driver reports to it every
//! authenticated peer with [`Pins::observe`], obeys the [`Verdict`], and then drains
//! [`Pins::poll_output`]; it calls [`Pins::handle_wakeup`] at [`Pins::next_wakeup`], and
//! [`Pins::ping_ended`] for each PING that it was asked to send. Its only input are certificates
//! authenticated by TLS: one that was merely pushed cannot be made into a [`ProvedPeer`], so it can
//! neither write a pin nor cause a PING.
//!
//! The check of a conflict must not be usable as an attack. It goes to the pinned address alone;
//! conflicts over one ID share one check; concurrent checks and PINGs per minute have limits; and
//! an ID that was just defended is not checked again for a while. At a limit the newcomer is
//! refused.
//!
//! A certificate with the pinned *key* is no conflict: its holder has the owner's key and could
//! have authenticated the pinned one. It replaces the pin without a check, as when a node's address
//! has changed. Under the self-certifying policy certificates of one ID can differ only in this
//! way, so no check is ever made.
//!
//! Inputs and outputs are in `event.rs`, the table and its eviction in `table.rs`, the schedule of
//! one check and the budget of PINGs in `pings.rs`, the bounds in `limits.rs`.

mod event;
mod limits;
mod pings;
mod table;

use std::collections::VecDeque;

use voiddht_core::time::{Moment, Now, WallTime};
use voiddht_wire::{NodeId, PeerAddress};

use crate::certificate::{Certificate, CertificateError};
use crate::policy::Policy;
use crate::proof::ProvedPeer;
pub use event::{
    Outcome, PinCounters, PinOutput, PinRecord, PingResult, Settlement, TakeoverPing,
    TakeoverRefused, TurnedAway, Verdict,
};
pub use limits::{
    COOL_DOWN, MAX_CHECKS, MAX_PIN_BYTES, MAX_PINGS_PER_MINUTE, MAX_PINS, PinLimits,
    TAKEOVER_GRACE, VACANCY,
};
pub use pings::PINGS_PER_CHECK;
use pings::{Checks, Step};
use table::{Pin, Standing, Table};

/// The pins of a node, and the checks in progress.
#[derive(Debug)]
pub struct Pins {
    own: Certificate,
    limits: PinLimits,
    table: Table,
    checks: Checks,
    /// Drained by the driver after each input; one input adds a few at most.
    outputs: VecDeque<PinOutput>,
    counters: PinCounters,
}

impl Pins {
    /// No pins yet. `own` is this node's certificate: no other is trusted under its ID.
    pub fn new(own: Certificate, limits: PinLimits) -> Self {
        Self {
            own,
            limits,
            table: Table::new(&limits),
            checks: Checks::new(&limits),
            outputs: VecDeque::new(),
            counters: PinCounters::default(),
        }
    }

    /// Takes pins up again from disk. Each certificate is read as strictly as if a peer had shown
    /// it; what is refused (expired meanwhile, damaged, of the other policy) is returned with its
    /// reason, and is forgotten on disk too.
    pub fn restore(
        &mut self,
        mut records: Vec<PinRecord>,
        policy: Policy,
        now: Now,
    ) -> Vec<(NodeId, CertificateError)> {
        records.sort_by_key(|record| (record.last_seen, record.node_id));
        let mut refused = Vec::new();
        for record in records {
            let seconds = now.wall.as_millis() / 1000;
            let error = match Certificate::parse_der(&record.certificate, policy, seconds) {
                Ok(certificate) if certificate.node_id() == record.node_id => {
                    self.insert(certificate, record.address, record.last_seen);
                    continue;
                }
                Ok(_) => CertificateError::NotACertificate,
                Err(error) => error,
            };
            self.outputs.push_back(PinOutput::Forget(record.node_id));
            refused.push((record.node_id, error));
        }
        refused
    }

    /// Judges an authenticated peer. `address` is where it was reached: the one that was dialled.
    /// For a connection that the peer opened, give its remote address with port 0, and observe it
    /// again once it has answered at its listening address; a port of 0 never takes a better one's
    /// place.
    pub fn observe(&mut self, peer: &ProvedPeer, address: PeerAddress, now: Now) -> Verdict {
        let certificate = peer.certificate();
        let id = certificate.node_id();
        if id == self.own.node_id() {
            return self.judge_own(certificate);
        }
        let Some(pin) = self.table.get(&id) else {
            self.insert(certificate.clone(), address, now.wall);
            self.save(&id);
            self.counters.pinned += 1;
            return Verdict::Pinned;
        };
        if pin.certificate == *certificate {
            self.owner_lives(id, now.mono);
            if self.table.touch(&id, address, now.wall) {
                self.save(&id);
            }
            Verdict::Known
        } else if pin.certificate.has_key_of(certificate) {
            self.owner_lives(id, now.mono);
            self.replace(certificate, address, now);
            self.counters.renewed += 1;
            Verdict::Renewed
        } else {
            self.counters.conflicts += 1;
            self.judge_conflict(certificate, address, now)
        }
    }

    fn judge_own(&mut self, certificate: &Certificate) -> Verdict {
        if self.own.has_key_of(certificate) {
            return Verdict::Known;
        }
        self.counters.conflicts += 1;
        Verdict::Refused(TakeoverRefused::OwnId)
    }

    fn judge_conflict(
        &mut self,
        certificate: &Certificate,
        address: PeerAddress,
        now: Now,
    ) -> Verdict {
        let id = certificate.node_id();
        if self.checks.turn_away(&id) {
            return Verdict::TurnedAway(TurnedAway::CheckUnderWay);
        }
        match self.table.standing(&id, now.mono) {
            Standing::Defended { .. } => Verdict::Refused(TakeoverRefused::OwnerAnswered),
            Standing::NotAsked { .. } => Verdict::TurnedAway(TurnedAway::OwnerNotAsked),
            Standing::Vacant { .. } => {
                self.replace(certificate, address, now);
                self.counters.replaced += 1;
                Verdict::Replaced
            }
            Standing::Settled => {
                if self.checks.start(id, now.mono) {
                    self.ping(id);
                    Verdict::TurnedAway(TurnedAway::CheckStarted)
                } else {
                    self.counters.over_limit += 1;
                    Verdict::TurnedAway(TurnedAway::TooManyChecks)
                }
            }
        }
    }

    /// Reports how a [`PinOutput::Ping`] ended. A late answer still counts: an owner that lives
    /// keeps its ID until another certificate is pinned in its place.
    pub fn ping_ended(&mut self, ping: &TakeoverPing, result: PingResult, now: Moment) {
        match result {
            PingResult::Answered => {
                let pin = self.table.get(&ping.node_id);
                if pin.is_some_and(|pin| pin.certificate == ping.certificate) {
                    self.owner_lives(ping.node_id, now);
                }
            }
            PingResult::NotAsked => self.checks.not_asked(&ping.node_id),
            // Silence is the absence of an answer until the grace has passed, and not before.
            PingResult::Silent => {}
        }
    }

    /// Reports that a node listens at `address`: there the certificate is pushed that the node has
    /// authenticated on a live connection, which it opened itself. Moves the pin's address, and
    /// nothing else: a pushed certificate is not a proof.
    pub fn located(&mut self, certificate: &Certificate, address: PeerAddress, now: Now) {
        let id = certificate.node_id();
        let pinned = self.table.get(&id).is_some_and(|pin| pin.certificate == *certificate);
        if pinned && self.table.touch(&id, address, now.wall) {
            self.save(&id);
        }
    }

    /// When [`Pins::handle_wakeup`] has something to do.
    pub fn next_wakeup(&self) -> Option<Moment> {
        self.checks.next_wakeup()
    }

    /// Does what has become due: further PINGs, and the end of checks.
    pub fn handle_wakeup(&mut self, now: Moment) {
        while let Some((id, step)) = self.checks.due(now) {
            match step {
                Step::Ping => self.ping(id),
                Step::End { turned_away, asked: true } => {
                    let until = now + self.limits.vacancy;
                    self.table.set_standing(&id, Standing::Vacant { until });
                    self.settle(id, Outcome::OwnerSilent, turned_away);
                }
                Step::End { turned_away, asked: false } => {
                    let until = now + self.limits.takeover_grace;
                    self.table.set_standing(&id, Standing::NotAsked { until });
                    self.settle(id, Outcome::Undecided, turned_away);
                }
            }
        }
    }

    /// The next thing to do or to tell. To be called until there is none, after every call that
    /// changes something.
    pub fn poll_output(&mut self) -> Option<PinOutput> {
        self.outputs.pop_front()
    }

    /// Reports whether a node is a member of the routing table: its pin is kept longer.
    pub fn set_member(&mut self, id: &NodeId, member: bool) {
        self.table.set_member(id, member);
    }

    /// Whether a pinned node is a member of the routing table, as far as was told.
    pub fn is_member(&self, id: &NodeId) -> bool {
        self.table.get(id).is_some_and(|pin| pin.member)
    }

    /// The pinned certificate of an ID.
    pub fn certificate(&self, id: &NodeId) -> Option<&Certificate> {
        self.table.get(id).map(|pin| &pin.certificate)
    }

    /// Every pin, ordered by ID.
    pub fn records(&self) -> impl Iterator<Item = PinRecord> {
        self.table.iter().map(record)
    }

    /// Forgets a pin; the next peer to authenticate this ID is trusted. Whether there was one.
    pub fn forget(&mut self, id: &NodeId) -> bool {
        if self.table.remove(id).is_none() {
            return false;
        }
        if let Some(turned_away) = self.checks.stop(id) {
            self.settle(*id, Outcome::Forgotten, turned_away);
        }
        self.outputs.push_back(PinOutput::Forget(*id));
        true
    }

    /// How many pins there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// How many owners are being asked.
    pub fn checks_under_way(&self) -> usize {
        self.checks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened since the start.
    pub fn counters(&self) -> PinCounters {
        self.counters
    }

    /// The owner has shown itself: a check over its ID ends, and a vacancy with it.
    fn owner_lives(&mut self, id: NodeId, now: Moment) {
        let until = now + self.limits.cool_down;
        if let Some(turned_away) = self.checks.stop(&id) {
            self.table.set_standing(&id, Standing::Defended { until });
            self.settle(id, Outcome::OwnerAnswered, turned_away);
        } else if !matches!(self.table.standing(&id, now), Standing::Defended { .. }) {
            self.table.set_standing(&id, Standing::Settled);
        }
    }

    fn settle(&mut self, node_id: NodeId, outcome: Outcome, turned_away: u32) {
        match outcome {
            Outcome::OwnerAnswered => self.counters.owner_answered += 1,
            Outcome::OwnerSilent => self.counters.owner_silent += 1,
            Outcome::Undecided | Outcome::Forgotten => self.counters.undecided += 1,
        }
        self.outputs.push_back(PinOutput::Settled(Settlement { node_id, outcome, turned_away }));
    }

    /// Asks the owner, at the pinned address and nowhere else.
    fn ping(&mut self, node_id: NodeId) {
        let Some(pin) = self.table.get(&node_id) else { return };
        self.counters.pings += 1;
        self.outputs.push_back(PinOutput::Ping(TakeoverPing {
            node_id,
            address: pin.address,
            certificate: pin.certificate.clone(),
        }));
    }

    fn insert(&mut self, certificate: Certificate, address: PeerAddress, seen: WallTime) {
        let evicted =
            self.table.insert(certificate, address, seen, |id| self.checks.is_under_way(id));
        for id in evicted {
            self.counters.evicted += 1;
            self.outputs.push_back(PinOutput::Forget(id));
        }
    }

    /// Pins another certificate for a known ID. Its membership stays: it is the ID's.
    fn replace(&mut self, certificate: &Certificate, address: PeerAddress, now: Now) {
        let id = certificate.node_id();
        if let Some(old) = self.table.remove(&id) {
            let same_owner = old.certificate.has_key_of(certificate);
            let keeps_address = same_owner && !address.is_dialable();
            let address = if keeps_address { old.address } else { address };
            self.insert(certificate.clone(), address, now.wall);
            self.table.set_member(&id, old.member);
            if same_owner {
                self.table.set_standing(&id, old.standing);
            }
            self.save(&id);
        }
    }

    fn save(&mut self, id: &NodeId) {
        if let Some(pin) = self.table.get(id) {
            self.outputs.push_back(PinOutput::Save(record(pin)));
        }
    }
}

fn record(pin: &Pin) -> PinRecord {
    PinRecord {
        node_id: pin.certificate.node_id(),
        certificate: pin.certificate.der().to_vec(),
        address: pin.address,
        last_seen: pin.seen,
    }
}

#[cfg(test)]
mod tests;
