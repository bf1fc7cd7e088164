//! `dht keep`, `dht kept` and `dht unkeep`: values that the node republishes until it is told otherwise.
//!
//! All three speak to the node over its control socket: a kept value makes the node work for as long as
//! it runs, which is its operator's to decide.

pub(super) mod list;
pub(super) mod remove;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use serde_json::json;
use voiddht_client::Key;
use voiddht_client::signed::{Envelope, Terms};
use voiddht_node::http::KeepView;
use voiddht_wire::limits::MAX_NODES;

use super::key;
use super::node::NodeArguments;
use super::put::read_value;
use super::shown::Status;
use super::signed::publish::{EndArguments, Signer, SigningArguments};
use super::signed::{Way, describe};
use crate::arguments::values::{module_api, number};
use crate::connection::place::check_directory;
use crate::connection::{NodeConnection, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::words::span;

/// How long a node may take to publish a value for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Put a value, and have this machine's node republish it until it is told otherwise
///
/// The value outlives its TTL and restarts of the node: it is published again at a third of its TTL. It
/// is kept no longer after dht unkeep, after its own end, or when another publisher's newer value
/// has won its key. A newer signed value of the same owner is kept in place of an older one, so
/// that friends can keep a name alive without its key.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "dht keep [OPTIONS] KEY [VALUE]\n       dht keep [OPTIONS] --content-addressed [VALUE]\n       dht keep [OPTIONS] --sign KEY_FILE [--salt SALT] [VALUE]"
)]
pub(super) struct Arguments {
    /// 64 hexadecimal digits, or any text, of which the SHA-256 is taken
    #[arg(required_unless_present_any = ["content_addressed", "sign"])]
    key: Option<OsString>,

    /// The value, 1 to 65495 bytes; without it and without --file, standard input is read
    value: Option<OsString>,

    /// Read the value from a file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Keep the value under its own SHA-256, and print that key instead
    #[arg(short, long)]
    content_addressed: bool,

    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    end: EndArguments,

    /// The TTL of each publication [default: as the node is set]
    #[arg(short, long, value_name = "SECONDS", value_parser = number::<u16>(1..=u16::MAX))]
    ttl: Option<u16>,

    /// On how many nodes each publication is stored [default: as the node is set]
    #[arg(short, long, value_name = "NODES", value_parser = number::<u8>(1..=MAX_NODES as u8))]
    replication: Option<u8>,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: ControlArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht keep greeting hello
  dht keep --sign me.pem --salt endpoint 203.0.113.7:51820
  dht get $key | dht keep $key      # what a friend has signed, under the key that dht kept lists
  key=$(dht keep --content-addressed --file photo.jpg)

Exit status:
  0  the value is kept
  1  it is not kept, and why
  2  a wrong argument
  3  no node's control socket answered";

/// The options of every command that speaks to the control socket alone.
#[derive(Clone, Debug, Args)]
pub(super) struct ControlArguments {
    /// The node's data directory; without it, the node that runs on this machine
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

impl ControlArguments {
    /// Refuses a data directory that does not exist: before anything is asked of the user or a node.
    ///
    /// # Errors
    /// [`Failure::Usage`], which names it.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.data_dir.as_deref().map_or(Ok(()), check_directory)
    }

    /// The node that is meant.
    pub(super) async fn node(&self) -> Result<NodeConnection, Failure> {
        control(self.data_dir.as_deref()).await
    }
}

/// The node that has this data directory, or the one that runs on this machine.
pub(super) async fn control(directory: Option<&Path>) -> Result<NodeConnection, Failure> {
    let Some(directory) = directory else {
        return Ok(NodeConnection::local().await?.patient(PATIENCE));
    };
    check_directory(directory)?;
    let node = NodeConnection::in_directory(directory).await.map_err(|error| {
        let directory = directory.display();
        Failure::Unreachable(format!("no node runs with {directory}: {error}"))
    })?;
    Ok(node.patient(PATIENCE))
}

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let signer = self.signing.signer()?;
        self.end.check(signer.is_some())?;
        if signer.is_some() && self.content_addressed {
            let text = "--sign does not go with --content-addressed";
            return Err(Failure::Usage(text.to_owned()));
        }
        let is_keyless = self.content_addressed || signer.is_some();
        let (key, value) = match (is_keyless, self.key.clone(), self.value.clone()) {
            (false, key, value) => (key, value),
            // The value stands where the key would, which is not there.
            (true, value, None) => (None, value),
            (true, _, Some(surplus)) => {
                return Err(Failure::Usage(format!(
                    "{surplus:?} is one argument too many: the key follows from the value or its owner"
                )));
            }
        };
        self.place.check()?;
        let value = read_value(value, self.file.as_deref())?;
        let node = self.place.node().await?;
        match signer {
            Some(signer) => self.keep_signed(&node, &signer, value, output).await,
            None => {
                let key = key.map_or_else(|| Key::of_value(&value), |text| key::of_text(&text));
                let kept = self.keep(&node, &key, value.into(), false).await?;
                self.report(&kept, None, output)
            }
        }
    }

    /// Publishes a signed value unless another writer was first, and has it kept.
    async fn keep_signed(
        &self,
        node: &NodeConnection,
        signer: &Signer,
        body: Vec<u8>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let api = module_api_of(node).await?;
        let terms = Terms {
            ttl_seconds: self.ttl.unwrap_or(0),
            replication: self.replication.unwrap_or(0),
        };
        let way = Way::to(&api, None).await?;
        let published = signer.publish(&way, body.into(), self.end.end(), terms, output).await?;
        let Some((envelope, stored)) = published else { return Ok(Exit::Negative) };
        let kept = self.keep(node, &envelope.key(), envelope.bytes().clone(), true).await?;
        let mut kept = kept;
        kept.stored = Some(stored.into());
        self.report(&kept, Some(&envelope), output)
    }

    async fn keep(
        &self,
        node: &NodeConnection,
        key: &Key,
        value: Bytes,
        published: bool,
    ) -> Result<KeepView, Failure> {
        let mut path = format!("/kept/{key}?published={published}");
        if let Some(ttl) = self.ttl {
            path += &format!("&ttl={ttl}");
        }
        if let Some(replication) = self.replication {
            path += &format!("&replication={replication}");
        }
        node.put(&path, value).await
    }

    fn report(
        &self,
        kept: &KeepView,
        envelope: Option<&Envelope>,
        output: &Output,
    ) -> Result<Exit, Failure> {
        if self.json {
            let json = serde_json::to_value(kept).map_err(Failure::failed)?;
            output.line(pretty(&json))?;
            return Ok(Exit::Success);
        }
        let words = words(kept);
        if self.content_addressed {
            output.line(&kept.key)?;
            output.notice(words);
        } else {
            output.line(words)?;
        }
        if let Some(envelope) = envelope {
            output.notice(describe(envelope));
        }
        if let Some(why) = &kept.failure {
            output.complaint(format_args!("warning: not yet stored, and tried again: {why}"));
        }
        warn_of_memory(kept, output);
        Ok(Exit::Success)
    }
}

fn words(kept: &KeepView) -> String {
    match kept.stored {
        Some(1) => "kept; stored on 1 node".to_owned(),
        Some(stored) => format!("kept; stored on {stored} nodes"),
        None => "kept".to_owned(),
    }
}

/// Says that a value is lost with its node, where it is.
pub(super) fn warn_of_memory(kept: &KeepView, output: &Output) {
    if !kept.on_disk {
        output.complaint(
            "warning: the node has no data directory: it keeps the value in memory, until it stops",
        );
    }
}

/// The module API of a node that answers on its control socket.
async fn module_api_of(node: &NodeConnection) -> Result<NodeArguments, Failure> {
    let status: Status = node.read("/status.json").await?;
    let Status::Node(status) = status else {
        let text = "a test network answers there: dht keep --sign needs a single node";
        return Err(Failure::Usage(text.to_owned()));
    };
    let address = &status.node.api_address;
    let node = module_api(address)
        .map_err(|_| Failure::Unreachable(format!("{address} is no address of a module API")))?;
    Ok(NodeArguments { node, timeout: PATIENCE.as_secs() })
}

/// Hands a withdrawal that was just published to the node, so that no older value comes back. Says what
/// became of it.
pub(super) async fn keep_withdrawal(
    directory: Option<&Path>,
    envelope: &Envelope,
    output: &Output,
) -> Result<(), Failure> {
    let end = match envelope.effective_end() {
        None | Some(u64::MAX) => "for ever".to_owned(),
        Some(end) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("for {}", span(end.saturating_sub(now.as_secs())))
        }
    };
    let kept: Result<KeepView, Failure> = match control(directory).await {
        Ok(node) => {
            let path = format!("/kept/{}?published=true", envelope.key());
            node.put(&path, envelope.bytes().clone()).await
        }
        Err(error) => Err(error),
    };
    match kept {
        Ok(kept) if kept.on_disk => {
            output.notice(format_args!("this node keeps the withdrawal {end}: see dht kept"));
        }
        Ok(kept) => output.complaint(format_args!(
            "warning: the node has no data directory: the withdrawal holds until {} s after the node \
             stops",
            kept.ttl_seconds
        )),
        Err(why) if directory.is_some() => return Err(why),
        Err(_) => output.complaint(
            "warning: no control socket of a node was found, so that none keeps the withdrawal: it \
             holds for one TTL (6 hours by default), and an older value could come back afterwards; \
             name the node by --data-dir",
        ),
    }
    Ok(())
}

/// What is not kept any more, for programs.
fn unkept(key: &Key, was_listed: bool) -> serde_json::Value {
    json!({ "key": key.to_string(), "unkept": was_listed })
}
