//! What a private network's node reads of peers it does not know yet: a sealed push, and a proof of
//! membership; and of its operator: a secret file. A push that opens is exactly what sealing makes, a
//! proof that is accepted exactly what one of the secrets yields for that session and side.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use voiddht_identity::network::push::NONCE_BYTES;
use voiddht_identity::network::secrets::MAX_SECRETS;
use voiddht_identity::network::{
    NetworkSecrets, PROOF_BYTES, ProofError, SealedPush, Session, Side,
};
use voiddht_wire::NodeId;

/// The secret of the specification's vectors, behind another one.
const FILE: &str = "\
    abababababababababababababababababababababababababababababababab # first\n\
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

static SECRETS: LazyLock<NetworkSecrets> =
    LazyLock::new(|| NetworkSecrets::parse(FILE).expect("a file with two secrets"));

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 3 {
        0 => push(rest),
        1 => proof(rest),
        _ => file(rest),
    }
});

/// As it comes behind its length.
fn push(pushed: &[u8]) {
    let Ok(opened) = SECRETS.open_push(pushed) else { return };
    let secret = SECRETS.iter().find(|secret| secret.fingerprint() == opened.secret);
    let secret = secret.expect("one of the file's has opened it");
    let nonce = pushed.first_chunk::<NONCE_BYTES>().expect("what opens begins with a nonce");
    if let Some(sealed) = SealedPush::seal(secret, &opened.certificate_der, *nonce) {
        assert_eq!(&sealed.as_bytes()[4..], pushed);
    }
}

/// In the session of the vectors.
fn proof(bytes: &[u8]) {
    let Some(proof) = bytes.first_chunk::<PROOF_BYTES>() else { return };
    let (client, server) = (NodeId::from_bytes([0x22; 32]), NodeId::from_bytes([0x33; 32]));
    let session = Session { exporter: &[0x11; 32], client, server };
    for side in [Side::Client, Side::Server] {
        match SECRETS.verify(&session, side, proof) {
            Ok(fingerprint) => {
                assert_eq!(proof[..2], [0, 0]);
                assert!(SECRETS.fingerprints().contains(&fingerprint));
                assert!(SECRETS.verify(&session, side.other(), proof).is_err());
            }
            Err(ProofError::NodeMembership) => assert_eq!(proof[..2], [1, 0]),
            Err(ProofError::Reserved) => assert_ne!(proof[..2], [0, 0]),
            Err(ProofError::Wrong) => assert_eq!(proof[..2], [0, 0]),
        }
    }
}

fn file(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(secrets) = NetworkSecrets::parse(text) else { return };
    let mut fingerprints = secrets.fingerprints();
    assert!((1..=MAX_SECRETS).contains(&fingerprints.len()));
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), secrets.fingerprints().len(), "none stands there twice");
}
