//! The module API server: local programs PUT and GET through their node (PROTOCOL, section 1).
//!
//! Each connection has one task. It reads requests and hands them to the driver in order, and
//! writes answers as they are ready, several concurrently. While too many of its requests are
//! unanswered, or it does not read its answers, a connection is not read: the program feels that
//! as back-pressure. What breaks a rule costs its own connection only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use voiddht_core::event::Command;
use voiddht_core::operation::get::ReadMode;
use voiddht_signed::Precedence;
use voiddht_wire::ConditionalPut;
use voiddht_wire::api::{ApiError, Ask, Put, Request};
use voiddht_wire::frame::FrameError;

pub(crate) mod answer;
mod lanes;

use self::answer::{ApiAnswer, ApiRequest, Wanted};
use self::lanes::Lanes;
use crate::context::Context;
use crate::counters::Limit;
use crate::event::Event;
use crate::frame_reader::{Frame, FrameRules};
use crate::idle_slots::{Admission, IdleSlots};
use crate::limits::{API_QUEUED_BYTES_GUARANTEED, API_QUEUED_BYTES_PER_CONNECTION};
use crate::link::{Link, LinkEnd};
use crate::listener::accept;
use crate::log_limit::{Line, log_limited};
use crate::outbox::{Budget, Outbox, OutboxLimits};
use crate::sockets::{self, CLIENT_KEEPALIVE};

/// What is read from a program's socket at once: some hundred GETs.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Accepts local programs until the node is asked to stop, and then waits until all have been
/// answered what they asked.
pub(crate) async fn run(context: Arc<Context>, listener: TcpListener) {
    let connections = TaskTracker::new();
    let serving = serve(&context, &connections, listener);
    // Ends by the token alone.
    let _ = context.finish.run_until_cancelled(serving).await;
    connections.close();
    connections.wait().await;
}

async fn serve(context: &Arc<Context>, connections: &TaskTracker, listener: TcpListener) {
    let slots = Arc::new(Slots::new(context.limits.api_connections));
    // Not the budget of peers: neither can take what the other needs.
    let budget = Budget::new(context.limits.api_queued_bytes);
    loop {
        let (tcp, remote) = accept(&listener, &context.counters).await;
        let outbox = api_outbox(context, &budget);
        let Some(slot) = Slots::admit(&slots, context, &outbox) else {
            log_limited!(context.counters.logs, Line::ApiConnectionRefused, warn,
                address = %remote, "too many module API connections in use: closed");
            continue;
        };
        let connection = ApiConnection::new(Arc::clone(context), tcp, remote, outbox, slot);
        context.tasks.spawn(connections.track_future(connection.run()));
    }
}

fn api_outbox(context: &Context, budget: &Arc<Budget>) -> Arc<Outbox> {
    let unanswered = context.limits.api_requests_per_connection;
    let limits = OutboxLimits {
        bytes: API_QUEUED_BYTES_PER_CONNECTION,
        guaranteed: API_QUEUED_BYTES_GUARANTEED,
        unanswered,
    };
    Outbox::new(limits, Arc::clone(budget))
}

/// The slots of module API connections, and what closes each of them.
#[derive(Debug)]
struct Slots(Mutex<Occupied>);

#[derive(Debug)]
struct Occupied {
    slots: IdleSlots,
    outboxes: HashMap<u64, Arc<Outbox>>,
    next: u64,
}

/// A connection's slot; given back when dropped.
#[derive(Debug)]
struct Slot {
    slots: Arc<Slots>,
    key: u64,
}

impl Slots {
    fn new(limit: usize) -> Self {
        let slots = IdleSlots::new(limit);
        Self(Mutex::new(Occupied { slots, outboxes: HashMap::new(), next: 0 }))
    }

    /// A slot for a new connection; where all are taken, that of the longest idle one, which is
    /// closed.
    fn admit(self: &Arc<Self>, context: &Context, outbox: &Arc<Outbox>) -> Option<Slot> {
        let mut occupied = self.lock();
        let Occupied { slots, outboxes, next } = &mut *occupied;
        let is_idle = |key: u64| outboxes.get(&key).is_some_and(|outbox| outbox.is_idle());
        let admission = slots.admit(context.clock.now().mono, *next, is_idle);
        if admission != Admission::Free {
            context.counters.limit_reached(Limit::ApiConnections);
        }
        match admission {
            Admission::Full => return None,
            Admission::Evicted(evicted) => {
                if let Some(outbox) = outboxes.remove(&evicted) {
                    outbox.close();
                }
            }
            Admission::Free => {}
        }
        let key = *next;
        *next += 1;
        outboxes.insert(key, Arc::clone(outbox));
        Some(Slot { slots: Arc::clone(self), key })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Occupied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Notes that the connection is in use.
    fn used(&self, context: &Context) {
        self.slots.lock().slots.used(context.clock.now().mono, self.key);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut occupied = self.slots.lock();
        occupied.slots.leave(self.key);
        occupied.outboxes.remove(&self.key);
    }
}

struct ApiConnection {
    context: Arc<Context>,
    remote: SocketAddr,
    link: Link<BufReader<TcpStream>, ApiRules>,
    slot: Slot,
    lanes: Arc<Lanes<ApiRequest>>,
}

impl ApiConnection {
    fn new(
        context: Arc<Context>,
        tcp: TcpStream,
        remote: SocketAddr,
        outbox: Arc<Outbox>,
        slot: Slot,
    ) -> Self {
        sockets::prepare(&tcp, CLIENT_KEEPALIVE);
        let stream = BufReader::with_capacity(READ_BUFFER_BYTES, tcp);
        let lanes = Arc::new(Lanes::default());
        Self { context, remote, link: Link::new(stream, ApiRules, outbox), slot, lanes }
    }

    async fn run(mut self) {
        self.context.counters.api_connections.add();
        let end = self.serve().await;
        self.log(&end);
        if matches!(end, LinkEnd::Theirs | LinkEnd::Ours) {
            self.link.close().await;
        }
        self.context.counters.api_connections.subtract();
    }

    /// Takes requests to the driver until the connection ends. When the node is asked to stop, what
    /// was asked is still answered; when it stops, what is answered already still goes out.
    async fn serve(&mut self) -> LinkEnd<ApiBroken> {
        let context = Arc::clone(&self.context);
        let mut finish = std::pin::pin!(context.finish.cancelled());
        let mut stopped = std::pin::pin!(context.stop.cancelled());
        let (mut finishing, mut stopping) = (false, false);
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    self.link.outbox().close();
                    continue;
                }
                () = &mut finish, if !finishing => {
                    finishing = true;
                    self.link.outbox().finish();
                    continue;
                }
                frame = self.link.next() => frame,
            };
            let request = match frame.and_then(|frame| self.request(frame)) {
                Ok(Some(request)) => request,
                // It waits for the answer to an earlier request of its key.
                Ok(None) => continue,
                // The program sends no more requests, and may still await answers: the link then
                // writes those and ends, without reading on.
                Err(LinkEnd::Theirs) => {
                    self.link.outbox().finish();
                    continue;
                }
                Err(end) => return end,
            };
            if !context.tell(Event::from(request)).await {
                return LinkEnd::Killed;
            }
        }
    }

    /// What a frame asks for, if that may begin now.
    fn request(&self, frame: Frame) -> Result<Option<ApiRequest>, LinkEnd<ApiBroken>> {
        let request =
            Request::decode(frame.kind, frame.body).map_err(|rule| LinkEnd::Broken(rule.into()))?;
        self.slot.used(&self.context);
        // There is room: the link reads only while there is.
        self.link.outbox().begin_request();
        if !self.link.outbox().has_room() {
            self.context.counters.limit_reached(Limit::ApiRequests);
        }
        let outbox = Arc::clone(self.link.outbox());
        let counters = Arc::clone(&self.context.counters);
        let (key, wanted) = (request.key(), Wanted::of(&request));
        let count = match request {
            Request::Get { .. } | Request::Ask(_) => &counters.api_gets,
            Request::Put(_) | Request::PutIf(_) => &counters.api_puts,
        };
        count.add();
        let asked = match &request {
            Request::Put(Put { publication, .. })
            | Request::PutIf(ConditionalPut { publication, .. }) => {
                (publication.ttl, publication.replication)
            }
            Request::Get { .. } | Request::Ask(_) => (None, None),
        };
        let lanes = Arc::clone(&self.lanes);
        let answer = ApiAnswer { counters, outbox, lanes, key, wanted, asked };
        let request = ApiRequest { command: command(request), answer };
        Ok(self.lanes.begin(key, request, wanted.demands_order()))
    }

    fn log(&self, end: &LinkEnd<ApiBroken>) {
        let address = self.remote;
        let logs = &self.context.counters.logs;
        match end {
            LinkEnd::Broken(rule) => {
                self.context.counters.api_broken.add();
                log_limited!(logs, Line::ApiRuleBroken, warn, %address, %rule,
                    "a program broke a rule of the module API");
            }
            LinkEnd::StalledFrame => {
                self.context.counters.api_broken.add();
                let rule = "a frame that was begun must be finished in time";
                log_limited!(logs, Line::ApiRuleBroken, warn, %address, %rule,
                    "a program broke a rule of the module API");
            }
            LinkEnd::StalledWrite => {
                log_limited!(logs, Line::ApiStalled, info, %address,
                    "a program does not read its answers");
            }
            LinkEnd::CutOff => {
                log_limited!(logs, Line::ApiStalled, info, %address,
                    "a program left in the middle of a message");
            }
            LinkEnd::Io(error) => {
                tracing::debug!(%address, %error, "module API connection failed");
            }
            end => tracing::debug!(%address, ?end, "module API connection ended"),
        }
    }
}

fn command(request: Request) -> Command {
    match request {
        Request::Get { key } => Command::Get { key },
        Request::Ask(Ask { proved_only, freshness, least_generation, least_seq, key }) => {
            let least = Precedence { generation: least_generation, seq: least_seq };
            Command::Ask { key, mode: ReadMode { freshness, proved_only, least } }
        }
        Request::Put(Put { publication, acknowledge: _ }) => Command::Put(publication),
        Request::PutIf(put) => Command::PutIf(put),
    }
}

/// What can be said of a program's frame before its body is read.
#[derive(Debug)]
struct ApiRules;

/// A rule that a program broke.
#[derive(Debug, thiserror::Error)]
enum ApiBroken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] ApiError),
}

impl FrameRules for ApiRules {
    type Broken = ApiBroken;

    fn has_long_frames(&self) -> bool {
        false
    }

    /// No: a client that does not read its answers must not send more requests.
    fn reads_while_writing(&self) -> bool {
        false
    }

    fn admit(&self, kind: u16, body_bytes: usize) -> Result<(), ApiBroken> {
        Ok(Request::check_size(kind, body_bytes)?)
    }
}
