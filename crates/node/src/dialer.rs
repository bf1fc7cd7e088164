//! Outbound tasks: dials, and probes of contacts' listening addresses.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use voiddht_core::configured::Service;
use voiddht_core::event::Destination;
use voiddht_core::peer::ConnectionId;
use voiddht_session::{ProbeEnd, Proved};
use voiddht_wire::peer::NodeInfo;

use crate::connection::Connection;
use crate::context::Context;
use crate::event::Event;
use crate::handshake::error::HandshakeError;
use crate::handshake::{self, DialFailure, Established};
use crate::log_limit::{Line, log_limited};
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
    let dialed = give_up.run_until_cancelled(handshake).await?;
    let result = match dialed {
        Ok(established) => open(context, id, established, &give_up).await?,
        // A configured peer may be another service. Boxed: it is rare.
        Err(failure) if to.id.is_none() && failure.error.may_be_no_node() => {
            let named = Box::pin(name_service(context, &to, failure));
            Err(give_up.run_until_cancelled(named).await?)
        }
        Err(failure) => Err(failure),
    };
    match result {
        Ok(connection) => connection,
        Err(failure) => {
            failed(context, id, &to, &failure).await;
            None
        }
    }
}

/// The failure of a dial that did not find a node, with the service that is there instead, if that can be
/// told.
async fn name_service(context: &Context, to: &Destination, failure: DialFailure) -> DialFailure {
    let (source, address) = (context.own_address.now().source, to.address.socket_addr());
    match service::identify(source, address, service::PATIENCE).await {
        // Nodes close connections too, and are none of the services that are known.
        Some(Service::Other) if matches!(failure.error, HandshakeError::Cut(_)) => failure,
        Some(service) => DialFailure { error: HandshakeError::NoNode(service), ..failure },
        None => failure,
    }
}

/// Opens the connection, unless this very node is there or the peer does not prove its membership.
/// `None`: it is not needed any more.
async fn open(
    context: &Arc<Context>,
    id: ConnectionId,
    established: Established,
    give_up: &CancellationToken,
) -> Option<Result<Option<Connection>, DialFailure>> {
    let sealed_with = established.sealed_with;
    let failed = |error| DialFailure { error, sealed_with };
    // A configured peer may turn out to be this very node.
    let established = match give_up.run_until_cancelled(established.not_oneself(context)).await? {
        Ok(established) => established,
        Err(error) => return Some(Err(failed(error))),
    };
    let opening = Connection::open(Arc::clone(context), id, established, true);
    let opened = give_up.run_until_cancelled(opening).await?;
    if let Ok(Some(_)) = &opened {
        context.counters.dialed.add();
    }
    Some(opened.map_err(failed))
}

async fn failed(
    context: &Context,
    connection: ConnectionId,
    to: &Destination,
    failure: &DialFailure,
) {
    context.counters.dials_failed.add();
    if let Some(network) = &context.network {
        let first = network.now().secrets().first().fingerprint();
        let is_other = failure.sealed_with.is_some_and(|secret| secret != first);
        network.tallies.failed(&failure.error, to.id.is_some(), is_other);
    }
    log_failure(context, to, &failure.error);
    let why = failure.error.undelivered();
    context.tell(Event::DialFailed { connection, why }).await;
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
        // Here it is not seen why: perhaps the peer does not have this node's first secret.
        HandshakeError::NoProof(_) => {
            log_limited!(logs, Line::DialRefused, warn, peer, %address, %error,
                "a dialled peer closed the connection instead of proving its membership");
        }
        _ if error.is_violation() => {
            log_limited!(logs, Line::DialRefused, warn, peer, %address, rule = %error,
                "a dialled peer was refused");
        }
        _ => tracing::debug!(peer, %address, %error, "dial failed"),
    }
}
