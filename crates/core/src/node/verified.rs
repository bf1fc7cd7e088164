//! Signed values that reads of this node have verified of late: a read that gets the same bytes of the same
//! key does not verify them again, which costs more than all else of it.

use std::collections::{BTreeMap, VecDeque};

use voiddht_wire::Key;

use crate::record::order::Class;
use crate::record::value::VerifiedValue;

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
    /// Remembers a signed value that was found, in place of another of its key.
    pub(super) fn note(&mut self, key: Key, value: &VerifiedValue) {
        let is_signed = matches!(value.class(), Class::Signed(_));
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
    use bytes::Bytes;
    use voiddht_signed::Precedence;

    use super::*;

    #[test]
    fn the_newest_signed_values_are_remembered() {
        let class = Class::Signed(Precedence { generation: 0, seq: 1 });
        let key = |number: usize| Key::of_value(&number.to_be_bytes());
        let signed = |bytes: usize| VerifiedValue::restored(Bytes::from(vec![0; bytes]), class);
        let mut verified = Verified::default();
        for number in 0..=MAX_VERIFIED {
            verified.note(key(number), &signed(7));
            verified.note(key(number), &signed(8));
        }
        assert_eq!(verified.get(&key(0)), None);
        assert_eq!(verified.get(&key(MAX_VERIFIED)), Some(&signed(8)));
        assert_eq!((verified.by_key.len(), verified.by_age.len()), (MAX_VERIFIED, MAX_VERIFIED));
        verified.note(key(0), &signed(MAX_VERIFIED_VALUE_BYTES + 1));
        verified.note(key(0), &VerifiedValue::restored("plain".into(), Class::Plain));
        assert_eq!(verified.get(&key(0)), None);
    }
}
