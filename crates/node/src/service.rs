//! Detects which service answers at an address that should be a peer port, and is not.
//!
//! A peer port pushes a certificate at once. Other services that send first are recognised by their
//! first bytes. One that sends nothing, or ends the connection because it cannot read a ClientHello, is
//! queried once, on its own connection, by a GET of the module API: a node's module API answers it, and
//! servers of other protocols refuse it in characteristic ways.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
pub use voiddht_core::configured::Service;
use voiddht_identity::certificate::pushed_length;
use voiddht_wire::Key;
use voiddht_wire::api::{DHT_FAILURE, DHT_GET, DHT_SUCCESS};
use voiddht_wire::limits::FRAME_HEADER_BYTES;

use crate::sockets;

/// How long connecting, and the answer, may take where a dial has failed. A GET that finds nothing takes a
/// lookup.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What a server is that began with these bytes.
pub(crate) fn of_first_bytes(bytes: [u8; 4]) -> Service {
    let kind = u16::from_be_bytes([bytes[2], bytes[3]]);
    match bytes {
        [b'H', b'T', b'T', b'P'] => Service::Http,
        // An alert or a handshake record of TLS 1.0 to 1.3 (RFC 8446, section 5.1).
        [0x15 | 0x16, 3, ..] => Service::Tls,
        // The first two are the size of a frame; in the length of a pushed certificate, they are 0.
        [0, 0, ..] => Service::Other,
        _ if kind == DHT_SUCCESS || kind == DHT_FAILURE => Service::ModuleApi,
        _ => Service::Other,
    }
}

/// Queries a server that waits for its client, from `source` where given; connecting and the answer may
/// each take as long as `patience`. `None` if it cannot be reached, does not answer in time, or pushes what
/// may be a certificate: then it is a node, which was slow when it was dialled.
pub async fn identify(
    source: Option<IpAddr>,
    address: SocketAddr,
    patience: Duration,
) -> Option<Service> {
    let socket = sockets::outgoing(source, address).ok()?;
    let mut tcp = timeout(patience, socket.connect(address)).await.ok()?.ok()?;
    let mut first = [0; 4];
    let exchange = async {
        tcp.write_all(&question()).await?;
        tcp.read_exact(&mut first).await
    };
    match timeout(patience, exchange).await {
        Ok(Ok(_)) if pushed_length(first).is_ok() => None,
        Ok(Ok(_)) => Some(of_first_bytes(first)),
        // It closed without a word: nothing that waits for a node.
        Ok(Err(_)) => Some(Service::Other),
        Err(_) => None,
    }
}

/// A GET of a key that no value has.
fn question() -> Vec<u8> {
    let key = Key::of_value(b"voiddht: what listens here?").to_bytes();
    let size = (FRAME_HEADER_BYTES + key.len()) as u16;
    [&size.to_be_bytes()[..], &DHT_GET.to_be_bytes(), &key].concat()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn served(answer: &'static [u8]) -> Option<Service> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut asked = [0; 36];
            tcp.read_exact(&mut asked).await.unwrap();
            tcp.write_all(answer).await.unwrap();
        };
        tokio::join!(identify(None, address, PATIENCE), server).0
    }

    #[tokio::test]
    async fn a_service_is_told_by_its_answer() {
        assert_eq!(served(b"HTTP/1.1 400 Bad Request\r\n").await, Some(Service::Http));
        assert_eq!(served(&[0, 36, 2, 141, 0]).await, Some(Service::ModuleApi));
        assert_eq!(served(&[0; 4]).await, Some(Service::Other), "no certificate is empty");
        assert_eq!(served(&[0x15, 3, 1, 0, 2, 2, 10]).await, Some(Service::Tls));
        assert_eq!(served(b"SSH-2.0-x\r\n").await, Some(Service::Other));
        assert_eq!(served(b"").await, Some(Service::Other));
    }

    /// In a network of a thousand nodes on a busy machine, nodes were taken for other services.
    #[tokio::test]
    async fn a_node_that_was_slow_is_no_other_service() {
        assert_eq!(served(&[0, 0, 2, 141, 45]).await, None);
    }
}
