//! The one task that owns the core, and executes its outputs (see `voiddht_core::node` for the
//! contract).
//!
//! It waits in one place only: for the next event, the next wake-up, the disk, or the end. It never
//! waits for a connection: outboxes accept bytes at once or refuse. After each wake-up it handles
//! all queued events, so that the bytes of a burst leave in one write per connection.

mod account_limits;
mod network;
mod notices;
pub(crate) mod observe;
mod outboxes;
mod shutdown;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use voiddht_core::Node;
use voiddht_core::configured::PeerName;
use voiddht_core::event::{
    Command, CommandId, Destination, Input, Outcome, Output, Ticket, Undelivered, Write,
};
use voiddht_core::operation::Receipt;
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::{Moment, Now};
use voiddht_identity::ProvedPeer;
use voiddht_session::{Effect, Ending, Opened, Output as Wanted, Pool};
use voiddht_wire::peer::{ErrorCode, Message, NodeInfo};

use self::outboxes::Outboxes;
use crate::clock::Clock;
use crate::contact_log::ContactLog;
use crate::context::Context as Shared;
use crate::counters::Limit;
use crate::descriptors::Share;
use crate::dialer;
use crate::event::{AnswerTo, Event, ProbeEnd};
use crate::observer::{Asked, Observer};
use crate::outbox::Outbox;
use crate::persistence::{Persisted, Persistence};
use crate::pins::PinView;
use crate::probes::Probes;
use crate::resolver::Resolver;
use crate::status::CoreStatus;
use crate::trust::Trust;

/// Events handled before other tasks have their turn. So many messages leave in one write per
/// connection, and so long, some tenths of a millisecond, no other task runs.
const EVENTS_PER_TURN: usize = 64;
/// How often the pool looks after itself, while there is something to look after.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A wake-up that is further away is not known, and does not matter, more exactly.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The task that owns the core, with everything that it drives.
pub(crate) struct Driver {
    context: Arc<Shared>,
    clock: Clock,
    core: Node,
    pool: Pool,
    outboxes: Outboxes,
    trust: Trust,
    share: Share,
    persistence: Persistence,
    inbox: mpsc::Receiver<Event>,
    commands: HashMap<CommandId, (Asked, AnswerTo)>,
    observer: Observer,
    account_limits: account_limits::AccountLimits,
    contact_log: ContactLog,
    next_command: u64,
    /// Requests of local programs that waited for the answer to another. No more than a connection may
    /// have unanswered.
    released: VecDeque<Event>,
    /// What ends each dial that is in progress.
    dials: HashMap<ConnectionId, CancellationToken>,
    probes: Probes,
    resolver: Resolver,
    next_sweep: Option<Moment>,
    joined: watch::Sender<bool>,
    alarm: Alarm,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) context: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) core: Node,
    pub(crate) pool: Pool,
    pub(crate) trust: Trust,
    pub(crate) share: Share,
    pub(crate) persistence: Persistence,
    pub(crate) inbox: mpsc::Receiver<Event>,
    pub(crate) joined: watch::Sender<bool>,
}

/// What woke the driver.
enum Woken {
    Event(Event),
    Disk(Persisted),
    Alarm,
    Stop,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { context, clock, core, pool, trust, share, persistence, inbox, joined } = parts;
        let probes = Probes::new(context.limits.probes);
        Self {
            context,
            clock,
            core,
            pool,
            outboxes: Outboxes::default(),
            trust,
            share,
            persistence,
            inbox,
            commands: HashMap::new(),
            observer: Observer::default(),
            account_limits: account_limits::AccountLimits::default(),
            contact_log: ContactLog::default(),
            next_command: 0,
            released: VecDeque::new(),
            dials: HashMap::new(),
            probes,
            resolver: Resolver::default(),
            next_sweep: None,
            joined,
            alarm: Alarm::default(),
        }
    }

    /// Works until the node is asked to stop, and then ends everything.
    pub(crate) async fn run(mut self) {
        let context = Arc::clone(&self.context);
        let mut stopped = std::pin::pin!(context.stop.cancelled());
        let mut more_events = false;
        loop {
            self.set_alarm();
            let woken = poll_fn(|cx| self.poll_woken(stopped.as_mut(), more_events, cx)).await;
            more_events = false;
            let now = self.clock.now();
            match woken {
                Woken::Event(event) => {
                    more_events = self.handle_events(now, event);
                    if more_events {
                        // Writers must have their turn first.
                        tokio::task::yield_now().await;
                    }
                }
                Woken::Disk(done) => self.persisted(now, done),
                Woken::Alarm => {}
                Woken::Stop => break,
            }
            // Not left to the wait above: while there are events, it hears of nothing else.
            self.handle_persisted(now);
            self.handle_due(now);
        }
        self.shut_down().await;
    }

    /// Waits for whatever comes first. Events are looked at first, because they are by far the
    /// most; but not while there are more than one turn can handle, or nothing else would ever
    /// have one.
    fn poll_woken(
        &mut self,
        stopped: Pin<&mut impl Future<Output = ()>>,
        more_events: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Woken> {
        if !more_events && let Poll::Ready(event) = self.inbox.poll_recv(cx) {
            return Poll::Ready(event.map_or(Woken::Stop, Woken::Event));
        }
        if stopped.poll(cx).is_ready() {
            return Poll::Ready(Woken::Stop);
        }
        if let Poll::Ready(done) = self.persistence.poll_completed(cx) {
            return Poll::Ready(Woken::Disk(done));
        }
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(Woken::Alarm);
        }
        if more_events {
            let event = ready!(self.inbox.poll_recv(cx));
            return Poll::Ready(event.map_or(Woken::Stop, Woken::Event));
        }
        Poll::Pending
    }

    /// Handles an event and those that lie behind it. `true`: there may be more.
    fn handle_events(&mut self, now: Now, first: Event) -> bool {
        self.handle(now, first);
        for _ in 1..EVENTS_PER_TURN {
            match self.inbox.try_recv() {
                Ok(event) => self.handle(now, event),
                Err(_) => return false,
            }
        }
        true
    }

    /// Passes on what the disk has done.
    fn handle_persisted(&mut self, now: Now) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(done) = self.persistence.try_completed() else { return };
            self.persisted(now, done);
        }
    }

    fn persisted(&mut self, now: Now, done: Persisted) {
        let Persisted { ticket, durable } = done;
        self.observer.persisted(now, durable);
        self.feed(now, Input::Persisted { ticket, durable });
        self.settle(now);
    }

    fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Received { connection, message } => self.received(now, connection, message),
            Event::BareError { connection, code } => self.bare_error(now, connection, code),
            Event::MaySend { connection, outbox } => {
                if self.pool.may_send(connection) {
                    self.outboxes.insert(connection, outbox);
                } else {
                    outbox.kill();
                }
            }
            Event::Opened { opened, outbox, proof } => self.opened(now, *opened, outbox, proof),
            Event::DialFailed { connection, why } => {
                self.dials.remove(&connection);
                self.outboxes.kill(connection);
                self.pool.dial_failed(now.mono, connection, why);
            }
            Event::Closed { connection, ending } => self.closed(now, connection, ending),
            Event::Probed { contact, found } => self.probed(now, contact, found),
            Event::Resolved { name, found } => self.feed(now, Input::Resolved { name, found }),
            Event::Called(from) => self.feed(now, Input::Called { from }),
            Event::Duplicate(address) => self.feed(now, Input::Duplicate { address }),
            Event::AddressChanged(address) => self.feed(now, Input::AddressChanged { address }),
            Event::Command { command, answer } => self.command(now, command, answer, false),
            Event::Explain { key, answer } => {
                self.command(now, Command::Get { key }, AnswerTo::Handle(answer), true);
            }
            Event::ListPins(asking) => {
                // The requester may have gone.
                let _ = asking.send(self.trust.list().map(PinView::from).collect());
            }
            Event::ListKept(asking) => {
                // The caller may have gone.
                let _ = asking.send(self.core.kept());
            }
            Event::ForgetPin { id, asking } => {
                let _ = asking.send(self.trust.forget(&id));
                self.settle_pins(now);
            }
            Event::HasPublished { key, asking } => {
                // The requester may have gone.
                let _ = asking.send(self.core.has_published(&key, now));
            }
            Event::ReloadNetwork { membership, asking } => {
                // The requester may have gone.
                let _ = asking.send(self.reload_network(now, membership));
            }
            Event::Status(asking) => {
                // The requester may have gone.
                let _ = asking.send(CoreStatus::of(&self.core));
            }
            Event::Observe { request, asking } => {
                // The requester may have gone.
                let _ = asking.send(Box::new(self.observe(now, request)));
            }
        }
        self.settle(now);
    }

    fn received(&mut self, now: Now, connection: ConnectionId, message: Message) {
        let Some(peer) = self.pool.received(now.mono, connection, &message) else { return };
        self.context.counters.tallies.served(&message.body);
        // The core hears of a connection before it hears what came over it.
        self.settle(now);
        if self.trust.is_asking() && !message.body.is_request() {
            let proved = self.pool.proved_on(connection);
            if self.trust.answered(&message, proved, now.mono) {
                return self.settle_pins(now);
            }
        }
        self.feed(now, Input::Received { connection, peer, message });
    }

    fn bare_error(&mut self, now: Now, connection: ConnectionId, code: ErrorCode) {
        if let Some(message) = self.pool.answer_for_bare_error(connection, code) {
            self.received(now, connection, message);
        }
    }

    fn opened(&mut self, now: Now, opened: Opened, outbox: Arc<Outbox>, proof: Option<ProvedPeer>) {
        self.dials.remove(&opened.connection);
        self.outboxes.insert(opened.connection, outbox);
        self.pool.limit_connections(self.most_connections());
        if !self.pool.admits(&opened) {
            return self.pool.refuse(now.mono, &opened, Undelivered::ConnectionLost);
        }
        let Some(proof) = proof else { return self.pool.opened(now.mono, opened) };
        let is_trusted = self.trust.admits(&proof, &opened, &self.context.counters, now);
        let id = proof.node_id();
        self.trust.set_member(&id, self.core.table().get(&id).is_some());
        self.settle_pins(now);
        if is_trusted {
            return self.pool.opened(now.mono, opened);
        }
        self.pool.refuse(now.mono, &opened, Undelivered::WrongIdentity);
    }

    /// Does what the pins want.
    fn settle_pins(&mut self, now: Now) {
        let (store, counters) = (self.persistence.store(), &self.context.counters);
        self.trust.carry_out(&mut self.pool, store, counters, now);
    }

    fn closed(&mut self, now: Now, connection: ConnectionId, ending: Ending) {
        if let (Some(what), Some(peer)) = (ending.broken, self.pool.proved_peer(connection)) {
            self.feed(now, Input::Misbehaved { peer, what });
        }
        self.outboxes.remove(connection);
        self.pool.closed(now.mono, connection, ending);
    }

    fn command(&mut self, now: Now, command: Command, answer: AnswerTo, explain: bool) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let asked = self.observer.asked(now.mono, &command, explain);
        self.core.set_trace_steps(asked.traced);
        self.commands.insert(id, (asked, answer));
        self.feed(now, Input::Command { id, command });
    }

    fn feed(&mut self, now: Now, input: Input) {
        self.core.handle_input(now, input);
        while let Some(output) = self.core.poll_output() {
            self.carry_out(now, output);
        }
    }

    fn carry_out(&mut self, now: Now, output: Output) {
        match output {
            Output::Request { to, message } => {
                self.context.counters.messages_sent.add();
                self.pool.request(now.mono, to, message);
            }
            Output::Reply { connection, message } => {
                self.context.counters.messages_sent.add();
                self.pool.reply(connection, message);
            }
            Output::Probe { contact } => self.probe(contact),
            Output::HangUp { peer } => self.pool.hang_up(&peer),
            Output::Resolve { name } => self.resolve(name),
            Output::Persist { ticket, writes } => self.persist(ticket, writes),
            Output::Answer { id, outcome } => self.answer(now, id, outcome),
            Output::Notice(notice) => self.notice(now, &notice),
        }
    }

    /// Begins requests that have waited for others, and executes what the pool wants, until nothing is
    /// left.
    fn settle(&mut self, now: Now) {
        self.settle_pool(now);
        while let Some(Event::Command { command, answer }) = self.released.pop_front() {
            self.command(now, command, answer, false);
            self.settle_pool(now);
        }
    }

    fn settle_pool(&mut self, now: Now) {
        while let Some(effect) = self.pool.poll_effect() {
            match effect {
                Effect::Input(Input::Undelivered { rpc_id, why })
                    if self.trust.is_asking() && self.trust.undelivered(&rpc_id, why, now.mono) =>
                {
                    self.settle_pins(now);
                }
                Effect::Input(input) => self.feed(now, input),
                Effect::Output(wanted) => self.execute(wanted),
            }
        }
    }

    fn execute(&mut self, wanted: Wanted) {
        match wanted {
            Wanted::Send { connection, dialect, message } => {
                if let Err(why) = self.outboxes.send(connection, dialect, &message) {
                    self.pool.not_sent(connection, &message, why);
                }
            }
            Wanted::Refuse { connection, dialect, error } => {
                self.outboxes.refuse(connection, dialect, &error);
            }
            Wanted::NoAnswer { connection } => self.outboxes.end_request(connection),
            Wanted::Dial { connection, to } => self.dial(connection, to),
            Wanted::CancelDial { connection } => {
                if let Some(dial) = self.dials.remove(&connection) {
                    dial.cancel();
                }
                self.outboxes.kill(connection);
            }
            Wanted::Close { connection } => self.outboxes.close(connection),
            Wanted::Drop { connection } => self.outboxes.drop_now(connection),
            Wanted::TurnAway { connection } => self.outboxes.turn_away(connection),
            Wanted::LimitReached(limit) => self.context.counters.limit_reached(limit.into()),
        }
    }

    fn dial(&mut self, connection: ConnectionId, to: Destination) {
        let give_up = self.context.stop.child_token();
        let task = dialer::dial(Arc::clone(&self.context), connection, to, give_up.clone());
        self.context.tasks.spawn(task);
        self.dials.insert(connection, give_up);
    }

    fn resolve(&mut self, name: PeerName) {
        let (context, resolver) = (Arc::clone(&self.context), self.resolver.clone());
        self.context.tasks.spawn(async move {
            let asked = resolver.resolve(name.clone(), context.own.address.ip());
            if let Some(found) = context.stop.run_until_cancelled(asked).await {
                context.tell(Event::Resolved { name, found }).await;
            }
        });
    }

    fn probe(&mut self, contact: NodeInfo) {
        if !self.probes.add(contact) {
            self.context.counters.limit_reached(Limit::Probes);
            self.pool.tell(Input::NotProbed { contact });
        }
        self.start_probes();
    }

    fn start_probes(&mut self) {
        while let Some(contact) = self.probes.next() {
            let proved = self.pool.proved(&contact.id);
            let context = Arc::clone(&self.context);
            self.context.tasks.spawn(dialer::probe(context, contact, proved));
        }
    }

    fn probed(&mut self, now: Now, contact: NodeInfo, found: ProbeEnd) {
        self.probes.ended();
        self.start_probes();
        let input = match found {
            ProbeEnd::Listens(certificate) => {
                self.trust.located(&certificate, contact.address, now);
                self.settle_pins(now);
                Input::Probed { contact, listening: true }
            }
            ProbeEnd::ListensNot => Input::Probed { contact, listening: false },
            ProbeEnd::NotTried => Input::NotProbed { contact },
        };
        self.feed(now, input);
    }

    fn persist(&mut self, ticket: Ticket, writes: Vec<Write>) {
        if let Some(durable) = self.persistence.submit(ticket, writes) {
            if !durable {
                self.context.counters.limit_reached(Limit::UnfinishedWrites);
            }
            self.pool.tell(Input::Persisted { ticket, durable });
        }
    }

    fn answer(&mut self, now: Now, id: CommandId, outcome: Outcome) {
        let Some((asked, answer)) = self.commands.remove(&id) else { return };
        if let Some(kind) = asked.kind {
            self.context.counters.tallies.operation_ended(kind, &outcome);
        }
        self.observer.answered(now, asked, &outcome);
        if let Outcome::Put { receipt: Receipt { failure: Some(why), .. }, .. } = &outcome {
            // No more lines than PUTs of local programs.
            tracing::info!(%why, "PUT failed");
        }
        match answer {
            AnswerTo::Api(answer) => self.released.extend(answer.send(outcome, &self.core)),
            // The requester may have gone.
            AnswerTo::Handle(asking) => drop(asking.send(outcome)),
            AnswerTo::Nobody => {}
        }
    }

    /// What the time demands.
    fn handle_due(&mut self, now: Now) {
        if self.core.next_wakeup().is_some_and(|wakeup| wakeup <= now.mono) {
            self.feed(now, Input::WakeUp);
            self.settle(now);
        }
        if self.trust.next_wakeup().is_some_and(|wakeup| wakeup <= now.mono) {
            self.trust.handle_wakeup(now.mono);
            self.settle_pins(now);
            self.settle(now);
        }
        if self.next_sweep.is_some_and(|sweep| sweep <= now.mono) {
            self.next_sweep = None;
            self.pool.sweep(now.mono);
            self.settle(now);
        }
        if self.next_sweep.is_none() && self.pool.wants_sweep() {
            self.next_sweep = Some(now.mono + SWEEP_INTERVAL);
        }
    }

    /// Connections that there may be now.
    fn most_connections(&self) -> usize {
        self.context.limits.connections.min(self.share.sockets())
    }

    fn set_alarm(&mut self) {
        let wakeups = [self.core.next_wakeup(), self.next_sweep, self.trust.next_wakeup()];
        let wakeup = wakeups.into_iter().flatten().min();
        self.alarm.set(wakeup.map(|moment| self.clock.instant(moment)));
    }
}

/// One timer, moved as rarely as possible: nearly every step brings a new deadline, which mostly
/// is later than the one that is set. The alarm then goes off too early, which costs one look.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    set_for: Option<Instant>,
}

impl Alarm {
    /// Goes off at `deadline` at the latest.
    fn set(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if self.set_for.is_some_and(|set_for| set_for <= deadline) {
            return;
        }
        let deadline = deadline.min(Instant::now() + LONGEST_SLEEP);
        self.set_for = Some(deadline);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline),
            none => *none = Some(Box::pin(sleep_until(deadline))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) if self.set_for.is_some() => {
                ready!(sleep.as_mut().poll(cx));
                self.set_for = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}
