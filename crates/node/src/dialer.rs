//! Outbound tasks: dials, and probes of contacts' listening addresses.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use voiddht_core::event::Destination;
use voiddht_core::peer::ConnectionId;
use voiddht_wire::peer::NodeInfo;

use crate::connection::Connection;
use crate::context::Context;
use crate::event::{Event, ProbeEnd};
use crate::handshake::{self, Established, HandshakeError};
use crate::log_limit::{Line, log_limited};
use crate::pool::Proved;
use crate::service;

/// Dials, tells the driver how it went, and serves the connection to its end. `give_up` ends the
/// dial, and says nothing any more once there is a connection: that one is closed in good order,
/// or its peer would take this node for dead.
pub(crate) async fn dial(
    context: Arc<Context>,
    id: ConnectionId,
    to: Destination,
    give_up: CancellationToken,
) {
    let connection = Box::pin(connect(&context, id, to, give_up)).await;
    if let Some(connection) = connection {
        connection.run().await;
    }
}

async fn connect(
    context: &Arc<Context>,
    id: ConnectionId,
    to: Destination,
    give_up: CancellationToken,
) -> Option<Connection> {
    let handshake = handshake::dial(context, &to);
    let result = give_up.run_until_cancelled(handshake).await?;
    let result = match result.and_then(|established| not_oneself(context, established)) {
        // A configured peer that says nothing may be another service. Boxed: it is rare.
        Err(HandshakeError::LateCertificate) if to.id.is_none() => {
            let asked = Box::pin(service::identify(
                context.own_address.now().source,
                to.address.socket_addr(),
            ));
            let found = give_up.run_until_cancelled(asked).await?;
            Err(found.map_or(HandshakeError::LateCertificate, HandshakeError::NoNode))
        }
        result => result,
    };
    match result {
        Ok(established) => {
            context.counters.dialed.add();
            Connection::open(Arc::clone(context), id, established, true).await
        }
        Err(error) => {
            context.counters.dials_failed.add();
            log_failure(context, &to, &error);
            let why = error.undelivered();
            context.tell(Event::DialFailed { connection: id, why }).await;
            None
        }
    }
}

/// A configured peer may turn out to be this very node.
fn not_oneself(context: &Context, established: Established) -> Result<Established, HandshakeError> {
    let own = context.own.id;
    match &established.proved {
        Some(peer) if peer.node_id() == own => Err(HandshakeError::OwnNode),
        _ => Ok(established),
    }
}

/// Fetches the certificate that is pushed where a contact says it listens.
pub(crate) async fn probe(context: Arc<Context>, contact: NodeInfo, proved: Option<Proved>) {
    let fetch = handshake::fetch_certificate(&context, contact.address.socket_addr());
    let Some(result) = context.stop.run_until_cancelled(Box::pin(fetch)).await else { return };
    let found = match (result, proved) {
        // Equal hashes are equal bytes; the pool keeps the hash, because it is the smaller.
        (Ok(pushed), Some(proved)) if pushed.fingerprint() == proved.fingerprint => {
            ProbeEnd::Listens(pushed)
        }
        (Err(HandshakeError::NoSocket(_)), _) => ProbeEnd::NotTried,
        _ => ProbeEnd::ListensNot,
    };
    let (peer, address) = (contact.id.short(), contact.address);
    match &found {
        ProbeEnd::Listens(_) => {}
        ProbeEnd::ListensNot => {
            tracing::debug!(peer, %address, "peer does not listen at its announced address");
        }
        ProbeEnd::NotTried => tracing::debug!(peer, %address, "no room to probe a peer"),
    }
    context.tell(Event::Probed { contact, found }).await;
}

fn log_failure(context: &Context, to: &Destination, error: &HandshakeError) {
    let peer = to.id.map(|id| id.short());
    let peer = peer.as_deref().unwrap_or("configured");
    let address = to.address;
    let logs = &context.counters.logs;
    match error {
        HandshakeError::NoSocket(_) => {
            log_limited!(logs, Line::DialFailed, warn, peer, %address, %error, "cannot dial");
        }
        _ if error.is_violation() => {
            log_limited!(logs, Line::DialRefused, warn, peer, %address, rule = %error,
                "a dialled peer was refused");
        }
        _ => tracing::debug!(peer, %address, %error, "dial failed"),
    }
}
