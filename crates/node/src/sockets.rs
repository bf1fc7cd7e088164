//! Options of TCP sockets: which source an outgoing connection has, and how a vanished peer is
//! noticed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use voiddht_core::config::Keepalive;

/// Connections of local programs and of HTTP clients. Their slots are few and probes on a local
/// network cost nothing, so a client that vanished is noticed after a minute.
pub(crate) const CLIENT_KEEPALIVE: Keepalive =
    Keepalive { after: Duration::from_secs(30), interval: Duration::from_secs(10), probes: 3 };

/// Sends small messages at once, and has TCP notice a peer that vanished without closing: by
/// keepalive probes while nothing is sent, and by a bound on unacknowledged data, for which TCP
/// sends no probes and would retransmit for a quarter of an hour.
///
/// An error means that the connection has already failed, which the next read reports.
pub(crate) fn prepare(tcp: &TcpStream, keepalive: Keepalive) {
    let _ = tcp.set_nodelay(true);
    let socket = SockRef::from(tcp);
    let probes = TcpKeepalive::new()
        .with_time(keepalive.after)
        .with_interval(keepalive.interval)
        .with_retries(keepalive.probes);
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(keepalive.total()));
}

/// A socket for a connection to `to`, bound to `source` where that is of the same family.
///
/// The source port is left open until `connect`. A bind that chooses one takes it out of use for
/// all destinations, so that a node which dials for every request, as the legacy dialect does,
/// runs out of ports after 28 000 dials a minute in total instead of to each peer.
pub(crate) fn outgoing(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // For a connection to its own address the kernel chooses that address as the source anyway.
    let needs_bind = |source: &IpAddr| source.is_ipv4() == to.is_ipv4() && *source != to.ip();
    if let Some(source) = source.filter(needs_bind) {
        // Linux before 4.2 lacks the option; there the bind reserves a port as it always did.
        let _ = setsockopt(&socket, IpBindAddressNoPort, &true);
        socket.bind(SocketAddr::new(source, 0))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A bound source used to reserve one port for all destinations: a node that dialled 28 000
    /// times a minute, to however many peers, could dial no more.
    #[tokio::test]
    async fn a_bound_source_reserves_no_port() {
        for (source, host) in [("127.0.0.2", "127.0.0.1"), ("127.0.0.3", "127.0.0.4")] {
            let source: IpAddr = source.parse().unwrap();
            let listener = TcpListener::bind((host, 0)).await.unwrap();
            let to = listener.local_addr().unwrap();
            let socket = outgoing(Some(source), to).unwrap();
            let bound = socket.local_addr().unwrap();
            assert_eq!((bound.ip(), bound.port()), (source, 0), "chosen by connect alone");
            let stream = socket.connect(to).await.unwrap();
            let local = stream.local_addr().unwrap();
            assert_eq!(local.ip(), source);
            assert_ne!(local.port(), 0);
        }
    }

    #[tokio::test]
    async fn a_source_of_another_family_or_the_destination_itself_is_not_bound() {
        let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
        for source in [None, Some("::1".parse().unwrap()), Some(to.ip())] {
            let socket = outgoing(source, to).unwrap();
            assert!(socket.local_addr().unwrap().ip().is_unspecified(), "{source:?}");
        }
    }
}
