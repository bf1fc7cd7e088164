//! `dht withdraw`: replaces a signed value by nothing.

use bytes::Bytes;
use clap::Args;
use voiddht_client::signed::{End, Freshness, Terms};

use super::super::gateway::GatewayArguments;
use super::super::keep::{ControlArguments, keep_withdrawal};
use super::super::node::NodeArguments;
use super::publish::SigningArguments;
use super::{Way, in_force};
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Withdraw a signed value: readers then find nothing
///
/// What is published is a signed value without a body, valid for as long as the one it replaces,
/// so that no older copy comes back. The node keeps it (dht kept): --data-dir names the node.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct Arguments {
    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    place: ControlArguments,

    #[command(flatten)]
    node: NodeArguments,

    #[command(flatten)]
    gateway: GatewayArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht withdraw --sign me.pem --salt endpoint";

impl Arguments {
    pub(in crate::commands) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        self.place.check()?;
        let gateway = self.gateway.client(self.node.timeout)?;
        let signer = self.signing.signer()?;
        let signer = signer.ok_or_else(|| {
            Failure::Usage("--sign KEY_FILE is needed: only the owner can withdraw".to_owned())
        })?;
        let way = Way::to(&self.node, gateway).await?;
        if in_force(way.resolve(signer.name(), Freshness::Thorough).await?).is_none() {
            output.complaint("nothing to withdraw: no value of this name was found");
            return Ok(Exit::Negative);
        }
        let withdrawn = signer
            .publish_and_report(&way, Bytes::new(), End::AsReplaced, Terms::default(), output)
            .await?;
        let Some(envelope) = withdrawn else { return Ok(Exit::Negative) };
        match way {
            Way::Gateway(gateway) => gateway.keep_withdrawal(&envelope, output).await?,
            Way::Node(..) => {
                keep_withdrawal(self.place.data_dir.as_deref(), &envelope, output).await?;
            }
        }
        Ok(Exit::Success)
    }
}
