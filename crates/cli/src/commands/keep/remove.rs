//! `dht unkeep`: a value is republished no longer.

use std::ffi::OsString;

use clap::Args;

use super::ControlArguments;
use crate::commands::key;
use crate::connection::pretty;
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Keep a value no longer: it ends with the TTL of its last publication
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct Arguments {
    /// 64 hexadecimal digits, or any text, of which the SHA-256 is taken
    key: OsString,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: ControlArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht unkeep greeting
  dht kept --json | jq -r '.[] | select(.state != \"kept\") | .key' | xargs -n 1 dht unkeep

Ends with status 1 if the node does not keep such a value.";

impl Arguments {
    pub(in crate::commands) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let key = key::of_text(&self.key);
        let was_listed = self.place.node().await?.delete(&format!("/kept/{key}")).await?;
        if self.json {
            output.line(pretty(&super::unkept(&key, was_listed)))?;
        } else if was_listed {
            output.line(format_args!("kept no longer: {key}"))?;
        } else {
            output.complaint(format_args!("this node does not keep a value under the key {key}"));
        }
        Ok(if was_listed { Exit::Success } else { Exit::Negative })
    }
}
