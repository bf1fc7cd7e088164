//! Reading the secrets of a private network again while the node runs.

use tokio::sync::oneshot;
use voiddht_store::Full;

use super::file::read_secret_file;
use super::reload_outcome::{NetworkReload, NetworkReloadError};
use super::seal::seal;
use crate::context::Context;
use crate::event::Event;

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
