//! Options that select a node's module API, and the timeout.

use std::time::Duration;

use clap::Args;
use voiddht_client::{Client, ConnectError, Options, RequestError};

use crate::arguments::file::FileSettings;
use crate::arguments::ini::{Ini, Mistake};
use crate::arguments::ports::MODULE_PORT;
use crate::arguments::values::{Host, HostPort, address, module_api, number};
use crate::arguments::{self, Program, SECTION};
use crate::outcome::Failure;
use crate::server::args as server;

/// The options that every command has that talks to a node.
#[derive(Clone, Debug, Args)]
pub(super) struct NodeArguments {
    /// Module API of the node
    #[arg(
        short,
        long,
        env = "VOIDDHT_NODE",
        value_name = "HOST:PORT",
        default_value = "localhost:7401",
        value_parser = module_api
    )]
    pub(super) node: HostPort,

    /// Timeout for the node's answer
    #[arg(
        long,
        env = "VOIDDHT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = number::<u64>(1..=86_400)
    )]
    pub(super) timeout: u64,
}

impl NodeArguments {
    /// Connects to the node.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let addresses = self.node.resolve().await.map_err(|error| {
            Failure::Unreachable(format!("{}: the name cannot be resolved: {error}", self.node))
        })?;
        let timeout = Duration::from_secs(self.timeout);
        let options = Options {
            connect_timeout: timeout.min(Options::CONNECT_TIMEOUT),
            request_timeout: timeout,
            ..Options::default()
        };
        Client::connect_with(&addresses[..], options).await.map_err(|error| {
            let why = match &error {
                ConnectError::Unreachable { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            Failure::Unreachable(format!(
                "no node at {}: {why}; is dht_server running there? (--node HOST:PORT)",
                self.node
            ))
        })
    }

    /// Says which node an error is of.
    pub(super) fn explain(&self, error: RequestError) -> Failure {
        match error {
            RequestError::ValueSize { .. } => Failure::Usage(error.to_string()),
            _ => Failure::Unreachable(format!("{}: {error}", self.node)),
        }
    }
}

/// The data directory of the node of a configuration file, if the file names one, and in which line.
pub(super) fn data_dir_of_server(file: &Ini) -> Result<Option<(String, usize)>, Mistake> {
    let command = arguments::command::<server::Arguments>();
    let settings: FileSettings = server::Arguments::file_settings(file, &command)?;
    let directory = settings.get(SECTION, "data_dir");
    Ok(directory.map(|(directory, line)| (directory.to_owned(), line)))
}

/// Where the node of a configuration file serves local programs, if the file says anything about
/// that, and in which line.
pub(super) fn of_server(file: &Ini) -> Result<Option<(String, usize)>, Mistake> {
    let command = arguments::command::<server::Arguments>();
    let settings: FileSettings = server::Arguments::file_settings(file, &command)?;
    let (host, port) = (settings.get(SECTION, "api_address"), settings.get(SECTION, "module_port"));
    let Some((_, line)) = host.or(port) else { return Ok(None) };
    let host = host.and_then(|(host, _)| address(host).ok());
    // What listens on all addresses listens on loopback too.
    let host = host.filter(|host| !host.is_unspecified());
    let host = host.map_or_else(|| "localhost".to_owned(), |host| Host::Address(host).to_string());
    let port = port.map_or_else(|| MODULE_PORT.to_string(), |(port, _)| port.to_owned());
    Ok(Some((format!("{host}:{port}"), line)))
}
