//! Ed25519 public keys, and the encodings that are refused.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// Bytes of an Ed25519 public key, and of each half of a signature.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// An Ed25519 public key (RFC 8032, section 5.1.5) as it stands on the wire. It may be one that
/// [`Self::is_refused`] rules out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

/// The text was not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hexadecimal digits")]
pub struct ParsePublicKeyError;

impl PublicKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }

    /// Whether the key is not canonically encoded, or of small order. Such a key has no single
    /// owner: libraries accept one fixed signature under it for every message, or disagree about
    /// it.
    pub fn is_refused(&self) -> bool {
        is_refused_point(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}…)", HEXLOWER.encode(&self.0[..4]))
    }
}

impl FromStr for PublicKey {
    type Err = ParsePublicKeyError;

    fn from_str(text: &str) -> Result<Self, ParsePublicKeyError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| ParsePublicKeyError)?;
        Ok(Self(bytes.try_into().map_err(|_| ParsePublicKeyError)?))
    }
}

/// The y coordinates, little-endian and without the sign bit, of the two points of order 8 whose y
/// is not a small number.
const ORDER_8: [[u8; PUBLIC_KEY_BYTES]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Whether the encoding of a point is refused, as a key or as R, the first half of a signature: y is
/// not below the prime 2²⁵⁵−19, or the point is of small order (y is 0, 1, −1, or that of a point of
/// order 8). The sign bit of x makes no difference.
pub(crate) fn is_refused_point(encoded: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    let mut y = *encoded;
    y[31] &= 0x7f;
    is_at_least_minus_one(&y) || is_at_most_one(&y) || ORDER_8.contains(&y)
}

/// y ≥ 2²⁵⁵−20: that is −1, or no canonical encoding.
fn is_at_least_minus_one(y: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    y[31] == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff) && y[0] >= 0xec
}

fn is_at_most_one(y: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    y[0] <= 1 && y[1..].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(low: u8, fill: u8, high: u8) -> [u8; 32] {
        let mut y = [fill; 32];
        y[0] = low;
        y[31] = high;
        y
    }

    #[test]
    fn small_orders_and_non_canonical_encodings_are_refused_with_either_sign() {
        let mut refused = vec![number(0, 0, 0), number(1, 0, 0), ORDER_8[0], ORDER_8[1]];
        refused.extend((0xec..=0xff).map(|low| number(low, 0xff, 0x7f)));
        for mut point in refused {
            assert!(is_refused_point(&point), "{point:02x?}");
            point[31] |= 0x80;
            assert!(is_refused_point(&point), "{point:02x?}");
        }
    }

    #[test]
    fn neighbours_of_refused_encodings_are_not_refused() {
        for point in [number(2, 0, 0), number(1, 0, 1), number(0xeb, 0xff, 0x7f)] {
            assert!(!is_refused_point(&point), "{point:02x?}");
        }
        for mut point in ORDER_8 {
            point[0] ^= 1;
            assert!(!is_refused_point(&point), "{point:02x?}");
        }
    }

    #[test]
    fn text_round_trips_and_bad_text_is_refused() {
        let key = PublicKey::from_bytes([0xd7; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
        for text in ["", "d7", &"g7".repeat(32), &"d7".repeat(33)] {
            assert_eq!(text.parse::<PublicKey>(), Err(ParsePublicKeyError), "{text}");
        }
    }
}
