//! Private networks: only nodes with a shared secret join (docs/private-networks.md).
//!
//! * [`secrets`]: the secret file, and the keys that each secret yields.
//! * [`push`]: the certificate that a server pushes before TLS, sealed.
//! * [`membership`]: both of these as a node has them after it has loaded its secrets.
//! * [`session_proof`]: what both sides send first inside TLS, bound to that session by its exporter
//!   (RFC 8446, section 7.5), so that it cannot be replayed or relayed.
//!
//! TLS itself stays as it is. Nothing here does I/O; nonces are passed in.

pub mod membership;
pub mod push;
pub mod secrets;
pub mod session_proof;

pub use membership::{Exchange, Membership, OpenError, ProvenBy};
pub use push::{OpenedPush, PushError, SealedPush};
pub use secrets::{Fingerprint, NetworkSecret, NetworkSecrets, SecretFileError};
pub use session_proof::{
    EXPORTER_BYTES, EXPORTER_LABEL, PROOF_BYTES, ProofError, Session, Side, exporter,
};
