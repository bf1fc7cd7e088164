//! `dht_server --check`: what a node would run with, and where each value comes from. What it
//! prints is itself a configuration file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use clap::Arg;
use rustix::fs::Access;
use voiddht_node::Settings;
use voiddht_node::network::read_secret_file;

use super::args::Arguments;
use crate::arguments::file::is_setting;
use crate::arguments::source::{Source, Sources};
use crate::arguments::{self, SECTION};
use crate::outcome::Failure;

/// Options that also stand by position: the ID of each, and that of its position.
const POSITIONS: [(&str, &str); 5] = [
    ("host_address", "host_address_position"),
    ("module_port", "module_port_position"),
    ("p2p_port", "p2p_port_position"),
    ("peer_address", "peer_address_position"),
    ("peer_port", "peer_port_position"),
];

/// Beyond this many characters, what is said about a value no longer stands below the others.
const MAX_COLUMN: usize = 48;

/// What the listener for peers is for.
const P2P: &str = "p2p";

/// Refuses what could not start on this machine now, apart from ports that are in use: a check is
/// also made while the node runs.
///
/// # Errors
/// [`Failure::Failed`] with what is impossible.
pub fn can_start(settings: &Settings) -> Result<(), Failure> {
    // An announced address that this machine lacks is that of a router: the node then listens on all.
    let is_announced =
        |address: SocketAddr| settings.listen.is_none() && address.ip() == settings.host;
    for (address, purpose) in listeners(settings) {
        if purpose == P2P && is_announced(address) {
            continue;
        }
        // Any free port: whether this machine has the address is all that is asked.
        if let Err(error) = TcpListener::bind((address.ip(), 0)) {
            let ip = address.ip();
            let text = format!(
                "cannot listen on {ip} ({purpose}): {error}; see the addresses of this machine: ip address"
            );
            return Err(Failure::Failed(text));
        }
    }
    if let Some(file) = &settings.network_secret {
        read_secret_file(file).map_err(Failure::failed)?;
    }
    match &settings.data_dir {
        Some(directory) => can_be_made(directory),
        None => Ok(()),
    }
}

/// Where a node with these settings listens, and what for.
pub fn listeners(settings: &Settings) -> Vec<(SocketAddr, &'static str)> {
    let listen = settings.listen.unwrap_or(settings.host);
    let p2p = SocketAddr::new(listen, settings.p2p_port);
    let mut all = vec![(p2p, P2P)];
    all.extend(settings.api.map(|api| (api, "module API")));
    all.extend(settings.http.map(|http| (http, "HTTP")));
    all
}

/// Two listeners cannot have one port of one address.
///
/// # Errors
/// [`Failure::Usage`] with the port and what it is given to.
pub fn refuse_shared_ports(listeners: &[(SocketAddr, &'static str)]) -> Result<(), Failure> {
    for (index, (one, purpose)) in listeners.iter().enumerate() {
        for (other, others_purpose) in &listeners[index + 1..] {
            let overlap =
                one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            if one.port() == other.port() && one.port() != 0 && overlap {
                let port = one.port();
                let text = format!(
                    "port {port} is given twice, to {purpose} and {others_purpose}: each needs a \
                     port of its own"
                );
                return Err(Failure::Usage(text));
            }
        }
    }
    Ok(())
}

/// Whether a directory is there, or can be made, by this user. Makes nothing.
fn can_be_made(directory: &Path) -> Result<(), Failure> {
    let nearest = directory.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    let nearest = match nearest {
        Some(nearest) if !nearest.as_os_str().is_empty() => nearest,
        _ => Path::new("."),
    };
    let why = if !nearest.is_dir() {
        format!("{} is not a directory", nearest.display())
    } else if rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        format!("this user may not write to {}", nearest.display())
    } else {
        return Ok(());
    };
    let directory = directory.display();
    Err(Failure::Failed(format!("the data directory {directory} cannot be used: {why}")))
}

/// Everything that a node would run with.
#[derive(Debug)]
pub struct Checked<'a> {
    sources: &'a Sources,
    settings: &'a Settings,
}

impl<'a> Checked<'a> {
    /// What was said, and what came of it.
    pub fn new(sources: &'a Sources, settings: &'a Settings) -> Self {
        Self { sources, settings }
    }

    fn line(&self, option: &Arg) -> Line {
        let name = option.get_long().unwrap_or_default().to_owned();
        let id = option.get_id().as_str();
        let position = POSITIONS.iter().find(|(of, _)| *of == id).map(|(_, position)| *position);
        match position.filter(|position| self.sources.is_typed(position)) {
            Some(position) => Line {
                name,
                value: Some(self.sources.words(position)),
                source: Source::CommandLine,
            },
            None => {
                let source = self.sources.of(option);
                let value = (source != Source::Unset).then(|| self.sources.words(id));
                Line { name, value, source }
            }
        }
    }
}

struct Line {
    name: String,
    value: Option<String>,
    source: Source,
}

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = arguments::command::<Arguments>();
        let options: Vec<_> = command.get_arguments().filter(|option| is_setting(option)).collect();
        let entries: Vec<_> = options
            .iter()
            .map(|option| {
                let line = self.line(option);
                let entry = match &line.value {
                    Some(value) => format!("{} = {}", line.name, quoted(value)),
                    None => format!("; {} =", line.name),
                };
                (option.get_help_heading(), entry, line.source)
            })
            .collect();
        let width = entries.iter().map(|(_, entry, _)| entry.chars().count());
        let width = width.filter(|width| *width <= MAX_COLUMN).max().unwrap_or(0);

        writeln!(f, "[{SECTION}]")?;
        let mut last_heading = None;
        for (heading, entry, source) in &entries {
            if last_heading != *heading {
                writeln!(f, "; {}", heading.unwrap_or_default())?;
                last_heading = *heading;
            }
            writeln!(f, "{entry:width$}  ; {source}")?;
        }
        self.write_consequences(f)
    }
}

impl Checked<'_> {
    fn write_consequences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings;
        let bound = bound(settings);
        writeln!(f, "\n; So peers are served on {}", at(bound, settings.p2p_port))?;
        let announced = settings.announce_port.unwrap_or(settings.p2p_port);
        match settings.host {
            host if (host, announced) == (bound, settings.p2p_port) => {}
            host if host.is_unspecified() => {
                writeln!(f, "; and told to use port {announced} of the address that they see,")?;
            }
            host => writeln!(f, "; and told to reach the node at {},", at(host, announced))?,
        }
        if let Some(api) = settings.api {
            writeln!(f, "; and local programs on {};", at(api.ip(), api.port()))?;
        }
        match settings.peers.as_slice() {
            [] => writeln!(f, "; no peer is known, so it is the first node of a network;")?,
            peers => {
                let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
                writeln!(f, "; the network is joined through {};", peers.join(", or "))?;
            }
        }
        if let Some(file) = &settings.network_secret {
            writeln!(f, "; only with nodes that have a secret of {};", file.display())?;
        }
        match &settings.data_dir {
            Some(path) => write!(f, "; remembered in {}.", path.display()),
            None => write!(f, "; nothing is stored on disk."),
        }
    }
}

/// Where peers are served: all addresses, where this machine does not have the announced one.
fn bound(settings: &Settings) -> IpAddr {
    let announced = settings.host;
    settings.listen.unwrap_or_else(|| match announced {
        _ if TcpListener::bind((announced, 0)).is_ok() => announced,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    })
}

fn at(host: IpAddr, port: u16) -> String {
    match port {
        0 => format!("{host}, any port that is free"),
        port => SocketAddr::new(host, port).to_string(),
    }
}

/// The value as a configuration file has to have it.
fn quoted(value: &str) -> String {
    let is_plain = !value.contains([';', '#', '"', '\'', '\\']) && value.trim() == value;
    match () {
        () if is_plain => value.to_owned(),
        () if !value.contains('"') => format!("\"{value}\""),
        () => format!("'{value}'"),
    }
}
