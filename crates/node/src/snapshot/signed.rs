//! Whose value was found, and in which state: of signed values.

use bytes::Bytes;
use serde::Serialize;
use voiddht_core::report::Report;
use voiddht_signed::Claim;
use voiddht_wire::Key;

/// Owner and sequence of a signed value that a GET has found, and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedView {
    /// The owner's public key, 64 hexadecimal digits.
    pub owner: String,
    /// The delegation's generation, 0 without one.
    pub generation: u32,
    /// The sequence number, in decimal: JSON numbers are not exact enough.
    pub seq: String,
    /// The effective end in seconds since 1970; `None` for none.
    pub ends_at: Option<u64>,
    /// Whether the owner has withdrawn the value.
    pub withdrawal: bool,
    /// Replicas that returned this one.
    pub replicas: u32,
    /// Replicas that returned an older one.
    pub older: u32,
}

impl SignedView {
    /// What is known of a value that was found; `None` if it is not a signed one.
    pub fn of(key: &Key, value: Option<&Bytes>, report: &Report) -> Option<Self> {
        let Claim::Signed(envelope) = Claim::of(key, value?) else { return None };
        Some(Self {
            owner: envelope.name().owner.to_string(),
            generation: envelope.generation(),
            seq: envelope.seq().to_string(),
            ends_at: envelope.effective_end(),
            withdrawal: envelope.is_withdrawal(),
            replicas: report.agreeing,
            older: report.dissenting,
        })
    }
}
