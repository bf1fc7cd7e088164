//! Publishing a signed value: `dht put --sign`, and the last step of `dht withdraw`.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use voiddht_client::signed::{
    self, Delegation, End, Freshness, Name, SigningKey, Successor, Writer, now_millis,
};

use super::super::gateway::Publication;
use super::{Way, describe, files};
use crate::arguments::values::number;
use crate::outcome::Failure;
use crate::output::Output;

/// How long a signed value is valid where nothing else is said, in days.
pub(in crate::commands) const DEFAULT_DAYS: u32 = 30;

/// Who signs, and which value.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct SigningArguments {
    /// Sign the value with this private key: only that key can replace it
    #[arg(long, value_name = "KEY_FILE")]
    pub(in crate::commands) sign: Option<PathBuf>,

    /// Which of the owner's values this is, up to 64 bytes [default: the one without a salt]
    #[arg(long)]
    salt: Option<OsString>,

    /// Write in an owner's name, by this delegation to the key
    #[arg(long, value_name = "FILE")]
    delegation: Option<PathBuf>,
}

/// Until when the value is valid.
#[derive(Clone, Debug, Args)]
pub(in crate::commands) struct EndArguments {
    /// For how many days the signed value is valid [default: 30]
    #[arg(long, value_parser = number::<u32>(1..=36_500))]
    days: Option<u32>,

    /// Sign a value that is valid until it is replaced
    #[arg(long)]
    no_end: bool,
}

fn needs_sign(given: impl Display, what: &str) -> Failure {
    Failure::Usage(format!("{given}: {what} --sign KEY_FILE, for it is of a signed value"))
}

impl EndArguments {
    /// Refuses an end of a value that is not signed, and two ends.
    pub(in crate::commands) fn check(&self, is_signed: bool) -> Result<(), Failure> {
        match (is_signed, self.days.is_some(), self.no_end) {
            (_, true, true) => {
                Err(Failure::Usage("either --days or --no-end can be given".to_owned()))
            }
            (false, true, _) | (false, _, true) => {
                Err(needs_sign("--days, --no-end", "an end needs"))
            }
            _ => Ok(()),
        }
    }

    /// The end that was asked for; by default 30 days, or the end of what is replaced if later.
    pub(in crate::commands) fn end(&self) -> End {
        let after =
            |days: u32| (now_millis() / 1000).saturating_add(u64::from(days) * super::DAY_SECS);
        match (self.no_end, self.days) {
            (true, _) => End::Never,
            (false, Some(days)) => End::At(after(days)),
            (false, None) => End::AtLeast(after(DEFAULT_DAYS)),
        }
    }
}

/// A key, and the value that it may sign.
#[derive(Debug)]
pub(in crate::commands) struct Signer {
    key: SigningKey,
    delegation: Option<Delegation>,
    name: Name,
}

impl SigningArguments {
    /// Reads the files. `None` if no signature was asked for.
    pub(in crate::commands) fn signer(&self) -> Result<Option<Signer>, Failure> {
        let Some(path) = &self.sign else {
            return match (&self.salt, &self.delegation) {
                (None, None) => Ok(None),
                (Some(salt), _) => Err(needs_sign(salt.display(), "a salt needs")),
                (_, Some(file)) => Err(needs_sign(file.display(), "a delegation needs")),
            };
        };
        if self.salt.is_some() && self.delegation.is_some() {
            let text = "a delegation is for one salt: leave --salt out";
            return Err(Failure::Usage(text.to_owned()));
        }
        let key = files::read_key(path)?;
        let Some(file) = &self.delegation else {
            let name = Name::native(key.public_key(), super::salt(self.salt.as_ref())?);
            return Ok(Some(Signer { key, delegation: None, name }));
        };
        let (name, delegation) = files::read_delegation(file)?;
        if delegation.writer != key.public_key() {
            return Err(Failure::Usage(format!(
                "{}: the delegation is to {}, not to the key in {} ({})",
                file.display(),
                delegation.writer,
                path.display(),
                key.public_key()
            )));
        }
        Ok(Some(Signer { key, delegation: Some(delegation), name }))
    }
}

impl Signer {
    /// Whose value it is, and which.
    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// Reads the newest value, signs one that replaces it, and publishes that, with this TTL and number of
    /// replicas, unless another writer was first. The envelope, and on how many nodes it is stored; `None`
    /// if another writer was first, which was said.
    pub(in crate::commands) async fn publish(
        &self,
        way: &Way<'_>,
        body: Bytes,
        end: End,
        (ttl_seconds, replication): (u16, u8),
        output: &Output,
    ) -> Result<Option<(signed::Envelope, u8)>, Failure> {
        let newest = way.resolve(&self.name, Freshness::Thorough).await?;
        let next = self.succeed(newest.as_deref(), end, body)?;
        let terms = signed::Terms { ttl_seconds, replication };
        match way.publish_if(&next.envelope, newest.as_deref(), terms).await? {
            Publication::Stored(stored_on) => {
                if let Some(writer) = next.cut_off {
                    output.notice(format_args!("the former writer {writer} is cut off"));
                }
                Ok(Some((next.envelope, stored_on)))
            }
            Publication::Conflict(newest) => {
                let newest = describe(&newest);
                output.complaint(format_args!(
                    "another writer was first: the newest is a {newest}; look at it with `dht get \
                     --signed-by {}` and try again",
                    self.name.owner
                ));
                Ok(None)
            }
        }
    }

    /// The same, and says on how many nodes it is stored.
    pub(in crate::commands) async fn publish_and_report(
        &self,
        way: &Way<'_>,
        body: Bytes,
        end: End,
        terms: (u16, u8),
        output: &Output,
    ) -> Result<Option<signed::Envelope>, Failure> {
        let published = self.publish(way, body, end, terms, output).await?;
        let Some((envelope, stored_on)) = published else { return Ok(None) };
        let nodes = if stored_on == 1 { "node" } else { "nodes" };
        output.line(format_args!("stored on {stored_on} {nodes}"))?;
        output.notice(describe(&envelope));
        Ok(Some(envelope))
    }

    fn succeed(
        &self,
        newest: Option<&signed::Envelope>,
        end: End,
        body: Bytes,
    ) -> Result<Successor, Failure> {
        let writer = match &self.delegation {
            Some(delegation) => Writer::Delegate(&self.key, delegation),
            None => Writer::Owner(&self.key),
        };
        signed::succeed(&self.name, newest, writer, end, now_millis(), body)
            .map_err(Failure::failed)
    }
}
