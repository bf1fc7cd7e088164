//! Signed values: only the owner of a key pair, or a key that it delegated to, can replace them.
//!
//! ```no_run
//! use voiddht::Node;
//! use voiddht::signed::{Name, Salt, SignedPut, generate_key};
//!
//! # async fn example(node: Node) -> Result<(), Box<dyn std::error::Error>> {
//! let key = generate_key()?;
//! let salt = Salt::new(b"endpoint")?;
//! node.put_signed(SignedPut::new(&key, salt, "203.0.113.7:51820")).await?;
//!
//! let name = Name::native(key.public_key(), salt);
//! if let Some(envelope) = node.get_signed(&name).await? {
//!     println!("{}", String::from_utf8_lossy(envelope.body()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A signed value is an *envelope*: name (public key and salt), sequence number, end, body and signature.
//! [`Handle::put_signed`] reads the newest envelope, signs its successor and publishes that if the newest
//! is still the same: a compare-and-swap. [`succeed`], [`Draft`] and [`Handle::publish_if`] are the parts,
//! for keys that sign elsewhere.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rand::TryRng;
use rand::rngs::SysRng;
use voiddht_node::{HandleError, PutIfResult};
use voiddht_wire::{ConditionalPut, Publication};
use zeroize::Zeroizing;

pub use voiddht_signed::delegation::ParseDelegationError;
pub use voiddht_signed::name::SaltTooLong;
pub use voiddht_signed::succeed::{End, SucceedError, Successor, Writer, succeed};
pub use voiddht_signed::{
    Delegation, Draft, Envelope, Form, Name, ParseError, Precedence, PublicKey, Refused, Salt,
    SignError, SigningKey, VerifiedEnvelope,
};

use crate::Freshness;
use crate::error::{GetError, PutFailure};
use crate::get::Get;
use crate::handle::Handle;
use crate::put::PutReceipt;

/// A new key pair, from the operating system's randomness.
///
/// # Errors
/// The system has none to give.
pub fn generate_key() -> Result<SigningKey, std::io::Error> {
    let mut seed = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(seed.as_mut_slice()).map_err(std::io::Error::other)?;
    SigningKey::from_seed(&seed).ok_or_else(|| std::io::Error::other("the key was not accepted"))
}

/// This machine's clock in milliseconds since 1970: the sequence number that [`succeed`] prefers.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A body to be signed and published.
#[derive(Clone, Debug)]
pub struct SignedPut<'a> {
    name: Name,
    writer: Writer<'a>,
    body: Bytes,
    end: End,
    ttl: Option<Duration>,
    replicas: Option<u8>,
}

impl<'a> SignedPut<'a> {
    /// A body under the name of the key's owner. The salt distinguishes the names of one owner. An empty
    /// body withdraws the value.
    pub fn new(key: &'a SigningKey, salt: Salt, body: impl Into<Bytes>) -> Self {
        let name = Name::native(key.public_key(), salt);
        Self::with_writer(name, Writer::Owner(key), body)
    }

    /// A body under any name, signed by its owner or by a key that the owner has delegated to.
    pub fn with_writer(name: Name, writer: Writer<'a>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { name, writer, body, end: End::Never, ttl: None, replicas: None }
    }

    /// Until when the envelope is valid, whether or not it is stored: for ever by default.
    pub fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// How long nodes store it; see [`Put::ttl`](crate::Put::ttl).
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// On how many nodes it is stored; see [`Put::replicas`](crate::Put::replicas).
    pub fn replicas(self, nodes: u8) -> Self {
        Self { replicas: Some(nodes), ..self }
    }
}

/// A signed value is published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedReceipt {
    /// What was signed.
    pub envelope: Envelope,
    /// Where it is stored.
    pub receipt: PutReceipt,
}

/// Why a signed value was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The node has no answer.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// No node has stored it, or too few have.
    #[error("not stored: {0}")]
    NotStored(PutFailure),
    /// The newest envelope is another than was expected: read it, and decide again. `None`: there is none.
    #[error("another signed value of this name was published meanwhile")]
    Conflict(Option<Box<VerifiedEnvelope>>),
    /// No envelope that outranks the newest can be signed.
    #[error(transparent)]
    Sign(#[from] SucceedError),
}

impl From<GetError> for PublishError {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Handle(error) => Self::Handle(error),
        }
    }
}

impl Handle {
    /// Signs the successor of the newest envelope, and publishes it if that is still the newest.
    ///
    /// # Errors
    /// [`PublishError::Conflict`] where another writer was first, and the other kinds of [`PublishError`].
    pub async fn put_signed(&self, put: SignedPut<'_>) -> Result<SignedReceipt, PublishError> {
        let SignedPut { name, writer, body, end, ttl, replicas } = put;
        let newest = self.get_signed_with(&name, Freshness::Thorough).await?;
        let newest = newest.as_deref();
        let next = succeed(&name, newest, writer, end, now_millis(), body)?;
        let publication = Publication::new(name.key(), next.envelope.bytes().clone());
        let put = publication.ttl(ttl).replication(replicas);
        let receipt = self.compare_and_put(put, newest, &name).await?;
        Ok(SignedReceipt { envelope: next.envelope, receipt })
    }

    /// Publishes an envelope if the newest one is `expected` (`None`: there is none), with the node's TTL
    /// and replicas. Not consensus: two writers that read the same state at the same moment may both
    /// succeed; the next read shows which of them won.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_if(
        &self,
        envelope: &Envelope,
        expected: Option<&Envelope>,
    ) -> Result<PutReceipt, PublishError> {
        let put = Publication::new(envelope.key(), envelope.bytes().clone());
        self.compare_and_put(put, expected, envelope.name()).await
    }

    /// The newest signed value of a name, as far as [`Freshness::Latest`] finds out. `None`: there is none.
    ///
    /// # Errors
    /// [`GetError::Handle`].
    pub async fn get_signed(&self, name: &Name) -> Result<Option<VerifiedEnvelope>, GetError> {
        self.get_signed_with(name, Freshness::Latest).await
    }

    /// As [`Self::get_signed`], with another certainty that there is no newer one.
    ///
    /// # Errors
    /// [`GetError::Handle`].
    pub async fn get_signed_with(
        &self,
        name: &Name,
        freshness: Freshness,
    ) -> Result<Option<VerifiedEnvelope>, GetError> {
        let get = Get::new(name.key()).freshness(freshness).self_verifying_only();
        Ok(self.get(get).await?.and_then(|found| verified(name, found.value)))
    }

    async fn compare_and_put(
        &self,
        publication: Publication,
        expected: Option<&Envelope>,
        name: &Name,
    ) -> Result<PutReceipt, PublishError> {
        let key = publication.key;
        let expected = expected.map_or([0; 32], Envelope::digest);
        match self.inner.put_if(ConditionalPut { publication, expected }).await? {
            PutIfResult::Put { failure: Some(why), .. } => Err(PublishError::NotStored(why)),
            PutIfResult::Put { stored, outstanding, failure: None } => {
                Ok(PutReceipt { key, stored, outstanding })
            }
            PutIfResult::Conflict(newest) => {
                Err(PublishError::Conflict(verified(name, newest).map(Box::new)))
            }
        }
    }
}

/// The node has verified it; this only makes the type.
fn verified(name: &Name, value: Bytes) -> Option<VerifiedEnvelope> {
    let envelope = Envelope::parse(value).ok().filter(|envelope| envelope.name() == name)?;
    envelope.verify(now_millis() / 1000).ok()
}
