//! A value that was found, and why it is accepted: for the control socket alone.

use data_encoding::BASE64;
use serde::Serialize;
use voiddht_wire::Key;

use super::operation::millis;
use super::signed::SignedView;
use crate::outcome::GetOutcome;

/// Why a value is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// The key is its SHA-256.
    Hash,
    /// Its owner has signed it.
    Signature,
    /// Replicas agree on it.
    Vote,
    /// This node has published it itself, and no replica was heard.
    Own,
}

/// The outcome of a GET.
#[derive(Clone, Debug, Serialize)]
pub struct ValueView {
    /// The key.
    pub key: String,
    /// Whether a value was found.
    pub found: bool,
    /// The value.
    pub value_base64: Option<String>,
    /// Its size.
    pub value_bytes: Option<usize>,
    /// Its version: the publisher's clock in milliseconds since 1970.
    pub version: Option<u64>,
    /// How long it still lives, by what the replicas say.
    pub ttl_seconds_left: Option<u16>,
    /// Nodes that returned it before the GET ended.
    pub replicas: u32,
    /// Nodes that returned another value.
    pub dissenting: u32,
    /// Why it is accepted.
    pub verified: Option<Verified>,
    /// Owner and sequence, where it is a signed value.
    pub signed: Option<SignedView>,
    /// How long the GET took.
    pub took_ms: f64,
}

impl ValueView {
    /// What a GET of this key found.
    pub fn of(key: &Key, outcome: &GetOutcome) -> Self {
        let (value, report) = (&outcome.value, &outcome.report);
        let signed = SignedView::of(key, value.as_ref(), report);
        let verified = value.as_ref().map(|value| match report.agreeing {
            _ if signed.is_some() => Verified::Signature,
            _ if key.proves(value) => Verified::Hash,
            0 => Verified::Own,
            _ => Verified::Vote,
        });
        Self {
            key: key.to_string(),
            found: value.is_some(),
            value_base64: value.as_ref().map(|value| BASE64.encode(value)),
            value_bytes: value.as_ref().map(|value| value.len()),
            version: outcome.version,
            ttl_seconds_left: report.ttl_left,
            replicas: report.agreeing,
            dissenting: report.dissenting,
            verified,
            signed,
            took_ms: millis(report.took),
        }
    }
}
