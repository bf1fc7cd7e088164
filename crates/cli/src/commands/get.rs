//! `dht get`: the value of a key, to the byte.

use std::ffi::OsString;

use clap::Args;

use super::key;
use super::node::NodeArguments;
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
    /// 64 hexadecimal digits, or any text, of which the SHA-256 is taken
    #[arg(required_unless_present = "signed_by")]
    key: Option<OsString>,

    #[command(flatten)]
    signed: ResolveArguments,

    #[command(flatten)]
    node: NodeArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht get greeting
  dht get --node 192.0.2.1:7401 greeting
  dht get --signed-by d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a --salt endpoint
  dht get 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 > value";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let key = match (self.key, self.signed.signed_by) {
            (_, Some(owner)) => return self.signed.run(owner, &self.node, output).await,
            (Some(key), None) => key::of_text(&key),
            (None, None) => return Err(Failure::Usage("a KEY is needed".to_owned())),
        };
        let client = self.node.connect().await?;
        match client.get(key).await.map_err(|error| self.node.explain(error))? {
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
}
