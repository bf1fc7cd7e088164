//! Signed values that this node has verified of late, for reads and for local programs: the same bytes
//! of the same key are not verified again, which costs more than all else of a read.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use voiddht_signed::Refused;
use voiddht_wire::Key;

use crate::record::value::VerifiedValue;
use crate::time::WallTime;

/// Values remembered, at most, the oldest forgotten: about 150 bytes each.
const MAX_VERIFIED: usize = 1024;
/// Larger values are not remembered: verifying them is less of what a read of them costs.
const MAX_VERIFIED_VALUE_BYTES: usize = 2048;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Verified {
    by_key: BTreeMap<Key, VerifiedValue>,
    /// Every key once, the oldest first.
    by_age: VecDeque<Key>,
}

impl Verified {
    /// Checks a value, unless these bytes are `held` here or were verified before. Whether they have
    /// expired since is checked in any case.
    ///
    /// # Errors
    /// [`Refused`], as of [`VerifiedValue::check`].
    pub(super) fn check(
        &mut self,
        key: &Key,
        value: &Bytes,
        held: Option<VerifiedValue>,
        now: WallTime,
    ) -> Result<VerifiedValue, Refused> {
        let known = held.into_iter().chain(self.get(key).cloned());
        let is_it = |known: &VerifiedValue| known.bytes() == value && !known.has_expired(now);
        if let Some(known) = known.into_iter().find(is_it) {
            return Ok(known);
        }
        let checked = VerifiedValue::check(key, value, now)?;
        self.note(*key, &checked);
        Ok(checked)
    }

    /// Remembers a signed value that was verified, in place of another of its key.
    pub(super) fn note(&mut self, key: Key, value: &VerifiedValue) {
        let is_signed = value.class().is_signed();
        if !is_signed || value.bytes().len() > MAX_VERIFIED_VALUE_BYTES {
            return;
        }
        if self.by_key.insert(key, value.clone()).is_none() {
            self.by_age.push_back(key);
        }
        if self.by_age.len() > MAX_VERIFIED
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }

    /// The value of this key that was verified last.
    pub(super) fn get(&self, key: &Key) -> Option<&VerifiedValue> {
        self.by_key.get(key)
    }
}

#[cfg(test)]
mod tests {
    use voiddht_signed::{Draft, Name, Precedence, Salt, SigningKey};

    use super::*;
    use crate::record::order::Class;

    #[test]
    fn the_newest_signed_values_are_remembered() {
        let class = Class::Signed(Precedence { generation: 0, seq: 1 });
        let key = |number: usize| Key::of_value(&number.to_be_bytes());
        let signed = |bytes: usize| VerifiedValue::of_class(Bytes::from(vec![0; bytes]), class);
        let mut verified = Verified::default();
        for number in 0..=MAX_VERIFIED {
            verified.note(key(number), &signed(7));
            verified.note(key(number), &signed(8));
        }
        assert_eq!(verified.get(&key(0)), None);
        assert_eq!(verified.get(&key(MAX_VERIFIED)), Some(&signed(8)));
        assert_eq!((verified.by_key.len(), verified.by_age.len()), (MAX_VERIFIED, MAX_VERIFIED));
        verified.note(key(0), &signed(MAX_VERIFIED_VALUE_BYTES + 1));
        verified.note(key(0), &VerifiedValue::of_class("plain".into(), Class::Plain));
        assert_eq!(verified.get(&key(0)), None);
    }

    /// Bytes that no check would accept show that none is made.
    #[test]
    fn what_was_verified_before_is_checked_for_its_end_alone() {
        let class = Class::Signed(Precedence { generation: 0, seq: 1 });
        let key = Key::of_value(b"key");
        let known = |bytes: &'static str| VerifiedValue::of_class(bytes.into(), class);
        let mut verified = Verified::default();
        verified.note(key, &known("verified before"));
        let now = WallTime::from_millis(1_000_000);
        let mut check = |bytes: &'static str, held| {
            let checked = verified.check(&key, &bytes.into(), held, now);
            checked.map(|value| value.class())
        };
        assert_eq!(check("verified before", None), Ok(class));
        assert_eq!(check("held", Some(known("held"))), Ok(class));
        assert_eq!(check("another", Some(known("held"))), Ok(Class::Plain));

        let owner = SigningKey::from_seed(&[1; 32]).unwrap();
        let name = Name::native(owner.public_key(), Salt::EMPTY);
        let draft = Draft { name, seq: 1, not_after: 1_000, body: Bytes::new() };
        let envelope = draft.sign(&owner, None).unwrap();
        let mut at = |seconds: u64| {
            let now = WallTime::from_millis(seconds * 1000);
            let checked = verified.check(&envelope.key(), envelope.bytes(), None, now);
            checked.map(|value| value.class())
        };
        assert_eq!(at(1_000), Ok(class));
        assert_eq!(at(2_000), Err(Refused::Expired));
    }
}
