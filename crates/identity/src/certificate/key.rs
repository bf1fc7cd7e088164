//! The three kinds of public key, known by the exact DER that wraps them.
//!
//! Each has one encoding, so comparing bytes is both the strictest and the simplest way to read
//! one; there are no parameters to interpret.

use crate::policy::KeyKind;

/// SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4), up to the 32 bytes of the key.
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// SubjectPublicKeyInfo of P-256 (RFC 5480, section 2), up to the 65 bytes of an uncompressed
/// point, of which the first is 4.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0, 4,
];
/// SubjectPublicKeyInfo of RSA (RFC 3279, section 2.3.1), up to the 256 bytes of the modulus.
const RSA2048: [u8; 33] = [
    0x30, 0x82, 1, 0x22, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0, 3,
    0x82, 1, 0x0f, 0, 0x30, 0x82, 1, 0x0a, 2, 0x82, 1, 1, 0,
];
/// The exponent that follows the modulus: 65537, as usual.
const RSA_EXPONENT: [u8; 5] = [2, 3, 1, 0, 1];

impl KeyKind {
    /// The kind of the key in a SubjectPublicKeyInfo, `None` if it is none of ours.
    pub(super) fn of_spki(spki: &[u8]) -> Option<Self> {
        if spki.starts_with(&ED25519) && spki.len() == ED25519.len() + 32 {
            Some(Self::Ed25519)
        } else if spki.starts_with(&P256) && spki.len() == P256.len() + 64 {
            Some(Self::EcdsaP256)
        } else if spki.starts_with(&RSA2048)
            && spki.ends_with(&RSA_EXPONENT)
            && spki.len() == RSA2048.len() + 256 + RSA_EXPONENT.len()
            // The top bit: a modulus of 2048 bits, not a shorter one with zeros before it.
            && spki[RSA2048.len()] & 0x80 != 0
        {
            Some(Self::Rsa2048)
        } else {
            None
        }
    }

    /// The key itself within its SubjectPublicKeyInfo: the content of the bit string.
    pub(super) fn public_key(self, spki: &[u8]) -> &[u8] {
        let start = match self {
            Self::Ed25519 => ED25519.len(),
            Self::EcdsaP256 => P256.len() - 1,
            // From the inner SEQUENCE on.
            Self::Rsa2048 => RSA2048.len() - 9,
        };
        spki.get(start..).unwrap_or_default()
    }

    /// The one AlgorithmIdentifier with which such a key may sign a certificate, as DER.
    pub(super) fn signature_algorithm(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70],
            Self::EcdsaP256 => &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
            Self::Rsa2048 => {
                &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0]
            }
        }
    }
}
