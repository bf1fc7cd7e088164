//! SIGHUP: the log level and the peers are read again, from the file above all, and the secrets of a
//! private network from theirs. Everything else needs a restart.

use std::ffi::OsString;

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use voiddht_node::Handle;

use super::args::Arguments;
use super::settings::Names;
use super::{service, settings};
use crate::arguments::{self, Typed};
use crate::logging::LogControl;
use crate::outcome::Failure;

/// What is needed to read the settings again.
#[derive(Debug)]
pub(super) struct Reloader {
    /// What the program was started with.
    pub(super) arguments: Vec<OsString>,
    pub(super) log: LogControl,
    /// Caught before the node starts: until then, a SIGHUP would end the program.
    pub(super) hangups: Signal,
}

impl Reloader {
    /// Waits for SIGHUPs, for as long as the node runs.
    pub(super) async fn run(mut self, node: Handle) {
        while self.hangups.recv().await.is_some() {
            service::reloading();
            if node.is_private() {
                // Its log says how it went. The other settings do not depend on it.
                let _ = node.reload_network().await;
            }
            if let Err(failure) = self.reload(&node).await {
                let why = failure.message().unwrap_or_default();
                error!("settings not reloaded, keeping the old ones: {why}");
            }
            service::ready("serving");
        }
    }

    async fn reload(&self, node: &Handle) -> Result<(), Failure> {
        let parsed = arguments::parse::<Arguments>(self.arguments.iter().cloned())?;
        let Typed::Arguments(typed, sources) = parsed else { return Ok(()) };
        let level = typed.logging.loglevel;
        let settings =
            settings::resolve(typed, &sources, Names::Leave, |text| warn!("{text}")).await?;
        self.log.set_level(level);
        let peers = node.set_peers(settings.peers).await.map_err(Failure::failed)?;
        info!(loglevel = ?level, peers, "settings reloaded: log level and peers");
        Ok(())
    }
}
