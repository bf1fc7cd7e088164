//! Why a node could not be started.

use std::io;
use std::net::SocketAddr;

use voiddht_core::config::ConfigError;
use voiddht_identity::IdentityError;
use voiddht_store::{OpenError, SaveIdentityError, StorageOpenError, WriteFailed};

#[cfg(feature = "http")]
use crate::http::HttpError;
use crate::network::{DirectoryMismatch, SealError, SecretFileFault};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A port could not be listened on.
    #[error("cannot listen on {address} ({purpose}): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The data directory could not be opened.
    #[error(transparent)]
    DataDir(#[from] OpenError),
    /// A data directory was asked for, and this program is built without the feature `redb`.
    #[error("this program is built without data directories (the feature `redb`)")]
    NoDataDir,
    /// The storage of the embedding program could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageOpenError),
    /// The storage of the embedding program belongs to another network.
    #[error(
        "the storage belongs to a node of another network: give the node the secret of that network, \
         or an empty storage"
    )]
    OtherNetwork,
    /// The identity could not be kept in the data directory.
    #[error(transparent)]
    SaveIdentity(#[from] SaveIdentityError),
    /// There is no usable identity.
    #[error("no identity: {0}")]
    Identity(#[from] IdentityError),
    /// The core's settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The dashboard and the metrics cannot be served.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The secrets of the private network cannot be read.
    #[error(transparent)]
    NetworkSecret(#[from] SecretFileFault),
    /// The certificate cannot be sealed for the private network.
    #[error("cannot join the private network: {0}")]
    Seal(#[from] SealError),
    /// The data directory belongs to another network.
    #[error(transparent)]
    Directory(#[from] DirectoryMismatch),
    /// The data directory did not take the secrets' fingerprints.
    #[error("cannot remember the private network: {0}")]
    RememberNetwork(#[from] WriteFailed),
    /// A private network whose IDs are trusted on first use.
    #[error(
        "--identity tofu and --network-secret exclude each other: peers of the original network \
         cannot prove that they have the secret. Remove one of the two"
    )]
    PrivateTofu,
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
}
