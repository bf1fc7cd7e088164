//! The client: connect, put, get.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, oneshot};
use voiddht_wire::api::{self, Acknowledge, Ask, Freshness, Request, Told};
use voiddht_wire::limits::{MAX_PUT_IF_VALUE_BYTES, MAX_VALUE_BYTES};
use voiddht_wire::{ConditionalPut, Key, Publication};

use crate::connection::{self, Shared};
use crate::error::{ConnectError, RequestError};
use crate::put::{Put, PutReceipt};
use crate::requests::{Pending, PutIfOutcome, Waiter};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long each address of the node is tried. Default: [`Options::CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// How long a request may take, the wait for a place included. Default:
    /// [`Options::REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// Requests in flight on the connection; further ones wait for a place. At least 1. Default:
    /// [`Options::MAX_IN_FLIGHT`].
    pub max_in_flight: usize,
}

impl Options {
    /// A node is a local program, or close by.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Above what a node itself allows an operation, so that its own FAILURE comes first. A guess.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
    /// Enough to keep a node busy; with values of the largest size, 16 MiB each way.
    pub const MAX_IN_FLIGHT: usize = 256;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Self::CONNECT_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
            max_in_flight: Self::MAX_IN_FLIGHT,
        }
    }
}

/// One connection with a node. Clones share it; it ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    request_timeout: Duration,
}

impl Client {
    /// Connects to a node's module API: `"localhost:7401"`, `"[::1]:7401"`, a `SocketAddr`. Of
    /// several addresses, the first that answers is taken. Must be called on a tokio runtime
    /// with I/O and time enabled; a task of that runtime then serves the connection.
    ///
    /// The system resolves names. Where its list of hosts has `localhost` as 127.0.0.1 alone, as in many
    /// containers, a node that serves `[::1]:7401` is not found by that name.
    ///
    /// # Errors
    /// [`ConnectError`] says why none of the addresses answered.
    pub async fn connect(address: impl ToSocketAddrs) -> Result<Self, ConnectError> {
        Self::connect_with(address, Options::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`ConnectError`] says why none of the addresses answered.
    pub async fn connect_with(
        address: impl ToSocketAddrs,
        options: Options,
    ) -> Result<Self, ConnectError> {
        let stream = dial(address, options.connect_timeout).await?;
        let shared = Arc::new(Shared::default());
        let places = options.max_in_flight.clamp(1, Semaphore::MAX_PERMITS);
        let handle = Arc::new(Handle {
            shared: Arc::clone(&shared),
            places: Arc::new(Semaphore::new(places)),
            request_timeout: options.request_timeout,
        });
        let observer = Arc::downgrade(&handle);
        let alive = move || observer.strong_count() > 0;
        tokio::spawn(connection::run(stream, shared, alive));
        Ok(Self { handle })
    }

    /// Sends a PUT and does not ask what becomes of it. `Ok` means that the request was handed
    /// to the operating system.
    ///
    /// # Errors
    /// [`RequestError::ValueSize`] for a value that cannot be stored, else the connection's end.
    pub async fn put(&self, put: Put) -> Result<(), RequestError> {
        let request = put_request(put, Acknowledge::No)?;
        self.handle.request(request, Waiter::Written).await
    }

    /// Sends a PUT, and waits until the value is stored. The count is that of the nodes from which
    /// it can be fetched; 0 means that the PUT failed.
    ///
    /// Nodes of the original network do not know this question: with them it ends by timeout.
    ///
    /// # Errors
    /// [`RequestError::ValueSize`] for a value that cannot be stored, [`RequestError::Timeout`],
    /// or the connection's end.
    pub async fn put_acknowledged(&self, put: Put) -> Result<u8, RequestError> {
        let request = put_request(put, Acknowledge::Count)?;
        self.handle.request(request, Waiter::Count).await
    }

    /// As [`Self::put_acknowledged`], and says how many nodes have not answered yet, or why the PUT
    /// failed.
    ///
    /// # Errors
    /// As [`Self::put_acknowledged`].
    pub async fn put_with_receipt(&self, put: Put) -> Result<PutReceipt, RequestError> {
        let request = put_request(put, Acknowledge::Receipt)?;
        self.handle.request(request, Waiter::Receipt).await
    }

    /// Asks for the value of a key; `None` if no node that answered has one.
    ///
    /// # Errors
    /// [`RequestError::Timeout`], or the connection's end.
    pub async fn get(&self, key: Key) -> Result<Option<Bytes>, RequestError> {
        self.handle.request(Request::Get { key }, Waiter::Value).await
    }

    /// Asks for a value and says how it must be verified; `value` is `None` if there is none that
    /// satisfies that. Nodes of the original network do not know this question and close the
    /// connection.
    ///
    /// # Errors
    /// [`RequestError::Timeout`], or the connection's end.
    pub async fn ask(&self, ask: Ask) -> Result<Told, RequestError> {
        self.handle.request(Request::Ask(ask), Waiter::Told).await
    }

    /// Asks for the value whose SHA-256 this key is, and takes the first from any node: it is verified by
    /// hash, here too. Nodes of the original network do not know this question.
    ///
    /// # Errors
    /// [`RequestError::Timeout`], or the connection's end.
    pub async fn get_content_addressed(&self, key: Key) -> Result<Option<Bytes>, RequestError> {
        let freshness = Freshness::First;
        let told = self.ask(Ask { proved_only: true, freshness, key, ..Ask::default() }).await?;
        Ok(told.value.filter(|value| key.proves(value)))
    }

    /// Sends a PUT that holds only if the newest envelope is the expected one.
    pub(crate) async fn put_if(&self, put: ConditionalPut) -> Result<PutIfOutcome, RequestError> {
        check_size(&put.publication, MAX_PUT_IF_VALUE_BYTES)?;
        self.handle.request(Request::PutIf(put), Waiter::Conditional).await
    }
}

impl Handle {
    async fn request<T>(
        &self,
        request: Request,
        waiter: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Waiter,
    ) -> Result<T, RequestError> {
        let key = request.key();
        let exchange = async {
            // The semaphore is never closed, so that no place can only mean one thing.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            let (sender, receiver) = oneshot::channel();
            self.shared.submit(Pending { key, request, waiter: waiter(sender), place })?;
            // The task answers every waiter before it ends, unless its runtime was shut down.
            receiver.await.unwrap_or(Err(RequestError::Closed))
        };
        let after = self.request_timeout;
        tokio::time::timeout(after, exchange).await.unwrap_or(Err(RequestError::Timeout { after }))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.hang_up();
    }
}

async fn dial(address: impl ToSocketAddrs, after: Duration) -> Result<TcpStream, ConnectError> {
    let addresses = tokio::net::lookup_host(address).await.map_err(ConnectError::Resolve)?;
    let mut last = ConnectError::Resolve(std::io::Error::other("the name has no address"));
    for address in addresses {
        match tokio::time::timeout(after, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Only a matter of latency: without it, requests of one round may wait.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => last = ConnectError::Unreachable { address, source },
            Err(_) => last = ConnectError::Timeout { address, after },
        }
    }
    Err(last)
}

fn put_request(put: Put, acknowledge: Acknowledge) -> Result<Request, RequestError> {
    let Put(publication) = put;
    check_size(&publication, MAX_VALUE_BYTES)?;
    Ok(Request::Put(api::Put { publication, acknowledge }))
}

fn check_size(publication: &Publication, most: usize) -> Result<(), RequestError> {
    match publication.value.len() {
        bytes if (1..=most).contains(&bytes) => Ok(()),
        bytes => Err(RequestError::ValueSize { bytes }),
    }
}
