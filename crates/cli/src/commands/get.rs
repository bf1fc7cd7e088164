//! `dht get`: writes the value of a key to standard output.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use serde_json::{Value, json};
use voiddht_client::Key;

use super::gateway::{GatewayArguments, GatewayClient};
use super::key;
use super::node::NodeArguments;
use super::signed::Way;
use super::signed::resolve::ResolveArguments;
use crate::connection::place::check_directory;
use crate::connection::{NodeConnection, Preference, pretty};
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

    /// The key is the SHA-256 of the value: accept the first value that matches, from any node
    ///
    /// Two messages instead of ten, without risk: other values do not hash to the key.
    #[arg(short, long)]
    content_addressed: bool,

    /// Print JSON, for programs: the value in Base64, the number of replicas that returned it, its
    /// remaining TTL, its version, how it was verified, and owner and sequence of a signed value
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
  dht get --content-addressed 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 > value";

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
        if self.content_addressed && (self.json || self.signed.signed_by.is_some()) {
            let text = "--content-addressed goes with neither --signed-by nor --json";
            return Err(Failure::Usage(text.to_owned()));
        }
        let key = match (&self.key, self.signed.signed_by) {
            (_, Some(_)) if self.key.is_some() => {
                let text = "--signed-by does not go with a KEY: the key follows from the owner";
                return Err(Failure::Usage(text.to_owned()));
            }
            (_, Some(_)) if self.json && gateway.is_some() => {
                let text = "through a gateway, --signed-by does not go with --json";
                return Err(Failure::Usage(text.to_owned()));
            }
            (_, Some(owner)) if self.json => self.signed.key_for_json(owner)?,
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
        if self.signed.signed_by.is_some() && found["signed"].is_null() {
            let text = "nothing signed was found, or the node cannot tell (--data-dir names it)";
            output.complaint(text);
            return Ok(Exit::Negative);
        }
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
            Some(gateway) => gateway.get(key, self.content_addressed).await?.map(Vec::from),
            None => {
                let client = self.node.connect().await?;
                let found = match self.content_addressed {
                    true => client.get_content_addressed(key).await,
                    false => client.get(key).await,
                };
                let value = found.map_err(|error| self.node.explain(error))?;
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
            "verified": null, "signed": null, "took_ms": null,
        }))
    }
}
