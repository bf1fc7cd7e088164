//! Signed values on the command line: key files, publishing, resolving.

pub(super) mod files;
pub(super) mod key;
pub(super) mod publish;
pub(super) mod resolve;
pub(super) mod withdraw;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use voiddht_client::signed::{Envelope, Salt, SignedError, VerifiedEnvelope};

use super::node::NodeArguments;
use crate::outcome::Failure;

/// Seconds in a day.
const DAY_SECS: u64 = 24 * 60 * 60;

/// The salt that was typed; none is the empty one.
fn salt(text: Option<&OsString>) -> Result<Salt, Failure> {
    let bytes = text.map(|text| text.as_bytes()).unwrap_or_default();
    Salt::new(bytes).map_err(|error| Failure::Usage(format!("--salt: {error}")))
}

/// Says which node an error is of, or what is wrong with the value.
fn explain(node: &NodeArguments, error: SignedError) -> Failure {
    match error {
        SignedError::Request(error) => node.explain(error),
        other => Failure::Failed(other.to_string()),
    }
}

/// An envelope in one line, for a message.
pub(super) fn describe(envelope: &Envelope) -> String {
    let generation = match envelope.generation() {
        0 => String::new(),
        generation => format!(", generation {generation} by {}", envelope.writer()),
    };
    let kind = if envelope.is_withdrawal() { "withdrawal" } else { "value" };
    format!("{kind} with seq {}{generation}", envelope.seq())
}

/// What is in force: `None` where nothing is, or where it is withdrawn.
fn in_force(envelope: Option<VerifiedEnvelope>) -> Option<VerifiedEnvelope> {
    envelope.filter(|envelope| !envelope.is_withdrawal())
}
