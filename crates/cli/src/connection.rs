//! The running node that a command speaks to.
//!
//! A node is reached by its owner's control socket, which needs no port, and no option if the node
//! runs on this machine; or by the address of its dashboard (`dht_server --http`), which also works
//! for other machines and is read-only. Both serve the same routes. `place` finds the node;
//! `exchange` is one request and its answer.

mod exchange;
pub(crate) mod place;

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde::de::DeserializeOwned;

pub(crate) use self::place::Preference;
use self::place::{HttpAddress, Place, Wanted};
use crate::arguments::values::number;
use crate::http::Answer;
use crate::outcome::Failure;

/// How long a node may take to answer on its control socket, where no option says so.
const CONTROL_PATIENCE: Duration = Duration::from_secs(10);

/// The options of every command that inspects a running node.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectionArguments {
    /// The node's data directory: the node is reached by the control socket in it
    ///
    /// Without this option and --http, the node that runs on this machine is used.
    #[arg(long, env = "VOIDDHT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<std::path::PathBuf>,

    /// Address of the node's dashboard, as given to dht_server --http
    ///
    /// For nodes on other machines and for test networks. A port alone is one on this machine.
    #[arg(long, env = "VOIDDHT_HTTP", value_name = "HOST:PORT")]
    pub(crate) http: Option<HttpAddress>,

    /// Number of the node within a test network, from 0
    #[arg(long, value_name = "NUMBER", value_parser = number::<usize>(0..=9_999))]
    pub(crate) index: Option<usize>,

    /// Timeout for the node's answer
    #[arg(
        long,
        env = "VOIDDHT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        value_parser = number::<u64>(1..=86_400)
    )]
    pub(crate) timeout: u64,

    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

impl ConnectionArguments {
    /// Refuses a data directory that is not there, where nothing else names the node.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.data_dir.as_deref().filter(|_| self.http.is_none()) {
            Some(directory) => place::check_directory(directory),
            None => Ok(()),
        }
    }

    /// Finds the node that is meant.
    ///
    /// # Errors
    /// [`Failure::Usage`] if two were named, [`Failure::Unreachable`] if none runs there.
    pub(crate) async fn node(&self, preference: Preference) -> Result<NodeConnection, Failure> {
        self.check()?;
        let wanted = Wanted { data_dir: self.data_dir.as_deref(), http: self.http.as_ref() };
        let place = place::find(wanted, preference).await?;
        Ok(NodeConnection { place, index: self.index, timeout: Duration::from_secs(self.timeout) })
    }
}

/// A running node that answers requests.
#[derive(Clone, Debug)]
pub struct NodeConnection {
    place: Place,
    /// Of a test network, the node that is meant.
    index: Option<usize>,
    timeout: Duration,
}

impl NodeConnection {
    /// The node whose dashboard is at this address.
    pub(crate) fn at(address: HttpAddress, timeout: Duration) -> Self {
        Self { place: Place::Http(address), index: None, timeout }
    }

    /// The node that has this data directory, by its control socket.
    ///
    /// # Errors
    /// Where none listens.
    pub async fn in_directory(directory: &std::path::Path) -> std::io::Result<Self> {
        let place = Place::in_directory(directory);
        place.connect().await?;
        Ok(Self { place, index: None, timeout: CONTROL_PATIENCE })
    }

    /// The node that runs on this machine, by its control socket.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] where there is none, [`Failure::Usage`] where there are several.
    pub(crate) async fn local() -> Result<Self, Failure> {
        Ok(Self { place: place::local_control().await?, index: None, timeout: CONTROL_PATIENCE })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The answer to a GET request, as JSON.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] where no node answers, [`Failure::Failed`] with the node's own
    /// words where it refuses.
    pub async fn fetch(&self, path: &str) -> Result<Bytes, Failure> {
        let Answer { status, body, .. } = self.request(Method::GET, path, Bytes::new()).await?;
        match status {
            200 => Ok(body),
            _ => Err(self.refused(status, &body)),
        }
    }

    /// The same, read.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.understand(&self.fetch(path).await?)
    }

    /// Has the node do something; its answer, as JSON.
    ///
    /// # Errors
    /// As [`NodeConnection::fetch`].
    pub async fn post(&self, path: &str) -> Result<Bytes, Failure> {
        let Answer { status, body, .. } = self.request(Method::POST, path, Bytes::new()).await?;
        match status {
            200 => Ok(body),
            _ => Err(self.refused(status, &body)),
        }
    }

    /// Puts a body at a path; the answer, read.
    ///
    /// # Errors
    /// As [`NodeConnection::fetch`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, Failure> {
        let Answer { status, body, .. } = self.request(Method::PUT, path, body).await?;
        match status {
            200 => self.understand(&body),
            _ => Err(self.refused(status, &body)),
        }
    }

    /// Waits so long for each answer.
    pub(crate) fn patient(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Removes what is at a path. Whether there was anything.
    ///
    /// # Errors
    /// As [`NodeConnection::fetch`].
    pub async fn delete(&self, path: &str) -> Result<bool, Failure> {
        let Answer { status, body, .. } = self.request(Method::DELETE, path, Bytes::new()).await?;
        match status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(status, &body)),
        }
    }

    /// Reads what was fetched.
    pub fn understand<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(json).map_err(|error| {
            let place = &self.place;
            Failure::Unreachable(format!("{place}: the answer cannot be read: {error}"))
        })
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let path = match self.index {
            Some(index) if path.contains('?') => format!("{path}&node={index}"),
            Some(index) => format!("{path}?node={index}"),
            None => path.to_owned(),
        };
        let exchange = exchange::exchange(&self.place, method, &path, body);
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        answer.unwrap_or_else(|_| {
            let (place, seconds) = (&self.place, self.timeout.as_secs());
            let text = format!("{place}: the node did not answer within {seconds} s");
            Err(Failure::Unreachable(text))
        })
    }

    /// The node's own words, where it is a node that refuses.
    fn refused(&self, status: u16, body: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(body);
        let text = text.lines().collect::<Vec<_>>().join(" ");
        match status {
            404 if self.place.is_http() && text.is_empty() => Failure::Unreachable(format!(
                "{} does not serve this: only the control socket does (--data-dir DIR)",
                self.place
            )),
            400 | 404 | 409 | 413 | 421 | 422 | 500 | 503 | 507
                if !text.is_empty() && body.len() < 1024 =>
            {
                Failure::Failed(format!("{}: {text}", self.place))
            }
            _ => exchange::not_ours(&self.place),
        }
    }
}

/// JSON for programs, each thing on a line of its own.
pub(crate) fn pretty(json: &serde_json::Value) -> String {
    // A value that was read can be written.
    serde_json::to_string_pretty(json).unwrap_or_default()
}
