//! OpenDHT, the C++ library of Jami, through its C interface: UDP, no encryption, 8 replicas.
//! Everything is at its default. Each node has a thread of its own; the library starts it. It
//! listens on every address, as the C interface offers no other way, and is told of 127.0.0.1 only.
//!
//! GET takes the first value that comes and ends the search, as its user may; there is no vote.
//! The interface exposes neither a node's contacts, nor where a value came from: it has joined when
//! it has ended a search for its own ID, and how many GETs it answers itself is not known.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::network::{Death, Found, Item, Network};

/// The parts of `opendht_c.h` that are needed.
mod c {
    use super::{c_char, c_int, c_void};

    pub(super) type Runner = c_void;
    pub(super) type Value = c_void;
    pub(super) type GetCallback = extern "C" fn(*const Value, *mut c_void) -> bool;
    pub(super) type DoneCallback = extern "C" fn(bool, *mut c_void);

    #[derive(Clone, Copy)]
    #[repr(C)]
    pub(super) struct InfoHash(pub(super) [u8; 20]);

    #[repr(C)]
    pub(super) struct DataView {
        pub(super) data: *const u8,
        pub(super) size: usize,
    }

    unsafe extern "C" {
        pub(super) fn dht_runner_new() -> *mut Runner;
        pub(super) fn dht_runner_delete(runner: *mut Runner);
        pub(super) fn dht_runner_run(runner: *mut Runner, port: u16) -> c_int;
        pub(super) fn dht_runner_get_bound_port(runner: *const Runner, family: u16) -> u16;
        pub(super) fn dht_runner_get_node_id(runner: *const Runner) -> InfoHash;
        pub(super) fn dht_runner_bootstrap(
            runner: *mut Runner,
            host: *const c_char,
            service: *const c_char,
        );
        pub(super) fn dht_runner_get(
            runner: *mut Runner,
            hash: *const InfoHash,
            found: GetCallback,
            done: DoneCallback,
            user: *mut c_void,
        );
        pub(super) fn dht_runner_put(
            runner: *mut Runner,
            hash: *const InfoHash,
            value: *const Value,
            done: DoneCallback,
            user: *mut c_void,
            permanent: bool,
        );
        pub(super) fn dht_value_new(data: *const u8, size: usize) -> *mut Value;
        pub(super) fn dht_value_unref(value: *mut Value);
        pub(super) fn dht_value_get_data(value: *const Value) -> DataView;
    }
}

const AF_INET: u16 = 2;

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Runner>,
    doomed: usize,
    /// The sockets of unresponsive nodes: nothing reads from them.
    mute: Vec<UdpSocket>,
}

/// A running node.
#[derive(Debug)]
struct Runner(*mut c::Runner);

/// What came of an operation: a value, or whether it ended well without one.
type Answer = Result<Bytes, bool>;

/// The waiting operations. The library is given a number, not an address: so a callback that comes
/// late, or twice, finds no entry instead of freed memory.
static WAITING: LazyLock<Mutex<HashMap<usize, oneshot::Sender<Answer>>>> =
    LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

impl Network for Nodes {
    async fn start(count: usize, doomed: usize) -> Result<Self> {
        let nodes = (0..count).map(|_| Runner::start()).collect::<Result<Vec<_>>>()?;
        let service = CString::new(nodes[0].port().to_string())?;
        for node in &nodes[1..] {
            // SAFETY: the runner lives, and both strings live until the call has returned.
            unsafe { c::dht_runner_bootstrap(node.0, c"127.0.0.1".as_ptr(), service.as_ptr()) };
        }
        for node in &nodes[1..] {
            // SAFETY: the runner lives.
            let own = unsafe { c::dht_runner_get_node_id(node.0) };
            while node.search(own).await? != Err(true) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(Self { nodes, doomed, mute: Vec::new() })
    }

    async fn put(&self, node: usize, item: &Item) -> Result<()> {
        let (waiting, answer) = wait();
        // SAFETY: the runner lives; the library copies hash and value before the calls return,
        // and holds a reference of its own to the value that is given up here.
        unsafe {
            let value = c::dht_value_new(item.value.as_ptr(), item.value.len());
            c::dht_runner_put(self.nodes[node].0, &hash(item), value, done, waiting, false);
            c::dht_value_unref(value);
        }
        ensure!(answer.await? == Err(true), "no node has taken it");
        Ok(())
    }

    async fn get(&self, node: usize, item: &Item) -> Result<Option<Found>> {
        let value = self.nodes[node].search(hash(item)).await?.ok();
        Ok(value.map(|value| Found { value, own_store: None }))
    }

    async fn kill(&mut self, death: Death) -> Result<()> {
        for node in self.nodes.split_off(self.nodes.len() - self.doomed) {
            let port = node.port();
            drop(node);
            if death == Death::Silent {
                let socket = UdpSocket::bind(("0.0.0.0", port));
                self.mute.push(socket.context("a node that was deleted goes on listening")?);
            }
        }
        Ok(())
    }
}

impl Runner {
    fn start() -> Result<Self> {
        // SAFETY: no preconditions.
        let runner = Self(unsafe { c::dht_runner_new() });
        // SAFETY: the runner lives.
        let error = unsafe { c::dht_runner_run(runner.0, 0) };
        ensure!(
            error == 0,
            "OpenDHT has not started: {}",
            std::io::Error::from_raw_os_error(error)
        );
        Ok(runner)
    }

    fn port(&self) -> u16 {
        // SAFETY: the runner lives.
        unsafe { c::dht_runner_get_bound_port(self.0, AF_INET) }
    }

    async fn search(&self, hash: c::InfoHash) -> Result<Answer> {
        let (waiting, answer) = wait();
        // SAFETY: the runner lives, and the library copies the hash before the call returns.
        unsafe { c::dht_runner_get(self.0, &hash, found, done, waiting) };
        Ok(answer.await?)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // SAFETY: it is not used afterwards. This waits for its threads, and closes its
        // sockets without a word to others.
        unsafe { c::dht_runner_delete(self.0) };
    }
}

/// Keys are 20 bytes here.
fn hash(item: &Item) -> c::InfoHash {
    let mut hash = [0; 20];
    hash.copy_from_slice(&item.key[..20]);
    c::InfoHash(hash)
}

/// A number to give to the library, and what it will be answered.
fn wait() -> (*mut c_void, oneshot::Receiver<Answer>) {
    let (sender, answer) = oneshot::channel();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
    (std::ptr::without_provenance_mut(number), answer)
}

fn answer(waiting: *mut c_void, answer: Answer) {
    let waits = WAITING.lock().unwrap_or_else(PoisonError::into_inner).remove(&waiting.addr());
    if let Some(waits) = waits {
        // The caller may have given up.
        let _ = waits.send(answer);
    }
}

extern "C" fn found(value: *const c::Value, waiting: *mut c_void) -> bool {
    // SAFETY: the library owns the value, and what the view points to, until this returns.
    let bytes = unsafe {
        let view = c::dht_value_get_data(value);
        Bytes::copy_from_slice(std::slice::from_raw_parts(view.data, view.size))
    };
    answer(waiting, Ok(bytes));
    // Enough.
    false
}

extern "C" fn done(ok: bool, waiting: *mut c_void) {
    answer(waiting, Err(ok));
}
