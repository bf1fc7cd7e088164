//! The port for peers: who may come in, and how many at once.
//!
//! Connections are accepted only while there is room for another handshake; whoever comes then
//! waits in the system's own queue. Handshakes end within their deadline, so the room comes back.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::Connection;
use crate::context::Context;
use crate::counters::Limit;
use crate::handshake::{self, HandshakeError};

/// How long accepting pauses after it failed: mostly, because the process has too many files
/// open, which changes only when some are closed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Accepts peers until the node stops.
pub(crate) async fn run(context: Arc<Context>, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(context.limits.handshakes));
    let addresses = Arc::new(Addresses::default());
    loop {
        if handshakes.available_permits() == 0 {
            context.counters.limit_reached(Limit::Handshakes);
        }
        let Ok(room) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (tcp, remote) = accept(&listener).await;
        let exempt = context.limits.private_addresses_exempt && is_private(remote.ip());
        let limit = if exempt { usize::MAX } else { context.limits.connections_per_address };
        let Some(place) = Addresses::enter(&addresses, remote.ip(), limit) else {
            context.counters.limit_reached(Limit::ConnectionsPerAddress);
            tracing::debug!(address = %remote, "too many connections from there: closed");
            continue;
        };
        let task = serve(Arc::clone(&context), tcp, remote, room, place);
        context.tasks.spawn(task);
    }
}

/// The next connection, however long it takes.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The other side went away while it waited; RFC 1122 leaves that to the next accept.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections: pausing");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

async fn serve(
    context: Arc<Context>,
    tcp: TcpStream,
    remote: SocketAddr,
    room: OwnedSemaphorePermit,
    _place: Place,
) {
    // Boxed, so that what a handshake needs is given back when it is over.
    let handshake = Box::pin(handshake::accept(&context, tcp, remote));
    let Some(result) = context.stop.run_until_cancelled(handshake).await else { return };
    drop(room);
    match result {
        Ok(established) => {
            context.callers.note(remote.ip());
            context.counters.accepted.add();
            let id = context.connection_ids.next();
            let open = Connection::open(Arc::clone(&context), id, established, false);
            if let Some(connection) = Box::pin(open).await {
                connection.run().await;
            }
        }
        Err(error) => {
            if matches!(error, HandshakeError::Cut(_)) {
                context.callers.note(remote.ip());
            }
            context.counters.handshakes_failed.add();
            log_failure(remote, &error);
        }
    }
}

/// A connection that ends before it begins is a probe, or somebody's changed mind.
fn log_failure(address: SocketAddr, error: &HandshakeError) {
    if error.is_violation() {
        tracing::warn!(%address, rule = %error, "a peer was refused");
    } else {
        tracing::debug!(%address, %error, "a handshake came to nothing");
    }
}

/// How many connections there are from each address that is counted.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place among those of its address; given back when dropped.
#[derive(Debug)]
struct Place {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<Place> {
        let key = counted_as(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place { addresses: Arc::clone(self), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// What is counted as one address: an IPv4 address, or the /64 that one IPv6 host can have whole.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Loopback, private and link-local addresses, which nobody from outside can have.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_places_as_its_limit() {
        let addresses = Arc::new(Addresses::default());
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let place = addresses.enter(one, 2);
        let second = addresses.enter(neighbour, 2);
        assert!(place.is_some() && second.is_some());
        assert!(addresses.enter(one, 2).is_none(), "a /64 is one address");
        assert!(addresses.enter(other, 2).is_some());
        drop(place);
        assert!(addresses.enter(one, 2).is_some());
        drop(second);
        assert!(addresses.0.lock().unwrap().is_empty(), "nothing is left behind");
    }

    #[test]
    fn addresses_of_test_networks_are_private() {
        for (address, private) in [
            ("127.3.2.1", true),
            ("172.20.0.9", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("::1", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }
}
