//! Resolving a signed value: `dht get --signed-by`.

use std::ffi::OsString;

use clap::Args;
use voiddht_client::signed::{Freshness, Name, PublicKey};

use super::super::node::NodeArguments;
use super::{explain, in_force};
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Whose value is wanted, and how fresh.
#[derive(Debug, Args)]
pub(in crate::commands) struct ResolveArguments {
    /// Get the value that this public key has signed, instead of the value of a key
    #[arg(long, value_name = "PUBLIC_KEY", conflicts_with = "key")]
    pub(in crate::commands) signed_by: Option<PublicKey>,

    /// Which of the owner's values, up to 64 bytes [default: the one without a salt]
    #[arg(long, requires = "signed_by")]
    salt: Option<OsString>,

    /// Take the first signed value that any node returns: fast, but it may be an older one
    #[arg(long, requires = "signed_by")]
    first: bool,

    /// Ask all of the closest nodes, so that one up-to-date copy is enough
    #[arg(long, requires = "signed_by", conflicts_with = "first")]
    thorough: bool,
}

impl ResolveArguments {
    fn freshness(&self) -> Freshness {
        match (self.first, self.thorough) {
            (true, _) => Freshness::First,
            (_, true) => Freshness::Thorough,
            _ => Freshness::Latest,
        }
    }

    /// Writes what `owner` says to standard output, as it is.
    pub(in crate::commands) async fn run(
        &self,
        owner: PublicKey,
        node: &NodeArguments,
        output: &Output,
    ) -> Result<Exit, Failure> {
        if owner.is_refused() {
            return Err(Failure::Usage(format!("--signed-by: {owner} is a weak key")));
        }
        let name = Name::native(owner, super::salt(self.salt.as_ref())?);
        let client = node.connect().await?;
        let resolved = client.resolve(&name, self.freshness()).await;
        match in_force(resolved.map_err(|error| explain(node, error))?) {
            Some(envelope) => {
                output.raw(envelope.body())?;
                Ok(Exit::Success)
            }
            None => {
                output.complaint(format_args!("nothing found that {owner} has signed"));
                Ok(Exit::Negative)
            }
        }
    }
}
