//! `dht ping`: reports what listens at an address, and whether it can dial back.
//!
//! `probe` detects it; this file has the output.

mod probe;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use voiddht_node::network::read_secret_file;
use voiddht_node::service::Service;

use self::probe::{Found, Peer};
use crate::arguments::values::{HostPort, listen_port, number};
use crate::connection::pretty;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::words::millis;
use crate::paint::{Paint, Tone};

/// Say what is at an address: a node, which kind, and whether it can dial back
///
/// Distinguishes a voiddht node (and its identity policy), a node of the original network, a module
/// API, a dashboard, and other services. A node is pinged, and dials back the port on which this
/// command listens: that shows whether other machines can reach this one. No running node is
/// needed.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The address to test: the one for peers, as for --peer
    #[arg(value_name = "HOST:PORT")]
    address: HostPort,

    /// The port to be dialled back on; 0 is any that is free
    ///
    /// To test whether a port is open before a node uses it: --port 7402 while none does.
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = listen_port)]
    port: u16,

    /// The secret file of the private network that the node belongs to
    #[arg(long, env = "VOIDDHT_NETWORK_SECRET", value_name = "FILE")]
    network_secret: Option<PathBuf>,

    /// Timeout of each step
    #[arg(long, env = "VOIDDHT_TIMEOUT", value_name = "SECONDS", default_value = "5", value_parser = number::<u64>(1..=86_400))]
    timeout: u64,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dht ping 192.0.2.1:7402
  dht ping --port 7402 one.example.org:7402     whether that port can be reached from there
  dht ping --json 192.0.2.1:7402 | jq -r .what

Exit status:
  0  a node is there, and dialled back
  1  a node is there that did not dial back, or something that is no port for peers
  2  a wrong argument
  3  nothing answers there";

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        let patience = std::time::Duration::from_secs(self.timeout);
        let secrets = match &self.network_secret {
            Some(file) => {
                Some(read_secret_file(file).map_err(|fault| Failure::Usage(fault.to_string()))?)
            }
            None => None,
        };
        let found = probe::probe(&self.address, self.port, patience, secrets.as_ref()).await;
        if self.json {
            output.line(pretty(&json(&self.address, &found)))?;
        } else {
            output.line(words(&self.address, &found, Paint::of_stdout()))?;
        }
        Ok(exit(&found))
    }
}

fn exit(found: &Found) -> Exit {
    match found {
        Found::Nothing { .. } => Exit::Unreachable,
        Found::Peer(peer) if peer.dialed_back => Exit::Success,
        _ => Exit::Negative,
    }
}

/// The name of what was found, for programs.
fn name(found: &Found) -> &'static str {
    match found {
        Found::Nothing { .. } => "nothing",
        Found::Peer(peer) if peer.original => "original",
        Found::Peer(_) | Found::SilentPeer { .. } => "voiddht",
        Found::Dashboard => "dashboard",
        Found::Service(Service::ModuleApi) => "module_api",
        Found::Service(Service::Http) => "http",
        Found::Service(Service::Tls) => "tls",
        Found::Service(Service::Silent) => "silent",
        Found::Service(Service::Other) => "other",
    }
}

fn json(address: &HostPort, found: &Found) -> serde_json::Value {
    let mut json = json!({ "address": address.to_string(), "what": name(found) });
    match found {
        Found::Peer(peer) => {
            json["id"] = json!(peer.id.to_string());
            json["policy"] = json!(peer.policy.to_string());
            json["key"] = json!(peer.key.to_string());
            json["rtt_ms"] = json!(peer.rtt.as_secs_f64() * 1e3);
            json["sees_this_machine_at"] = json!(peer.observed.map(|seen| seen.ip().to_string()));
            json["dialed_back"] = json!(peer.dialed_back);
            json["port"] = json!(peer.port);
        }
        Found::SilentPeer { why } | Found::Nothing { why } => json["why"] = json!(why),
        _ => {}
    }
    json
}

fn words(address: &HostPort, found: &Found, paint: Paint) -> String {
    let line = |tone, text: String| format!("{} {}", paint.tone(tone, "●"), paint.hang(2, &text));
    match found {
        Found::Peer(peer) => of_peer(address, peer, paint),
        Found::SilentPeer { why } => line(
            Tone::Bad,
            format!("{address}: a port for peers whose node does not answer as one: {why}"),
        ),
        Found::Nothing { why } => {
            line(Tone::Bad, format!("{address}: nothing answers there: {why}"))
        }
        Found::Service(Service::ModuleApi) => line(
            Tone::Warning,
            format!(
                "{address}: a module API, for local programs (dht put --node {address}). Peers use \
                 another port: that of dht_server --p2p-port, 7402 by default."
            ),
        ),
        Found::Dashboard => line(
            Tone::Warning,
            format!(
                "{address}: a node's dashboard (dht status --http {address}). Peers use another \
                 port: that of dht_server --p2p-port, 7402 by default."
            ),
        ),
        Found::Service(Service::Http) => {
            line(Tone::Bad, format!("{address}: an HTTP server that is no voiddht node's"))
        }
        Found::Service(service) => line(Tone::Bad, format!("{address}: {service}")),
    }
}

/// Where what is known of a node begins, behind its name.
const VALUE_COLUMN: usize = 13;

fn of_peer(address: &HostPort, peer: &Peer, paint: Paint) -> String {
    let kind = if peer.original { "a node of the original network" } else { "a voiddht node" };
    let tone = if peer.dialed_back { Tone::Well } else { Tone::Warning };
    let mut text = format!("{} {address}: {kind}, {}\n", paint.tone(tone, "●"), millis(ms(peer)));
    let mut fact = |name: &str, value: String| {
        let _ = write!(text, "\n  {name:<9}  {}", paint.hang(VALUE_COLUMN, &value));
    };
    fact("ID", peer.id.to_string());
    let (policy, key) = (peer.policy, peer.key);
    fact(
        "policy",
        format!("{policy}, with a key of kind {key}; its peers start with --identity {policy}"),
    );
    if let Some(seen) = peer.observed {
        fact("it sees", format!("this machine at {}", seen.ip()));
    }
    let back = match (peer.dialed_back, peer.original) {
        (true, _) => format!("it reached port {} here", peer.port),
        (false, true) => "nodes of the original network do not do that".to_owned(),
        (false, false) => format!(
            "it did not reach port {} here: open it in the firewall, and forward it where a router \
             translates addresses (try the node's own: --port 7402 while it is stopped)",
            peer.port
        ),
    };
    fact("dial back", back);
    text
}

fn ms(peer: &Peer) -> f64 {
    peer.rtt.as_secs_f64() * 1e3
}
