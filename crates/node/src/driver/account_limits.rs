//! One line in the log for many records that a full store refuses or drops: a flood has thousands
//! in a second.

use std::time::Duration;

use voiddht_core::quota::{Account, Usage};
use voiddht_core::time::Moment;

/// The pause between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// When the last line was written, and what has happened since.
#[derive(Debug, Default)]
pub(super) struct AccountLimits {
    logged: Option<Moment>,
    evicted: usize,
    refused: usize,
}

impl AccountLimits {
    /// The largest account has lost records to others, or an offer was refused.
    pub(super) fn log(&mut self, now: Moment, account: &Account, used: Usage, evicted: usize) {
        self.evicted += evicted;
        self.refused += usize::from(evicted == 0);
        if !self.is_due(now) {
            return;
        }
        let (evicted, refused) = (self.evicted, self.refused);
        let address = account.address.ip();
        let Usage { records, bytes } = used;
        tracing::warn!(
            account = %account.owner,
            %address,
            records,
            bytes,
            evicted,
            refused,
            "storage limited: the largest account was refused more, or gave way to smaller ones"
        );
        *self = Self { logged: Some(now), ..Self::default() };
    }

    fn is_due(&self, now: Moment) -> bool {
        self.logged.is_none_or(|logged| now.since(logged) >= PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use voiddht_core::quota::Owner;
    use voiddht_wire::{NodeId, PeerAddress};

    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute() {
        let address = PeerAddress::new([203, 0, 113, 1].into(), 1);
        let account = Account { owner: Owner::Node(NodeId::default()), address };
        let mut limits = AccountLimits::default();
        let mut lines = 0;
        for second in 0..120 {
            let now = Moment::from_micros(1_000_000 * second);
            for evicted in [0, 2] {
                lines += usize::from(limits.is_due(now));
                limits.log(now, &account, Usage::default(), evicted);
            }
        }
        assert_eq!(lines, 2);
        assert_eq!((limits.evicted, limits.refused), (120, 59));
    }
}
