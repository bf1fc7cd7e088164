//! Sealing the node's certificate for its private network, and why that may fail.

use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;
use voiddht_identity::Identity;
use voiddht_identity::network::{Membership, NetworkSecrets};

/// Why a membership could not be made of secrets that could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
    /// The own certificate is too long to be pushed.
    #[error("the own certificate is too long to be pushed")]
    Certificate,
}

/// Seals the node's certificate with the first of these secrets, under a new nonce.
pub(crate) fn seal(
    secrets: NetworkSecrets,
    identity: &Identity,
) -> Result<Arc<Membership>, SealError> {
    let mut nonce = [0; voiddht_identity::network::push::NONCE_BYTES];
    let filled = SysRng.try_fill_bytes(&mut nonce);
    filled.map_err(|error| SealError::Randomness(error.to_string()))?;
    let membership = Membership::new(secrets, identity, nonce).ok_or(SealError::Certificate)?;
    Ok(Arc::new(membership))
}
