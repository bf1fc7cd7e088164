//! Node IDs, keys, and the XOR metric between them (Kademlia, section 2.1).
//!
//! All of them are 256-bit numbers, kept as four big-endian limbs: comparing and XORing four
//! words is an order of magnitude faster than thirty-two bytes, and a lookup does little else.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Bytes in an ID, a key or an RPC ID.
pub const ID_BYTES: usize = 32;
/// Bits in an ID: the greatest number of buckets that a path of the routing table can have.
pub const ID_BITS: usize = 256;

/// The text was not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits, got {got:?}")]
pub struct ParseIdError {
    got: String,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u64; 4]);

        impl $name {
            /// Reads 32 big-endian bytes.
            #[inline]
            pub fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(limbs(&bytes))
            }

            /// The 32 bytes as they stand on the wire.
            #[inline]
            pub fn to_bytes(self) -> [u8; ID_BYTES] {
                bytes(self.0)
            }

            /// The first eight hexadecimal digits: enough for a log line, not for an identity.
            pub fn short(&self) -> String {
                format!("{:08x}", self.0[0] >> 32)
            }

            /// Bit `index`, counted from the most significant. Bits past the end are false.
            #[inline]
            pub fn bit(&self, index: usize) -> bool {
                index < ID_BITS && (self.0[index / 64] >> (63 - index % 64)) & 1 == 1
            }

            /// The same number with bit `index` (from the most significant) set to `value`.
            ///
            /// # Panics
            /// If `index` is 256 or more.
            pub fn with_bit(mut self, index: usize, value: bool) -> Self {
                let mask = 1 << (63 - index % 64);
                if value {
                    self.0[index / 64] |= mask;
                } else {
                    self.0[index / 64] &= !mask;
                }
                self
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.to_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let refuse = || ParseIdError { got: text.chars().take(80).collect() };
                let decoded = data_encoding::HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .map_err(|_| refuse())?;
                Ok(Self::from_bytes(decoded.try_into().map_err(|_| refuse())?))
            }
        }
    };
}

id_type! {
    /// The name of a node: 256 bits in the same space as the keys.
    NodeId
}
id_type! {
    /// The name of a value, and the target of every lookup.
    Key
}
id_type! {
    /// The random number that ties a reply to its request.
    RpcId
}

impl Key {
    /// The key under which a value proves itself: its SHA-256.
    pub fn of_value(value: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(value).into())
    }

    /// Whether `value` proves itself under this key, so that one copy of it is enough.
    pub fn proves(&self, value: &[u8]) -> bool {
        *self == Self::of_value(value)
    }

    /// The XOR distance from this key to a node.
    #[inline]
    pub fn distance(&self, node: &NodeId) -> Distance {
        Distance(xor(self.0, node.0))
    }
}

impl NodeId {
    /// The XOR distance between two nodes.
    #[inline]
    pub fn distance(&self, other: &NodeId) -> Distance {
        Distance(xor(self.0, other.0))
    }

    /// The point of the key space at which this node sits: the target for finding it.
    #[inline]
    pub fn as_key(&self) -> Key {
        Key(self.0)
    }
}

/// The full XOR of two points. Distances order as integers; only the logarithm is a bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Distance([u64; 4]);

impl Distance {
    /// The greatest distance that exists.
    pub const MAX: Self = Self([u64::MAX; 4]);

    /// Number of leading zero bits, 0 to 256: the length of the prefix that the points share.
    #[inline]
    pub fn leading_zeros(&self) -> u32 {
        for (index, limb) in self.0.iter().enumerate() {
            if *limb != 0 {
                return index as u32 * 64 + limb.leading_zeros();
            }
        }
        ID_BITS as u32
    }

    /// `i` of the k-bucket that covers the distances `2^i … 2^(i+1)`, 0 to 255; `None` for
    /// distance zero (Kademlia, section 2.2).
    pub fn bucket_index(&self) -> Option<usize> {
        (ID_BITS as u32 - 1).checked_sub(self.leading_zeros()).map(|index| index as usize)
    }

    /// The distance as a share of the whole space, 0.0 to 1.0: for estimating density.
    pub fn as_fraction(&self) -> f64 {
        self.0.iter().rev().fold(0.0, |sum, limb| (sum + *limb as f64) / 2f64.powi(64))
    }
}

impl fmt::Debug for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distance(2^-{})", self.leading_zeros())
    }
}

#[inline]
fn xor(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
}

#[inline]
fn limbs(bytes: &[u8; ID_BYTES]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        *limb = u64::from_be_bytes(word);
    }
    limbs
}

#[inline]
fn bytes(limbs: [u64; 4]) -> [u8; ID_BYTES] {
    let mut bytes = [0; ID_BYTES];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8, last: u8) -> NodeId {
        let mut bytes = [0; ID_BYTES];
        bytes[0] = first;
        bytes[31] = last;
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn bytes_and_text_round_trip() {
        let id = id(0xab, 0x01);
        assert_eq!(NodeId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.to_string().parse::<NodeId>(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<NodeId>(), Ok(id));
        assert_eq!(id.short(), "ab000000");
        for wrong in ["", "ab", "zz", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert!(wrong.parse::<NodeId>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn distance_is_the_whole_xor_and_its_logarithm_is_the_bucket() {
        assert_eq!(id(0, 0).distance(&id(0, 0)).bucket_index(), None);
        assert_eq!(id(0, 0).distance(&id(0, 1)).bucket_index(), Some(0));
        assert_eq!(id(0, 0).distance(&id(0x80, 0)).bucket_index(), Some(255));
        assert!(id(0, 0).distance(&id(1, 0)) > id(0, 0).distance(&id(0, 255)));
        assert_eq!(id(0, 0).distance(&id(0x80, 0)).as_fraction(), 0.5);
    }

    #[test]
    fn bits_are_counted_from_the_top() {
        assert!(id(0x80, 0).bit(0) && !id(0x80, 0).bit(1) && id(0, 1).bit(255));
        assert_eq!(id(0, 0).with_bit(0, true), id(0x80, 0));
        assert_eq!(id(0x80, 1).with_bit(255, false), id(0x80, 0));
    }

    #[test]
    fn a_value_proves_itself_under_its_hash_only() {
        let key = Key::of_value(b"value");
        assert!(key.proves(b"value") && !key.proves(b"valuf"));
    }
}
