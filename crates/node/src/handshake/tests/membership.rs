//! The private network's part of a handshake: who is let in, who is not, and what an outsider sees.

use tokio_rustls::client::TlsStream as ClientStream;
use tokio_rustls::server::TlsStream as ServerStream;
use voiddht_identity::client_config;
use voiddht_identity::network::{
    Membership, NetworkSecrets, PROOF_BYTES, ProofError, PushError, exporter,
};

use super::*;
use crate::testing::private_context;

fn secret(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn lines(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().map(|byte| secret(byte) + "\n").collect()
}

fn member(secrets: &str) -> Arc<Context> {
    private_context(secrets).0
}

fn fingerprint(byte: u8) -> Fingerprint {
    NetworkSecrets::parse(&secret(byte)).unwrap().first().fingerprint()
}

/// Dials, and reads the proof that is due.
async fn dial_to_the_end(context: &Context, to: &Destination) -> Result<ProvenBy, HandshakeError> {
    let established = dial(context, to).await.map_err(|failure| failure.error)?;
    let Standing::Awaited(awaited) = established.standing else { panic!("no proof is due") };
    let mut stream = established.stream;
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await.map_err(HandshakeError::NoProof)?;
    awaited.verify(&proof)
}

/// An outsider's TLS with a node: it has no secret, but has seen the certificate of the node.
async fn outsider_connects(
    address: SocketAddr,
    node: &Context,
) -> (Identity, ClientStream<TcpStream>) {
    let outsider = Identity::generate(KeyKind::Ed25519, Policy::SelfCertifying, LOOPBACK).unwrap();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let length = tcp.read_u32().await.unwrap();
    tcp.read_exact(&mut vec![0; length as usize]).await.unwrap();
    let config = client_config(&outsider, node.identity.certificate().clone(), None).unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    (outsider, tls)
}

/// Everything that a node sends inside TLS.
async fn heard(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut heard = Vec::new();
    // A connection that is closed without a word ends as an error, too.
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

#[tokio::test]
async fn members_prove_themselves_by_their_first_secrets() {
    // In the middle of a rotation.
    let (client, server) = (member(&lines([1, 2])), member(&lines([2, 1])));
    let (address, accepted) = serve(Arc::clone(&server)).await;
    let dialed = dial_to_the_end(&client, &to(address)).await.unwrap();
    assert_eq!(dialed, ProvenBy { peer: fingerprint(2), own: fingerprint(1) });
    let Standing::Proven(accepted) = accepted.await.unwrap().unwrap().standing else {
        panic!("the server has both proofs");
    };
    assert_eq!(accepted, ProvenBy { peer: fingerprint(1), own: fingerprint(2) });
}

#[tokio::test]
async fn any_of_eight_secrets_is_accepted() {
    let server = member(&lines(1..=8));
    for (byte, others) in [(1, &[2][..]), (5, &[1]), (8, &[1])] {
        let client = member(&lines([&[byte], others].concat()));
        let (address, accepted) = serve(Arc::clone(&server)).await;
        dial_to_the_end(&client, &to(address)).await.unwrap();
        let accepted = accepted.await.unwrap().unwrap();
        assert!(matches!(accepted.standing, Standing::Proven(by) if by.peer == fingerprint(byte)));
    }
}

#[tokio::test]
async fn a_probe_opens_the_push_of_a_member_and_of_no_other() {
    let (prober, server) = (member(&lines([1, 2])), member(&lines([2])));
    let (address, _accepted) = serve(Arc::clone(&server)).await;
    let certificate = fetch_certificate(&prober, address).await.unwrap();
    assert_eq!(&certificate, server.identity.certificate());
    let (address, _accepted) = serve(server).await;
    let error = fetch_certificate(&member(&secret(3)), address).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Push(PushError::OtherNetwork)), "{error}");
}

#[tokio::test]
async fn nodes_outside_are_refused_by_what_they_are() {
    let client = member(&secret(1));
    for (server, expected, told) in [
        (member(&secret(2)), PushError::OtherNetwork, Undelivered::OtherNetwork),
        (node(Policy::SelfCertifying), PushError::PublicNode, Undelivered::PublicNetwork),
        // As peers of the original network, and older builds, push it.
        (node(Policy::Tofu), PushError::PublicNode, Undelivered::PublicNetwork),
    ] {
        let (address, accepted) = serve(server).await;
        let error = dial(&client, &to(address)).await.unwrap_err().error;
        assert!(matches!(error, HandshakeError::Push(why) if why == expected), "{error}");
        assert!(error.is_violation());
        assert_eq!(error.undelivered(), told);
        // The accepting side sees a cut.
        assert!(matches!(accepted.await.unwrap(), Err(HandshakeError::Cut(_))));
    }
    // A public node cannot read what a private one pushes.
    let (address, _accepted) = serve(member(&secret(1))).await;
    let error = dial(&node(Policy::SelfCertifying), &to(address)).await.unwrap_err().error;
    assert_eq!(error.undelivered(), Undelivered::OtherNetwork, "{error}");
}

#[tokio::test]
async fn an_outsider_that_finishes_tls_hears_nothing() {
    let server = member(&secret(1));
    for spoken in [
        // No proof at all, frames of a node, zeros, and membership by node.
        Vec::new(),
        b"\x00\x4a\x02\x8c".repeat(20),
        vec![0; PROOF_BYTES],
        [vec![1, 0], vec![7; 32]].concat(),
        [vec![0, 1], vec![7; 32]].concat(),
    ] {
        let (address, accepted) = serve(Arc::clone(&server)).await;
        let (_, mut stream) = outsider_connects(address, &server).await;
        stream.write_all(&spoken).await.unwrap();
        stream.shutdown().await.unwrap();
        let error = accepted.await.unwrap().unwrap_err();
        match spoken.len() {
            0 => assert!(matches!(error, HandshakeError::NoProof(_)), "{error}"),
            _ => assert!(matches!(error, HandshakeError::Membership(_)), "{error}"),
        }
        assert_eq!(heard(&mut stream).await, b"", "closed without a word");
    }
}

#[tokio::test]
async fn a_proof_by_another_secret_is_refused() {
    let (server, client) = (member(&secret(1)), member(&secret(2)));
    let (address, accepted) = serve(Arc::clone(&server)).await;
    let (outsider, mut stream) = outsider_connects(address, &server).await;
    let secrets = NetworkSecrets::parse(&secret(2)).unwrap();
    let membership = Membership::new(secrets, &outsider, [1; 12]).unwrap();
    let exporter = exporter(stream.get_ref().1).unwrap();
    let exchange = membership.as_client(exporter, server.own.id);
    stream.write_all(&membership.prove(&exchange)).await.unwrap();
    let error = accepted.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Membership(ProofError::Wrong)), "{error}");
    assert_eq!(heard(&mut stream).await, b"");
    drop(client);
}

/// Its own key does not fit the certificate in it.
#[tokio::test]
async fn an_outsider_that_replays_a_members_push_is_refused() {
    let (member_there, client) = (member(&secret(1)), member(&secret(1)));
    let outsider = node(Policy::SelfCertifying);
    let (listener, address) = listen().await;
    let stolen = member_there.network.as_ref().unwrap().now().push().to_bytes();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(&stolen).await.unwrap();
        let _ = TlsAcceptor::from(outsider.server_config.clone()).accept(tcp).await;
    });
    let error = dial(&client, &to(address)).await.unwrap_err().error;
    assert!(matches!(error, HandshakeError::Refused(Refusal::Swapped)), "{error}");
}

/// The worst case: a man in the middle that has got its own certificate sealed by a member, and can
/// so have a TLS session with each side. It passes everything on, and sees all of it.
#[tokio::test]
async fn a_man_in_the_middle_with_two_sessions_is_refused_by_both_sides() {
    let (server, client) = (member(&secret(1)), member(&secret(1)));
    let (server_address, accepted) = serve(Arc::clone(&server)).await;
    let (listener, address) = listen().await;
    let (middle, _inbox) = private_context(&secret(1));
    let (far, mut to_server) = outsider_connects(server_address, &server).await;
    let middle_task = tokio::spawn(async move {
        let mut to_client = accept_in_the_middle(&listener, &middle).await;
        let mut proof = [0; PROOF_BYTES];
        to_client.read_exact(&mut proof).await.unwrap();
        to_server.write_all(&proof).await.unwrap();
        let answer = heard(&mut to_server).await;
        // What it would have to pass on: it invents one.
        to_client.write_all(&[0; PROOF_BYTES]).await.unwrap();
        (answer, heard(&mut to_client).await)
    });
    let error = dial_to_the_end(&client, &to(address)).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Membership(ProofError::Wrong)), "{error}");
    let error = accepted.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Membership(ProofError::Wrong)), "{error}");
    let (of_server, of_client) = middle_task.await.unwrap();
    assert_eq!((of_server, of_client), (Vec::new(), Vec::new()), "neither sent anything");
    drop(far);
}

async fn accept_in_the_middle(listener: &TcpListener, middle: &Context) -> ServerStream<TcpStream> {
    let (mut tcp, _) = listener.accept().await.unwrap();
    tcp.write_all(&middle.network.as_ref().unwrap().now().push().to_bytes()).await.unwrap();
    TlsAcceptor::from(middle.server_config.clone()).accept(tcp).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn silence_where_a_proof_is_due_ends_at_the_handshakes_deadline() {
    let (server, client) = (member(&secret(1)), member(&secret(1)));
    let (address, accepted) = serve(Arc::clone(&server)).await;
    let begun = Instant::now();
    let (_outsider, _silent) = outsider_connects(address, &server).await;
    let error = accepted.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::LateProof), "{error}");
    assert_eq!(begun.elapsed().as_secs(), ACCEPT_DEADLINE.as_secs());

    let (listener, address) = listen().await;
    let middle = Arc::clone(&server);
    let silent = tokio::spawn(async move { accept_in_the_middle(&listener, &middle).await });
    let established = dial(&client, &to(address)).await.unwrap();
    let Standing::Awaited(awaited) = established.standing else { panic!("a proof is due") };
    assert!(awaited.deadline <= Instant::now() + TLS_DEADLINE);
    drop(silent.await.unwrap());
}

#[tokio::test]
async fn a_member_connection_that_is_cut_at_any_byte_ends_and_frees_its_server() {
    let (server, client) = (member(&secret(1)), member(&secret(1)));
    // Beyond what the server sends before its proof.
    let mut length = 2200;
    loop {
        let (address, accepted) = serve(Arc::clone(&server)).await;
        let (between, passed) = proxy(address, Pass::UpTo(length)).await;
        let dialed = dial_to_the_end(&client, &to(between)).await;
        let accepted = accepted.await.unwrap().map(drop);
        if passed.await.unwrap() < length {
            assert!(dialed.is_ok() && accepted.is_ok(), "nothing was cut off: {length}");
            break;
        }
        let is_cut = matches!(dialed, Err(HandshakeError::NoProof(_) | HandshakeError::Cut(_)));
        assert!(is_cut || dialed.is_ok(), "{length}: {dialed:?}");
        length += 7;
    }
}
