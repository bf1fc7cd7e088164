//! Finds the running node that a command speaks to, also without an option.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use voiddht_node::http::CONTROL_SOCKET;

use crate::arguments::file::FileSettings;
use crate::arguments::ini::{Ini, Mistake};
use crate::arguments::ports::MODULE_PORT;
use crate::arguments::source::Sources;
use crate::arguments::values::{Expected, Host, HostPort, port};
use crate::arguments::{self, Program, SECTION};
use crate::outcome::Failure;
use crate::process;
use crate::server::args as server;

/// The port of the examples in every help text, and so the last one to look at.
pub(crate) const HTTP_PORT: u16 = 9402;
/// The data directory of the packaged service.
const SERVICE_DIRECTORY: &str = "/var/lib/voiddht";

/// Where a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its owner's Unix socket.
    Control(PathBuf),
    /// The address of its dashboard.
    Http(HttpAddress),
}

/// What the options name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) data_dir: Option<&'a Path>,
    pub(super) http: Option<&'a HttpAddress>,
}

/// Which of two options names the node: the one on the command line, before one from the
/// environment or the configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preference {
    data_dir: bool,
    http: bool,
    node: bool,
}

impl Preference {
    /// As the command line has it.
    pub(crate) fn of(sources: &Sources) -> Self {
        let is_typed = |id| sources.is_typed_below(id);
        Self { data_dir: is_typed("data_dir"), http: is_typed("http"), node: is_typed("node") }
    }

    /// Whether the command line names a module API.
    pub(crate) fn names_module_api(self) -> bool {
        self.node
    }
}

/// Any stream to a node.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Place {
    /// The control socket of the node that has this data directory.
    ///
    /// The path of a socket itself will do too: a node without a data directory has nothing else.
    pub(super) fn in_directory(directory: &Path) -> Self {
        let is_socket = std::fs::metadata(directory).is_ok_and(|it| it.file_type().is_socket());
        Self::Control(match is_socket {
            true => directory.to_owned(),
            false => directory.join(CONTROL_SOCKET),
        })
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// The machine that the node runs on, where that may be another one.
    pub(crate) fn machine(&self) -> Option<&HostPort> {
        match self {
            Self::Control(_) => None,
            Self::Http(address) => Some(&address.0),
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Control(socket) => Ok(Box::new(UnixStream::connect(socket).await?)),
            Self::Http(HttpAddress(address)) => {
                let addresses = address.resolve().await?;
                Ok(Box::new(TcpStream::connect(&addresses[..]).await?))
            }
        }
    }

    /// The name of the node in a request.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Control(_) => "node".to_owned(),
            Self::Http(address) => address.to_string(),
        }
    }

    /// Why nothing answers here, and what to do.
    pub(super) fn unreachable(&self, error: &io::Error) -> Failure {
        Failure::Unreachable(match self {
            Self::Control(socket) => {
                let (socket, why) = (socket.display(), advice(error));
                format!("no node answers at the control socket {socket}: {error}; {why}")
            }
            Self::Http(address) => format!(
                "no dashboard at {address}: {error}; a node serves one if it is started with \
                 --http {}",
                address.0.port
            ),
        })
    }
}

/// What to do where a control socket cannot be used.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "run this as the node's user or as root",
        ErrorKind::ConnectionRefused => "the node that made it does not run any more",
        _ => "a node makes it in its data directory (dht_server --data-dir DIR)",
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(socket) => write!(f, "{}", socket.display()),
            Self::Http(address) => address.fmt(f),
        }
    }
}

/// Finds the node that is meant.
///
/// 1. What the command line names.
/// 2. What the environment or the configuration file names: the control socket, and the dashboard
///    if nothing answers there.
/// 3. A node of this machine: that of the packaged service, then one without a data directory.
/// 4. A dashboard on the port of the examples, as of a test network.
pub(super) async fn find(wanted: Wanted<'_>, preference: Preference) -> Result<Place, Failure> {
    let control = wanted.data_dir.map(Place::in_directory);
    let http = wanted.http.cloned().map(Place::Http);
    match (preference, control, http) {
        (Preference { data_dir: true, http: true, .. }, ..) => {
            let twice = "--data-dir and --http each name a node: give one of them";
            Err(Failure::Usage(twice.to_owned()))
        }
        (Preference { http: true, .. }, _, Some(http)) => Ok(http),
        (Preference { data_dir: true, .. }, Some(control), _) => connected(control).await,
        (_, Some(control), Some(http)) => Ok(connected(control).await.unwrap_or(http)),
        (_, Some(control), None) => connected(control).await,
        (_, None, Some(http)) => Ok(http),
        (_, None, None) => local().await,
    }
}

/// Refuses a data directory that is not there: a mistake in its name.
pub(crate) fn check_directory(directory: &Path) -> Result<(), Failure> {
    match std::fs::metadata(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = format!("{}: there is no such data directory", directory.display());
            Err(Failure::Usage(text))
        }
        _ => Ok(()),
    }
}

async fn connected(place: Place) -> Result<Place, Failure> {
    match place.connect().await {
        Ok(_) => Ok(place),
        Err(error) => Err(place.unreachable(&error)),
    }
}

/// The node of this machine, or its dashboard on the usual port.
async fn local() -> Result<Place, Failure> {
    let nowhere = match local_control().await {
        Err(failure @ Failure::Unreachable(_)) => failure,
        found => return found,
    };
    let dashboard = Place::Http(HttpAddress::here(HTTP_PORT));
    match dashboard.connect().await {
        Ok(_) => Ok(dashboard),
        Err(_) => Err(nowhere),
    }
}

/// The node of this machine: the one on the usual port, which `dht put` also speaks to, or the only
/// one.
pub(super) async fn local_control() -> Result<Place, Failure> {
    let mut denied = None;
    let service = Place::in_directory(Path::new(SERVICE_DIRECTORY));
    let mut found = Vec::new();
    for place in std::iter::once(service).chain(without_data_directory()) {
        match place.connect().await {
            Ok(_) => found.push(place),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                denied = Some(place.unreachable(&error));
            }
            Err(_) => {}
        }
    }
    let usual = format!(":{MODULE_PORT}.sock");
    if let Some(place) = found.iter().find(|place| place.to_string().ends_with(&usual)) {
        return Ok(place.clone());
    }
    if found.len() > 1 {
        let sockets: Vec<_> = found.iter().map(ToString::to_string).collect();
        return Err(Failure::Usage(format!(
            "several nodes run on this machine ({}); name one with --data-dir DIR or --http PORT",
            sockets.join(", ")
        )));
    }
    found.pop().ok_or_else(|| denied.unwrap_or_else(nowhere))
}

fn nowhere() -> Failure {
    Failure::Unreachable(
        "no running node was found on this machine; name one with --data-dir DIR, or with --http \
         HOST:PORT where its dashboard is served"
            .to_owned(),
    )
}

/// The control sockets of nodes that keep nothing on disk.
fn without_data_directory() -> Vec<Place> {
    let entries = std::fs::read_dir(process::runtime_directory()).into_iter().flatten();
    let sockets = entries.flatten().map(|entry| entry.path());
    let mut sockets: Vec<_> =
        sockets.filter(|path| path.extension().is_some_and(|it| it == "sock")).collect();
    sockets.sort();
    sockets.into_iter().map(Place::Control).collect()
}

/// Where a dashboard is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAddress(pub(crate) HostPort);

impl HttpAddress {
    fn here(port: u16) -> Self {
        Self(HostPort { host: Host::Name("localhost".into()), port })
    }

    /// Reads `HOST` or `HOST:PORT`, with the port of the examples where there is none.
    ///
    /// # Errors
    /// [`Expected::Host`]
    pub(crate) fn of_host(text: &str) -> Result<Self, Expected> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let host = text.parse().map_err(|_| Expected::Host)?;
        Ok(Self(HostPort { host, port: HTTP_PORT }))
    }
}

impl FromStr for HttpAddress {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if let Ok(port) = port(text) {
            return Ok(Self::here(port));
        }
        let place: HostPort = text.parse().map_err(|_| Expected::Dashboard)?;
        // What is served on all addresses is served on loopback too.
        match place.host {
            Host::Address(address) if address.is_unspecified() => Ok(Self::here(place.port)),
            _ => Ok(Self(place)),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the node of a configuration file serves HTTP, if the file says so, and in which line.
pub(crate) fn http_of_server(file: &Ini) -> Result<Option<(String, usize)>, Mistake> {
    let command = arguments::command::<server::Arguments>();
    let settings: FileSettings = server::Arguments::file_settings(file, &command)?;
    Ok(settings.get(SECTION, "http").map(|(place, line)| (place.to_owned(), line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_and_all_addresses_mean_this_machine() {
        for (text, address) in [
            ("9402", "localhost:9402"),
            ("0.0.0.0:80", "localhost:80"),
            ("[::]:80", "localhost:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("node.example:80", "node.example:80"),
        ] {
            assert_eq!(text.parse::<HttpAddress>().unwrap().to_string(), address);
        }
        assert!("0".parse::<HttpAddress>().is_err() && "node".parse::<HttpAddress>().is_err());
        let of_host = |text| HttpAddress::of_host(text).unwrap().to_string();
        assert_eq!(of_host("node.example"), "node.example:9402");
        assert_eq!(of_host("2001:db8::1"), "[2001:db8::1]:9402");
        assert_eq!(of_host("9403"), "localhost:9403");
    }

    #[tokio::test]
    async fn the_command_line_names_the_node_before_anything_else() {
        let directory = tempfile::tempdir().unwrap();
        let http = HttpAddress::here(1);
        let wanted = Wanted { data_dir: Some(directory.path()), http: Some(&http) };
        let both = Preference { data_dir: true, http: true, node: false };
        assert!(matches!(find(wanted, both).await, Err(Failure::Usage(_))));
        let typed = Preference { data_dir: true, http: false, node: false };
        assert!(matches!(find(wanted, typed).await, Err(Failure::Unreachable(_))));
        // Neither was typed, and no node has made the control socket.
        let dashboard = Place::Http(http.clone());
        assert_eq!(find(wanted, Preference::default()).await.unwrap(), dashboard);
        let path = directory.path().join(CONTROL_SOCKET);
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let control = Place::Control(path);
        assert_eq!(find(wanted, Preference::default()).await.unwrap(), control);
        assert_eq!(find(wanted, typed).await.unwrap(), control);
        let typed = Preference { data_dir: false, http: true, node: false };
        assert_eq!(find(wanted, typed).await.unwrap(), dashboard);
    }
}
