//! `dht pins`: lists and forgets pinned certificates.
//!
//! Pins are in the node's data directory. While the node runs, it has the directory locked, so it
//! is asked on the control socket there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use voiddht_node::pins::PinView;
use voiddht_store::{DataDir, IDENTITY_NAME, OpenError, Store};
use voiddht_wire::NodeId;

use crate::connection::NodeConnection;
use crate::outcome::{Exit, Failure};
use crate::output::Output;
use crate::paint::table::{Column, Table};
use crate::paint::{Paint, width_of_stdout};

/// Digits of an ID that must be given at least, where it is not given whole: as many as the log
/// shows.
const LEAST_DIGITS: usize = 8;

/// The table of pins.
const COLUMNS: [Column; 4] = [
    Column::text("ID").above(),
    Column::text("address"),
    Column::text("last seen"),
    Column::text(""),
];

/// List and forget the certificates that a node trusts for the IDs that it knows
///
/// A node remembers the certificate that it first saw for each ID. A node that shows another one is
/// refused while the owner answers. Without a pin the next node that authenticates the ID is
/// trusted.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Forget(Forget),
}

/// List the pins in a node's data directory
///
/// Whether or not the node runs. Each pin has the ID, the owner's last known address, and the time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dht pins list
  dht pins list --data-dir /var/lib/voiddht
  dht pins list --data-dir /var/lib/voiddht --json | jq '.[] | select(.member)'")]
struct List {
    #[command(flatten)]
    place: Place,
}

/// Forget one pin, so that the next node that authenticates the ID is trusted
///
/// For an owner that has a new key and confirmed it by other means. Without this command a conflict
/// ends once the old key no longer answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dht pins forget --data-dir /var/lib/voiddht 5f0c2d81

Ends with status 1 if there is no such pin.")]
struct Forget {
    /// The node ID, 64 hexadecimal digits; the first 8 or more will do, if no other begins with them
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The node's data directory; without it, the node that runs on this machine
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(self, output: &Output) -> Result<Exit, Failure> {
        match self.command {
            Command::List(List { place }) => list(&place, output).await,
            Command::Forget(Forget { id, place }) => forget(&id, &place, output).await,
        }
    }
}

/// Where the pins are: on disk, or with the node that has them.
enum Pins {
    Directory(Box<Store>, Vec<PinView>),
    Node(NodeConnection),
}

impl Pins {
    async fn open(directory: Option<&Path>) -> Result<Self, Failure> {
        match directory {
            Some(directory) => Self::in_directory(directory).await,
            None => Ok(Self::Node(NodeConnection::local().await?)),
        }
    }

    async fn in_directory(directory: &Path) -> Result<Self, Failure> {
        let shown = directory.display();
        // What is opened is made, if there is none: here that would be a mistake in the name.
        match directory.join(IDENTITY_NAME).try_exists() {
            Ok(true) => {}
            Ok(false) => {
                let text =
                    format!("{shown} is no node's data directory: it has no {IDENTITY_NAME}");
                return Err(Failure::Failed(text));
            }
            Err(error) => return Err(Failure::Failed(format!("{shown}: {error}"))),
        }
        match DataDir::open(directory, Box::new(drop)) {
            Ok((store, loaded)) => {
                let pins = loaded.pins.iter().map(PinView::from).collect();
                Ok(Self::Directory(Box::new(store), pins))
            }
            Err(in_use @ OpenError::InUse { .. }) => {
                let node = NodeConnection::in_directory(directory).await;
                node.map(Self::Node).map_err(|error| {
                    let why = if error.kind() == io::ErrorKind::NotFound {
                        "it has no control socket there".to_owned()
                    } else {
                        format!("its control socket does not answer: {error}")
                    };
                    Failure::Unreachable(format!("{in_use} ({why})"))
                })
            }
            Err(error) => Err(Failure::failed(error)),
        }
    }

    async fn list(&self) -> Result<Vec<PinView>, Failure> {
        match self {
            Self::Directory(_, pins) => Ok(pins.clone()),
            Self::Node(node) => node.read("/pins.json").await,
        }
    }

    /// Whether there was one.
    async fn forget(self, id: &NodeId) -> Result<bool, Failure> {
        match self {
            Self::Directory(store, _) => {
                store.remove_pin(*id).map_err(Failure::failed)?;
                store.close().map_err(Failure::failed)?;
                Ok(true)
            }
            Self::Node(node) => node.delete(&format!("/pins/{id}")).await,
        }
    }
}

async fn list(place: &Place, output: &Output) -> Result<Exit, Failure> {
    let pins = Pins::open(place.data_dir.as_deref()).await?.list().await?;
    if place.json {
        output.line(serde_json::to_string_pretty(&pins).map_err(Failure::failed)?)?;
        return Ok(Exit::Success);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if !pins.is_empty() {
        output.line(words(&pins, now, width_of_stdout(), Paint::of_stdout()))?;
    }
    output.notice(match pins.len() {
        1 => "1 pin".to_owned(),
        count => format!("{count} pins"),
    });
    Ok(Exit::Success)
}

async fn forget(id: &str, place: &Place, output: &Output) -> Result<Exit, Failure> {
    let pins = Pins::open(place.data_dir.as_deref()).await?;
    let found = choose(id, &pins.list().await?)?;
    let forgotten = match &found {
        Some(id) => pins.forget(id).await?,
        None => false,
    };
    match found.filter(|_| forgotten) {
        Some(id) if place.json => {
            output.line(serde_json::json!({ "forgotten": id.to_string() }))?;
            Ok(Exit::Success)
        }
        Some(id) => {
            output.line(format_args!("forgotten {id}"))?;
            Ok(Exit::Success)
        }
        None => {
            output.complaint(format_args!("there is no pin of {id}"));
            Ok(Exit::Negative)
        }
    }
}

/// The one pin whose ID begins so.
fn choose(id: &str, pins: &[PinView]) -> Result<Option<NodeId>, Failure> {
    let id = id.to_ascii_lowercase();
    let is_hex = id.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex || id.len() > 64 || id.len() < LEAST_DIGITS {
        let text = format!("{id:?} for <ID>: must be {LEAST_DIGITS} to 64 hexadecimal digits");
        return Err(Failure::Usage(text));
    }
    let mut begin_so = pins.iter().filter(|pin| pin.id.starts_with(&id));
    match (begin_so.next(), begin_so.next()) {
        (Some(_), Some(_)) => {
            Err(Failure::Usage(format!("{id} for <ID>: more than one pin's ID begins so")))
        }
        (Some(pin), None) => pin.id.parse().map(Some).map_err(Failure::failed),
        (None, _) => Ok(None),
    }
}

fn words(pins: &[PinView], now: Duration, width: usize, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    for pin in pins {
        let address = pin.address.map_or("never seen to listen".to_owned(), |at| at.to_string());
        let seen = Duration::from_millis(pin.last_seen_ms);
        let contact = if pin.member == Some(true) { "contact" } else { "" };
        table.row([
            pin.id.as_str().into(),
            address.into(),
            ago(now.saturating_sub(seen)).into(),
            contact.into(),
        ]);
    }
    table.render(width, paint)
}

/// Pins are dated to the hour.
fn ago(passed: Duration) -> String {
    let hours = passed.as_secs() / 3600;
    match hours {
        0 => "within the last hour".to_owned(),
        1 => "1 hour ago".to_owned(),
        2..48 => format!("{hours} hours ago"),
        _ => format!("{} days ago", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(id: &str) -> PinView {
        PinView {
            id: format!("{id:0<64}"),
            certificate_sha256: String::new(),
            address: None,
            last_seen_ms: 0,
            member: None,
        }
    }

    #[test]
    fn an_id_may_be_cut_short_where_no_other_begins_so() {
        let pins = [pin("abcdef0123"), pin("abcdef0124"), pin("ffffffff")];
        let chosen = |id| choose(id, &pins).map(|found| found.map(|id| id.to_string()));
        assert_eq!(chosen("ABCDEF0123").unwrap(), Some(pins[0].id.clone()));
        assert_eq!(chosen(&pins[1].id).unwrap(), Some(pins[1].id.clone()));
        assert_eq!(chosen("00000000").unwrap(), None);
        for (wrong, why) in [
            ("abcdef012", "more than one"),
            ("ffffff", "8 to 64"),
            ("fffffffg", "8 to 64"),
            (&"f".repeat(65), "8 to 64"),
        ] {
            let Failure::Usage(text) = chosen(wrong).unwrap_err() else { panic!("{wrong}") };
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn what_is_dated_to_the_hour_is_told_in_hours() {
        let hours = |hours: u64| ago(Duration::from_secs(hours * 3600));
        assert_eq!(hours(0), "within the last hour");
        assert_eq!([hours(1), hours(47), hours(72)], ["1 hour ago", "47 hours ago", "3 days ago"]);
    }
}
