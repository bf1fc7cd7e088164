//! The one task that owns the session, and executes its outputs (see [`voiddht_session::session`]
//! for the contract).
//!
//! It waits in one place only: for the next event, the next wake-up, the disk, or the end. It never
//! waits for a connection: outboxes accept bytes at once or refuse. After each wake-up it handles
//! all queued events, so that the bytes of a burst leave in one write per connection.

mod account_limits;
mod network;
mod notices;
pub(crate) mod observe;
mod outboxes;
mod pins;
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
use voiddht_core::configured::PeerName;
use voiddht_core::event::{Command, CommandId, Destination, Outcome, Ticket, Write};
use voiddht_core::operation::Receipt;
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Now;
use voiddht_identity::ProvedPeer;
use voiddht_session::{Input, Opened, Output, Proved, Session};
use voiddht_wire::peer::{Dialect, Message, NodeInfo};

use self::outboxes::Outboxes;
use crate::api::answer::ApiRequest;
use crate::clock::Clock;
use crate::contact_log::ContactLog;
use crate::context::Context as Shared;
use crate::counters::Limit;
use crate::descriptors::Share;
use crate::dialer;
use crate::event::{AnswerTo, Event};
use crate::observer::{Asked, Observer};
use crate::outbox::Outbox;
use crate::persistence::{Persisted, Persistence};
use crate::pins::PinView;
use crate::resolver::Resolver;
use crate::status::CoreStatus;

/// Events handled before other tasks have their turn. So many messages leave in one write per
/// connection, and so long, some tenths of a millisecond, no other task runs.
const EVENTS_PER_TURN: usize = 64;
/// A wake-up that is further away is not known, and does not matter, more exactly.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The task that owns the session, with everything that it drives.
pub(crate) struct Driver {
    context: Arc<Shared>,
    clock: Clock,
    session: Session,
    outboxes: Outboxes,
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
    released: VecDeque<ApiRequest>,
    /// What ends each dial that is in progress.
    dials: HashMap<ConnectionId, CancellationToken>,
    resolver: Resolver,
    joined: watch::Sender<bool>,
    alarm: Alarm,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) context: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) session: Session,
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
        let Parts { context, clock, session, share, persistence, inbox, joined } = parts;
        Self {
            context,
            clock,
            session,
            outboxes: Outboxes::default(),
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
            resolver: Resolver::default(),
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
            Event::Received { connection, message } => {
                self.context.counters.tallies.served(&message.body);
                self.feed(now, Input::Received { connection, message });
            }
            Event::BareError { connection, code } => {
                self.feed(now, Input::BareError { connection, code });
            }
            Event::MaySend { connection, outbox } => {
                self.outboxes.insert(connection, outbox);
                self.feed(now, Input::MaySend { connection });
            }
            Event::Opened { opened, outbox, proof } => self.opened(now, opened, outbox, proof),
            Event::DialFailed { connection, why } => {
                self.dials.remove(&connection);
                self.outboxes.kill(connection);
                self.feed(now, Input::DialFailed { connection, why });
            }
            Event::Closed { connection, ending } => {
                self.outboxes.remove(connection);
                self.feed(now, Input::Closed { connection, ending });
            }
            Event::Probed { contact, found } => {
                self.count_unsaved_pins();
                self.feed(now, Input::Probed { contact, found });
            }
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
                let _ = asking.send(self.session.pins().map(PinView::from).collect());
            }
            Event::ListKept(asking) => {
                // The caller may have gone.
                let _ = asking.send(self.session.core().kept());
            }
            Event::ForgetPin { id, asking } => {
                // The requester may have gone.
                let _ = asking.send(self.forget_pin(now, &id));
            }
            Event::HasPublished { key, asking } => {
                // The requester may have gone.
                let _ = asking.send(self.session.core().has_published(&key, now));
            }
            Event::ReloadNetwork { membership, asking } => {
                // The requester may have gone.
                let _ = asking.send(self.reload_network(now, membership));
            }
            Event::Status(asking) => {
                // The requester may have gone.
                let _ = asking.send(CoreStatus::of(self.session.core()));
            }
            Event::Observe { request, asking } => {
                // The requester may have gone.
                let _ = asking.send(Box::new(self.observe(now, request)));
            }
        }
        self.settle(now);
    }

    fn opened(
        &mut self,
        now: Now,
        opened: Box<Opened>,
        outbox: Arc<Outbox>,
        proof: Option<ProvedPeer>,
    ) {
        self.dials.remove(&opened.connection);
        self.outboxes.insert(opened.connection, outbox);
        self.count_unsaved_pins();
        self.feed(now, Input::ConnectionLimit(self.most_connections()));
        self.feed(now, Input::Opened { opened, proof });
    }

    fn command(&mut self, now: Now, command: Command, answer: AnswerTo, explain: bool) {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let asked = self.observer.asked(now.mono, &command, explain);
        self.session.set_trace_steps(asked.traced);
        self.commands.insert(id, (asked, answer));
        self.feed(now, Input::Command { id, command });
    }

    fn feed(&mut self, now: Now, input: Input) {
        self.session.handle_input(now, input);
    }

    /// Executes what the session wants, and begins requests that have waited for others, until
    /// nothing is left.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(output) = self.session.poll_output() {
                self.execute(now, output);
            }
            let Some(ApiRequest { command, answer }) = self.released.pop_front() else { return };
            self.command(now, command, AnswerTo::Api(answer), false);
        }
    }

    fn execute(&mut self, now: Now, output: Output) {
        match output {
            Output::Send { connection, dialect, message } => {
                self.send(now, connection, dialect, message);
            }
            Output::Refuse { connection, dialect, error } => {
                self.outboxes.refuse(connection, dialect, &error);
            }
            Output::NoAnswer { connection } => self.outboxes.end_request(connection),
            Output::Dial { connection, to } => self.dial(connection, to),
            Output::CancelDial { connection } => {
                if let Some(dial) = self.dials.remove(&connection) {
                    dial.cancel();
                }
                self.outboxes.kill(connection);
            }
            Output::Close { connection } => self.outboxes.close(connection),
            Output::Drop { connection } => self.outboxes.drop_now(connection),
            Output::TurnAway { connection } => self.outboxes.turn_away(connection),
            Output::Probe { contact, proved } => self.probe(contact, proved),
            Output::Resolve { name } => self.resolve(name),
            Output::Persist { ticket, writes } => self.persist(now, ticket, writes),
            Output::SavePin(record) => self.save_pin(record),
            Output::ForgetPin(id) => self.delete_pin(id),
            Output::Answer { id, outcome } => self.answer(now, id, outcome),
            Output::Notice(notice) => self.notice(now, &notice),
            Output::Trust(notice) => self.trust_notice(&notice),
            Output::PinsCounted(counted) => self.context.counters.note_pins(counted),
            Output::LimitReached(limit) => self.context.counters.limit_reached(limit.into()),
        }
    }

    fn send(&mut self, now: Now, connection: ConnectionId, dialect: Dialect, message: Message) {
        match self.outboxes.send(connection, dialect, &message) {
            Ok(()) => self.context.counters.messages_sent.add(),
            Err(why) => self.feed(now, Input::NotSent { connection, message, why }),
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

    fn probe(&mut self, contact: NodeInfo, proved: Option<Proved>) {
        let context = Arc::clone(&self.context);
        self.context.tasks.spawn(dialer::probe(context, contact, proved));
    }

    fn persist(&mut self, now: Now, ticket: Ticket, writes: Vec<Write>) {
        if let Some(durable) = self.persistence.submit(ticket, writes) {
            if !durable {
                self.context.counters.limit_reached(Limit::UnfinishedWrites);
            }
            self.feed(now, Input::Persisted { ticket, durable });
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
            AnswerTo::Api(answer) => {
                self.released.extend(answer.send(outcome, self.session.core()));
            }
            // The requester may have gone.
            AnswerTo::Handle(asking) => drop(asking.send(outcome)),
            AnswerTo::Nobody => {}
        }
    }

    /// What the time demands.
    fn handle_due(&mut self, now: Now) {
        if self.session.next_wakeup().is_some_and(|wakeup| wakeup <= now.mono) {
            self.feed(now, Input::WakeUp);
            self.settle(now);
        }
    }

    /// Connections that there may be now.
    fn most_connections(&self) -> usize {
        self.context.limits.connections.min(self.share.sockets())
    }

    fn set_alarm(&mut self) {
        let wakeup = self.session.next_wakeup();
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
