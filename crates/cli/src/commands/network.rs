//! `dht network`: the secrets of a private network.
//!
//! `show` and `reload` speak to a running node. `new` and `move` need none: a data directory is moved
//! to another network while its node is stopped.

use std::io::{self, IsTerminal};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;
use voiddht_identity::network::NetworkSecrets;
use voiddht_node::network::read_secret_file;
use voiddht_store::{DataDir, IDENTITY_NAME};
use zeroize::Zeroizing;

use super::shown::{PrivateNetwork, Reloaded, Status};
use crate::connection::{ConnectionArguments, NodeConnection, Preference, pretty};
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::words::{number, plural};
use crate::paint::{Paint, Tone};

/// Make, show and reload the secrets of a private network
///
/// Only nodes with one of its secrets join a private network: dht_server --network-secret FILE. How
/// a secret is replaced without downtime is in docs/private-networks.md.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new secret, as a secret file has it
    ///
    /// 32 random bytes in hexadecimal digits, below a comment with their fingerprint. A file that it
    /// is written to becomes readable by its owner only.
    #[command(after_help = "\
Examples:
  dht network new > net.secret
  dht network new >> net.secret      a further line: step 1 of a rotation")]
    New,
    Show(Show),
    Reload(Reload),
    Move(Move),
}

/// Show the secrets of a running node by their fingerprints, and how many connections each authenticated
///
/// When the old secret has 0 connections on every node, it can go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dht network show
  dht network show --json | jq '.secrets[] | select(.connections > 0)'

Exit status:
  0  the node belongs to a private network
  1  it does not
  3  the node could not be reached")]
struct Show {
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Have a running node read its secret file again, as SIGHUP does
///
/// A file that cannot be used changes nothing: the command and the log say why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dht network reload
  dht network reload --data-dir /var/lib/voiddht

Exit status:
  0  the node goes on with the secrets of the file
  1  nothing has changed
  3  the node could not be reached")]
struct Reload {
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Move the data directory of a stopped node to another network
///
/// A directory remembers its network, and a node does not start with the secrets of another one. This
/// forgets the contacts, and the values too: those of one network are not for the other. Identity and
/// pins stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dht network move --data-dir /var/lib/voiddht --network-secret net.secret
  dht network move --data-dir /var/lib/voiddht --public --keep-values

Exit status:
  0  moved
  1  the directory is in use, or cannot be written")]
struct Move {
    /// The data directory
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// The secret file of the private network to move to
    #[arg(long, value_name = "FILE", required_unless_present = "public")]
    network_secret: Option<PathBuf>,

    /// Move to a public network
    #[arg(long, conflicts_with = "network_secret")]
    public: bool,

    /// Keep the values
    #[arg(long)]
    keep_values: bool,
}

impl Arguments {
    pub(super) async fn run(
        self,
        preference: Preference,
        output: &Output,
    ) -> Result<Exit, Failure> {
        match self.command {
            Command::New => new(output),
            Command::Show(show) => show.run(preference, output).await,
            Command::Reload(reload) => reload.run(preference, output).await,
            Command::Move(it) => it.run(output),
        }
    }
}

fn new(output: &Output) -> Result<Exit, Failure> {
    let mut secret = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(secret.as_mut_slice()).map_err(Failure::failed)?;
    let digits = secret.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    let digits: Zeroizing<String> = Zeroizing::new(digits.collect());
    let secrets = NetworkSecrets::parse(&digits).map_err(Failure::failed)?;
    close_to_others(&io::stdout()).map_err(Failure::failed)?;
    let fingerprint = secrets.first().fingerprint();
    let text =
        Zeroizing::new(format!("# voiddht network, fingerprint {fingerprint}\n{}\n", *digits));
    output.raw(text.as_bytes())?;
    Ok(Exit::Success)
}

/// A shell makes a file that all may read.
fn close_to_others(stdout: &io::Stdout) -> io::Result<()> {
    if stdout.is_terminal() {
        return Ok(());
    }
    use std::os::fd::AsFd;
    let file = std::fs::File::from(stdout.as_fd().try_clone_to_owned()?);
    let found = file.metadata()?;
    if found.is_file() && found.mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

impl Show {
    async fn run(self, preference: Preference, output: &Output) -> Result<Exit, Failure> {
        let node = self.connection.node(preference).await?;
        let Status::Node(status) = node.read("/status.json").await? else {
            let text = "this is a network of several nodes: name one with --index";
            return Err(Failure::Usage(text.to_owned()));
        };
        if self.connection.json {
            output.line(pretty(&json!(status.network)))?;
        } else {
            output.line(words(status.network.as_ref(), Paint::of_stdout()))?;
        }
        Ok(if status.network.is_some() { Exit::Success } else { Exit::Negative })
    }
}

fn words(network: Option<&PrivateNetwork>, paint: Paint) -> String {
    let Some(network) = network else {
        return "The node belongs to a public network: it has no secret.".to_owned();
    };
    let lines = network.secrets.iter().enumerate().map(|(index, secret)| {
        let role = if index == 0 { "first: proves membership" } else { "accepted" };
        let connections = plural(secret.connections, "connection");
        format!("{}  {connections:<16}  {role}", secret.fingerprint)
    });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    let refused = network.refused.iter().filter(|refused| refused.count > 0);
    let refused: Vec<_> =
        refused.map(|it| format!("{} {}×", it.reason, number(it.count))).collect();
    if !refused.is_empty() {
        let refused = format!("refused: {}", refused.join(", "));
        text = format!("{text}\n{}", paint.tone(Tone::Faint, refused));
    }
    text
}

impl Reload {
    async fn run(self, preference: Preference, output: &Output) -> Result<Exit, Failure> {
        let node: NodeConnection = self.connection.node(preference).await?;
        let reloaded: Reloaded = node.understand(&node.post("/network/reload").await?)?;
        if self.connection.json {
            output.line(pretty(&json!(reloaded)))?;
            return Ok(Exit::Success);
        }
        for (index, fingerprint) in reloaded.fingerprints.iter().enumerate() {
            output.line(format_args!(
                "{fingerprint}  {}",
                if index == 0 { "first" } else { "accepted" }
            ))?;
        }
        if !reloaded.remembered {
            output
                .complaint("the data directory did not take the fingerprints: see the node's log");
        }
        Ok(Exit::Success)
    }
}

impl Move {
    fn run(self, output: &Output) -> Result<Exit, Failure> {
        let secrets = match &self.network_secret {
            Some(file) => Some(read_secret_file(file).map_err(Failure::failed)?),
            None => None,
        };
        let fingerprints = secrets.as_ref().map(NetworkSecrets::fingerprints).unwrap_or_default();
        let rows: Vec<_> = fingerprints.iter().map(|fingerprint| fingerprint.0).collect();
        check_is_data_directory(&self.data_dir)?;
        let (store, loaded) =
            DataDir::open(&self.data_dir, Box::new(drop)).map_err(Failure::failed)?;
        store.move_to_network(&rows, self.keep_values).map_err(Failure::failed)?;
        store.close().map_err(Failure::failed)?;
        let to = match fingerprints.first() {
            Some(first) => format!("the private network of {first}"),
            None => "a public network".to_owned(),
        };
        let values = plural(loaded.records.len() as u64, "value");
        let kept = if self.keep_values { "kept" } else { "forgotten" };
        let contacts = plural(loaded.contacts.len() as u64, "contact");
        output.line(format_args!("moved to {to}: {contacts} forgotten, {values} {kept}"))?;
        Ok(Exit::Success)
    }
}

/// What is opened is made, if there is none: here that would be a mistake in the name.
fn check_is_data_directory(directory: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    match directory.join(IDENTITY_NAME).try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Failed(format!(
            "{shown} is no node's data directory: it has no {IDENTITY_NAME}"
        ))),
        Err(error) => Err(Failure::Failed(format!("{shown}: {error}"))),
    }
}
