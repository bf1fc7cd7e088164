//! Whether this node's clock is wrong, judged by what contacts publish and refuse.
//!
//! Versions are publishers' clocks, so a wrong clock costs values: one that is ahead has its PUTs
//! refused, one that is behind refuses those of others. Nothing is sent to find that out:
//!
//! * a publication (a STORE that is no maintenance copy) carries its publisher's clock as its
//!   version. The highest of a contact is nearest to its clock: a kept or signed value may be published
//!   again with an old one. So a version that is current, or ahead, is evidence by itself, and an
//!   old one is not;
//! * a STORE of this node that is refused because its version is from the future (ERROR 14) says that
//!   one of the two clocks is wrong. Where several contacts say so, it is this node's; by how much,
//!   their publications tell, and the tolerance is the least.
//!
//! Only contacts of the routing table are heard, one of each address prefix unless it is private, and
//! the median decides: where fewer than half of them are wrong, or lie, it is the clock of one that is
//! right. What is remembered of a contact is its clock beside the monotonic one, so that the judgement
//! follows when this machine's clock is set.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::{NodeId, PeerAddress};

use crate::diversity::{AddressPrefix, is_private, prefixes};
use crate::record::FUTURE_VERSION_TOLERANCE;
use crate::time::{Moment, Now};

/// Contacts that are remembered. 96 bytes each: 3 KiB; the one that was heard longest ago goes first.
pub const MAX_CLOCKS: usize = 32;
/// How long a contact is remembered. A guess: quartz clocks drift by some 0.2 s in an hour.
pub const CLOCK_MEMORY: Duration = Duration::from_secs(3600);
/// For how long after its last word a contact's place is not given to another that publishes.
const PLACE_KEPT: Duration = Duration::from_secs(600);
/// By how much a contact's clock has to advance against the monotonic one to be news: more than the
/// delay of a message.
const MOVED_MS: i64 = 1_000;
/// Contacts that must be heard before there is a judgement: with fewer, it is undecidable which of
/// two clocks is the wrong one.
pub const MIN_CLOCKS: usize = 3;
/// A clock that differs by more from the median of others is wrong. Well kept clocks differ by
/// milliseconds, and beyond this replicas refuse values.
pub const WRONG_CLOCK: Duration = FUTURE_VERSION_TOLERANCE;

/// What contacts say of this node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEstimate {
    /// How far this node's clock is ahead of the contacts', in milliseconds; negative if behind.
    pub ahead_ms: i64,
    /// Whether it is at least that, and by how much more is not known.
    pub at_least: bool,
    /// Contacts that say so.
    pub contacts: usize,
}

impl ClockEstimate {
    /// Whether this node's clock is wrong.
    pub fn is_wrong(&self) -> bool {
        self.at_least || u128::from(self.ahead_ms.unsigned_abs()) > WRONG_CLOCK.as_millis()
    }
}

/// The unit that counts as one voice: a contact, or all contacts at its public address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    Contact(NodeId),
    Prefix(AddressPrefix),
}

impl Voice {
    fn of(contact: NodeId, address: &PeerAddress) -> Self {
        match prefixes(address).next().filter(|_| !is_private(address)) {
            Some(prefix) => Self::Prefix(prefix),
            None => Self::Contact(contact),
        }
    }
}

/// What contacts have shown of their clocks. See the module's description.
#[derive(Clone, Debug, Default)]
pub struct PeerClocks {
    voices: BTreeMap<Voice, Heard>,
    /// Until when no place is given to another contact, as far as is known.
    full_until: Moment,
}

/// What one voice has shown.
#[derive(Clone, Copy, Debug)]
struct Heard {
    last: Moment,
    /// What its clock would have shown at the start of monotonic time: by its highest version, and
    /// when that came.
    epoch_ms: Option<(i64, Moment)>,
    /// What this node's clock would have shown then, at the last version that it refused.
    refused_ms: Option<(i64, Moment)>,
}

impl PeerClocks {
    /// A contact has published a record of this version. Returns whether that may change the
    /// judgement: it is the first of this contact, or its clock has moved.
    pub fn heard_version(
        &mut self,
        contact: NodeId,
        address: &PeerAddress,
        version: u64,
        now: Now,
    ) -> bool {
        let Some(epoch) = epoch(version, now.mono) else { return false };
        let voice = Voice::of(contact, address);
        if !self.has_place_for(&voice, now.mono) {
            return false;
        }
        let heard = self.heard(voice, now.mono);
        let known = heard.epoch_ms.filter(|(_, at)| is_fresh(*at, now.mono));
        let moved = known.map(|(known, _)| epoch.saturating_sub(known));
        if moved.is_none_or(|moved| moved >= 0) {
            heard.epoch_ms = Some((epoch, now.mono));
        }
        moved.is_none_or(|moved| moved >= MOVED_MS)
    }

    /// A contact has refused a STORE because its version is from the future.
    pub fn refused(&mut self, contact: NodeId, address: &PeerAddress, now: Now) {
        let own = epoch(now.wall.as_millis(), now.mono);
        let heard = self.heard(Voice::of(contact, address), now.mono);
        heard.refused_ms = own.map(|own| (own, now.mono));
    }

    /// A contact has taken a STORE.
    pub fn accepted(&mut self, contact: NodeId, address: &PeerAddress) {
        if let Some(heard) = self.voices.get_mut(&Voice::of(contact, address)) {
            heard.refused_ms = None;
        }
    }

    /// What the contacts say, if enough of them do.
    pub fn estimate(&self, now: Now) -> Option<ClockEstimate> {
        let own = epoch(now.wall.as_millis(), now.mono)?;
        let limit = WRONG_CLOCK.as_millis() as i64;
        let epochs = self.voices.values().filter_map(|heard| heard.epoch_ms);
        let ahead = epochs.filter(|(_, at)| is_fresh(*at, now.mono));
        let ahead: Vec<i64> = ahead.map(|(epoch, _)| own.saturating_sub(epoch)).collect();
        // A refusal of a clock that has been set since says nothing any more.
        let refusals = self.voices.values().filter_map(|heard| heard.refused_ms);
        let refusals = refusals
            .filter(|(then, at)| is_fresh(*at, now.mono) && own.saturating_sub(*then) > -limit / 2)
            .count();
        if refusals >= MIN_CLOCKS {
            let ahead_ms = median(ahead).unwrap_or(0);
            let at_least = ahead_ms <= limit;
            return Some(ClockEstimate {
                ahead_ms: ahead_ms.max(limit),
                at_least,
                contacts: refusals,
            });
        }
        // Old versions are no evidence by themselves.
        let current: Vec<i64> = ahead.into_iter().filter(|ahead| *ahead <= limit).collect();
        let contacts = current.len();
        let ahead_ms = median(current).filter(|_| contacts >= MIN_CLOCKS)?;
        Some(ClockEstimate { ahead_ms, at_least: false, contacts })
    }

    /// Whether a publication of this contact is remembered: all have a place until there are
    /// [`MAX_CLOCKS`], then those that have one, until another has been silent for long.
    fn has_place_for(&mut self, voice: &Voice, now: Moment) -> bool {
        if self.voices.len() < MAX_CLOCKS || self.voices.contains_key(voice) {
            return true;
        }
        if self.full_until <= now {
            let oldest = self.voices.values().map(|heard| heard.last).min();
            self.full_until = oldest.unwrap_or_default() + PLACE_KEPT;
        }
        self.full_until <= now
    }

    fn heard(&mut self, voice: Voice, now: Moment) -> &mut Heard {
        if self.voices.len() >= MAX_CLOCKS && !self.voices.contains_key(&voice) {
            let oldest = self.voices.iter().min_by_key(|(_, heard)| heard.last);
            if let Some(oldest) = oldest.map(|(voice, _)| *voice) {
                self.voices.remove(&oldest);
            }
        }
        let fresh = Heard { last: now, epoch_ms: None, refused_ms: None };
        let heard = self.voices.entry(voice).or_insert(fresh);
        heard.last = now;
        heard
    }
}

fn is_fresh(at: Moment, now: Moment) -> bool {
    now.since(at) < CLOCK_MEMORY
}

/// The middle one; of an even number the one nearer to zero: a doubt is in favour of this clock.
fn median(mut ahead: Vec<i64>) -> Option<i64> {
    ahead.sort_unstable();
    let last = ahead.len().checked_sub(1)?;
    let (lower, upper) = (ahead[last / 2], ahead[ahead.len() / 2]);
    Some(if lower.unsigned_abs() <= upper.unsigned_abs() { lower } else { upper })
}

/// What a clock showed when monotonic time began. `None` for a clock that no machine has.
fn epoch(clock_ms: u64, now: Moment) -> Option<i64> {
    let since_start = i64::try_from(now.as_micros() / 1000).ok()?;
    i64::try_from(clock_ms).ok()?.checked_sub(since_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    const HOUR_MS: u64 = 3_600_000;

    fn contact(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    /// An address of its own private network, or one of a public network that many share.
    fn private() -> PeerAddress {
        std::net::SocketAddr::from(([127, 0, 0, 1], 7402)).into()
    }

    /// Monotonic seconds, and what this node's clock shows in milliseconds.
    fn at(seconds: u64, wall_ms: u64) -> Now {
        let mono = Moment::from_micros(seconds * 1_000_000);
        Now { mono, wall: WallTime::from_millis(wall_ms), ..Now::default() }
    }

    #[test]
    fn refusals_show_a_clock_that_is_ahead_and_publications_by_how_much() {
        let mut clocks = PeerClocks::default();
        let ahead = at(10, 1_002 * HOUR_MS);
        for number in 1..=2 {
            clocks.refused(contact(number), &private(), ahead);
        }
        assert_eq!(clocks.estimate(ahead), None, "two could be wrong");
        clocks.refused(contact(3), &private(), ahead);
        let least = ClockEstimate { ahead_ms: 60_000, at_least: true, contacts: 3 };
        assert_eq!(clocks.estimate(ahead), Some(least));
        clocks.heard_version(contact(4), &private(), 1_000 * HOUR_MS, ahead);
        // Published again: older than what it showed before.
        clocks.heard_version(contact(4), &private(), 3 * HOUR_MS, ahead);
        let known = ClockEstimate { ahead_ms: 2 * HOUR_MS as i64, at_least: false, contacts: 3 };
        assert_eq!(clocks.estimate(ahead), Some(known));
        assert!(least.is_wrong() && known.is_wrong());
    }

    #[test]
    fn the_judgement_ends_when_the_clock_is_set_or_stores_are_taken() {
        let ahead = at(10, 1_002 * HOUR_MS);
        let mut clocks = PeerClocks::default();
        for number in 1..=3 {
            clocks.refused(contact(number), &private(), ahead);
        }
        assert!(clocks.estimate(ahead).unwrap().is_wrong());
        assert_eq!(clocks.estimate(at(70, 1_000 * HOUR_MS + 60_000)), None, "set");
        assert_eq!(clocks.estimate(at(10 + 3600, 1_003 * HOUR_MS)), None, "forgotten");
        clocks.accepted(contact(2), &private());
        assert_eq!(clocks.estimate(ahead), None, "taken");
    }

    #[test]
    fn publications_show_a_clock_that_is_behind_and_old_versions_show_nothing() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for number in 1..=9 {
            clocks.heard_version(contact(number), &private(), 3 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now), None, "published again");
        for number in 1..=3 {
            clocks.heard_version(contact(number), &private(), 1_001 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now).unwrap().ahead_ms, -(HOUR_MS as i64));
    }

    #[test]
    fn nodes_of_one_public_prefix_are_one_voice() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for number in 1..=9 {
            let address = std::net::SocketAddr::from(([203, 0, 113, number], 7402)).into();
            clocks.heard_version(contact(number), &address, 1_001 * HOUR_MS, now);
            clocks.refused(contact(number), &address, now);
        }
        assert_eq!(clocks.estimate(now), None);
    }

    #[test]
    fn a_minority_changes_nothing_and_no_clock_overflows() {
        let mut clocks = PeerClocks::default();
        let now = at(5, 1_000 * HOUR_MS);
        for number in 1..=4 {
            let version = [0, u64::MAX >> 1][usize::from(number % 2)];
            clocks.heard_version(contact(number), &private(), version, now);
        }
        for number in 5..=9 {
            let version = 1_000 * HOUR_MS + u64::from(number);
            clocks.heard_version(contact(number), &private(), version, now);
        }
        assert!(!clocks.estimate(now).unwrap().is_wrong());
        clocks.heard_version(contact(1), &private(), u64::MAX, now);
        let later = at(60, 1_000 * HOUR_MS);
        clocks.heard_version(contact(1), &private(), u64::MAX >> 1, now);
        assert!(
            !clocks.heard_version(contact(1), &private(), 0, later),
            "it is set back, by however much"
        );
        for number in 0..=255 {
            clocks.heard_version(contact(number), &private(), 1_000 * HOUR_MS, now);
        }
        assert_eq!(clocks.estimate(now).unwrap().contacts, MAX_CLOCKS);
    }

    #[test]
    fn places_are_kept_for_contacts_that_publish_and_given_to_those_that_refuse() {
        let mut clocks = PeerClocks::default();
        let now = |seconds| at(seconds, 1_000 * HOUR_MS + 1_000 * seconds);
        let mut heard = |number: u8, seconds: u64, ahead_ms: u64| {
            let now = now(seconds);
            clocks.heard_version(contact(number), &private(), now.wall.as_millis() + ahead_ms, now)
        };
        let many = MAX_CLOCKS as u8;
        assert!((0..many).all(|number| heard(number, 1, 0)), "each is news");
        assert!((0..many).all(|number| !heard(number, 2, 20)), "and is none again");
        assert!(heard(0, 3, 5_000), "its clock was set");
        assert!((many..=255).all(|number| !heard(number, 601, 0)));
        assert!(heard(many, 602, 0), "silent for ten minutes");
        assert!(heard(many + 1, 602, 0) && !heard(many, 603, 0));
        for number in 200..203 {
            clocks.refused(contact(number), &private(), now(604));
        }
        assert!(clocks.estimate(now(604)).unwrap().is_wrong());
        assert_eq!(clocks.voices.len(), MAX_CLOCKS);
    }
}
