//! `dht key`: make key pairs, show public keys, and delegate.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use voiddht_client::signed::{Name, PublicKey, now_millis};

use super::files;
use crate::arguments::values::number;
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Make the key pairs that sign values, and let other keys write in their name
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(in crate::commands) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key pair, write the private key to a new file, and print the public key
    ///
    /// The file is PKCS #8 in PEM, as openssl writes it, readable by its owner only. Keep a copy: a
    /// lost key cannot be replaced, and its values can then never be changed.
    New {
        /// The file to make; it must not exist
        file: PathBuf,
    },
    /// Print the public key of a key file
    Show {
        /// A private key, as `dht key new` or openssl makes it
        file: PathBuf,
    },
    /// Let another key write one of this owner's values, and print the delegation
    ///
    /// A later delegation of the same value outranks an earlier one: everything that was written
    /// under the earlier one is then out of date, whatever its sequence number.
    Delegate(Delegate),
}

#[derive(Debug, Args)]
struct Delegate {
    /// The owner's private key
    file: PathBuf,

    /// The public key that may write
    #[arg(long, value_name = "PUBLIC_KEY")]
    to: PublicKey,

    /// Which of the owner's values it may write, up to 64 bytes [default: the one without a salt]
    #[arg(long)]
    salt: Option<OsString>,

    /// For how many days
    #[arg(long, default_value = "30", value_parser = number::<u32>(1..=36_500))]
    days: u32,

    /// The rank of the delegation: 1 or more; a higher one outranks [default: the time in seconds]
    #[arg(long, value_parser = number::<u32>(1..=u32::MAX))]
    generation: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  dht key new me.pem
  dht key show me.pem
  dht key delegate me.pem --to d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a \\
      --salt endpoint --days 30 > server.deleg";

impl Arguments {
    pub(in crate::commands) fn run(self, output: &Output) -> Result<Exit, Failure> {
        match self.action {
            Action::New { file } => output.line(files::create_key(&file)?.public_key())?,
            Action::Show { file } => output.line(files::read_key(&file)?.public_key())?,
            Action::Delegate(delegate) => output.raw(delegate.sign()?.as_bytes())?,
        }
        Ok(Exit::Success)
    }
}

impl Delegate {
    /// The delegation's text.
    fn sign(self) -> Result<String, Failure> {
        if self.to.is_refused() {
            return Err(Failure::Usage(format!("--to: {} is a weak key", self.to)));
        }
        let owner = files::read_key(&self.file)?;
        let name = Name::native(owner.public_key(), super::salt(self.salt.as_ref())?);
        let now = now_millis() / 1000;
        // Seconds since 1970 fit until the year 2106.
        let generation = self.generation.unwrap_or_else(|| u32::try_from(now).unwrap_or(u32::MAX));
        let not_after = now.saturating_add(u64::from(self.days) * super::DAY_SECS);
        let delegation = owner.delegate(&name, self.to, generation.max(1), not_after);
        Ok(delegation.map_err(Failure::failed)?.to_text(&name))
    }
}
