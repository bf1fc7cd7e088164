//! Trust in peer identities: pins, and the resolution of their conflicts (PROTOCOL, section 4).
//!
//! The pins themselves are a state machine in `voiddht_identity`. This module connects it to the
//! node: it observes every authenticated peer, pins are written to the data directory and loaded
//! from it, and pinned owners are asked. An owner is asked on the live connection that
//! authenticated the pinned certificate, where there is one; if that brought no answer before, or
//! there is none, on a new connection to the pinned address.
//!
//! Its cost is per connection. Per message it is one look at an empty list.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Destination, Undelivered};
use voiddht_core::time::{Moment, Now};
use voiddht_identity::pin::{
    MAX_PINGS_PER_MINUTE, PingResult, Settlement, TakeoverPing, TurnedAway,
};
use voiddht_identity::{
    Certificate, Identity, PinLimits, PinOutput, PinRecord, Pins, ProvedPeer, Verdict,
};
use voiddht_session::{Opened, Pool, Proved};
use voiddht_store::{Pin, Store};
use voiddht_wire::peer::{Body, Header, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use crate::counters::{Counters, Limit};
use crate::log_limit::{Line, log_limited};

/// How long an answer to a PING is distinguished from an unsolicited one: the span in which no more
/// than [`MAX_PINGS_PER_MINUTE`] are sent, which bounds how many are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The pins of a node, and the takeover checks in progress.
#[derive(Debug)]
pub(crate) struct Trust {
    own: NodeInfo,
    pins: Pins,
    /// PINGs to old owners, the oldest first.
    asked: VecDeque<Asked>,
    random: ChaCha8Rng,
}

/// A PING on its way.
#[derive(Debug)]
struct Asked {
    rpc_id: RpcId,
    ping: TakeoverPing,
    sent: Moment,
}

impl Trust {
    /// No pins. `random` names the PINGs.
    pub(crate) fn new(
        identity: &Identity,
        own: NodeInfo,
        limits: PinLimits,
        random: ChaCha8Rng,
    ) -> Self {
        let pins = Pins::new(identity.certificate().clone(), limits);
        Self { own, pins, asked: VecDeque::new(), random }
    }

    /// The port that PINGs announce from now on; 0 for a client.
    pub(crate) fn set_port(&mut self, port: u16) {
        self.own.address = self.own.address.with_port(port);
    }

    /// Takes up what the data directory held. A pin that cannot be read any more, as after a change
    /// of the policy, is forgotten there.
    pub(crate) fn restore(&mut self, identity: &Identity, kept: Vec<Pin>, now: Now) {
        let records = kept.into_iter().map(record_of).collect();
        for (id, reason) in self.pins.restore(records, identity.policy(), now) {
            tracing::warn!(peer = id.short(), %reason, "pin of an earlier run dropped");
        }
    }

    /// Judges the peer at the other end of a new connection. `false`: it must not be used. Either
    /// way [`Trust::carry_out`] is to follow.
    pub(crate) fn admits(
        &mut self,
        proof: &ProvedPeer,
        opened: &Opened,
        counters: &Counters,
        now: Now,
    ) -> bool {
        let listens_at = opened.dialed.unwrap_or(opened.remote.with_port(0));
        let verdict = self.pins.observe(proof, listens_at, now);
        let peer = proof.node_id().short();
        let address = opened.remote;
        let logs = &counters.logs;
        match verdict {
            Verdict::TurnedAway(why) => {
                if why == TurnedAway::TooManyChecks {
                    counters.limit_reached(Limit::TakeoverChecks);
                }
                log_limited!(logs, Line::PinConflict, warn, peer, %address, %why,
                    "peer refused: its ID is pinned to another key");
            }
            Verdict::Refused(why) => {
                log_limited!(logs, Line::PinConflict, warn, peer, %address, %why,
                    "takeover refused");
            }
            Verdict::Replaced => {
                log_limited!(logs, Line::PinConflict, warn, peer, %address,
                    "ID reassigned to a new key: its owner did not respond");
            }
            Verdict::Known | Verdict::Pinned | Verdict::Renewed => {}
        }
        verdict.is_trusted()
    }

    /// A node was found to listen at an address: the certificate that it proved is pushed there.
    pub(crate) fn located(&mut self, certificate: &Certificate, address: PeerAddress, now: Now) {
        self.pins.located(certificate, address, now);
    }

    /// Reports whether a node is a member of the routing table.
    pub(crate) fn set_member(&mut self, id: &NodeId, member: bool) {
        self.pins.set_member(id, member);
    }

    /// Does what the pins want, until they want nothing more.
    pub(crate) fn carry_out(
        &mut self,
        pool: &mut Pool,
        store: Option<&Store>,
        counters: &Counters,
        now: Now,
    ) {
        while let Some(output) = self.pins.poll_output() {
            match output {
                PinOutput::Ping(ping) => self.ask(pool, ping, now),
                PinOutput::Settled(settlement) => log_settled(counters, &settlement),
                PinOutput::Save(record) => {
                    let id = record.node_id;
                    let kept = store.map_or(Ok(()), |store| store.put_pin(pin_of(record)));
                    if kept.is_err() {
                        log_limited!(
                            counters.logs,
                            Line::PinNotSaved,
                            warn,
                            peer = id.short(),
                            "could not save pin: store write queue is full"
                        );
                    }
                }
                PinOutput::Forget(id) => {
                    if store.is_some_and(|store| store.remove_pin(id).is_err()) {
                        log_limited!(
                            counters.logs,
                            Line::PinNotSaved,
                            warn,
                            peer = id.short(),
                            "could not delete pin: store write queue is full"
                        );
                    }
                }
            }
        }
        for _ in 0..store.map_or(0, Store::take_unsaved_pins) {
            counters.limit_reached(Limit::UnsavedPins);
        }
        counters.note_pins(self.pins.counters());
    }

    /// Whether an owner may still answer: the one question that each reply is asked.
    pub(crate) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes the answer of an old owner. `proved` is what the connection proved on which it came.
    /// `false`: the message is no such answer.
    pub(crate) fn answered(
        &mut self,
        message: &Message,
        proved: Option<Proved>,
        now: Moment,
    ) -> bool {
        let Some(asked) = self.take(&message.header.rpc_id) else { return false };
        let fingerprint = asked.ping.certificate.fingerprint();
        // Any answer counts: an owner that answers BUSY is alive.
        if proved.is_some_and(|proved| proved.fingerprint == fingerprint) {
            self.pins.ping_ended(&asked.ping, PingResult::Answered, now);
        }
        true
    }

    /// Hears that a request was not delivered. `false`: it was no PING to an old owner.
    pub(crate) fn undelivered(&mut self, rpc_id: &RpcId, why: Undelivered, now: Moment) -> bool {
        let Some(asked) = self.take(rpc_id) else { return false };
        let result = if why.blames_peer() { PingResult::Silent } else { PingResult::NotAsked };
        self.pins.ping_ended(&asked.ping, result, now);
        true
    }

    /// When [`Trust::handle_wakeup`] has something to do.
    pub(crate) fn next_wakeup(&self) -> Option<Moment> {
        self.pins.next_wakeup()
    }

    /// Goes on with the checks in progress.
    pub(crate) fn handle_wakeup(&mut self, now: Moment) {
        self.pins.handle_wakeup(now);
    }

    /// How many pins there are.
    pub(crate) fn len(&self) -> usize {
        self.pins.len()
    }

    /// Every pin, by ID, with whether its owner is a member of the routing table.
    pub(crate) fn list(&self) -> impl Iterator<Item = (PinRecord, bool)> {
        self.pins.records().map(|record| {
            let member = self.pins.is_member(&record.node_id);
            (record, member)
        })
    }

    /// Forgets a pin. Whether there was one.
    pub(crate) fn forget(&mut self, id: &NodeId) -> bool {
        let forgotten = self.pins.forget(id);
        if forgotten {
            tracing::warn!(peer = id.short(), "pin forgotten by command");
        }
        forgotten
    }

    fn ask(&mut self, pool: &mut Pool, ping: TakeoverPing, now: Now) {
        while self.asked.front().is_some_and(|asked| now.mono.since(asked.sent) >= REMEMBERED) {
            self.asked.pop_front();
        }
        // The pins keep to the same bound; this one holds whatever they do.
        if self.asked.len() >= MAX_PINGS_PER_MINUTE {
            return self.pins.ping_ended(&ping, PingResult::NotAsked, now.mono);
        }
        let to = Destination { address: ping.address, id: Some(ping.node_id) };
        let proved = pool.proved(&ping.node_id);
        let lives = proved.is_some_and(|it| it.fingerprint == ping.certificate.fingerprint());
        // A connection on which the last PING is still unanswered may be a dead one.
        let waits = self.asked.iter().any(|asked| asked.ping.node_id == ping.node_id);
        let dialable = ping.address.is_dialable();
        if !dialable && !lives {
            return self.pins.ping_ended(&ping, PingResult::Silent, now.mono);
        }
        let rpc_id = RpcId::from_bytes(self.random.random());
        let header = Header { sender: self.own.id, port: self.own.address.port(), rpc_id };
        let message = Message { header, body: Body::Ping };
        let peer = ping.node_id.short();
        tracing::debug!(peer, address = %ping.address, "asking the owner of a pin");
        self.asked.push_back(Asked { rpc_id, ping, sent: now.mono });
        if lives && (!waits || !dialable) {
            pool.request(now.mono, to, message);
        } else {
            pool.request_anew(now.mono, to, message);
        }
    }

    fn take(&mut self, rpc_id: &RpcId) -> Option<Asked> {
        let index = self.asked.iter().position(|asked| asked.rpc_id == *rpc_id)?;
        self.asked.remove(index)
    }
}

fn log_settled(counters: &Counters, settlement: &Settlement) {
    let Settlement { node_id, outcome, turned_away } = settlement;
    let peer = node_id.short();
    log_limited!(counters.logs, Line::PinConflict, warn, peer, turned_away, %outcome,
        "pin conflict ended");
}

fn pin_of(record: PinRecord) -> Pin {
    Pin {
        node_id: record.node_id,
        address: record.address,
        last_seen: record.last_seen,
        certificate_der: record.certificate,
    }
}

fn record_of(pin: Pin) -> PinRecord {
    PinRecord {
        node_id: pin.node_id,
        certificate: pin.certificate_der,
        address: pin.address,
        last_seen: pin.last_seen,
    }
}
