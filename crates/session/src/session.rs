//! A node's core, connections and trust, as one state machine.
//!
//! # The driving contract
//!
//! A driver owns a [`Session`] and the outside world: clocks, sockets, disk. It repeats:
//!
//! 1. Read all clocks once, and feed **one** [`Input`] to [`Session::handle_input`].
//! 2. Drain [`Session::poll_output`] until it is `None`, and execute each [`Output`]. What could not
//!    be executed is reported as an input, while outputs are drained or later: a message that was
//!    not sent as [`Input::NotSent`], writes as [`Input::Persisted`], a probe as [`Input::Probed`],
//!    a name as [`Input::Resolved`].
//! 3. Sleep until something happens, at the latest until [`Session::next_wakeup`], and then feed
//!    [`Input::WakeUp`].
//!
//! The session never blocks and reads no clock, and its randomness comes from the seeds that it is
//! made with: the same inputs at the same times give the same outputs. No input panics.
//!
//! # What follows from an input
//!
//! First the core executes what it was told of, then everything that follows from that is done in
//! order, one after the other: outputs go to the driver, and what the core has to know of
//! connections goes to the core, whose outputs are executed before the next. So the core hears of a
//! connection before it hears what came over it.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use voiddht_core::Node;
use voiddht_core::event::{Input as CoreInput, Notice, Output as CoreOutput, Undelivered};
use voiddht_core::peer::{ConnectionId, Peer};
use voiddht_core::time::{Moment, Now};
use voiddht_identity::{Certificate, CertificateError, PinLimits, PinRecord, Policy, ProvedPeer};
use voiddht_wire::NodeId;
use voiddht_wire::peer::{Message, NodeInfo};

use crate::event::{Ending, Input, Limit, Opened, Output, ProbeEnd};
use crate::pool::{ConnectionCounts, Effect, Pool, PoolLimits};
use crate::probes::Probes;
use crate::trust::Trust;

/// How often the pool looks after itself, while there is something to look after.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Those of connections.
    pub pool: PoolLimits,
    /// Those of pins.
    pub pins: PinLimits,
    /// Probes of listening addresses in progress. Others are queued.
    pub probes: usize,
}

/// See the module's description.
pub struct Session {
    core: Node,
    pool: Pool,
    trust: Trust,
    probes: Probes,
    /// When the last input came.
    now: Now,
    /// Whether everything that followed from the inputs so far has been polled.
    is_settled: bool,
    next_sweep: Option<Moment>,
}

impl Session {
    /// A session without connections or pins over a core. `own` is the certificate of this node,
    /// and `seed` the randomness of takeover checks.
    pub fn new(
        core: Node,
        own: Certificate,
        limits: SessionLimits,
        seed: ChaCha8Rng,
        now: Now,
    ) -> Self {
        Self {
            pool: Pool::new(core.own().id, limits.pool),
            core,
            trust: Trust::new(own, limits.pins, seed),
            probes: Probes::new(limits.probes),
            now,
            is_settled: true,
            next_sweep: None,
        }
    }

    /// Takes pins up again from disk. Those that are refused are returned with the reason, and are
    /// forgotten on disk too.
    pub fn restore_pins(
        &mut self,
        records: Vec<PinRecord>,
        policy: Policy,
        now: Now,
    ) -> Vec<(NodeId, CertificateError)> {
        self.now = now;
        let refused = self.trust.restore(records, policy, now);
        self.settle_pins();
        self.is_settled = false;
        refused
    }

    /// The core, for those who look at it.
    pub fn core(&self) -> &Node {
        &self.core
    }

    /// Notifies the core that this node has dialled a peer, and that the connection was closed again,
    /// without either: fills routing tables of simulated networks. Its outputs are to be drained.
    pub fn danger_assume_dialed(&mut self, contact: NodeInfo, now: Now) {
        self.now = now;
        let NodeInfo { address, id } = contact;
        let peer = Peer::danger_assume_proved(id, address);
        let (connection, dialed) = (self.pool.name_dial(), Some(address));
        self.tell_now(CoreInput::Connected { connection, peer, dialed });
        self.tell_now(CoreInput::Disconnected { peer: id, clean: true });
        self.is_settled = false;
    }

    /// Whether operations that begin from now on record their steps.
    pub fn set_trace_steps(&mut self, trace: bool) {
        self.core.set_trace_steps(trace);
    }

    /// Connections and dials in progress.
    pub fn connections(&self) -> usize {
        self.pool.len()
    }

    /// Connections by what they were agreed on and authenticated by.
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.pool.connection_counts()
    }

    /// Whether there is a live connection with an authenticated node.
    pub fn is_connected(&self, peer: &NodeId) -> bool {
        self.pool.proved(peer).is_some()
    }

    /// Every pin, by ID, with whether its owner is a member of the routing table.
    pub fn pins(&self) -> impl Iterator<Item = (PinRecord, bool)> {
        self.trust.list()
    }

    /// How many pins there are.
    pub fn pin_count(&self) -> usize {
        self.trust.len()
    }

    /// Forgets a pin; the next peer to authenticate this ID is trusted. Whether there was one.
    pub fn forget_pin(&mut self, id: &NodeId, now: Now) -> bool {
        self.now = now;
        let forgotten = self.trust.forget(id);
        self.settle_pins();
        self.is_settled = false;
        forgotten
    }

    /// When there is something to do at the latest.
    pub fn next_wakeup(&self) -> Option<Moment> {
        let wakeups = [self.core.next_wakeup(), self.trust.next_wakeup(), self.next_sweep];
        wakeups.into_iter().flatten().min()
    }

    /// Takes one input.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Received { connection, message } => self.received(connection, message),
            Input::BareError { connection, code } => {
                if let Some(message) = self.pool.answer_for_bare_error(connection, code) {
                    self.received(connection, message);
                }
            }
            Input::NotSent { connection, message, why } => {
                self.pool.not_sent(connection, &message, why);
            }
            Input::MaySend { connection } => self.pool.may_send(connection),
            Input::Opened { opened, proof } => self.opened(&opened, proof),
            Input::DialFailed { connection, why } => {
                self.pool.dial_failed(now.mono, connection, why);
            }
            Input::Closed { connection, ending } => self.closed(connection, ending),
            Input::ConnectionLimit(connections) => self.pool.limit_connections(connections),
            Input::SecretsChanged(accepted) => self.pool.secrets_changed(now.mono, accepted),
            Input::Probed { contact, found } => self.probed(contact, found),
            Input::Command { id, command } => self.submit(CoreInput::Command { id, command }),
            Input::Resolved { name, found } => self.submit(CoreInput::Resolved { name, found }),
            Input::Persisted { ticket, durable } => {
                self.submit(CoreInput::Persisted { ticket, durable });
            }
            Input::Called { from } => self.submit(CoreInput::Called { from }),
            Input::Duplicate { address } => self.submit(CoreInput::Duplicate { address }),
            Input::AddressChanged { address } => self.submit(CoreInput::AddressChanged { address }),
            Input::WakeUp => self.wake_up(),
        }
        self.is_settled = false;
    }

    /// The next thing to do. `None`: nothing, until there is another input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.is_settled {
            return None;
        }
        loop {
            while let Some(output) = self.core.poll_output() {
                if let Some(output) = self.execute(output) {
                    return Some(output);
                }
            }
            match self.pool.poll_effect() {
                Some(Effect::Output(output)) => return Some(output),
                Some(Effect::Input(input)) => self.inform(input),
                None => break,
            }
        }
        self.is_settled = true;
        if self.next_sweep.is_none() && self.pool.wants_sweep() {
            self.next_sweep = Some(self.now.mono + SWEEP_INTERVAL);
        }
        None
    }

    /// Tells the core what it waits for, now if nothing is to be told before.
    fn submit(&mut self, input: CoreInput) {
        if self.is_settled && !self.pool.has_effects() {
            self.core.handle_input(self.now, input);
        } else {
            self.pool.tell(input);
        }
    }

    /// Tells the core what became of a request, unless it is one of takeover checks.
    fn inform(&mut self, input: CoreInput) {
        if let CoreInput::Undelivered { rpc_id, why } = &input
            && self.trust.is_asking()
            && self.trust.undelivered(rpc_id, *why, self.now.mono)
        {
            return self.settle_pins();
        }
        self.core.handle_input(self.now, input);
    }

    /// Tells the core something, and has it executed before anything else.
    fn tell_now(&mut self, input: CoreInput) {
        self.core.handle_input(self.now, input);
        while let Some(output) = self.core.poll_output() {
            if let Some(output) = self.execute(output) {
                self.pool.want(output);
            }
        }
    }

    /// Executes what the core wants, as far as it is not the driver's to do.
    fn execute(&mut self, output: CoreOutput) -> Option<Output> {
        match output {
            CoreOutput::Request { to, message } => self.pool.request(self.now.mono, to, message),
            CoreOutput::Reply { connection, message } => self.pool.reply(connection, message),
            CoreOutput::Probe { contact } => self.probe(contact),
            CoreOutput::HangUp { peer } => self.pool.hang_up(&peer),
            CoreOutput::Resolve { name } => return Some(Output::Resolve { name }),
            CoreOutput::Persist { ticket, writes } => {
                return Some(Output::Persist { ticket, writes });
            }
            CoreOutput::Answer { id, outcome } => return Some(Output::Answer { id, outcome }),
            CoreOutput::Notice(notice) => {
                match &notice {
                    Notice::ContactAdded(contact) => self.trust.set_member(&contact.id, true),
                    Notice::ContactRemoved(contact) => self.trust.set_member(&contact.id, false),
                    _ => {}
                }
                return Some(Output::Notice(notice));
            }
        }
        None
    }

    fn received(&mut self, connection: ConnectionId, message: Message) {
        let now = self.now.mono;
        let Some(peer) = self.pool.received(now, connection, &message) else { return };
        if self.trust.is_asking() && !message.body.is_request() {
            let proved = self.pool.proved_on(connection);
            if self.trust.answered(&message, proved, now) {
                return self.settle_pins();
            }
        }
        self.submit(CoreInput::Received { connection, peer, message });
    }

    fn opened(&mut self, opened: &Opened, proof: Option<ProvedPeer>) {
        let now = self.now.mono;
        if !self.pool.admits(opened) {
            return self.pool.refuse(now, opened, Undelivered::ConnectionLost);
        }
        if let Some(proof) = proof
            && !self.trusts(&proof, opened)
        {
            return self.pool.refuse(now, opened, Undelivered::WrongIdentity);
        }
        self.pool.opened(now, *opened);
    }

    fn trusts(&mut self, proof: &ProvedPeer, opened: &Opened) -> bool {
        let is_trusted = self.trust.admits(proof, opened, &mut self.pool, self.now);
        let id = proof.node_id();
        self.trust.set_member(&id, self.core.table().get(&id).is_some());
        self.settle_pins();
        is_trusted
    }

    fn closed(&mut self, connection: ConnectionId, ending: Ending) {
        if let (Some(what), Some(peer)) = (ending.broken, self.pool.proved_peer(connection)) {
            self.tell_now(CoreInput::Misbehaved { peer, what });
        }
        self.pool.closed(self.now.mono, connection, ending);
    }

    fn probe(&mut self, contact: NodeInfo) {
        if !self.probes.add(contact) {
            self.pool.want(Output::LimitReached(Limit::Probes));
            self.pool.tell(CoreInput::NotProbed { contact });
        }
        self.start_probes();
    }

    fn start_probes(&mut self) {
        while let Some(contact) = self.probes.next() {
            let proved = self.pool.proved(&contact.id);
            self.pool.want(Output::Probe { contact, proved });
        }
    }

    fn probed(&mut self, contact: NodeInfo, found: ProbeEnd) {
        self.probes.ended();
        self.start_probes();
        let input = match found {
            ProbeEnd::Listens(certificate) => {
                self.trust.located(&certificate, contact.address, self.now);
                self.settle_pins();
                CoreInput::Probed { contact, listening: true }
            }
            ProbeEnd::ListensNot => CoreInput::Probed { contact, listening: false },
            ProbeEnd::NotTried => CoreInput::NotProbed { contact },
        };
        self.submit(input);
    }

    /// What the time demands.
    fn wake_up(&mut self) {
        let now = self.now.mono;
        let is_due = |wakeup: Option<Moment>| wakeup.is_some_and(|at| at <= now);
        if is_due(self.core.next_wakeup()) {
            self.tell_now(CoreInput::WakeUp);
        }
        if is_due(self.trust.next_wakeup()) {
            self.trust.handle_wakeup(now);
            self.settle_pins();
        }
        if is_due(self.next_sweep) {
            self.next_sweep = None;
            self.pool.sweep(now);
        }
    }

    /// Does what the pins want.
    fn settle_pins(&mut self) {
        let port = if self.core.is_client() { 0 } else { self.core.own().address.port() };
        let own = NodeInfo { address: self.core.own().address.with_port(port), ..self.core.own() };
        self.trust.carry_out(&mut self.pool, own, self.now);
    }
}

#[cfg(test)]
mod tests;
