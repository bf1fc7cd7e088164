//! How a reload of the network secrets ends: which secrets are in use now, or why nothing has
//! changed.

use serde::Serialize;
use voiddht_store::{Committing, Full};

use super::file::SecretFileFault;
use super::seal::SealError;

/// What the data directory does with the new fingerprints; `None` without one. Boxed: it is rare.
pub(crate) type Remembering = Option<Box<Result<Committing, Full>>>;

/// What a node goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkReload {
    /// The fingerprints of the secrets, the first of the file first.
    pub fingerprints: Vec<String>,
    /// Whether the data directory remembers them. If not, the next start may refuse the file.
    pub remembered: bool,
}

/// Why a reload has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum NetworkReloadError {
    /// The node belongs to a public network.
    #[error("the node has no network secret: start it with --network-secret")]
    Public,
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] SecretFileFault),
    /// The certificate cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file has none of the present secrets.
    #[error(
        "the file has none of the secrets that the node runs with, so it is another network's: keep \
         one of them in it until every node has the new one, or stop the node and use `dht network move`"
    )]
    OtherNetwork,
    /// The node has stopped, or is stopping.
    #[error("the node has stopped")]
    Stopped,
}
