//! The order of the records of one key: which of two wins.
//!
//! The only home of this rule. Replicas ([`RecordStore`](super::RecordStore)), readers
//! ([`crate::vote`], [`crate::operation::get`]) and upkeep all compare [`Rank`]s, so that nodes
//! that have seen the same records agree, in whatever order those arrived:
//!
//! 1. The higher [`Class`] wins, whatever the versions: content-addressed, then signed, then plain.
//!    If a higher version could replace a self-verifying value, anyone could destroy it with any
//!    bytes.
//! 2. Among signed values, which are verified before they get here, the one of the higher generation
//!    wins, then the one with the higher sequence number ([`Precedence`]).
//! 3. Among plain values the higher version wins.
//! 4. Of two values that are still equal, the one with the higher SHA-256 wins. The choice is
//!    arbitrary; what matters is that all nodes make the same one.
//!
//! The version of a self-verifying value decides nothing: the same bytes offered again are a
//! *renewal*, which [`Standing::Renews`] stands for.

use std::cmp::Ordering;

use voiddht_signed::Precedence;
use voiddht_wire::Key;
use voiddht_wire::api::Proof;

use super::refusal::Refusal;

/// What makes a value the value of its key, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing: the value needs a vote.
    Plain,
    /// It is an envelope of its key, and its signatures hold.
    Signed(Precedence),
    /// The key is the value's SHA-256.
    ContentAddressed,
}

impl Class {
    /// Whether the value needs no vote.
    pub fn is_self_verifying(self) -> bool {
        self > Self::Plain
    }

    /// How such a value is verified.
    pub fn proof(self) -> Proof {
        match self {
            Self::Plain => Proof::Vote,
            Self::Signed(_) => Proof::Signature,
            Self::ContentAddressed => Proof::Hash,
        }
    }

    /// Whether it is a signed value.
    pub fn is_signed(self) -> bool {
        self.precedence().is_some()
    }

    /// Generation and sequence number, where it is a signed value.
    pub fn precedence(self) -> Option<Precedence> {
        match self {
            Self::Signed(precedence) => Some(precedence),
            Self::Plain | Self::ContentAddressed => None,
        }
    }
}

/// The place of a record in the order of its key: the greater wins.
#[derive(Clone, Copy, Debug)]
pub struct Rank<'a> {
    class: Class,
    version: u64,
    value: &'a [u8],
}

impl<'a> Rank<'a> {
    /// The rank of a value of this class.
    pub fn new(class: Class, value: &'a [u8], version: u64) -> Self {
        Self { class, version, value }
    }
}

impl Ord for Rank<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.class.cmp(&other.class).then_with(|| match self.class {
            Class::Plain => self
                .version
                .cmp(&other.version)
                .then_with(|| compare_by_hash(self.value, other.value)),
            Class::Signed(_) => compare_by_hash(self.value, other.value),
            Class::ContentAddressed => Ordering::Equal,
        })
    }
}

impl PartialOrd for Rank<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank<'_> {}

/// Hashes only values that differ.
fn compare_by_hash(one: &[u8], other: &[u8]) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    Key::of_value(one).cmp(&Key::of_value(other))
}

/// How an offered record relates to the held one, where it is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same plain value, of the same version.
    Same,
    /// The same self-verifying value, of whatever version: only the deadline may move.
    Renews,
    /// It wins.
    Replaces,
}

/// Compares an offered record with the held one.
///
/// # Errors
/// The [`Refusal`] of an offer that loses.
pub fn judge(held: Rank<'_>, offered: Rank<'_>) -> Result<Standing, Refusal> {
    if held.class.is_self_verifying() && held.value == offered.value {
        return Ok(Standing::Renews);
    }
    match offered.cmp(&held) {
        Ordering::Greater => Ok(Standing::Replaces),
        Ordering::Equal => Ok(Standing::Same),
        Ordering::Less => Err(loss(held, offered)),
    }
}

/// Why an offer loses.
fn loss(held: Rank<'_>, offered: Rank<'_>) -> Refusal {
    let is_signed = |rank: Rank<'_>| rank.class.is_signed();
    match offered.class.cmp(&held.class) {
        Ordering::Less if is_signed(held) && is_signed(offered) => Refusal::Older,
        Ordering::Less => Refusal::Outproved,
        _ if offered.class == Class::Plain && offered.version < held.version => Refusal::Older,
        _ => Refusal::Outranked,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_are_a_total_order_in_which_only_equal_values_are_equal(
            records in prop::collection::vec((0..7u8, 0..3u64), 3)
        ) {
            // The value 0 is content-addressed, and the values from 3 on are signed.
            let values: Vec<([u8; 1], u64)> =
                records.iter().map(|(value, version)| ([*value], *version)).collect();
            let rank = |n: usize| {
                let class = match values[n].0[0] {
                    0 => Class::ContentAddressed,
                    signed @ 3.. => {
                        Class::Signed(Precedence { generation: 0, seq: u64::from(signed % 2) })
                    }
                    _ => Class::Plain,
                };
                Rank::new(class, &values[n].0, values[n].1)
            };
            let (a, b, c) = (rank(0), rank(1), rank(2));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(a.value, b.value);
            }
        }
    }
}
