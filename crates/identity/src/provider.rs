//! The one cryptography provider of the process, and how signatures are checked with it.
//!
//! Every configuration is built from it by name: with two providers compiled in, the plain
//! builders of rustls panic.

use std::sync::{Arc, LazyLock};

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};

use crate::key_exchange::KeyExchange;
use crate::policy::KeyKind;

/// The protocol's name in ALPN. A peer that does not negotiate it speaks the legacy dialect.
pub(crate) const ALPN: &[u8] = b"voiddht/1";

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| {
    CryptoProvider {
        // AES with 128 bits first: as strong as the X25519 that agrees on the key, and the
        // cheapest. ChaCha20 for machines without AES instructions.
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        // Chosen for each node.
        kx_groups: Vec::new(),
        ..default_provider()
    }
});

/// Signatures that a peer may make. RSA with PKCS #1 is here for the certificate alone; TLS 1.3
/// does not allow it in a handshake, and rustls refuses it there.
pub(crate) const SIGNATURE_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// The provider with these key exchange groups.
pub(crate) fn provider(key_exchange: &KeyExchange) -> Arc<CryptoProvider> {
    let kx_groups = key_exchange.groups().iter().map(|group| group.of_provider()).collect();
    Arc::new(CryptoProvider { kx_groups, ..PROVIDER.clone() })
}

/// The algorithms for rustls to check handshakes with.
pub(crate) fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &PROVIDER.signature_verification_algorithms
}

/// Whether `signature` over `message` holds under `public_key`, the content of a
/// SubjectPublicKeyInfo's bit string. This is a certificate's signature, not a handshake's.
pub(crate) fn signature_holds(
    kind: KeyKind,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let scheme = match kind {
        KeyKind::Ed25519 => SignatureScheme::ED25519,
        KeyKind::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        KeyKind::Rsa2048 => SignatureScheme::RSA_PKCS1_SHA256,
    };
    algorithms()
        .mapping
        .iter()
        .find(|(name, _)| *name == scheme)
        .and_then(|(_, algorithms)| algorithms.first())
        .is_some_and(|check| check.verify_signature(public_key, message, signature).is_ok())
}

/// 32 random bytes from the operating system.
pub(crate) fn random_id() -> Result<[u8; 32], rustls::Error> {
    let mut bytes = [0; 32];
    PROVIDER.secure_random.fill(&mut bytes)?;
    Ok(bytes)
}
