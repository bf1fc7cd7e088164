//! Executes the outputs of sessions, and feeds back the results.

use std::time::Duration;

use rand::RngExt;
use voiddht_core::configured::ResolveError;
use voiddht_core::event::{Ticket, Write};
use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;
use voiddht_session::{Input, NotSent, Output, ProbeEnd, Proved, Session};
use voiddht_wire::peer::{Message, NodeInfo};

use super::event::Event;
use super::{Ended, World};
use crate::adversary::interceptor::Deed;
use crate::checker::observer::Site;
use crate::host::{HostId, State};
use crate::pipe::{EndState, PipeId, Side};

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { host } => self.wake(host),
            Event::Arrival { pipe, to, message } => self.arrive(pipe, to, message),
            Event::Dialled { pipe, wanted } => self.finish_dial(pipe, wanted),
            Event::DialFailed { at, run, connection, why } => {
                self.note(at, 5);
                self.feed_run(at, run, Input::DialFailed { connection, why });
            }
            Event::Accepted { pipe } => self.accept(pipe),
            Event::Closed { pipe, at, clean } => self.close_end(pipe, at, clean),
            Event::Broken { pipe, at } => {
                let end = self.pipes.end(pipe, at);
                if end.is_some_and(|end| end.state == EndState::Silent) {
                    self.close_end(pipe, at, false);
                }
            }
            Event::Ended { at, run, connection, ending } => {
                self.feed_run(at, run, Input::Closed { connection, ending });
            }
            Event::Probed { at, run, contact, found } => self.end_probe(at, run, contact, found),
            Event::Persisted { at, run, ticket, writes, durable } => {
                self.note(at, 8);
                self.commit(at, run, ticket, writes, durable);
            }
            Event::Mischief { at, run } => self.make_mischief(at, run),
            Event::Said { at, run, deed } => self.do_deed(at, run, *deed),
        }
    }

    /// Executes one thing that a session asked for.
    pub(super) fn execute(&mut self, site: &Site, session: &mut Session, output: Output) {
        let host = site.host;
        match output {
            Output::Send { connection, message, .. } => {
                if let Some(message) = self.send(host, connection, message) {
                    let why = NotSent::Closed;
                    session.handle_input(site.now, Input::NotSent { connection, message, why });
                }
            }
            Output::Refuse { connection, error, .. } => {
                self.send(host, connection, error);
            }
            Output::Dial { connection, to } => self.dial(host, connection, to),
            Output::CancelDial { connection } => self.cancel_dial(host, connection),
            Output::Close { connection } | Output::Drop { connection } => {
                self.close_and_tell(host, connection);
            }
            Output::TurnAway { connection } => {
                self.tally.turned_away += 1;
                self.close(host, connection);
            }
            Output::Probe { contact, proved } => self.probe(host, contact, proved),
            // Simulated networks have addresses only: no scenario configures a name.
            Output::Resolve { name } => {
                let found = Err(ResolveError::NoAddress);
                session.handle_input(site.now, Input::Resolved { name, found });
            }
            Output::Persist { ticket, writes } => {
                if !self.persist(host, ticket, writes) {
                    let durable = true;
                    session.handle_input(site.now, Input::Persisted { ticket, durable });
                }
            }
            Output::Answer { id, outcome } => self.ended.push_back(Ended { host, id, outcome }),
            Output::Notice(notice) => {
                if self.hosts[host.index()].is_honest() {
                    self.tally.notice(&notice);
                }
            }
            Output::Trust(notice) => {
                if self.hosts[host.index()].is_honest() {
                    self.tally.trust(&notice);
                }
            }
            Output::LimitReached(limit) => {
                *self.tally.connection_limits.entry(limit).or_default() += 1;
            }
            Output::SavePin(pin) => {
                if let Some(disk) = &mut self.hosts[host.index()].disk {
                    disk.save_pin(pin);
                }
            }
            Output::ForgetPin(id) => {
                if let Some(disk) = &mut self.hosts[host.index()].disk {
                    disk.forget_pin(&id);
                }
            }
            // All peers speak `voiddht/1`: every request is answered.
            Output::NoAnswer { .. } | Output::PinsCounted(_) => {}
        }
    }

    /// Puts the session's next wake-up into the queue, if an earlier one is not there already.
    pub(super) fn plan_wakeup(&mut self, host: HostId, session: &Session) {
        let Some(at) = session.next_wakeup() else { return };
        let at = at + self.hosts[host.index()].suspended;
        let place = &mut self.hosts[host.index()].wakes_at;
        if place.is_none_or(|planned| at < planned) {
            *place = Some(at);
            self.queue.push(at.max(self.now), Event::Wake { host });
        }
    }

    /// Lets a session hear something, unless it has been restarted since.
    pub(super) fn feed_run(&mut self, host: HostId, run: u32, input: Input) {
        if self.hosts[host.index()].run == run {
            self.feed(host, input);
        }
    }

    /// Does something for an adversary, after a while.
    pub(super) fn do_later(&mut self, host: HostId, pause: Duration, deed: Deed) {
        let run = self.hosts[host.index()].run;
        let event = Event::Said { at: host, run, deed: Box::new(deed) };
        self.queue.push(self.now + pause, event);
    }

    fn do_deed(&mut self, at: HostId, run: u32, deed: Deed) {
        let host = &mut self.hosts[at.index()];
        if host.run != run || host.state != State::Up {
            return;
        }
        match deed {
            Deed::Ask { to, message } => self.ask(at, to, message),
            Deed::Say(output) => {
                let Some(mut session) = host.session.take() else { return };
                let site = self.site(at);
                self.execute(&site, &mut session, output);
                self.drain(&site, &mut session);
                self.plan_wakeup(at, &session);
                self.hosts[at.index()].session = Some(session);
            }
        }
    }

    pub(super) fn make_mischief(&mut self, at: HostId, run: u32) {
        let host = &self.hosts[at.index()];
        if host.run != run || host.state != State::Up {
            return;
        }
        self.note(at, 9);
        let pause = self.with_adversary(at, |adversary, around| adversary.awake(around));
        if let Some(pause) = pause.flatten() {
            self.queue.push(self.now + pause, Event::Mischief { at, run });
        }
    }

    /// Adds something that happened to the trace.
    pub(super) fn note(&mut self, host: HostId, kind: u8) {
        self.trace.event(self.now, host, kind);
    }

    fn wake(&mut self, host: HostId) {
        let place = &mut self.hosts[host.index()];
        // One that was planned earlier has been overtaken, or is of an earlier run.
        if place.wakes_at.is_none_or(|at| at > self.now) {
            return;
        }
        place.wakes_at = None;
        let Some(session) = place.session.as_deref() else { return };
        match session.next_wakeup().map(|at| at + place.suspended) {
            Some(at) if at <= self.now => {
                self.note(host, 0);
                self.feed(host, Input::WakeUp);
            }
            Some(at) => {
                place.wakes_at = Some(at);
                self.queue.push(at, Event::Wake { host });
            }
            None => {}
        }
    }

    fn arrive(&mut self, pipe: PipeId, to: Side, message: Message) {
        let (now, keepalive) = (self.now, self.network.config.keepalive);
        let Some(end) = self.pipes.end_mut(pipe, to).filter(|end| end.is_open()) else { return };
        let (probed, at, connection) = (end.touch(now, keepalive), end.host, end.name);
        self.note(at, 1);
        self.trace.message(&message);
        self.hosts[at.index()].traffic.kept_alive(probed);
        self.feed(at, Input::Received { connection, message });
    }

    /// Sends a message on a connection. Returns it if there is no such connection.
    pub(super) fn send(
        &mut self,
        from: HostId,
        connection: ConnectionId,
        message: Message,
    ) -> Option<Message> {
        let Some((pipe, side)) = self.pipe_of(from, connection) else { return Some(message) };
        let to = self.pipes.end(pipe, side.other()).map_or(from, |end| end.host);
        self.count(from, &message);
        let delay = self.network.delay(from, to, &mut self.random);
        let (now, keepalive) = (self.now, self.network.config.keepalive);
        let cut_off = self.is_cut_off(from, to);
        let end = self.pipes.end_mut(pipe, side)?;
        let probed = end.touch(now, keepalive);
        // Nothing overtakes what was sent before it on the same connection.
        end.arrives = end.arrives.max(now + delay);
        let (at, live) = (end.arrives, end.state == EndState::Open);
        self.hosts[from.index()].traffic.kept_alive(probed);
        let to = side.other();
        if live && !cut_off {
            self.queue.push(at, Event::Arrival { pipe, to, message });
        } else if !cut_off && self.forgot(pipe, to) {
            // The machine is back, and its TCP answers what it does not know with a reset.
            let far = self.pipes.end(pipe, to).map_or(from, |end| end.host);
            let at = self.now + self.network.round_trip(from, far);
            self.queue.push(at, Event::Closed { pipe, at: side, clean: false });
        }
        None
    }

    /// Whether the machine at an end is there, and does not know the connection.
    fn forgot(&self, pipe: PipeId, side: Side) -> bool {
        self.pipes.end(pipe, side).is_some_and(|end| {
            let state = self.hosts[end.host.index()].state;
            end.state == EndState::Gone && !matches!(state, State::Silent | State::Suspended)
        })
    }

    fn probe(&mut self, from: HostId, contact: NodeInfo, proved: Option<Proved>) {
        self.tally.probes += 1;
        let run = self.hosts[from.index()].run;
        self.hosts[from.index()].traffic.probed();
        let (after, found) = match self.by_address.get(&contact.address).copied() {
            Some(there) if self.answers_dials(from, there) => {
                // One round trip of TCP, and one until the pushed certificate is here.
                (2 * self.network.round_trip(from, there), self.pushed_to(from, there, proved))
            }
            there => (self.time_to_fail(from, there).0, ProbeEnd::ListensNot),
        };
        self.queue.push(self.now + after, Event::Probed { at: from, run, contact, found });
    }

    /// What a probe finds where `there` listens.
    fn pushed_to(&self, from: HostId, there: HostId, proved: Option<Proved>) -> ProbeEnd {
        // What a node of another network pushes cannot be opened.
        let is_readable = self.is_one_network(from, there);
        let pushed = self.credentials.proved(there, self.hosts[there.index()].info.id);
        match proved {
            Some(proved) if is_readable && proved == pushed => {
                ProbeEnd::Listens(self.credentials.certificate(there))
            }
            _ => ProbeEnd::ListensNot,
        }
    }

    fn end_probe(&mut self, at: HostId, run: u32, contact: NodeInfo, found: ProbeEnd) {
        let listens = matches!(found, ProbeEnd::Listens(_));
        self.note(at, 6 + u8::from(listens));
        if listens && let Some(there) = self.by_address.get(&contact.address).copied() {
            self.call(there, at);
        }
        self.feed_run(at, run, Input::Probed { contact, found });
    }

    /// Gives writes to the host's disk. False where it has none, and they count as done.
    fn persist(&mut self, host: HostId, ticket: Ticket, writes: Vec<Write>) -> bool {
        let Some(disk) = &self.hosts[host.index()].disk else { return false };
        let options = disk.options;
        let durable = options.failing == 0.0 || !self.random.random_bool(options.failing);
        let run = self.hosts[host.index()].run;
        let event = Event::Persisted { at: host, run, ticket, writes, durable };
        self.queue.push(self.now + options.commit, event);
        true
    }

    fn commit(&mut self, at: HostId, run: u32, ticket: Ticket, writes: Vec<Write>, durable: bool) {
        let host = &mut self.hosts[at.index()];
        if host.run != run || host.state != State::Up {
            return;
        }
        if durable && let Some(disk) = &mut host.disk {
            disk.commit(writes);
        }
        self.feed(at, Input::Persisted { ticket, durable });
    }

    fn count(&mut self, from: HostId, message: &Message) {
        self.hosts[from.index()].traffic.sent(message);
        self.tally.message(message);
    }

    /// When a message that leaves now would arrive at the earliest.
    pub(super) fn soon(&self, from: HostId, to: HostId) -> Moment {
        self.now + self.network.one_way(from, to)
    }
}
