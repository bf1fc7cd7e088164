//! Reading the secrets of a private network again while the node runs.

use serde::Serialize;
use tokio::sync::oneshot;
use voiddht_store::{Committing, Full};

use super::file::{SecretFileFault, read_secret_file};
use super::{SealError, seal};
use crate::context::Context;
use crate::event::Event;

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

/// Reads the file, has the driver go on with it, and waits for the data directory.
pub(crate) async fn reload(context: &Context) -> Result<NetworkReload, NetworkReloadError> {
    let reloaded = try_reload(context).await;
    match &reloaded {
        Ok(NetworkReload { fingerprints, remembered }) => {
            let first = fingerprints.first().map(String::as_str).unwrap_or_default();
            tracing::info!(first, secrets = fingerprints.len(), "network secrets reloaded");
            if !remembered {
                tracing::error!(
                    "the data directory did not take the secrets' fingerprints: make room there or \
                     mend the disk, and reload again, or the next start may refuse the secret file"
                );
            }
        }
        Err(error) => {
            tracing::error!(%error, "network secrets not reloaded, the old ones stay");
        }
    }
    reloaded
}

async fn try_reload(context: &Context) -> Result<NetworkReload, NetworkReloadError> {
    let network = context.network.as_ref().ok_or(NetworkReloadError::Public)?;
    let file = network.file().to_owned();
    // A disk may hang.
    let read = tokio::task::spawn_blocking(move || read_secret_file(&file)).await;
    let secrets = read.map_err(|_| NetworkReloadError::Stopped)??;
    let fingerprints = secrets.fingerprints().iter().map(ToString::to_string).collect();
    let membership = seal(secrets, &context.identity)?;
    let (asking, answer) = oneshot::channel();
    if !context.tell(Event::ReloadNetwork { membership, asking }).await {
        return Err(NetworkReloadError::Stopped);
    }
    let remembering = answer.await.map_err(|_| NetworkReloadError::Stopped)??;
    let remembered = match remembering.map(|it| *it) {
        None => true,
        Some(Err(Full)) => false,
        Some(Ok(committing)) => {
            let ended = tokio::task::spawn_blocking(move || committing.wait()).await;
            matches!(ended, Ok(Ok(())))
        }
    };
    Ok(NetworkReload { fingerprints, remembered })
}
