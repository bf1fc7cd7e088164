//! `dht status`: what the page shows, in words.
//!
//! `node` and `network` put it into words; here is what is asked for, and how it ends.

mod network;
mod node;

use clap::Args;

use super::http::{HttpArguments, pretty};
use super::shown::Status;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::Paint;

/// Show how a node is: whom it knows, what it holds and does, what is to be looked at
///
/// The page of dht_server --http in words; of a test network (dht testnet --http), all its nodes.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    http: HttpArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht status
  dht status --http 192.0.2.1:9402
  dht status --json | jq .table.contacts
  dht testnet --http 9402 & dht status; dht status --index 3

Exit status:
  0  the node is part of its network, or a network of its own
  1  it is not: it is joining, cut off, or stopping; of a test network, any of its nodes is
  2  a wrong argument
  3  the node could not be reached, or does not serve its page";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let json = self.http.fetch("/status.json").await?;
        let status: Status = self.http.understand(&json)?;
        if self.http.json {
            output.line(pretty(&self.http.understand(&json)?))?;
        } else {
            let paint = Paint::of_stdout();
            match &status {
                Status::Node(node) => output.line(node::words(node, paint))?,
                Status::Network(network) => output.line(network::words(network, paint))?,
            }
        }
        Ok(if is_ready(&status) { Exit::Success } else { Exit::Negative })
    }
}

fn is_ready(status: &Status) -> bool {
    let well = ["joined", "degraded"];
    match status {
        Status::Node(node) => node.health.ready,
        Status::Network(network) => {
            network.nodes.iter().all(|node| well.contains(&node.state.as_str()))
        }
    }
}
