//! Values that may be signed envelopes. What parses has exactly one encoding; nothing is verified
//! under an owner whose signature it does not bear, unless a seed already held it.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use voiddht_signed::{Claim, Delegation, Envelope};
use voiddht_wire::Key;

/// Within the lifetime of the seeds, which end in the year 2033 or never.
const NOW: u64 = 1_700_000_000;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok((name, delegation)) = Delegation::from_text(text)
    {
        assert_eq!(Delegation::from_text(&delegation.to_text(&name)), Ok((name, delegation)));
    }
    let bytes = Bytes::copy_from_slice(data);
    let Ok(envelope) = Envelope::parse(bytes.clone()) else {
        let key = Key::of_value(&bytes);
        assert_eq!(Claim::of(&key, &bytes), Claim::ContentAddressed);
        return;
    };
    assert_eq!(envelope.bytes(), &bytes);
    assert!(envelope.body().len() < bytes.len());
    assert!(envelope.compare(&envelope).is_eq());
    assert_eq!(Claim::of(&envelope.key(), &bytes), Claim::Signed(Box::new(envelope.clone())));
    let expired = envelope.has_expired(NOW);
    let verified = envelope.clone().verify(NOW);
    assert_eq!(verified.is_ok(), !expired && envelope.verify_at_any_time().is_ok());
});
