//! The private network that a node belongs to: the membership that new connections begin with, and
//! what is known of peers that did not prove theirs.
//!
//! The rules and bytes are in `voiddht_identity::network`; the exchange over a socket is in
//! [`crate::handshake`]; what a reload does to connections that are open is decided by the pool.

mod directory;
pub mod file;
pub(crate) mod reload;
mod reload_outcome;
mod seal;
#[cfg(feature = "http")]
pub(crate) mod survey;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use voiddht_identity::network::secrets::MAX_SECRETS;
use voiddht_identity::network::{Fingerprint, Membership};

pub use self::directory::DirectoryMismatch;
pub(crate) use self::directory::check_directory;
pub use self::file::{SecretFileFault, read_secret_file};
pub(crate) use self::reload_outcome::Remembering;
pub use self::reload_outcome::{NetworkReload, NetworkReloadError};
pub use self::seal::SealError;
pub(crate) use self::seal::seal;
pub(crate) use self::tally::Tallies;
pub use self::tally::{MembershipRefusal, NetworkTally};

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Network {
    /// Where the secrets are read again.
    file: PathBuf,
    current: RwLock<Arc<Membership>>,
    /// Secrets that were the first of the file since the start, the latest last.
    firsts: Mutex<Vec<Fingerprint>>,
    pub(crate) tallies: Tallies,
}

impl Network {
    pub(crate) fn new(file: PathBuf, membership: Arc<Membership>) -> Self {
        let firsts = Mutex::new(vec![membership.secrets().first().fingerprint()]);
        Self { file, current: RwLock::new(membership), firsts, tallies: Tallies::default() }
    }

    /// The file of the secrets.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What a connection begins with, and keeps to its end.
    pub(crate) fn now(&self) -> Arc<Membership> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has new connections begin with other secrets.
    pub(crate) fn replace(&self, membership: Arc<Membership>) {
        let first = membership.secrets().first().fingerprint();
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        if firsts.last() != Some(&first) {
            firsts.push(first);
            let surplus = firsts.len().saturating_sub(MAX_SECRETS);
            firsts.drain(..surplus);
        }
        drop(firsts);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = membership;
    }

    /// Whether a secret is the first of the file, or was since the start.
    pub(crate) fn has_been_first(&self, secret: Fingerprint) -> bool {
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner).contains(&secret)
    }
}
