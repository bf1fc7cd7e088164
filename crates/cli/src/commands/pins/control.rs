//! A running node, by the control socket in its data directory.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use voiddht_node::http::CONTROL_SOCKET;
use voiddht_node::pins::PinView;
use voiddht_wire::NodeId;

use crate::outcome::Failure;

/// How long the node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an answer may have, at most: twice what the largest list of pins takes.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// A node that can be spoken to.
pub(super) struct Control {
    socket: PathBuf,
}

impl Control {
    /// The node that has this directory.
    ///
    /// # Errors
    /// Where none listens.
    pub(super) fn in_directory(directory: &Path) -> io::Result<Self> {
        let socket = directory.join(CONTROL_SOCKET);
        UnixStream::connect(&socket)?;
        Ok(Self { socket })
    }

    pub(super) fn pins(&self) -> Result<Vec<PinView>, Failure> {
        let (status, body) = self.ask("GET", "/pins.json")?;
        match status {
            200 => serde_json::from_str(&body).map_err(|error| self.unreadable(error)),
            _ => Err(self.refused(&body)),
        }
    }

    /// Whether there was one.
    pub(super) fn forget(&self, id: &NodeId) -> Result<bool, Failure> {
        let (status, body) = self.ask("DELETE", &format!("/pins/{id}"))?;
        match status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(&body)),
        }
    }

    /// One request on a connection of its own: HTTP/1.0, so that the answer's end is its length.
    fn ask(&self, method: &str, path: &str) -> Result<(u16, String), Failure> {
        let exchange = || {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            write!(stream, "{method} {path} HTTP/1.0\r\nhost: node\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
            Ok::<_, io::Error>(answer)
        };
        let answer = exchange().map_err(|error| {
            Failure::Unreachable(format!("the node at {}: {error}", self.socket.display()))
        })?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        match (status, answer.split_once("\r\n\r\n")) {
            (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
            _ => Err(self.unreadable("no HTTP")),
        }
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::Unreachable(format!("the node at {}: {}", self.socket.display(), why.trim()))
    }

    fn unreadable(&self, why: impl std::fmt::Display) -> Failure {
        let socket = self.socket.display();
        Failure::Failed(format!("the answer of the node at {socket} cannot be read: {why}"))
    }
}
