//! Which of two envelopes of one name wins.
//!
//! Generation first, then sequence number, then the SHA-256 of the whole envelope. The digest is an
//! arbitrary choice; what matters is that it does not depend on the order of arrival, as
//! "keep the first" and "take the last" do: all replicas and readers make the same choice.

use std::cmp::Ordering;

use crate::Envelope;

/// What decides between envelopes before their bytes do. Known without checking a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Precedence {
    /// The delegation's generation, 0 without one.
    pub generation: u32,
    /// The sequence number.
    pub seq: u64,
}

impl Envelope {
    /// What decides between this envelope and others of its name.
    pub fn precedence(&self) -> Precedence {
        Precedence { generation: self.generation(), seq: self.seq() }
    }

    /// `Greater` if this envelope wins over `other`; `Equal` only for the same bytes. Hashes only
    /// where generation and sequence number are equal.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.precedence().cmp(&other.precedence()).then_with(|| {
            match self.bytes() == other.bytes() {
                true => Ordering::Equal,
                false => self.digest().cmp(&other.digest()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Draft, Name, Salt, SigningKey};

    /// Every order of arrival of these leaves the same winner, as a total order does.
    #[test]
    fn generation_then_sequence_number_then_digest_decide() {
        let owner = SigningKey::from_seed(&[1; 32]).unwrap();
        let writer = SigningKey::from_seed(&[2; 32]).unwrap();
        let name = Name::native(owner.public_key(), Salt::EMPTY);
        let signed = |generation: u32, seq, body: &'static str| {
            let draft = Draft { name, seq, not_after: 0, body: Bytes::from(body) };
            if generation == 0 {
                return draft.sign(&owner, None).unwrap();
            }
            let key = writer.public_key();
            let delegation = owner.delegate(&name, key, generation, 2_000_000_000).unwrap();
            draft.sign(&writer, Some(&delegation)).unwrap()
        };
        let (one, other) = (signed(1, 5, "one"), signed(1, 5, "other"));
        let mut tied = [one, other];
        tied.sort_by_key(Envelope::digest);
        let [lower, higher] = tied;
        let ascending = [
            signed(0, 9, "a"),
            signed(0, 10, "a"),
            lower,
            higher,
            signed(1, 6, "a"),
            signed(2, 1, "a"),
        ];
        for (index, one) in ascending.iter().enumerate() {
            for (other_index, other) in ascending.iter().enumerate() {
                assert_eq!(one.compare(other), index.cmp(&other_index), "{index} {other_index}");
            }
        }
    }
}
