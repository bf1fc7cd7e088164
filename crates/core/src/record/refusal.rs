//! Why an offered record is not taken.

use voiddht_signed::Refused;

use crate::label::{Limit, RefusalReason};
use crate::quota::QuotaReached;

/// An offer was not taken; what was held is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No room, and nothing that may be dropped. To be answered with ERROR 13.
    #[error("the limit {limit} is reached")]
    Full {
        /// Which limit.
        limit: Limit,
    },
    /// A higher version is held.
    #[error("a newer version is held")]
    Older,
    /// Another value of the same version is held, and the tie goes to it.
    #[error("another value of this version is held")]
    Outranked,
    /// A value of a higher class is held; no version of this one can replace it.
    #[error("a self-verifying value is held under this key")]
    Outproved,
    /// The version is too far ahead of this node's clock.
    #[error("the version is from the future")]
    FutureVersion,
    /// No TTL remains.
    #[error("it has expired")]
    Expired,
    /// It is an envelope of this key that does not hold.
    #[error("the signed value is refused: {0}")]
    Envelope(Refused),
}

impl Refusal {
    /// Whether the offer lost to the held record by the order of records: its sender has missed an
    /// update.
    pub fn is_by_order(self) -> bool {
        matches!(self, Self::Older | Self::Outranked | Self::Outproved)
    }

    /// The label under which it is counted.
    pub fn reason(self) -> RefusalReason {
        match self {
            Self::Full { .. } => RefusalReason::Full,
            Self::Older => RefusalReason::Older,
            Self::Outranked => RefusalReason::Outranked,
            Self::Outproved => RefusalReason::Outproved,
            Self::FutureVersion => RefusalReason::FutureVersion,
            Self::Expired => RefusalReason::Expired,
            Self::Envelope(refused) => match refused {
                Refused::Expired => RefusalReason::Expired,
                Refused::WeakOwner | Refused::WeakWriter => RefusalReason::WeakKey,
                Refused::DelegationSignature => RefusalReason::BadDelegation,
                Refused::WeakSignature | Refused::Signature => RefusalReason::BadSignature,
            },
        }
    }
}

impl From<QuotaReached> for Refusal {
    fn from(quota: QuotaReached) -> Self {
        Self::Full { limit: quota.into() }
    }
}
