//! Peer reputation, based only on what this node itself observed.
//!
//! Each violation costs points, which are forgiven with time. Many in a short time cost the
//! connection; more, a ban that expires and is longer the next time. Failures of honest nodes
//! (timeouts, refusals, a lost connection) cost nothing here: the routing table handles them.
//!
//! Three rules keep this from becoming a weapon. Opinions are never passed on and never follow from
//! what a third node says. Only peers that *authenticated* their ID may be judged under it, since
//! IDs can be claimed freely. And behaviour that an attacker can cause in an honest node never
//! leads to a ban, however often: a node that serves a forged value that an attacker stored on it,
//! or answers too late, at worst has its connection closed.
//!
//! An opinion is stored as the moment at which all points are forgiven, so an opinion whose moment
//! has passed can be dropped without effect.

use std::collections::BTreeMap;
use std::time::Duration;

use voiddht_wire::NodeId;
use voiddht_wire::peer::MessageError;

use crate::event::Misbehaviour;
use crate::time::Moment;

/// How long it takes until one point is forgiven: a ban's worth in ten minutes. A guess.
pub const FORGIVENESS: Duration = Duration::from_secs(6);
/// Points from which on each broken rule costs the connection.
pub const HANG_UP_POINTS: u32 = 50;
/// Points that cost a ban: two malformed messages within a few minutes.
pub const BAN_POINTS: u32 = 100;
/// How long the first ban lasts; each further one twice as long.
pub const FIRST_BAN: Duration = Duration::from_secs(3600);
/// How long a ban lasts at most, and how long after its end it is remembered.
pub const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);
/// Nodes of which this one has an opinion, about 100 bytes each. Beyond it, the one closest to
/// being forgiven is forgotten: bans do not stop a peer with thousands of IDs anyway.
pub const MAX_OPINIONS: usize = 4096;

/// What a broken rule costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    points: u32,
    /// Whether an honest node can be brought to do it: then it never leads to a ban.
    may_be_honest: bool,
}

impl Cost {
    fn of(what: Misbehaviour) -> Self {
        let (points, may_be_honest) = match what {
            // A peer of another version, or of another protocol.
            Misbehaviour::Malformed(MessageError::UnknownType(_)) => (10, true),
            // TLS delivers what was sent: no accident turns a message into another.
            Misbehaviour::Malformed(_) | Misbehaviour::ForeignSender => (50, false),
            Misbehaviour::WrongReply => (25, false),
            // The forged value may have been stored by another node.
            Misbehaviour::DeniedValue => (10, true),
            // A slow line, or one that broke.
            Misbehaviour::StalledFrame => (10, true),
            // An answer that was given up before it came.
            Misbehaviour::UnawaitedReply => (2, true),
        };
        Self { points, may_be_honest }
    }
}

/// What a broken rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing but a lower score.
    Tolerated,
    /// Close its connections; it may come again.
    HangUp,
    /// Close its connections and take no new one until the ban ends.
    Banned {
        /// How long that is.
        lasts: Duration,
    },
}

/// What this node thinks of another now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing that counts is known against it.
    Good,
    /// One more broken rule costs the connection: to be asked only where there is no better.
    Poor,
    /// Not to be spoken to.
    Banned,
}

#[derive(Clone, Copy, Debug, Default)]
struct Opinion {
    /// When the last point is forgiven.
    forgiven_at: Moment,
    /// When the last ban ends or ended.
    banned_until: Moment,
    /// Bans so far.
    bans: u32,
}

impl Opinion {
    fn points(&self, now: Moment) -> u32 {
        let points = self.forgiven_at.since(now).as_micros().div_ceil(FORGIVENESS.as_micros());
        u32::try_from(points).unwrap_or(u32::MAX)
    }

    fn is_banned(&self, now: Moment) -> bool {
        self.banned_until > now
    }

    /// When nothing of it matters any more.
    fn forgotten_at(&self) -> Moment {
        let ban_forgotten =
            if self.bans == 0 { Moment::default() } else { self.banned_until + LONGEST_BAN };
        self.forgiven_at.max(ban_forgotten)
    }

    fn charge(&mut self, cost: Cost, now: Moment) -> Verdict {
        if self.is_banned(now) {
            return Verdict::Banned { lasts: self.banned_until.since(now) };
        }
        let points = self.points(now);
        let most = if cost.may_be_honest { points.max(BAN_POINTS - 1) } else { BAN_POINTS };
        let points = (points + cost.points).min(most);
        if points >= BAN_POINTS {
            return self.ban(now);
        }
        let forgiven_at = self.forgiven_at.max(now) + FORGIVENESS * cost.points;
        self.forgiven_at = forgiven_at.min(now + FORGIVENESS * points);
        if points >= HANG_UP_POINTS { Verdict::HangUp } else { Verdict::Tolerated }
    }

    /// The points are paid for by the ban.
    fn ban(&mut self, now: Moment) -> Verdict {
        let lasts = FIRST_BAN.saturating_mul(1 << self.bans.min(16)).min(LONGEST_BAN);
        *self =
            Self { forgiven_at: now, banned_until: now + lasts, bans: self.bans.saturating_add(1) };
        Verdict::Banned { lasts }
    }
}

/// The opinions of one node.
#[derive(Clone, Debug)]
pub struct Reputation {
    opinions: BTreeMap<NodeId, Opinion>,
    max: usize,
}

impl Default for Reputation {
    fn default() -> Self {
        Self::new(MAX_OPINIONS)
    }
}

impl Reputation {
    /// No opinion of anyone, and never of more than `max` nodes (0 reads as 1).
    pub fn new(max: usize) -> Self {
        Self { opinions: BTreeMap::new(), max: max.max(1) }
    }

    /// A peer broke a rule. It must have authenticated its ID on the connection on which it did.
    pub fn charge(&mut self, peer: &NodeId, what: Misbehaviour, now: Moment) -> Verdict {
        if !self.opinions.contains_key(peer) {
            self.make_room(now);
        }
        self.opinions.entry(*peer).or_default().charge(Cost::of(what), now)
    }

    /// Whether an opinion of this node would take the place of another one.
    pub fn is_full_for(&self, peer: &NodeId) -> bool {
        self.opinions.len() >= self.max && !self.opinions.contains_key(peer)
    }

    /// What this node thinks of another.
    pub fn standing(&self, peer: &NodeId, now: Moment) -> Standing {
        match self.opinions.get(peer) {
            Some(opinion) if opinion.is_banned(now) => Standing::Banned,
            Some(opinion) if opinion.points(now) >= HANG_UP_POINTS => Standing::Poor,
            _ => Standing::Good,
        }
    }

    /// Whether a node is banned.
    pub fn is_banned(&self, peer: &NodeId, now: Moment) -> bool {
        self.standing(peer, now) == Standing::Banned
    }

    /// Points against a node that are not forgiven yet.
    pub fn points(&self, peer: &NodeId, now: Moment) -> u32 {
        self.opinions.get(peer).map_or(0, |opinion| opinion.points(now))
    }

    /// Banned peers by ID, and the remaining time.
    pub fn bans(&self, now: Moment) -> impl Iterator<Item = (NodeId, Duration)> + '_ {
        self.opinions
            .iter()
            .filter(move |(_, opinion)| opinion.is_banned(now))
            .map(move |(id, opinion)| (*id, opinion.banned_until.since(now)))
    }

    /// Lifts a ban and forgets everything about a node, as its operator asks.
    pub fn forgive(&mut self, peer: &NodeId) {
        self.opinions.remove(peer);
    }

    /// At the limit: forgets what has passed, and if there is no such thing, what passes next. That
    /// takes a walk over all opinions, which is less work than the handshake of the ID in question.
    fn make_room(&mut self, now: Moment) {
        if self.opinions.len() < self.max {
            return;
        }
        self.opinions.retain(|_, opinion| opinion.forgotten_at() > now);
        while self.opinions.len() >= self.max
            && let Some((&id, _)) =
                self.opinions.iter().min_by_key(|(_, opinion)| opinion.forgotten_at())
        {
            self.opinions.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: Misbehaviour = Misbehaviour::Malformed(MessageError::EmptyValue);

    fn id(n: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    fn banned(lasts: Duration) -> Verdict {
        Verdict::Banned { lasts }
    }

    /// Charges the events one after the other and compares the verdicts.
    fn check(events: &[(u64, Misbehaviour, Verdict)]) -> Reputation {
        let mut reputation = Reputation::default();
        for (seconds, what, verdict) in events {
            let got = reputation.charge(&id(1), *what, at(*seconds));
            assert_eq!(got, *verdict, "{what:?} at {seconds}");
        }
        reputation
    }

    #[test]
    fn broken_rules_cost_the_connection_then_a_ban() {
        let reputation = check(&[
            (10, Misbehaviour::WrongReply, Verdict::Tolerated),
            (10, Misbehaviour::WrongReply, Verdict::HangUp),
            (10, MALFORMED, banned(FIRST_BAN)),
            (20, MALFORMED, banned(FIRST_BAN - Duration::from_secs(10))),
        ]);
        assert_eq!(reputation.standing(&id(1), at(20)), Standing::Banned);
        assert_eq!(reputation.standing(&id(2), at(20)), Standing::Good);
        assert_eq!(reputation.bans(at(20)).map(|(id, _)| id).collect::<Vec<_>>(), [id(1)]);
    }

    #[test]
    fn points_are_forgiven_with_time() {
        let reputation = check(&[(0, MALFORMED, Verdict::HangUp)]);
        assert_eq!(reputation.points(&id(1), at(0)), 50);
        assert_eq!(reputation.standing(&id(1), at(0)), Standing::Poor);
        assert_eq!(reputation.points(&id(1), at(6)), 49);
        assert_eq!(reputation.standing(&id(1), at(6)), Standing::Good);
        assert_eq!(reputation.points(&id(1), at(300)), 0);
        check(&[(0, MALFORMED, Verdict::HangUp), (300, MALFORMED, Verdict::HangUp)]);
    }

    #[test]
    fn bans_expire_and_the_next_one_is_longer_up_to_a_limit() {
        let mut reputation = Reputation::default();
        let mut now = at(0);
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            let lasts = Duration::from_secs(hours * 3600);
            reputation.charge(&id(1), MALFORMED, now);
            assert_eq!(reputation.charge(&id(1), MALFORMED, now), banned(lasts));
            now = now + lasts;
            assert_eq!(reputation.standing(&id(1), now), Standing::Good);
        }
    }

    #[test]
    fn nothing_that_can_happen_to_an_honest_node_leads_to_a_ban() {
        let excusable =
            [Misbehaviour::DeniedValue, Misbehaviour::StalledFrame, Misbehaviour::UnawaitedReply];
        let mut reputation = Reputation::default();
        for round in 0..1_000 {
            for what in excusable {
                let verdict = reputation.charge(&id(1), what, at(round / 100));
                assert!(matches!(verdict, Verdict::Tolerated | Verdict::HangUp), "{verdict:?}");
            }
        }
        assert_eq!(reputation.standing(&id(1), at(10)), Standing::Poor);
        assert_eq!(reputation.points(&id(1), at(10)), BAN_POINTS - 1);
        // Nor do they shield from one.
        assert_eq!(reputation.charge(&id(1), MALFORMED, at(10)), banned(FIRST_BAN));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_first_that_matter_least() {
        let mut reputation = Reputation::new(3);
        reputation.charge(&id(1), MALFORMED, at(0));
        reputation.charge(&id(1), MALFORMED, at(0));
        reputation.charge(&id(2), Misbehaviour::UnawaitedReply, at(0));
        reputation.charge(&id(3), Misbehaviour::WrongReply, at(0));
        reputation.charge(&id(4), MALFORMED, at(0));
        assert_eq!(reputation.opinions.len(), 3);
        assert_eq!(reputation.points(&id(2), at(0)), 0, "the least is still there");
        for n in 5..500 {
            reputation.charge(&id(n), MALFORMED, at(1));
            assert!(reputation.opinions.len() <= 3);
        }
        assert!(reputation.is_banned(&id(1), at(1)), "a ban was flushed out by lesser things");
    }

    #[test]
    fn an_unknown_message_type_never_leads_to_a_ban() {
        let unknown = Misbehaviour::Malformed(MessageError::UnknownType(1));
        let mut reputation = Reputation::default();
        for _ in 0..1_000 {
            let verdict = reputation.charge(&id(1), unknown, at(0));
            assert!(!matches!(verdict, Verdict::Banned { .. }));
        }
    }

    #[test]
    fn what_is_forgiven_by_the_operator_is_forgotten() {
        let mut reputation =
            check(&[(0, MALFORMED, Verdict::HangUp), (0, MALFORMED, banned(FIRST_BAN))]);
        reputation.forgive(&id(1));
        assert_eq!(reputation.standing(&id(1), at(0)), Standing::Good);
    }
}
