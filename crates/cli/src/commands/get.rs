//! `dht get`: writes the value of a key to standard output.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use serde_json::{Value, json};
use voiddht_client::Key;

use super::connection::place::check_directory;
use super::connection::{NodeConnection, Preference, pretty};
use super::gateway::{GatewayArguments, GatewayClient};
use super::key;
use super::node::NodeArguments;
use super::signed::Way;
use super::signed::resolve::ResolveArguments;
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Get the value of a key, and write it to standard output as it is
///
/// Ends with status 0 if a value was found, with 1 if none was.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "dht get [OPTIONS] KEY\n       dht get [OPTIONS] --signed-by PUBLIC_KEY [--salt SALT]"
)]
pub(super) struct Arguments {
    /// 64 hexadecimal digits, or any other text, which is hashed with SHA-256
    #[arg(required_unless_present = "signed_by")]
    key: Option<OsString>,

    #[command(flatten)]
    signed: ResolveArguments,

    /// Print JSON, for programs: the value in Base64, the number of replicas that returned it, its
    /// remaining TTL, its version, and how it was verified
    ///
    /// The node's control socket provides all of it, a gateway most. With --node, the module API provides
    /// only the value, and the rest is null.
    #[arg(long)]
    json: bool,

    /// The data directory of the node, for --json; without it, the node of this machine
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    node: NodeArguments,

    #[command(flatten)]
    gateway: GatewayArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht get greeting
  dht get --node 192.0.2.1:7401 greeting
  dht get --gateway https://dht.example.org --gateway-token ~/.dht-token greeting
  dht get --signed-by d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a --salt endpoint
  dht get --json greeting | jq .ttl_seconds_left
  dht get 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 > value";

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        if let Some(directory) = &self.data_dir {
            check_directory(directory)?;
        }
        let gateway = self.gateway.client(self.node.timeout)?;
        self.signed.check()?;
        let key = match (&self.key, self.signed.signed_by) {
            (_, Some(_)) if self.json || self.key.is_some() => {
                let text = "--signed-by goes with neither a KEY nor --json";
                return Err(Failure::Usage(text.to_owned()));
            }
            (_, Some(owner)) => {
                let way = Way::to(&self.node, gateway).await?;
                return self.signed.run(owner, &way, output).await;
            }
            (Some(key), None) => key::of_text(key),
            (None, None) => return Err(Failure::Usage("a KEY is needed".to_owned())),
        };
        let found = match (self.json, gateway) {
            (true, None) => self.report(key, preference).await?,
            (true, Some(gateway)) => gateway.get_json(key).await?,
            (false, gateway) => return self.write(key, gateway, output).await,
        };
        output.line(pretty(&found))?;
        Ok(if found["found"] == true { Exit::Success } else { Exit::Negative })
    }

    async fn write(
        &self,
        key: Key,
        gateway: Option<GatewayClient>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let value = match gateway {
            Some(gateway) => gateway.get(key).await?.map(Vec::from),
            None => {
                let client = self.node.connect().await?;
                let value = client.get(key).await.map_err(|error| self.node.explain(error))?;
                value.map(|value| value.to_vec())
            }
        };
        match value {
            Some(value) => {
                output.raw(&value)?;
                Ok(Exit::Success)
            }
            None => {
                output.complaint(format_args!("nothing found under the key {key}"));
                Ok(Exit::Negative)
            }
        }
    }

    /// What is known of the value, for programs.
    async fn report(&self, key: Key, preference: Preference) -> Result<Value, Failure> {
        match &self.data_dir {
            _ if preference.names_module_api() => self.without_details(&key).await,
            Some(directory) => {
                let node = NodeConnection::in_directory(directory).await.map_err(|error| {
                    let directory = directory.display();
                    Failure::Unreachable(format!("no node runs with {directory}: {error}"))
                })?;
                node.read(&format!("/get?key={key}")).await
            }
            None => match NodeConnection::local().await {
                Ok(node) => node.read(&format!("/get?key={key}")).await,
                Err(_) => self.without_details(&key).await,
            },
        }
    }

    /// The same, as far as the module API tells.
    async fn without_details(&self, key: &Key) -> Result<Value, Failure> {
        let client = self.node.connect().await?;
        let value = client.get(*key).await.map_err(|error| self.node.explain(error))?;
        Ok(json!({
            "key": key.to_string(), "found": value.is_some(),
            "value_base64": value.as_ref().map(|value| BASE64.encode(value)),
            "value_bytes": value.as_ref().map(|value| value.len()),
            "version": null, "ttl_seconds_left": null, "replicas": null, "dissenting": null,
            "verified": null, "took_ms": null,
        }))
    }
}
