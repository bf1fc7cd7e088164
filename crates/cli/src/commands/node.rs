//! Which node a command talks to, and how long it waits for it.

use std::time::Duration;

use clap::Args;
use voiddht_client::{Client, ConnectError, Options, RequestError};

use crate::arguments::values::{HostPort, number};
use crate::outcome::Failure;

/// The options that every command has that talks to a node.
#[derive(Clone, Debug, Args)]
pub(super) struct NodeArguments {
    /// The module API of the node to talk to
    #[arg(
        short,
        long,
        env = "VOIDDHT_NODE",
        value_name = "HOST:PORT",
        default_value = "localhost:7401"
    )]
    pub(super) node: HostPort,

    /// How long to wait for the node's answer
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
