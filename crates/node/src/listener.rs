//! The listener of the peer port.
//!
//! Connections are accepted only while there is a free handshake slot; others wait in the system's
//! queue. Handshakes end within their deadline, so slots become free again. `admission` decides
//! which connections are accepted and which are closed.

mod admission;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use voiddht_wire::PeerAddress;

use self::admission::{Admission, AdmissionLimits, Admitted, HandshakeId, Room};
use crate::connection::Connection;
use crate::context::Context;
use crate::counters::{Counters, Limit};
use crate::event::Event;
use crate::handshake;
use crate::handshake::error::HandshakeError;
use crate::log_limit::{Line, log_limited};

/// How long accepting pauses after it failed: mostly, because the process has too many files
/// open, which changes only when some are closed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Accepts peers until the node stops.
pub(crate) async fn run(context: Arc<Context>, listener: TcpListener) {
    let door = Arc::new(Door::new(&context));
    loop {
        door.wait_for_room(&context).await;
        let (tcp, remote) = accept(&listener, &context.counters).await;
        match Door::enter(&door, &context, remote.ip()) {
            Ok(visit) => {
                context.tasks.spawn(serve(Arc::clone(&context), tcp, remote, visit));
            }
            Err(limit) => {
                context.counters.limit_reached(limit);
                tracing::debug!(address = %remote, ?limit, "connection refused");
            }
        }
    }
}

/// The admission, and what ends each handshake.
#[derive(Debug)]
struct Door {
    state: Mutex<(Admission, HashMap<HandshakeId, CancellationToken>)>,
    /// Notified when a handshake is over.
    freed: Notify,
}

/// A connection that was admitted; it is counted until this is dropped.
#[derive(Debug)]
struct Visit {
    door: Arc<Door>,
    handshake: HandshakeId,
    /// Cancelled when the handshake makes room for another.
    displaced: CancellationToken,
    address: IpAddr,
}

impl Door {
    fn new(context: &Context) -> Self {
        let limits = AdmissionLimits {
            handshakes: context.limits.handshakes.max(1),
            per_address: context.limits.connections_per_address,
            private_exempt: context.limits.private_addresses_exempt,
        };
        Self { state: Mutex::new((Admission::new(limits), HashMap::new())), freed: Notify::new() }
    }

    async fn wait_for_room(&self, context: &Context) {
        let mut is_counted = false;
        loop {
            let freed = self.freed.notified();
            let room = self.lock().0.room(context.clock.now().mono);
            if room != Room::Now && !is_counted {
                context.counters.limit_reached(Limit::Handshakes);
                is_counted = true;
            }
            match room {
                Room::Now => return,
                Room::Later => freed.await,
                Room::At(moment) => {
                    // Either way the room is looked at again.
                    let _ = tokio::time::timeout_at(context.clock.instant(moment), freed).await;
                }
            }
        }
    }

    fn enter(self: &Arc<Self>, context: &Context, address: IpAddr) -> Result<Visit, Limit> {
        let mut state = self.lock();
        let (admission, tokens) = &mut *state;
        let Admitted { id, displaced } = admission.arrive(context.clock.now().mono, address)?;
        if let Some(token) = displaced.and_then(|displaced| tokens.remove(&displaced)) {
            context.counters.limit_reached(Limit::Handshakes);
            token.cancel();
        }
        let displaced = CancellationToken::new();
        tokens.insert(id, displaced.clone());
        Ok(Visit { door: Arc::clone(self), handshake: id, displaced, address })
    }

    fn lock(&self) -> MutexGuard<'_, (Admission, HashMap<HandshakeId, CancellationToken>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    fn hello(&self) {
        self.door.lock().0.hello(self.handshake);
    }

    fn handshake_over(&self) {
        let mut state = self.door.lock();
        state.0.over(self.handshake);
        state.1.remove(&self.handshake);
        drop(state);
        self.door.freed.notify_one();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.handshake_over();
        self.door.lock().0.left(self.address);
    }
}

/// The next connection, however long it takes.
pub(crate) async fn accept(listener: &TcpListener, counters: &Counters) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The other side went away while it waited; RFC 1122 leaves that to the next accept.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log_limited!(counters.logs, Line::AcceptFailed, warn, %error,
                    "cannot accept connections: pausing");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

/// Lets a caller in, and serves the connection to its end.
async fn serve(context: Arc<Context>, tcp: TcpStream, remote: SocketAddr, visit: Visit) {
    // Boxed, so that what a handshake needs is given back when it is over: the task of a connection
    // has the size of the largest thing that it ever waits for.
    let connection = Box::pin(admit(&context, tcp, remote, &visit)).await;
    drop(context);
    if let Some(connection) = connection {
        connection.run().await;
    }
}

/// Shakes hands, and opens the connection. `None`: it is closed.
async fn admit(
    context: &Arc<Context>,
    tcp: TcpStream,
    remote: SocketAddr,
    visit: &Visit,
) -> Option<Connection> {
    let handshake = handshake::accept(context, tcp, remote, || visit.hello());
    let handshake = visit.displaced.run_until_cancelled(handshake);
    let Some(result) = context.stop.run_until_cancelled(handshake).await? else {
        context.counters.handshakes_failed.add();
        tracing::debug!(address = %remote, "no ClientHello, and others wait: closed");
        return None;
    };
    visit.handshake_over();
    let result = match result {
        Ok(established) => established.not_oneself(context).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(established) => {
            note_caller(context, remote).await;
            context.counters.accepted.add();
            let id = context.next_accepted();
            // Its proof of membership was part of the handshake.
            Connection::open(Arc::clone(context), id, established, false).await.ok().flatten()
        }
        Err(error) => {
            refused(context, remote, &error).await;
            None
        }
    }
}

/// A handshake that brought no peer.
async fn refused(context: &Context, remote: SocketAddr, error: &HandshakeError) {
    match error {
        HandshakeError::OwnNode => {}
        HandshakeError::DuplicateIdentity => {
            let address = PeerAddress::from(remote);
            context.tell(Event::Duplicate(address)).await;
        }
        error => {
            if matches!(error, HandshakeError::Cut(_)) {
                note_caller(context, remote).await;
            }
            context.counters.handshakes_failed.add();
            if let Some(network) = &context.network {
                network.tallies.failed(error, false, false);
            }
            log_failure(&context.counters, remote, error);
        }
    }
}

/// The core judges by the callers whether the node can be dialled.
async fn note_caller(context: &Context, remote: SocketAddr) {
    let from = remote.ip().to_canonical();
    if context.callers.note(from) {
        context.tell(Event::Called(from)).await;
    }
}

/// A connection that ends before it begins is a probe, or was abandoned.
fn log_failure(counters: &Counters, address: SocketAddr, error: &HandshakeError) {
    if error.is_violation() {
        log_limited!(counters.logs, Line::HandshakeRefused, warn, %address, rule = %error,
            "a peer was refused");
    } else {
        tracing::debug!(%address, %error, "handshake failed");
    }
}
