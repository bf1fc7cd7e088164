//! Resolving a signed value: `dht get --signed-by`.

use std::ffi::OsString;

use clap::Args;
use voiddht_client::signed::{Freshness, Name, PublicKey};

use super::{Way, in_force};
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Whose value is wanted, and how fresh.
#[derive(Debug, Args)]
pub(in crate::commands) struct ResolveArguments {
    /// Get the value that this public key has signed, instead of the value of a key
    #[arg(long, value_name = "PUBLIC_KEY")]
    pub(in crate::commands) signed_by: Option<PublicKey>,

    /// Which of the owner's values, up to 64 bytes [default: the one without a salt]
    #[arg(long)]
    salt: Option<OsString>,

    /// Take the first signed value that any node returns: fast, but it may be an older one
    #[arg(long)]
    first: bool,

    /// Ask all of the closest nodes, so that one up-to-date copy is enough
    #[arg(long)]
    thorough: bool,
}

impl ResolveArguments {
    /// Refuses options of a signed value where the value of a key is wanted.
    pub(in crate::commands) fn check(&self) -> Result<(), Failure> {
        let given = match (&self.salt, self.first, self.thorough) {
            _ if self.signed_by.is_some() => return Ok(()),
            (Some(salt), _, _) => salt.display().to_string(),
            (None, true, _) => "--first".to_owned(),
            (None, _, true) => "--thorough".to_owned(),
            (None, false, false) => return Ok(()),
        };
        Err(Failure::Usage(format!("{given}: it is of a signed value, and needs --signed-by")))
    }

    /// The key of the value, for a report in JSON.
    pub(in crate::commands) fn key_for_json(
        &self,
        owner: PublicKey,
    ) -> Result<voiddht_client::Key, Failure> {
        if self.first || self.thorough {
            let text = "--json goes with neither --first nor --thorough";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(Name::native(owner, super::salt(self.salt.as_ref())?).key())
    }

    fn freshness(&self) -> Result<Freshness, Failure> {
        match (self.first, self.thorough) {
            (true, true) => {
                Err(Failure::Usage("either --first or --thorough can be given".to_owned()))
            }
            (true, false) => Ok(Freshness::First),
            (false, true) => Ok(Freshness::Thorough),
            (false, false) => Ok(Freshness::Latest),
        }
    }

    /// Writes what `owner` says to standard output, as it is.
    pub(in crate::commands) async fn run(
        &self,
        owner: PublicKey,
        way: &Way<'_>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        if owner.is_refused() {
            return Err(Failure::Usage(format!("--signed-by: {owner} is a weak key")));
        }
        let name = Name::native(owner, super::salt(self.salt.as_ref())?);
        match in_force(way.resolve(&name, self.freshness()?).await?) {
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
