//! Signed values on the command line: key files, publishing, resolving.

pub(super) mod files;
pub(super) mod key;
pub(super) mod publish;
pub(super) mod resolve;
pub(super) mod withdraw;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use voiddht_client::Client;
use voiddht_client::signed::{
    Envelope, Freshness, Name, Salt, SignedError, Terms, VerifiedEnvelope,
};

use super::gateway::{GatewayClient, Publication};
use super::node::NodeArguments;
use crate::outcome::Failure;

/// Seconds in a day.
const DAY_SECS: u64 = 24 * 60 * 60;

/// How signed values are read and published.
#[derive(Debug)]
pub(super) enum Way<'a> {
    /// Over a node's module API.
    Node(Box<Client>, &'a NodeArguments),
    /// Through an HTTP gateway.
    Gateway(GatewayClient),
}

impl<'a> Way<'a> {
    /// Through the gateway if there is one, otherwise over a connection with the node.
    pub(super) async fn to(
        node: &'a NodeArguments,
        gateway: Option<GatewayClient>,
    ) -> Result<Self, Failure> {
        match gateway {
            Some(gateway) => Ok(Self::Gateway(gateway)),
            None => Ok(Self::Node(Box::new(node.connect().await?), node)),
        }
    }

    /// The newest envelope of a name, verified here.
    async fn resolve(
        &self,
        name: &Name,
        freshness: Freshness,
    ) -> Result<Option<VerifiedEnvelope>, Failure> {
        match self {
            Self::Gateway(gateway) => gateway.resolve(name, freshness).await,
            Self::Node(client, node) => {
                let resolved = client.resolve(name, freshness).await;
                resolved.map_err(|error| explain(node, error))
            }
        }
    }

    /// Publishes an envelope if the newest one is `expected`, or if there is none.
    async fn publish_if(
        &self,
        envelope: &Envelope,
        expected: Option<&Envelope>,
        terms: Terms,
    ) -> Result<Publication, Failure> {
        match self {
            Self::Gateway(gateway) => gateway.publish_if(envelope, expected, terms).await,
            Self::Node(client, node) => {
                let published = client.publish_if_with(envelope, expected, terms).await;
                Ok(match published.map_err(|error| explain(node, error))? {
                    Ok(published) => Publication::Stored(published.stored_on),
                    Err(conflict) => Publication::Conflict(Box::new(conflict.newest)),
                })
            }
        }
    }
}

/// The salt that was typed; none is the empty one.
fn salt(text: Option<&OsString>) -> Result<Salt, Failure> {
    let bytes = text.map(|text| text.as_bytes()).unwrap_or_default();
    Salt::new(bytes).map_err(|error| Failure::Usage(format!("--salt: {error}")))
}

/// Says which node an error is of, or what is wrong with the value.
fn explain(node: &NodeArguments, error: SignedError) -> Failure {
    match error {
        SignedError::Request(error) => node.explain(error),
        other => Failure::Failed(other.to_string()),
    }
}

/// An envelope in one line, for a message.
pub(super) fn describe(envelope: &Envelope) -> String {
    let generation = match envelope.generation() {
        0 => String::new(),
        generation => format!(", generation {generation} by {}", envelope.writer()),
    };
    let kind = if envelope.is_withdrawal() { "withdrawal" } else { "value" };
    format!("{kind} with seq {}{generation}", envelope.seq())
}

/// What is in force: `None` where nothing is, or where it is withdrawn.
fn in_force(envelope: Option<VerifiedEnvelope>) -> Option<VerifiedEnvelope> {
    envelope.filter(|envelope| !envelope.is_withdrawal())
}
