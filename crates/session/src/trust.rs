//! Trust in peer identities: pins, and the resolution of their conflicts (PROTOCOL, section 4).
//!
//! The pins themselves are a state machine in `voiddht_identity`. This module connects them to the
//! pool: it observes every authenticated peer, and has pinned owners asked. An owner is asked on the
//! live connection that authenticated the pinned certificate, where there is one; if that brought no
//! answer before, or there is none, on a new connection to the pinned address.
//!
//! Its cost is per connection. Per message it is one look at an empty list.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_core::event::{Destination, Undelivered};
use voiddht_core::time::{Moment, Now};
use voiddht_identity::pin::{
    MAX_PINGS_PER_MINUTE, PinCounters, PingResult, TakeoverPing, TurnedAway,
};
use voiddht_identity::{
    Certificate, CertificateError, PinLimits, PinOutput, PinRecord, Pins, Policy, ProvedPeer,
    Verdict,
};
use voiddht_wire::peer::{Body, Header, Message, NodeInfo};
use voiddht_wire::{NodeId, PeerAddress, RpcId};

use crate::event::{Limit, Opened, Output, Proved, TrustNotice};
use crate::pool::Pool;

/// How long an answer to a PING is distinguished from an unsolicited one: the span in which no more
/// than [`MAX_PINGS_PER_MINUTE`] are sent, which bounds how many are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The pins of a node, and the takeover checks in progress.
#[derive(Debug)]
pub(crate) struct Trust {
    pins: Pins,
    /// PINGs to old owners, the oldest first.
    asked: VecDeque<Asked>,
    random: ChaCha8Rng,
    /// The counters as they were reported last.
    reported: PinCounters,
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
    pub(crate) fn new(own: Certificate, limits: PinLimits, random: ChaCha8Rng) -> Self {
        let pins = Pins::new(own, limits);
        Self { pins, asked: VecDeque::new(), random, reported: PinCounters::default() }
    }

    /// Takes up what was on disk; see [`Pins::restore`].
    pub(crate) fn restore(
        &mut self,
        records: Vec<PinRecord>,
        policy: Policy,
        now: Now,
    ) -> Vec<(NodeId, CertificateError)> {
        self.pins.restore(records, policy, now)
    }

    /// Judges the peer at the other end of a new connection. `false`: it must not be used. Either
    /// way [`Trust::carry_out`] is to follow.
    pub(crate) fn admits(
        &mut self,
        proof: &ProvedPeer,
        opened: &Opened,
        pool: &mut Pool,
        now: Now,
    ) -> bool {
        let listens_at = opened.dialed.unwrap_or(opened.remote.with_port(0));
        let verdict = self.pins.observe(proof, listens_at, now);
        if verdict == Verdict::TurnedAway(TurnedAway::TooManyChecks) {
            pool.want(Output::LimitReached(Limit::TakeoverChecks));
        }
        if verdict.is_conflict() || verdict == Verdict::Replaced {
            let (peer, address) = (proof.node_id(), opened.remote);
            pool.want(Output::Trust(TrustNotice::Conflict { peer, address, verdict }));
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

    /// Does what the pins want, until they want nothing more. `own` is this node, with port 0 if it
    /// announces none.
    pub(crate) fn carry_out(&mut self, pool: &mut Pool, own: NodeInfo, now: Now) {
        while let Some(output) = self.pins.poll_output() {
            match output {
                PinOutput::Ping(ping) => self.ask(pool, own, ping, now),
                PinOutput::Settled(settlement) => {
                    pool.want(Output::Trust(TrustNotice::Settled(settlement)));
                }
                PinOutput::Save(record) => pool.want(Output::SavePin(record)),
                PinOutput::Forget(id) => pool.want(Output::ForgetPin(id)),
            }
        }
        let counters = self.pins.counters();
        if counters != self.reported {
            self.reported = counters;
            pool.want(Output::PinsCounted(counters));
        }
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
        self.pins.forget(id)
    }

    fn ask(&mut self, pool: &mut Pool, own: NodeInfo, ping: TakeoverPing, now: Now) {
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
        let header = Header { sender: own.id, port: own.address.port(), rpc_id };
        let message = Message { header, body: Body::Ping };
        let (owner, address) = (ping.node_id, ping.address);
        pool.want(Output::Trust(TrustNotice::OwnerAsked { owner, address }));
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
