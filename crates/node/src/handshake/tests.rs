//! Handshakes over loopback sockets, with what can go wrong between the two ends.

mod membership;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use voiddht_core::event::Undelivered;
use voiddht_identity::{CertificateError, Identity, KeyKind, Policy};
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;
use voiddht_wire::peer::Dialect;

use super::*;
use crate::limits::Limits;
use crate::testing::{LOOPBACK, context, context_of};

/// What a proxy does with what the server sends.
#[derive(Clone, Copy)]
enum Pass {
    /// Passes this many bytes, then closes both connections.
    UpTo(usize),
    /// Passes everything, each byte in a segment of its own.
    ByteByByte,
}

impl Pass {
    /// How much is passed at once, after so much.
    fn piece(self, passed: usize) -> usize {
        match self {
            Self::UpTo(limit) => limit - passed,
            Self::ByteByByte => 1,
        }
    }
}

fn node(policy: Policy) -> Arc<Context> {
    context(policy, Limits::default()).0
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts one connection and returns how that went; its stream is kept open.
async fn serve(
    context: Arc<Context>,
) -> (SocketAddr, tokio::task::JoinHandle<Result<Established, HandshakeError>>) {
    let (listener, address) = listen().await;
    let task = tokio::spawn(async move {
        let (tcp, remote) = listener.accept().await.unwrap();
        accept(&context, tcp, remote, || {}).await
    });
    (address, task)
}

/// A server that sends these bytes and then waits until the client goes away.
async fn sends(bytes: Vec<u8>) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(&bytes).await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    address
}

fn to(address: SocketAddr) -> Destination {
    Destination { address: address.into(), id: None }
}

fn length_and(certificate: &[u8]) -> Vec<u8> {
    [&(certificate.len() as u32).to_be_bytes(), certificate].concat()
}

/// Passes bytes between a client and the server; says how many it passed to the client.
async fn proxy(server: SocketAddr, pass: Pass) -> (SocketAddr, tokio::task::JoinHandle<usize>) {
    let (listener, address) = listen().await;
    let task = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = tokio::spawn(async move {
            let mut buffer = vec![0; pass.piece(0).clamp(1, 4096)];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                if to_server.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        });
        let mut passed = 0;
        let mut buffer = [0; 4096];
        while pass.piece(passed) > 0 {
            let piece = pass.piece(passed).min(buffer.len());
            match from_server.read(&mut buffer[..piece]).await {
                Ok(read @ 1..) if to_client.write_all(&buffer[..read]).await.is_ok() => {
                    passed += read;
                }
                _ => break,
            }
        }
        if matches!(pass, Pass::UpTo(_)) {
            up.abort();
        }
        passed
    });
    (address, task)
}

#[tokio::test]
async fn both_ends_are_proved() {
    for policy in Policy::ALL {
        let (server, client) = (node(policy), node(policy));
        let (address, accepted) = serve(Arc::clone(&server)).await;
        let to = Destination { address: address.into(), id: Some(server.own.id) };
        let dialed = dial(&client, &to).await.unwrap();
        let accepted = accepted.await.unwrap().unwrap();
        let (there, here) = (dialed.proved.unwrap(), accepted.proved.unwrap());
        assert_eq!((there.node_id(), here.node_id()), (server.own.id, client.own.id));
        assert_eq!((there.dialect(), here.dialect()), (Dialect::V1, Dialect::V1));
    }
}

#[tokio::test]
async fn another_node_than_the_dialled_one_is_refused_before_tls() {
    let (server, client) = (node(Policy::SelfCertifying), node(Policy::SelfCertifying));
    let (address, accepted) = serve(server).await;
    let to = Destination { address: address.into(), id: Some(client.own.id) };
    let error = dial(&client, &to).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::Refused(Refusal::OtherNode { .. })), "{error}");
    assert_eq!(error.undelivered(), Undelivered::WrongIdentity);
    let error = accepted.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Cut(_)), "{error}");
}

#[tokio::test]
async fn pushed_bytes_that_are_no_certificate_are_refused_by_their_reason() {
    let client = node(Policy::SelfCertifying);
    let certificate = node(Policy::SelfCertifying).identity.certificate().der().to_vec();
    let trailing = [&certificate[..], &[0]].concat();
    let too_long = MAX_CERTIFICATE_BYTES as u64 + 1;
    for (pushed, expected) in [
        (vec![0; 4], CertificateError::Empty),
        (vec![0xff; 4], CertificateError::TooLong(u64::from(u32::MAX))),
        ((too_long as u32).to_be_bytes().to_vec(), CertificateError::TooLong(too_long)),
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), CertificateError::TooLong(0x4854_5450)),
        (length_and(b"no certificate"), CertificateError::NeitherPemNorDer),
        (length_and(&trailing), CertificateError::TrailingBytes(1)),
    ] {
        let address = sends(pushed).await;
        let error = dial(&client, &to(address)).await.unwrap_err().error;
        let refusal = Refusal::Certificate(expected);
        assert!(
            matches!(error, HandshakeError::Refused(why) if why == refusal),
            "{error} instead of {refusal}"
        );
    }
}

#[tokio::test]
async fn whoever_stands_between_is_refused_by_both_certificates() {
    let client = node(Policy::Tofu);
    let (owner, thief) = (node(Policy::Tofu), node(Policy::Tofu));
    // Pushes the owner's certificate, and then speaks TLS with its own.
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(&owner.identity.pushed()).await.unwrap();
        let _ = TlsAcceptor::from(thief.server_config.clone()).accept(tcp).await;
    });
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::Refused(Refusal::Swapped)), "{error}");
}

#[tokio::test]
async fn whoever_passes_the_owners_tls_on_behind_its_own_certificate_is_refused() {
    let client = node(Policy::Tofu);
    let (owner, thief) = (node(Policy::Tofu), node(Policy::Tofu));
    let (server, accepted) = serve(Arc::clone(&owner)).await;
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(&thief.identity.pushed()).await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let mut pushed = vec![0; owner.identity.pushed().len()];
        server.read_exact(&mut pushed).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut tcp, &mut server).await;
    });
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::Refused(Refusal::Swapped)), "{error}");
    assert!(accepted.await.unwrap().is_err(), "the owner sees a handshake that failed");
}

#[tokio::test]
async fn a_chosen_id_is_refused_where_ids_certify_themselves() {
    let chosen = Identity::generate(KeyKind::Ed25519, Policy::Tofu, LOOPBACK).unwrap();
    let (outsider, _events) = context_of(chosen, Limits::default());
    let insider = node(Policy::SelfCertifying);
    let (address, _) = serve(Arc::clone(&outsider)).await;
    let error = dial(&insider, &to(address)).await.unwrap_err().error;
    assert!(error.to_string().contains("--identity tofu"), "{error}");

    let (address, accepted) = serve(insider).await;
    // The client's half of the handshake ends before the server has judged it.
    let dialed = dial(&outsider, &to(address)).await;
    let error = accepted.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("--identity tofu"), "{error}");
    let mut stream = dialed.unwrap().stream;
    assert!(stream.read(&mut [0]).await.is_err(), "the refusal comes with the first read");
}

#[tokio::test]
async fn a_connection_that_is_cut_at_any_byte_ends_and_frees_its_server() {
    let (server, client) = (node(Policy::SelfCertifying), node(Policy::SelfCertifying));
    let mut length = 0;
    loop {
        let (address, accepted) = serve(Arc::clone(&server)).await;
        let (between, passed) = proxy(address, Pass::UpTo(length)).await;
        let dialed = dial(&client, &to(between)).await.map(drop);
        let accepted = accepted.await.unwrap().map(drop);
        if passed.await.unwrap() < length {
            assert!(dialed.is_ok() && accepted.is_ok(), "nothing was cut off: {length}");
            break;
        }
        // The server sends nothing after its own half: a client that has all of that may have
        // finished.
        if let Err(DialFailure { error, .. }) = dialed {
            assert!(matches!(error, HandshakeError::Cut(_)), "{length}: {error}");
            assert!(accepted.is_err(), "{length}");
        }
        length += 1;
    }
    assert!(length > 1000, "a handshake has more than {length} bytes");
}

#[tokio::test]
async fn byte_by_byte_is_as_good_as_at_once() {
    let (server, client) = (node(Policy::SelfCertifying), node(Policy::SelfCertifying));
    let (address, accepted) = serve(Arc::clone(&server)).await;
    let (between, _passed) = proxy(address, Pass::ByteByByte).await;
    let dialed = dial(&client, &to(between)).await.unwrap();
    assert_eq!(dialed.proved.unwrap().node_id(), server.own.id);
    assert!(accepted.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_client_hello_does_not_wait_for_the_certificate_and_all_else_does() {
    let client = node(Policy::SelfCertifying);
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        // One record of TLS, of type handshake, whose length stands in its last two bytes.
        let mut header = [0; 5];
        tcp.read_exact(&mut header).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        tcp.read_exact(&mut hello).await.unwrap();
        tcp.write_all(&length_and(b"no certificate")).await.unwrap();
        let mut more = Vec::new();
        tcp.read_to_end(&mut more).await.unwrap();
        (header[0], more)
    });
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::Refused(_)), "{error}");
    assert_eq!(server.await.unwrap(), (0x16, Vec::new()), "nothing follows a refused certificate");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_trickles_ends_at_its_deadline() {
    let client = node(Policy::SelfCertifying);
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(&1000u32.to_be_bytes()).await.unwrap();
        while tcp.write_all(&[0x30]).await.is_ok() {
            sleep(CERTIFICATE_DEADLINE / 20).await;
        }
    });
    let begun = Instant::now();
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::LateCertificate), "{error}");
    assert_eq!(error.undelivered(), Undelivered::DialTimeout);
    assert!(begun.elapsed() < CERTIFICATE_DEADLINE * 2);
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_certificate_ends_at_its_deadline_on_both_sides() {
    let (server, client) = (node(Policy::SelfCertifying), node(Policy::SelfCertifying));
    let address = sends(server.identity.pushed().to_vec()).await;
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::LateTls), "{error}");

    let (address, accepted) = serve(server).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let error = accepted.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::LateTls), "{error}");
}

#[tokio::test]
async fn what_speaks_another_protocol_is_refused() {
    let server = node(Policy::SelfCertifying);
    // A TLS client that does not wait for the certificate, and two that never heard of TLS.
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    for (spoken, is_violation) in
        [(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], true), (hello, true), (&[0xff; 4096], true)]
    {
        let (address, accepted) = serve(Arc::clone(&server)).await;
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(spoken).await.unwrap();
        let error = accepted.await.unwrap().unwrap_err();
        assert_eq!(error.is_violation(), is_violation, "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_nobody_proved() {
    let client = node(Policy::SelfCertifying);
    let (listener, address) = listen().await;
    drop(listener);
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert_eq!(error.undelivered(), Undelivered::Refused, "{error}");
}
