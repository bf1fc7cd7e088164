//! Signed values: values that only the owner of a key pair can replace.
//!
//! A signed value is an ordinary value whose bytes are an [`Envelope`]: owner, salt, sequence number,
//! end, signature and body. It is stored under the key that its [`Name`] yields, so every node,
//! frame and client carries it unchanged; nodes that know the format refuse what the owner did not
//! sign. Form 1 is voiddht's own; form 2 carries a mutable item of BEP 44, signed by a pkarr, iroh
//! or BitTorrent program.
//!
//! What is where: [`envelope`] parses and lays out the bytes, [`name`] derives keys, [`verify`] holds
//! every rule by which an envelope is refused, [`order`] decides which of two envelopes wins,
//! [`claim`] tells what a value under a key is, [`sign`] makes envelopes and delegations, and
//! [`succeed`] picks generation, sequence number and end of the envelope that follows another.
//!
//! Nothing here reads a clock, draws randomness or does I/O. Times are seconds since 1970.
//!
//! Invariants: an envelope has exactly one encoding; parsing never panics and allocates nothing for
//! bytes that are not an envelope; a [`VerifiedEnvelope`] exists only where every signature holds.

pub mod claim;
pub mod delegation;
pub mod envelope;
mod fields;
mod message;
pub mod name;
pub mod order;
pub mod public_key;
pub mod sign;
pub mod succeed;
pub mod verify;

pub use claim::Claim;
pub use delegation::Delegation;
pub use envelope::{Envelope, ParseError};
pub use name::{Form, Name, Salt};
pub use order::Precedence;
pub use public_key::PublicKey;
pub use sign::{Draft, SignError, SigningKey};
pub use verify::{CLOCK_TOLERANCE_SECS, Refused, VerifiedEnvelope};

/// Bytes of an Ed25519 signature (RFC 8032, section 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;
