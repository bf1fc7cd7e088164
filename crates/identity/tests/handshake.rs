//! Handshakes between real rustls endpoints, in memory: which peers are authenticated, which
//! refused, and why.

// The helpers of a test may fail as it may.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::ServerSessionMemoryCache;
use rustls::{ClientConfig, HandshakeKind, ServerConfig, SignatureScheme};
use support::forge::{Forge, ID_OID, extension, shown, shown_chain, time};
use support::wire::{Carrier, Ends, Failed, Side, carry, connect};
use support::{NOW, identity, some_id};
use voiddht_identity::{
    AcceptedPeer, Certificate, CertificateError, Identity, KeyKind, Policy, ProvedPeer, Refusal,
    accepted_peer, client_config, dialed_peer, early_client_config, server_config,
};
use voiddht_wire::PeerAddress;
use voiddht_wire::peer::Dialect;

/// What a client reads before the handshake.
fn pushed_by(server: &Identity, policy: Policy) -> Certificate {
    Certificate::parse_pushed(&server.pushed()[4..], policy, NOW).unwrap()
}

fn dial(client: &Identity, server: &Identity) -> Arc<ClientConfig> {
    let pushed = pushed_by(server, client.policy());
    client_config(client, pushed, Some(server.node_id())).unwrap()
}

/// What both sides know of each other at the end.
fn proofs(
    ends: &Ends,
    client: &Identity,
    server: &Identity,
) -> (Result<ProvedPeer, Refusal>, Result<AcceptedPeer, Refusal>) {
    let pushed = pushed_by(server, client.policy());
    (dialed_peer(&ends.client, &pushed, client), accepted_peer(&ends.server, server, NOW))
}

/// Why a handshake was refused, and by which side.
#[track_caller]
fn refused(result: Result<Ends, Failed>) -> (Side, Refusal) {
    let Err(Failed { side, error }) = result else { panic!("the handshake succeeded") };
    (side, Refusal::of(&error).unwrap_or_else(|| panic!("refused by TLS itself: {error}")))
}

/// A server's configuration with the ID and key of `identity`, changed.
fn server_with(identity: &Identity, change: impl FnOnce(&mut ServerConfig)) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(&server_config(identity));
    change(&mut config);
    Arc::new(config)
}

/// A dial's configuration, changed.
fn client_with(
    client: &Identity,
    server: &Identity,
    change: impl FnOnce(&mut ClientConfig),
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&dial(client, server));
    change(&mut config);
    Arc::new(config)
}

fn pair(policy: Policy) -> (Identity, Identity) {
    (identity(KeyKind::Ed25519, policy), identity(KeyKind::Ed25519, policy))
}

#[test]
fn both_sides_are_proved_in_every_kind_and_policy() {
    for policy in Policy::ALL {
        let nodes = KeyKind::ALL.map(|kind| identity(kind, policy));
        for (client, server) in nodes.iter().flat_map(|c| nodes.iter().map(move |s| (c, s))) {
            let ends = connect(dial(client, server), server_config(server)).unwrap();
            let (Ok(there), Ok(AcceptedPeer::Proved(here))) = proofs(&ends, client, server) else {
                panic!("not both sides are proved");
            };
            assert_eq!(there.certificate(), server.certificate());
            assert_eq!(here.certificate(), client.certificate());
            assert_eq!((there.dialect(), here.dialect()), (Dialect::V1, Dialect::V1));
            let remote = PeerAddress::new(support::HOST, 7402);
            let peer = here.peer(remote);
            assert_eq!((peer.id(), peer.remote()), (client.node_id(), remote));
            assert!(peer.is_proved());
        }
    }
}

#[test]
fn another_node_than_the_dialled_one_is_refused_before_the_handshake() {
    let (client, server) = pair(Policy::SelfCertifying);
    let pushed = pushed_by(&server, Policy::SelfCertifying);
    let error = client_config(&client, pushed, Some(some_id())).unwrap_err();
    assert_eq!(error, Refusal::OtherNode { expected: some_id(), shown: server.node_id() });
}

#[test]
fn a_server_is_refused_before_its_pushed_certificate_has_arrived() {
    for policy in Policy::ALL {
        let (client, server) = pair(policy);
        let (config, awaited) = early_client_config(&client);
        let result = connect(Arc::clone(&config), server_config(&server));
        assert_eq!(refused(result), (Side::Client, Refusal::NothingProved));
        awaited.accept(pushed_by(&server, policy), Some(server.node_id())).unwrap();
        assert!(connect(config, server_config(&server)).is_ok());
    }
}

#[test]
fn a_certificate_that_arrives_late_is_checked_as_one_that_came_first() {
    let (client, server) = pair(Policy::SelfCertifying);
    let (config, awaited) = early_client_config(&client);
    let pushed = pushed_by(&server, Policy::SelfCertifying);
    let error = awaited.accept(pushed, Some(some_id())).unwrap_err();
    assert_eq!(error, Refusal::OtherNode { expected: some_id(), shown: server.node_id() });
    let result = connect(config, server_config(&server));
    assert_eq!(refused(result), (Side::Client, Refusal::NothingProved));
}

#[test]
fn a_chosen_id_is_refused_before_the_handshake() {
    let client = identity(KeyKind::Ed25519, Policy::SelfCertifying);
    let server = identity(KeyKind::Ed25519, Policy::Tofu);
    let pushed = pushed_by(&server, Policy::Tofu);
    let error = client_config(&client, pushed, None).unwrap_err();
    assert_eq!(error, Refusal::Certificate(CertificateError::IdNotKeyHash));
}

// A man in the middle, at each of the things that it could swap.

#[test]
fn a_server_that_shows_another_certificate_than_was_pushed_is_refused() {
    for policy in Policy::ALL {
        let (client, server) = pair(policy);
        let middle = identity(KeyKind::Ed25519, policy);
        let result = connect(dial(&client, &server), server_config(&middle));
        assert_eq!(refused(result), (Side::Client, Refusal::Swapped));
    }
}

#[test]
fn a_server_that_shows_the_pushed_certificate_without_its_key_is_refused() {
    let (client, server) = pair(Policy::Tofu);
    let middle = identity(KeyKind::Ed25519, Policy::Tofu);
    let config = server_with(&middle, |config| {
        config.cert_resolver = shown(server.certificate().der(), &middle.private_key_der());
    });
    let failed = connect(dial(&client, &server), config).err().unwrap();
    let bad_signature = rustls::Error::from(rustls::CertificateError::BadSignature);
    assert_eq!((failed.side, failed.error), (Side::Client, bad_signature));
}

#[test]
fn a_client_that_shows_another_ones_certificate_without_its_key_is_refused() {
    let (client, server) = pair(Policy::Tofu);
    let middle = identity(KeyKind::Ed25519, Policy::Tofu);
    let config = client_with(&middle, &server, |config| {
        config.client_auth_cert_resolver =
            shown(client.certificate().der(), &middle.private_key_der());
    });
    let failed = connect(config, server_config(&server)).err().unwrap();
    let bad_signature = rustls::Error::from(rustls::CertificateError::BadSignature);
    assert_eq!((failed.side, failed.error), (Side::Server, bad_signature));
}

#[test]
fn a_client_that_claims_another_ones_id_is_refused() {
    let (client, server) = pair(Policy::SelfCertifying);
    let thief =
        Identity::generate_with_id(KeyKind::Ed25519, client.node_id(), support::HOST).unwrap();
    let config = client_with(&client, &server, |config| {
        config.client_auth_cert_resolver =
            shown(thief.certificate().der(), &thief.private_key_der());
    });
    let result = connect(config, server_config(&server));
    let reason = Refusal::Certificate(CertificateError::IdNotKeyHash);
    assert_eq!(refused(result), (Side::Server, reason));
}

// Certificates that are wrong in themselves, shown by the peer that has their key.

#[test]
fn a_clients_wrong_certificate_is_refused_with_its_own_reason() {
    let (client, server) = pair(Policy::Tofu);
    let expired = CertificateError::Expired { not_after: 1_577_836_800 };
    type Change = fn(&mut Forge);
    let cases: [(CertificateError, Change); 4] = [
        (CertificateError::WrongSelfSignature, |forge| {
            forge.signer = Some(Forge::right(KeyKind::Ed25519).key);
        }),
        (CertificateError::RepeatedId, |forge| forge.extensions.push(forge.extensions[1].clone())),
        (CertificateError::IdLength(31), |forge| {
            forge.extensions[1] = extension(ID_OID, false, &[7; 31]);
        }),
        (expired, |forge| forge.not_after = time("20200101000000Z")),
    ];
    for (error, change) in cases {
        let mut forge = Forge::right(KeyKind::Ed25519);
        change(&mut forge);
        let config = client_with(&client, &server, |config| {
            config.client_auth_cert_resolver = forge.shown();
        });
        let result = connect(config, server_config(&server));
        assert_eq!(refused(result), (Side::Server, Refusal::Certificate(error)));
    }
}

#[test]
fn bytes_that_are_no_certificate_do_not_stop_the_server() {
    let (client, server) = pair(Policy::SelfCertifying);
    for bytes in [&b""[..], b"x", &[0x30, 0x80], &[0xff; 1000], &[0x30; 8193]] {
        let config = client_with(&client, &server, |config| {
            config.client_auth_cert_resolver = shown(bytes, &client.private_key_der());
        });
        let failed = connect(config, server_config(&server)).err().unwrap();
        assert_eq!(failed.side, Side::Server, "{}", failed.error);
    }
}

#[test]
fn a_server_whose_self_signature_is_wrong_is_refused() {
    let (client, server) = pair(Policy::SelfCertifying);
    let mut forge = Forge::right(KeyKind::Ed25519);
    forge.signer = Some(Forge::right(KeyKind::Ed25519).key);
    let pushed = Certificate::parse_pushed(&forge.der(), Policy::SelfCertifying, NOW).unwrap();
    let dial = client_config(&client, pushed, None).unwrap();
    let result = connect(dial, server_with(&server, |config| config.cert_resolver = forge.shown()));
    let reason = Refusal::Certificate(CertificateError::WrongSelfSignature);
    assert_eq!(refused(result), (Side::Client, reason));
}

#[test]
fn a_chain_is_refused_on_either_side() {
    let (client, server) = pair(Policy::SelfCertifying);
    let chain = |identity: &Identity| {
        let one = identity.certificate().der();
        shown_chain(&[one, one], &identity.private_key_der())
    };
    let config = server_with(&server, |config| config.cert_resolver = chain(&server));
    let result = connect(dial(&client, &server), config);
    assert_eq!(refused(result), (Side::Client, Refusal::MoreThanOneCertificate));
    let config = client_with(&client, &server, |config| {
        config.client_auth_cert_resolver = chain(&client);
    });
    let result = connect(config, server_config(&server));
    assert_eq!(refused(result), (Side::Server, Refusal::MoreThanOneCertificate));
}

// Peers without a certificate, and peers of the other dialect.

/// A client that shows nothing.
#[derive(Debug)]
struct ShowsNothing;

impl rustls::client::ResolvesClientCert for ShowsNothing {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn without_certificate(client: &Identity, server: &Identity, alpn: bool) -> Arc<ClientConfig> {
    client_with(client, server, |config| {
        config.client_auth_cert_resolver = Arc::new(ShowsNothing);
        if !alpn {
            config.alpn_protocols.clear();
        }
    })
}

#[test]
fn a_client_without_a_certificate_is_refused_where_ids_certify_themselves() {
    let (client, server) = pair(Policy::SelfCertifying);
    for alpn in [true, false] {
        let dial = without_certificate(&client, &server, alpn);
        let (side, reason) = refused(connect(dial, server_config(&server)));
        assert_eq!((side, reason), (Side::Server, Refusal::NoCertificate));
        assert!(reason.to_string().contains("--identity tofu"), "{reason}");
    }
}

#[test]
fn a_client_that_speaks_our_dialect_must_show_a_certificate_everywhere() {
    let (client, server) = pair(Policy::Tofu);
    let dial = without_certificate(&client, &server, true);
    let ends = connect(dial, server_config(&server)).unwrap_or_else(|failed| panic!("{failed:?}"));
    let refusal = accepted_peer(&ends.server, &server, NOW).unwrap_err();
    assert_eq!(refusal, Refusal::NoCertificateInV1);
}

#[test]
fn a_client_of_the_original_network_is_admitted_unproved_under_tofu() {
    let (client, server) = pair(Policy::Tofu);
    let dial = without_certificate(&client, &server, false);
    let ends = connect(dial, server_config(&server)).unwrap();
    let (there, here) = proofs(&ends, &client, &server);
    assert!(matches!(here, Ok(AcceptedPeer::Unproved)));
    assert_eq!(there.unwrap().dialect(), Dialect::Legacy);
}

#[test]
fn a_server_of_the_original_network_is_proved_under_tofu_and_refused_otherwise() {
    for policy in Policy::ALL {
        let (client, server) = pair(policy);
        let ours = server_config(&server);
        let config = ServerConfig::builder_with_provider(ours.crypto_provider().clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(ours.cert_resolver.clone());
        let config = Arc::new(config);
        let ends = connect(dial(&client, &server), config).unwrap();
        let (there, _) = proofs(&ends, &client, &server);
        match policy {
            Policy::Tofu => assert_eq!(there.unwrap().dialect(), Dialect::Legacy),
            Policy::SelfCertifying => {
                let refusal = there.unwrap_err();
                assert_eq!(refusal, Refusal::LegacyDialect);
                assert!(refusal.to_string().contains("--identity tofu"), "{refusal}");
            }
        }
    }
}

// Resumption, which would skip the verifiers.

/// Two handshakes in a row; the kinds of both, at the client.
fn twice(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> [Ends; 2] {
    [(); 2].map(|()| connect(client.clone(), server.clone()).unwrap())
}

fn willing_client(client: &Identity, server: &Identity) -> Arc<ClientConfig> {
    client_with(client, server, |config| {
        config.resumption = Resumption::in_memory_sessions(8);
        config.enable_early_data = true;
    })
}

fn willing_server(server: &Identity) -> Arc<ServerConfig> {
    server_with(server, |config| {
        config.session_storage = ServerSessionMemoryCache::new(8);
        config.send_tls13_tickets = 2;
        config.max_early_data_size = 1000;
    })
}

#[test]
fn neither_side_resumes_whatever_the_other_would() {
    let (client, server) = pair(Policy::SelfCertifying);
    for (dial, listen) in [
        (dial(&client, &server), server_config(&server)),
        (willing_client(&client, &server), server_config(&server)),
        (dial(&client, &server), willing_server(&server)),
    ] {
        for ends in twice(&dial, &listen) {
            assert_eq!(ends.client.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Full));
            let (there, here) = proofs(&ends, &client, &server);
            assert!(there.is_ok() && here.is_ok());
        }
    }
    // The second dial asks its own verifier: with other pushed bytes it is refused.
    let listen = willing_server(&server);
    connect(dial(&client, &server), listen.clone()).unwrap();
    let other = identity(KeyKind::Ed25519, Policy::SelfCertifying);
    let result = connect(dial(&client, &other), listen);
    assert_eq!(refused(result), (Side::Client, Refusal::Swapped));
}

#[test]
fn a_resumed_session_proves_nothing() {
    let (client, server) = pair(Policy::SelfCertifying);
    let [_, resumed] = twice(&willing_client(&client, &server), &willing_server(&server));
    assert_eq!(
        resumed.client.handshake_kind(),
        Some(HandshakeKind::Resumed),
        "or nothing is tested"
    );
    let (there, here) = proofs(&resumed, &client, &server);
    assert_eq!(there.unwrap_err(), Refusal::NothingProved);
    assert_eq!(here.unwrap_err(), Refusal::NothingProved);
}

// Lines with faults.

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    let (client, server) = pair(Policy::SelfCertifying);
    let carrier = Carrier { chunk: 1, ..Carrier::default() };
    let ends = carry(dial(&client, &server), server_config(&server), carrier).unwrap();
    let (there, here) = proofs(&ends, &client, &server);
    assert!(there.is_ok() && matches!(here, Ok(AcceptedPeer::Proved(_))));
}

#[test]
fn a_line_cut_at_any_byte_proves_nothing_to_whoever_lacks_one() {
    let (client, server) = pair(Policy::SelfCertifying);
    let config = server_config(&server);
    let whole = connect(dial(&client, &server), config.clone()).unwrap();
    for to_server in 0..whole.carried[0] {
        let carrier = Carrier { to_server, ..Carrier::default() };
        let ends = carry(dial(&client, &server), config.clone(), carrier).unwrap();
        let refusal = accepted_peer(&ends.server, &server, NOW).unwrap_err();
        assert_eq!(refusal, Refusal::NothingProved, "{to_server}");
    }
    for to_client in 0..whole.carried[1] {
        let carrier = Carrier { to_client, ..Carrier::default() };
        let ends = carry(dial(&client, &server), config.clone(), carrier).unwrap();
        let (there, here) = proofs(&ends, &client, &server);
        assert_eq!(there.unwrap_err(), Refusal::NothingProved, "{to_client}");
        assert_eq!(here.unwrap_err(), Refusal::NothingProved, "{to_client}");
    }
}
