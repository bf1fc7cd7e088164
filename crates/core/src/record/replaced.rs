//! The record that gives way to an offer.

use super::held::Record;
use super::offer::Offer;
use super::value::VerifiedValue;
use crate::quota::AccountNumber;

/// A held record in whose place an offer comes, expired or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replaced {
    pub(super) is_same_value: bool,
    pub(super) cached: bool,
    pub(super) cost: usize,
    pub(super) charged_to: Option<AccountNumber>,
}

impl Replaced {
    pub(super) fn by(offer: &Offer<VerifiedValue>, held: &Record) -> Self {
        Self {
            is_same_value: held.value.bytes() == offer.value.bytes(),
            cached: held.cached,
            cost: held.cost(),
            charged_to: held.charged_to,
        }
    }

    /// The account that it is charged to, and what is released there with it.
    pub(super) fn charged(&self) -> Option<(AccountNumber, usize)> {
        self.charged_to.map(|number| (number, self.cost))
    }
}
