//! Signed values: publish under a key pair, and resolve by its public key.
//!
//! ```no_run
//! use voiddht_client::signed::{self, End, Freshness, Name, Owner, Salt, Writer};
//! use voiddht_client::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("localhost:7401").await?;
//! let owner: Owner = signed::generate()?;
//! let name = Name::native(owner.public_key(), Salt::new(b"endpoint")?);
//!
//! let newest = client.resolve(&name, Freshness::Thorough).await?;
//! let expected = newest.as_deref();
//! let (end, now) = (End::Never, signed::now_millis());
//! let body = "203.0.113.7:51820".into();
//! let next = signed::succeed(&name, expected, Writer::Owner(&owner), end, now, body)?;
//! match client.publish_if(&next.envelope, expected).await? {
//!     Ok(published) => println!("stored on {} nodes", published.stored_on),
//!     Err(conflict) => println!("another was first: seq {}", conflict.newest.seq()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What the node returns is verified again here: a node, also one's own, can withhold a signed value
//! but not change it.

mod pem;

use std::time::{Duration, SystemTime};

use voiddht_wire::{ConditionalPut, api};

pub use voiddht_signed::succeed::{End, SucceedError, Successor, Writer, succeed};
pub use voiddht_signed::{
    Delegation, Draft, Envelope, Form, Name, PublicKey, Refused, Salt, SigningKey, VerifiedEnvelope,
};
pub use voiddht_wire::api::Freshness;

pub use pem::{PemError, from_pem, to_pem};

use crate::client::Client;
use crate::error::RequestError;
use crate::put::Put;
use crate::requests::PutIfOutcome;

/// A key pair that owns names, or that an owner has delegated to.
pub type Owner = SigningKey;

/// A new key pair.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn generate() -> Result<Owner, std::io::Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    let none = || std::io::Error::other("no randomness for a new key");
    aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_| none())?;
    SigningKey::from_seed(&seed).ok_or_else(none)
}

/// This machine's clock in milliseconds since 1970: the sequence number that [`succeed`] prefers.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How a signed value is to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// TTL in seconds; 0 is the node's default.
    pub ttl_seconds: u16,
    /// Nodes that shall hold it; 0 is the node's default.
    pub replication: u8,
}

/// An envelope is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Nodes that confirmed it.
    pub stored_on: u8,
}

/// The newest envelope is another than was expected, or than the one to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The newest envelope.
    pub newest: VerifiedEnvelope,
}

/// Why an envelope was not published, or none was resolved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignedError {
    /// The node gave no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node returned a value that is no valid envelope of the name.
    #[error("the node returned a value that is not a valid signed value of this name: {0}")]
    Invalid(Invalid),
    /// No node has stored it.
    #[error("no node has stored the value")]
    StoredNowhere,
}

/// What is wrong with a value that a node returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no envelope.
    #[error(transparent)]
    Form(#[from] voiddht_signed::ParseError),
    /// It is an envelope of another owner, salt or form.
    #[error("it belongs to another name")]
    OtherName,
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Client {
    /// Stores an envelope under its key, with the node's default TTL and replication. A newer one
    /// that the network holds stays; [`Self::publish_if`] notices it.
    ///
    /// # Errors
    /// [`SignedError::StoredNowhere`], among others where a newer envelope is held, or
    /// [`SignedError::Request`].
    pub async fn publish(&self, envelope: &Envelope) -> Result<Published, SignedError> {
        let put = Put::new(envelope.key(), envelope.bytes().clone());
        match self.put_acknowledged(put).await? {
            0 => Err(SignedError::StoredNowhere),
            stored_on => Ok(Published { stored_on }),
        }
    }

    /// Stores an envelope if the newest one is still `expected` (`None`: there is none). Two writers
    /// that read the same state at the same moment may both be told that they published; the next
    /// read shows which of them won.
    ///
    /// # Errors
    /// The inner error is the [`Conflict`]; the outer one [`SignedError`].
    pub async fn publish_if(
        &self,
        envelope: &Envelope,
        expected: Option<&Envelope>,
    ) -> Result<Result<Published, Conflict>, SignedError> {
        self.publish_if_with(envelope, expected, Terms::default()).await
    }

    /// As [`Self::publish_if`], with a TTL and a number of replicas.
    ///
    /// # Errors
    /// As [`Self::publish_if`].
    pub async fn publish_if_with(
        &self,
        envelope: &Envelope,
        expected: Option<&Envelope>,
        terms: Terms,
    ) -> Result<Result<Published, Conflict>, SignedError> {
        let expected = expected.map_or([0; 32], Envelope::digest);
        let Put(publication) = Put::new(envelope.key(), envelope.bytes().clone())
            .ttl_seconds(terms.ttl_seconds)
            .replication(terms.replication);
        match self.put_if(ConditionalPut { publication, expected }).await? {
            PutIfOutcome::Stored(0) => Err(SignedError::StoredNowhere),
            PutIfOutcome::Stored(stored_on) => Ok(Ok(Published { stored_on })),
            PutIfOutcome::Conflict(newest) => {
                Ok(Err(Conflict { newest: verify(envelope.name(), newest)? }))
            }
        }
    }

    /// The newest envelope of a name, verified here; `None` if no node that answered has one.
    ///
    /// # Errors
    /// [`SignedError::Invalid`] where the node returns anything else, or [`SignedError::Request`].
    pub async fn resolve(
        &self,
        name: &Name,
        freshness: Freshness,
    ) -> Result<Option<VerifiedEnvelope>, SignedError> {
        let ask = api::Ask { proved_only: true, freshness, key: name.key(), ..api::Ask::default() };
        let told = self.ask(ask).await?;
        told.value.map(|value| verify(name, value)).transpose()
    }
}

fn verify(name: &Name, value: bytes::Bytes) -> Result<VerifiedEnvelope, SignedError> {
    let checked = || {
        let envelope = Envelope::parse(value)?;
        if envelope.name() != name {
            return Err(Invalid::OtherName);
        }
        Ok(envelope.verify(now_millis() / 1000)?)
    };
    checked().map_err(SignedError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_returns_is_verified_for_the_name_that_was_asked() {
        let owner = SigningKey::from_seed(&[1; 32]).unwrap();
        let name = Name::native(owner.public_key(), Salt::EMPTY);
        let other = Name::native(owner.public_key(), Salt::new(b"other").unwrap());
        let draft = Draft { name, seq: 1, not_after: 0, body: "body".into() };
        let envelope = draft.sign(&owner, None).unwrap();
        let expired = Draft { not_after: 1, ..draft }.sign(&owner, None).unwrap();
        let mut forged = envelope.bytes().to_vec();
        forged.push(0);
        let cases = [
            (name, envelope.bytes().clone(), Ok(())),
            (other, envelope.bytes().clone(), Err(Invalid::OtherName)),
            (name, expired.bytes().clone(), Err(Invalid::Refused(Refused::Expired))),
            (name, forged.into(), Err(Invalid::Refused(Refused::Signature))),
            (name, "plain".into(), Err(Invalid::Form(voiddht_signed::ParseError::Magic))),
        ];
        for (name, value, expected) in cases {
            let found = match verify(&name, value) {
                Ok(_) => Ok(()),
                Err(SignedError::Invalid(why)) => Err(why),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(found, expected);
        }
    }
}
