//! Ports for tests that must know one before something listens there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range (32768 and above) that the system takes ports of outgoing connections and of
/// listeners with port 0 from: one of those could have the port before it is used here.
const FIRST: u16 = 16_000;
const COUNT: u16 = 16_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address on loopback where nothing listens, which this process gives out once.
pub(crate) fn free_address() -> SocketAddr {
    // Test programs that run at the same time begin at different ports.
    let begin = u16::try_from(std::process::id() % 160).unwrap_or_default() * 100;
    let free = (0..COUNT).find_map(|_| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin + number) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).is_ok().then_some(address)
    });
    free.expect("a port of sixteen thousand is free")
}
