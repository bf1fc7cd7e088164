//! `dht put`: a value from an argument, a file or standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use voiddht_client::signed::{End, Terms};
use voiddht_client::{Key, MAX_VALUE_BYTES, Put, PutReceipt};
use voiddht_wire::limits::MAX_NODES;

use super::gateway::{GatewayArguments, GatewayClient};
use super::key;
use super::node::NodeArguments;
use super::signed::Way;
use super::signed::publish::{EndArguments, Signer, SigningArguments};
use crate::arguments::values::number;
use crate::connection::pretty;
use crate::outcome::{Exit, Failure};
use crate::output::Output;

/// Put a value under a key, and print from how many nodes it can be fetched
///
/// Ends with status 0 if the value can be fetched from at least one node, and with 1 and the reason
/// if the PUT failed: no node took the value, other nodes cannot be reached, or more nodes hold a
/// newer value than took this one.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "dht put [OPTIONS] KEY [VALUE]\n       dht put [OPTIONS] --content-addressed [VALUE]\n       dht put [OPTIONS] --sign KEY_FILE [--salt SALT] [VALUE]"
)]
pub(super) struct Arguments {
    /// 64 hexadecimal digits, or any other text, which is hashed with SHA-256
    #[arg(required_unless_present_any = ["content_addressed", "sign"])]
    key: Option<OsString>,

    /// The value, 1 to 65495 bytes; without it and without --file, standard input is read
    value: Option<OsString>,

    /// Read the value from a file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Put the value under its own SHA-256, and print that key instead
    ///
    /// Readers verify such a value by its hash, so that a single honest copy is enough.
    #[arg(short, long)]
    content_addressed: bool,

    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    end: EndArguments,

    /// TTL of the value [default: the node's]
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        value_parser = number::<u16>(1..=u16::MAX)
    )]
    ttl: Option<u16>,

    /// Number of replicas [default: the node's]
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_parser = number::<u8>(1..=MAX_NODES as u8)
    )]
    replication: Option<u8>,

    /// Print JSON, for programs: nodes, and the TTL that the node has granted
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArguments,

    #[command(flatten)]
    gateway: GatewayArguments,
}

const EXAMPLES: &str = "\
Examples:
  dht put greeting hello
  dht put --ttl 600 greeting --file hello.txt
  date | dht put now
  dht put --sign me.pem --salt endpoint 203.0.113.7:51820
  dht put --json greeting hello | jq .stored
  dht put --gateway https://dht.example.org --gateway-token ~/.dht-token greeting hello
  key=$(dht put --content-addressed --file photo.jpg) && dht get $key > copy.jpg";

/// A PUT that is ready to be sent.
#[derive(Debug)]
pub(super) struct Resolved {
    what: What,
    ttl: Option<u16>,
    replication: Option<u8>,
    json: bool,
    node: NodeArguments,
    gateway: Option<GatewayClient>,
}

#[derive(Debug)]
enum What {
    Value { put: Put, content_addressed: bool },
    Signed { signer: Box<Signer>, body: Bytes, end: End },
}

impl Arguments {
    /// Reads the value from where it is, so that nothing is sent before all of it is there.
    pub(super) fn resolve(self) -> Result<Resolved, Failure> {
        let gateway = self.gateway.client(self.node.timeout)?;
        let signer = self.signing.signer()?;
        self.end.check(signer.is_some())?;
        if signer.is_some() && (self.content_addressed || self.json) {
            let text = "--sign goes with neither --content-addressed nor --json";
            return Err(Failure::Usage(text.to_owned()));
        }
        let is_keyless = self.content_addressed || signer.is_some();
        let (key, value) = match (is_keyless, self.key, self.value) {
            (false, key, value) => (key, value),
            // The value stands where the key would, which is not there.
            (true, value, None) => (None, value),
            (true, _, Some(surplus)) => {
                return Err(Failure::Usage(format!(
                    "{surplus:?} is one argument too many: the key follows from the value or its owner"
                )));
            }
        };
        let value = read_value(value, self.file.as_deref())?;
        if let Some(signer) = signer {
            let (signer, body, end) = (Box::new(signer), value.into(), self.end.end());
            let what = What::Signed { signer, body, end };
            let Self { ttl, replication, node, .. } = self;
            return Ok(Resolved { what, ttl, replication, json: false, node, gateway });
        }
        let key = key.map_or_else(|| Key::of_value(&value), |text| key::of_text(&text));
        let put = Put::new(key, value)
            .ttl_seconds(self.ttl.unwrap_or(0))
            .replication(self.replication.unwrap_or(0));
        let Self { content_addressed, ttl, replication, json, node, .. } = self;
        let what = What::Value { put, content_addressed };
        Ok(Resolved { what, ttl, replication, json, node, gateway })
    }
}

impl Resolved {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let (put, content_addressed) = match self.what {
            What::Value { put, content_addressed } => (put, content_addressed),
            What::Signed { signer, body, end } => {
                let terms = Terms {
                    ttl_seconds: self.ttl.unwrap_or(0),
                    replication: self.replication.unwrap_or(0),
                };
                let way = Way::to(&self.node, self.gateway).await?;
                let published = signer.publish_and_report(&way, body, end, terms, output);
                return Ok(match published.await? {
                    Some(_) => Exit::Success,
                    None => Exit::Negative,
                });
            }
        };
        let key = put.key();
        let receipt = match &self.gateway {
            Some(gateway) => {
                let value = put.value().clone();
                gateway.put(key, value, self.ttl, self.replication).await?
            }
            None => {
                let client = self.node.connect().await?;
                let receipt = client.put_with_receipt(put).await;
                receipt.map_err(|error| self.node.explain(error))?
            }
        };
        if self.json {
            output.line(pretty(&in_json(&key, self.ttl, &receipt)))?;
            let is_stored = matches!(receipt, PutReceipt::Stored { nodes: 1.., .. });
            return Ok(if is_stored { Exit::Success } else { Exit::Negative });
        }
        let stored = match describe(&receipt) {
            Ok(stored) => stored,
            Err(why) => {
                output.complaint(format_args!("the value is not stored: {why}"));
                return Ok(Exit::Negative);
            }
        };
        if content_addressed {
            output.line(key)?;
            output.notice(stored);
        } else {
            output.line(stored)?;
        }
        warnings(self.ttl, &receipt).into_iter().for_each(|warning| output.complaint(warning));
        Ok(Exit::Success)
    }
}

/// A receipt for programs.
fn in_json(key: &Key, ttl_requested: Option<u16>, receipt: &PutReceipt) -> Value {
    let (stored, outstanding, terms) = match receipt {
        PutReceipt::Stored { nodes, outstanding, terms } => (*nodes, *outstanding, *terms),
        _ => (0, 0, None),
    };
    json!({
        "key": key.to_string(), "stored": stored, "outstanding": outstanding,
        "possible": terms.map(|terms| terms.possible),
        "ttl_seconds": terms.map(|terms| terms.ttl_seconds), "ttl_requested": ttl_requested,
        "failure": match receipt { PutReceipt::Failed { why } => Some(why), _ => None },
    })
}

/// What is not as it was asked for, of a value that is stored.
fn warnings(asked: Option<u16>, receipt: &PutReceipt) -> Vec<String> {
    let PutReceipt::Stored { terms: Some(terms), .. } = receipt else { return Vec::new() };
    let mut warnings = Vec::new();
    if receipt.is_poor() {
        let possible = terms.possible;
        warnings.push(format!(
            "warning: {possible} nodes could have stored it; dht doctor says what is wrong"
        ));
    }
    let granted = terms.ttl_seconds;
    if let Some(asked) = asked.filter(|asked| *asked != granted) {
        warnings.push(format!(
            "warning: it lives for {granted} s instead of {asked} s: the node's --min-ttl and \
             --max-ttl allow no other"
        ));
    }
    warnings
}

/// A receipt in words, or why the PUT failed.
fn describe(receipt: &PutReceipt) -> Result<String, &str> {
    let nodes = |count: u8| format!("{count} {}", if count == 1 { "node" } else { "nodes" });
    match receipt {
        PutReceipt::Stored { nodes: stored, outstanding: 0, .. } => {
            Ok(format!("stored on {}", nodes(*stored)))
        }
        PutReceipt::Stored { nodes: stored, outstanding, .. } => {
            let verb = if *outstanding == 1 { "has" } else { "have" };
            let outstanding = nodes(*outstanding);
            Ok(format!("stored on {}; {outstanding} {verb} not answered yet", nodes(*stored)))
        }
        PutReceipt::Failed { why } if !why.is_empty() => Err(why),
        _ => Err("no node has stored it"),
    }
}

pub(super) fn read_value(
    argument: Option<OsString>,
    file: Option<&Path>,
) -> Result<Vec<u8>, Failure> {
    let (value, source) = match (argument, file) {
        (Some(_), Some(_)) => {
            let twice = "the value is given twice: either VALUE or --file";
            return Err(Failure::Usage(twice.to_owned()));
        }
        (Some(value), None) => (Ok(value.into_vec()), "the argument".to_owned()),
        (None, Some(file)) if file != Path::new("-") => {
            (File::open(file).and_then(read_to_limit), file.display().to_string())
        }
        (None, _) => (read_to_limit(io::stdin().lock()), "standard input".to_owned()),
    };
    let value = value.map_err(|error| Failure::Usage(format!("{source}: {error}")))?;
    match value.len() {
        0 => Err(Failure::Usage(format!("{source}: a value has at least one byte"))),
        1..=MAX_VALUE_BYTES => Ok(value),
        _ => Err(Failure::Usage(format!("{source}: a value has at most {MAX_VALUE_BYTES} bytes"))),
    }
}

/// Reads no more than tells a value that is too long from one that is not.
fn read_to_limit(source: impl Read) -> io::Result<Vec<u8>> {
    let mut value = Vec::new();
    source.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut value)?;
    Ok(value)
}
