//! `dht status`: the state of one node as text, or of several in a line each.
//!
//! `node` and `network` format a node and a test network, `line` several nodes.

mod line;
mod network;
mod node;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::line::Line;
use super::shown::Status;
use crate::connection::place::HttpAddress;
use crate::connection::{ConnectionArguments, NodeConnection, Preference, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::{Paint, width_of_stdout};

/// Show the state of a node: health, contacts, records, operations, warnings
///
/// The dashboard as text; for a test network (dht testnet --http), all its nodes. With HOSTs, one
/// line each.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Nodes by the addresses of their dashboards; without a port, 9402. One line each
    #[arg(value_name = "HOST[:PORT]", value_parser = HttpAddress::of_host)]
    hosts: Vec<HttpAddress>,

    #[command(flatten)]
    connection: ConnectionArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht status                      the node of this machine
  dht status --data-dir /var/lib/voiddht
  dht status --http 192.0.2.1:9402
  dht status 192.0.2.1 192.0.2.2 192.0.2.3:9403
  dht status --json | jq .table.contacts
  dht testnet --http 9402 & dht status --http 9402; dht status --http 9402 --index 3

Exit status:
  0  the node is part of its network, or a network of its own
  1  it is not: it is joining, cut off, or stopping; of several nodes, any of them is
  2  a wrong argument
  3  the node could not be reached; of several nodes, any of them";

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        if !self.hosts.is_empty() {
            return self.lines(output).await;
        }
        let connection = self.connection.node(preference).await?;
        let json = connection.fetch("/status.json").await?;
        let status: Status = connection.understand(&json)?;
        if self.connection.json {
            output.line(pretty(&connection.understand(&json)?))?;
        } else {
            let (width, paint) = (width_of_stdout(), Paint::of_stdout());
            match &status {
                Status::Node(node) => output.line(node::words(node, paint))?,
                Status::Network(network) => output.line(network::words(network, width, paint))?,
            }
        }
        Ok(if is_ready(&status) { Exit::Success } else { Exit::Negative })
    }

    /// All of them concurrently, so that one that does not answer delays no other.
    async fn lines(&self, output: &Output) -> Result<Exit, Failure> {
        self.connection.check()?;
        let timeout = Duration::from_secs(self.connection.timeout);
        let mut asking = JoinSet::new();
        for (place, host) in self.hosts.iter().cloned().enumerate() {
            asking.spawn(async move { (place, ask(host, timeout).await) });
        }
        let mut answers: Vec<Answered> = Vec::new();
        while let Some(ended) = asking.join_next().await {
            answers.push(ended.map_err(Failure::failed)?);
        }
        answers.sort_by_key(|(place, _)| *place);
        let answers: Vec<_> = self.hosts.iter().zip(answers).map(|(h, (_, a))| (h, a)).collect();
        if self.connection.json {
            let all = answers.iter().map(|(host, answer)| match answer {
                Ok((_, status)) => json!({ "host": host.to_string(), "status": status }),
                Err(why) => json!({ "host": host.to_string(), "error": why.message() }),
            });
            output.line(pretty(&Value::Array(all.collect())))?;
        } else {
            let lines = answers.iter().map(|(host, answer)| Line {
                host: host.to_string(),
                status: answer.as_ref().map(|(status, _)| status),
            });
            let lines: Vec<_> = lines.collect();
            output.line(line::table(&lines, width_of_stdout(), Paint::of_stdout()))?;
        }
        Ok(worst(answers.iter().map(|(_, answer)| answer)))
    }
}

/// What a node says of itself, read and as it is.
type Said = Result<(Status, Value), Failure>;
/// The place in the list of hosts, and what was said there.
type Answered = (usize, Said);

async fn ask(host: HttpAddress, timeout: Duration) -> Said {
    let connection = NodeConnection::at(host, timeout);
    let json = connection.fetch("/status.json").await?;
    Ok((connection.understand(&json)?, connection.understand(&json)?))
}

fn worst<'a>(answers: impl Iterator<Item = &'a Said>) -> Exit {
    let exits = answers.map(|answer| match answer {
        Err(_) => Exit::Unreachable,
        Ok((status, _)) if is_ready(status) => Exit::Success,
        Ok(_) => Exit::Negative,
    });
    exits.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Success)
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
