//! Log lines about contacts that join and leave: at info, and no more of them than an operator can
//! read, since peers cause them.

use voiddht_core::time::Moment;
use voiddht_wire::peer::NodeInfo;

/// Lines in a minute. A node that joins learns some twenty contacts at once; in a network with
/// sessions of an hour a table of 300 changes five times a minute.
const LINES_PER_MINUTE: u32 = 60;
const MINUTE_MICROS: u64 = 60_000_000;

/// Rate limit of log lines about contacts.
#[derive(Debug, Default)]
pub(crate) struct ContactLog {
    minute: u64,
    lines: u32,
    /// Changes of this minute that were not logged.
    left_out: u32,
}

impl ContactLog {
    /// A contact has entered the routing table, or left it.
    pub(crate) fn changed(&mut self, contact: &NodeInfo, joined: bool, now: Moment) {
        if let Some(left_out) = self.begin_minute(now) {
            tracing::info!(changes = left_out, "contacts joined and left, beyond those logged");
        }
        let (peer, address) = (contact.id.short(), contact.address);
        match (self.admits(), joined) {
            (true, true) => tracing::info!(peer, %address, "contact joined"),
            (true, false) => tracing::info!(peer, %address, "contact left"),
            (false, _) => tracing::debug!(peer, %address, joined, "contact changed"),
        }
    }

    /// What the minute that is over has left out, if this is a new one and that was anything.
    fn begin_minute(&mut self, now: Moment) -> Option<u32> {
        let minute = now.as_micros() / MINUTE_MICROS;
        if minute == self.minute {
            return None;
        }
        let left_out = std::mem::take(self).left_out;
        self.minute = minute;
        (left_out > 0).then_some(left_out)
    }

    fn admits(&mut self) -> bool {
        let admits = self.lines < LINES_PER_MINUTE;
        match admits {
            true => self.lines += 1,
            false => self.left_out = self.left_out.saturating_add(1),
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_is_counted_and_told_in_the_next_minute() {
        let mut log = ContactLog::default();
        let logged = (0..100).filter(|_| log.admits()).count();
        assert_eq!(logged, LINES_PER_MINUTE as usize);
        assert_eq!(log.begin_minute(Moment::from_micros(59_999_999)), None);
        assert_eq!(log.begin_minute(Moment::from_micros(60_000_000)), Some(40));
        assert!(log.admits());
        assert_eq!(log.begin_minute(Moment::from_micros(120_000_000)), None, "none was left out");
    }
}
