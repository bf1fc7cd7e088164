//! What a node shows of itself over HTTP: where that is, and fetching it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::arguments::file::FileSettings;
use crate::arguments::ini::{Ini, Mistake};
use crate::arguments::values::{Expected, Host, HostPort, port};
use crate::arguments::{self, Program, SECTION};
use crate::outcome::Failure;
use crate::server::args as server;

/// The port of the examples in every help text, and so the one to look at first.
pub(super) const HTTP_PORT: u16 = 9402;
/// An answer, at most: a thousand nodes take less than a megabyte.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// The options that every command has that looks at a node.
#[derive(Clone, Debug, Args)]
pub(super) struct HttpArguments {
    /// Where the node serves its page: what was given to dht_server --http
    ///
    /// A port alone is one on this machine.
    #[arg(
        long,
        env = "VOIDDHT_HTTP",
        value_name = "HOST:PORT",
        default_value_t = Place::default()
    )]
    pub(super) http: Place,

    /// Of a test network, the node with this number, from 0
    #[arg(long, value_name = "NUMBER", value_parser = arguments::values::number::<usize>(0..=9_999))]
    pub(super) index: Option<usize>,

    /// How long to wait for the node's answer
    #[arg(
        long,
        env = "VOIDDHT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = arguments::values::number::<u64>(1..=86_400)
    )]
    pub(super) timeout: u64,

    /// Print JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// Where HTTP is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) HostPort);

impl Default for Place {
    fn default() -> Self {
        Self::here(HTTP_PORT)
    }
}

impl Place {
    fn here(port: u16) -> Self {
        Self(HostPort { host: Host::Name("localhost".into()), port })
    }
}

impl FromStr for Place {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if let Ok(port) = port(text) {
            return Ok(Self::here(port));
        }
        let place: HostPort = text.parse()?;
        // What is served on all addresses is served on loopback too.
        match place.host {
            Host::Address(address) if address.is_unspecified() => Ok(Self::here(place.port)),
            _ => Ok(Self(place)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the node of a configuration file serves HTTP, if the file says so, and in which line.
pub(super) fn of_server(file: &Ini) -> Result<Option<(String, usize)>, Mistake> {
    let command = arguments::command::<server::Arguments>();
    let settings: FileSettings = server::Arguments::file_settings(file, &command)?;
    Ok(settings.get(SECTION, "http").map(|(place, line)| (place.to_owned(), line)))
}

impl HttpArguments {
    /// What the node says there, as JSON.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] where nobody says anything that can be read, [`Failure::Failed`]
    /// with the node's own words where it refuses.
    pub(super) async fn fetch(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let exchange = self.exchange(self.path(path));
        let answer = timeout(Duration::from_secs(self.timeout), exchange).await;
        let answer = answer.map_err(|_| {
            let Self { http, timeout, .. } = self;
            Failure::Unreachable(format!("{http}: the node did not answer within {timeout} s"))
        })??;
        let not_ours = || {
            Failure::Unreachable(format!(
                "{}: what answers there is not a voiddht node's page (--http HOST:PORT)",
                self.http
            ))
        };
        let head_end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(not_ours)?;
        let head = String::from_utf8_lossy(&answer[..head_end]);
        let status = head.split(' ').nth(1).filter(|_| head.starts_with("HTTP/1."));
        let body = &answer[head_end + 4..];
        match status {
            Some("200") => Ok(body.to_vec()),
            Some("400" | "404" | "421" | "503") if body.len() < 1024 => {
                let text = String::from_utf8_lossy(body);
                let text = text.lines().collect::<Vec<_>>().join(" ");
                Err(Failure::Failed(format!("{}: {text}", self.http)))
            }
            _ => Err(not_ours()),
        }
    }

    /// The same, read.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.understand(&self.fetch(path).await?)
    }

    /// Reads what was fetched.
    pub(super) fn understand<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(json).map_err(|error| {
            Failure::Unreachable(format!("{}: the answer is not understood: {error}", self.http))
        })
    }

    fn path(&self, path: &str) -> String {
        match self.index {
            Some(index) if path.contains('?') => format!("{path}&node={index}"),
            Some(index) => format!("{path}?node={index}"),
            None => path.to_owned(),
        }
    }

    async fn exchange(&self, path: String) -> Result<Vec<u8>, Failure> {
        let mut stream = self.connect().await?;
        let lost = |error: std::io::Error| Failure::Unreachable(format!("{}: {error}", self.http));
        // The older version: it has no chunks, and the connection ends with the answer.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.http);
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.map_err(lost)?;
        Ok(answer)
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let addresses = self.http.0.resolve().await.map_err(|error| {
            Failure::Unreachable(format!("{}: the name cannot be resolved: {error}", self.http))
        })?;
        TcpStream::connect(&addresses[..]).await.map_err(|error| {
            Failure::Unreachable(format!(
                "no node shows itself at {}: {error}; a node does when it is started with --http \
                 {}, and this looks elsewhere with --http HOST:PORT",
                self.http, self.http.0.port
            ))
        })
    }
}

/// JSON for programs, each thing on a line of its own.
pub(super) fn pretty(json: &serde_json::Value) -> String {
    // A value that was read can be written.
    serde_json::to_string_pretty(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_be_a_port_and_all_addresses_mean_this_machine() {
        for (text, place) in [
            ("9402", "localhost:9402"),
            ("0.0.0.0:80", "localhost:80"),
            ("[::]:80", "localhost:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("node.example:80", "node.example:80"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), place);
        }
        assert!("0".parse::<Place>().is_err() && "node".parse::<Place>().is_err());
    }
}
