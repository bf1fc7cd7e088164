//! GET: ask the replicas, and believe what proves itself or what enough of them agree on.
//!
//! Two stages, of which an honest network needs the first:
//!
//! 1. *Searching*: a lookup by FIND_VALUE. It ends early with a value that proves itself, or with
//!    `quorum` votes and no dissent; otherwise it runs to its end, and without dissent what it
//!    found decides.
//! 2. *Electing*: there was dissent. Nodes that answered with a value named no neighbours, so the
//!    true k closest are found by FIND_NODE first. Then each of them that has not voted is asked.
//!    Most votes win.
//!
//! Only those may vote who should hold the value: the k closest that are known and have not failed,
//! no farther from the key than the size of the network explains. Anyone on the way can claim to
//! have a value, and honest nodes there, who have none, do not contradict; on a way of several hops
//! liars alone would be five soon. Nor can one path, once it has fallen to them, bring more than
//! one of the votes that end a search early.
//!
//! Where the nodes around the key are denser than the size of the network explains, some of them
//! probably chose their IDs. Then neither their agreement nor their silence is enough: the search
//! is widened by as many as are too many, to where the PUT has gone too, and everyone votes.
//!
//! Neither waits for those who are late once they could not change the outcome, though all of them
//! agreed on something else.
//!
//! A value that this node published itself is a floor: votes for older versions do not count,
//! so that a program always reads its own writes.

use std::collections::BTreeSet;

use bytes::Bytes;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::{Answer, Found, Next, Published};
use crate::density::SizeEstimate;
use crate::lookup::{Ask, Breadth, Lookup, State};
use crate::vote::{Ballot, Vote, Winner};

/// How many times as far from the key as the k-th closest node is on average an early vote may come
/// from: the k-th closest is never as far, even if the size of the network is estimated at half
/// too much (three standard deviations of a first estimate).
const MAX_REACH: f64 = 2.5;

/// A search for a value.
#[derive(Clone, Debug)]
pub struct Get {
    key: Key,
    own: NodeId,
    quorum: usize,
    breadth: Breadth,
    size: Option<SizeEstimate>,
    widened: bool,
    floor: Option<Published>,
    ballot: Ballot,
    /// The k closest, once they are known: their votes decide.
    electors: Vec<NodeId>,
    proof: Option<Bytes>,
    /// Who returned the proof; `None` if this node published it.
    proved_by: Option<NodeId>,
    search: Lookup,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Searching,
    Electing(Box<Election>),
    Decided,
}

/// Finding the k closest, and asking for their votes.
#[derive(Clone, Debug)]
struct Election {
    lookup: Lookup,
    /// Who was asked for a vote.
    polled: BTreeSet<NodeId>,
    /// Those of them who have not answered, in time so far.
    asked: BTreeSet<NodeId>,
    /// Those who are late.
    late: BTreeSet<NodeId>,
}

/// Votes of those who may vote while the search goes on.
#[derive(Clone, Copy, Debug, Default)]
struct EarlyVotes {
    count: usize,
    /// Disjoint paths on which they came, each a bit.
    paths: u16,
    /// Whether this node's own vote, which came on none, is among them.
    own: bool,
}

impl Get {
    /// A search for the value of `key`. `floor` is what this node published under it, and
    /// `held` the record that it holds as a replica: its own vote.
    pub fn new(
        own: NodeId,
        search: Lookup,
        breadth: Breadth,
        quorum: usize,
        size: Option<SizeEstimate>,
        floor: Option<Published>,
        held: Option<Record>,
    ) -> Self {
        let key = search.target();
        let ballot = Ballot::default();
        let mut get = Self {
            key,
            own,
            quorum,
            breadth,
            size,
            widened: false,
            floor,
            ballot,
            electors: Vec::new(),
            proof: None,
            proved_by: None,
            search,
            stage: Stage::Searching,
        };
        if let Some(floor) = &get.floor
            && key.proves(&floor.value)
        {
            get.proof = Some(floor.value.clone());
        }
        if let Some(record) = held {
            get.count(own, record);
        }
        get
    }

    /// The search, as far as it is.
    pub fn lookup(&self) -> &Lookup {
        &self.search
    }

    /// What to do next.
    pub fn next_step(&mut self) -> Next {
        loop {
            match &mut self.stage {
                Stage::Decided => return Next::Done,
                Stage::Searching => {
                    if self.proof.is_some() {
                        self.stage = Stage::Decided;
                    } else if self.has_quorum() {
                        let is_dense = self.widen_if_dense();
                        self.stage = if is_dense { self.elect() } else { Stage::Decided };
                    } else if self.ballot.has_dissent() {
                        self.widen_if_dense();
                        self.stage = self.elect();
                    } else if self.could_be_enough() {
                        return Next::Wait;
                    } else if let Some(ask) = self.next_ask() {
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    } else if !self.search.is_finished() && !self.is_decided_without_late() {
                        return Next::Wait;
                    } else if !self.widen_if_dense() {
                        self.stage = Stage::Decided;
                    }
                }
                Stage::Electing(election) => {
                    let Breadth { want, alpha, paths, .. } = self.breadth;
                    if let Some(ask) = election.lookup.next_ask() {
                        let body = Body::FindNode { target: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    if !election.lookup.is_settled() {
                        return Next::Wait;
                    }
                    if election.asked.len() < alpha.max(paths)
                        && let Some(node) = election.next_to_poll(want, &self.ballot)
                    {
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node, path: 0, body };
                    }
                    if !election.asked.is_empty() {
                        return Next::Wait;
                    }
                    let unheard = election.unheard(want);
                    let closest = election.lookup.closest_answered(want);
                    self.electors = electors(self.key, closest, &self.own, want);
                    if unheard > 0 && !self.is_beyond(unheard) {
                        return Next::Wait;
                    }
                    self.stage = Stage::Decided;
                }
            }
        }
    }

    /// An answer came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        if let Stage::Electing(election) = &mut self.stage {
            election.asked.remove(from);
            election.late.remove(from);
        }
        match answer {
            Answer::Value(record) => {
                self.search.answered(from, &[]);
                self.count(*from, record);
            }
            Answer::Nodes(nodes) => {
                self.search.answered(from, &nodes);
                if let Stage::Electing(election) = &mut self.stage {
                    election.lookup.answered(from, &nodes);
                }
            }
            Answer::Stored | Answer::Delivered | Answer::Refused(_) | Answer::Failed => {
                self.search.failed(from);
                if let Stage::Electing(election) = &mut self.stage {
                    election.lookup.failed(from);
                }
            }
        }
    }

    /// A request is late.
    pub fn handle_late(&mut self, node: &NodeId) {
        self.search.late(node);
        if let Stage::Electing(election) = &mut self.stage {
            election.lookup.late(node);
            election.late.extend(election.asked.take(node));
        }
    }

    /// This node was found silent before.
    pub fn doubt(&mut self, node: &NodeId) {
        self.search.doubt(node);
        if let Stage::Electing(election) = &mut self.stage {
            election.lookup.doubt(node);
        }
    }

    /// What was found. Meaningful once [`Next::Done`] has come.
    pub fn found(&self) -> Found {
        if let Some(value) = &self.proof {
            let version = self.floor.as_ref().map(|floor| floor.version);
            return Found { value: Some(value.clone()), version, agreeing: 1, dissenting: 0 };
        }
        match (self.winner(), &self.floor) {
            (Some(winner), _) => Found {
                value: Some(winner.value),
                version: winner.version,
                agreeing: winner.agreeing,
                dissenting: winner.dissenting,
            },
            (None, Some(floor)) => Found {
                value: Some(floor.value.clone()),
                version: Some(floor.version),
                agreeing: 0,
                dissenting: 0,
            },
            (None, None) => Found::default(),
        }
    }

    /// Whether this node returned what was found.
    pub fn agrees(&self, node: &NodeId) -> bool {
        if self.proof.is_some() {
            return self.proved_by.as_ref() == Some(node);
        }
        let winner = self.ballot.winner();
        let mut votes = self.ballot.votes().iter();
        winner.is_some_and(|winner| {
            votes.any(|vote| vote.voter == *node && vote.value == winner.value)
        })
    }

    /// Nodes whose vote the others deny, and who cannot have missed an update.
    pub fn liars(&self) -> Vec<NodeId> {
        match self.winner() {
            Some(winner) if self.proof.is_none() && winner.agreeing > winner.dissenting => {
                self.ballot.liars(&winner).filter(|liar| *liar != self.own).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Widens the search, once, if the neighbourhood is too dense. Whether it did.
    fn widen_if_dense(&mut self) -> bool {
        let Some(size) = self.size.filter(|_| !self.widened) else { return false };
        let excess = size.excess(&self.search.distances());
        self.widened = excess > 0;
        if self.widened {
            self.breadth.want += excess;
            self.search.widen(self.breadth.want);
        }
        self.widened
    }

    fn winner(&self) -> Option<Winner> {
        self.ballot.among(|voter| self.electors.contains(voter)).winner()
    }

    /// Whether enough of those who should hold the value agree, and nobody dissents.
    fn has_quorum(&self) -> bool {
        let early = self.early_votes();
        !self.ballot.has_dissent() && self.is_quorum(early, early.count)
    }

    /// Whether nobody is left but those who are late, and all of them together could not outvote
    /// the others.
    fn is_decided_without_late(&self) -> bool {
        if !self.search.is_settled() {
            return false;
        }
        self.early_votes().count > unheard(&self.search, self.breadth.want)
    }

    /// Whether the winner is as many votes ahead as no `unheard` can make up for.
    fn is_beyond(&self, unheard: usize) -> bool {
        self.winner().is_some_and(|winner| winner.agreeing > winner.dissenting + unheard)
    }

    /// Whether the requests under way can complete the quorum: then no further one is sent. For each
    /// that is late there must be one to spare: where one is silent, others are.
    fn could_be_enough(&self) -> bool {
        let early = self.early_votes();
        let paths = early.paths | self.search.busy_paths();
        let in_flight = self.search.in_flight();
        let count = (early.count + in_flight).saturating_sub(self.search.late_ones());
        in_flight > 0 && self.is_quorum(EarlyVotes { paths, ..early }, count)
    }

    fn is_quorum(&self, early: EarlyVotes, count: usize) -> bool {
        let paths = early.paths.count_ones() as usize + usize::from(early.own);
        count >= self.quorum && paths >= self.quorum.min(self.breadth.paths)
    }

    /// The next to ask: on a path that has not brought a vote, where there is one.
    fn next_ask(&mut self) -> Option<Ask> {
        let fresh = !self.early_votes().paths;
        match self.search.next_ask_on(fresh) {
            Some(ask) => Some(ask),
            None => self.search.next_ask(),
        }
    }

    fn early_votes(&self) -> EarlyVotes {
        let mut early = EarlyVotes::default();
        if self.ballot.votes().is_empty() {
            return early;
        }
        let reach = self.size.map_or(1.0, |size| MAX_REACH * size.reach(self.breadth.want));
        let own = self.key.distance(&self.own);
        let mut nearer = 0;
        for candidate in self.search.usable().take(self.breadth.want) {
            if candidate.distance.as_fraction() > reach {
                break;
            }
            nearer += usize::from(candidate.distance < own);
            if self.ballot.has_voted(&candidate.node.id) {
                early.count += 1;
                early.paths |= candidate.asked_on.map_or(0, |path| 1 << path);
            }
        }
        if nearer < self.breadth.want
            && own.as_fraction() <= reach
            && self.ballot.has_voted(&self.own)
        {
            early.count += 1;
            early.own = true;
        }
        early
    }

    fn count(&mut self, voter: NodeId, record: Record) {
        if self.key.proves(&record.value) {
            self.proof = Some(record.value);
            self.proved_by = Some(voter);
            return;
        }
        let stale = self.floor.as_ref().is_some_and(|floor| {
            record.value != floor.value
                && record.version.is_none_or(|version| version < floor.version)
        });
        if !stale {
            let Record { value, version, ttl, .. } = record;
            self.ballot.cast(Vote { voter, value, version, ttl });
        }
    }

    fn elect(&self) -> Stage {
        let seeds: Vec<NodeInfo> = self
            .search
            .usable()
            .map(|candidate| candidate.node)
            .take(2 * self.breadth.want)
            .collect();
        Stage::Electing(Box::new(Election {
            lookup: Lookup::new(self.key, self.own, self.breadth, &seeds),
            polled: BTreeSet::new(),
            asked: BTreeSet::new(),
            late: BTreeSet::new(),
        }))
    }
}

impl Election {
    /// One of the k closest who has not voted, nor was asked to.
    fn next_to_poll(&mut self, want: usize, ballot: &Ballot) -> Option<NodeInfo> {
        let is_open = |node: &NodeInfo| !self.polled.contains(&node.id);
        let next = self
            .lookup
            .closest_answered(want)
            .find(|node| is_open(node) && !ballot.has_voted(&node.id))?;
        self.polled.insert(next.id);
        self.asked.insert(next.id);
        Some(next)
    }

    /// How many may still have a vote, and are late.
    fn unheard(&self, want: usize) -> usize {
        if self.lookup.is_finished() {
            return self.late.len();
        }
        self.late.len() + unheard(&self.lookup, want)
    }
}

/// How many of the `want` closest have not answered, of those who have not failed.
fn unheard(lookup: &Lookup, want: usize) -> usize {
    let alive = lookup.candidates().iter().filter(|one| one.state != State::Failed);
    alive.take(want).filter(|one| one.state != State::Answered).count()
}

/// The `want` closest of these and this node.
fn electors(
    key: Key,
    closest: impl Iterator<Item = NodeInfo>,
    own: &NodeId,
    want: usize,
) -> Vec<NodeId> {
    let mut electors: Vec<NodeId> = closest.map(|node| node.id).collect();
    let place = electors.partition_point(|id| key.distance(id) < key.distance(own));
    electors.insert(place, *own);
    electors.truncate(want);
    electors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diversity::DiversityLimits;

    const QUORUM: usize = 3;

    fn node(number: u8) -> NodeInfo {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(number)));
        NodeInfo { address: address.into(), id: NodeId::from_bytes([number; 32]) }
    }

    fn own() -> NodeId {
        NodeId::from_bytes([0xff; 32])
    }

    fn get(key: Key, nodes: u8, floor: Option<Published>) -> Get {
        let seeds: Vec<NodeInfo> = (1..=nodes).map(node).collect();
        let breadth = Breadth { want: 20, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
        let search = Lookup::new(key, own(), breadth, &seeds);
        Get::new(own(), search, breadth, QUORUM, None, floor, None)
    }

    fn value(text: &'static str, version: u64) -> Answer {
        Answer::Value(Record {
            key: Key::default(),
            value: Bytes::from_static(text.as_bytes()),
            ttl: 60,
            version: Some(version),
            maintenance: false,
        })
    }

    fn record_of(answer: Answer) -> Record {
        let Answer::Value(record) = answer else { panic!("no value: {answer:?}") };
        record
    }

    fn asked(get: &mut Get) -> Vec<u8> {
        let mut asked = Vec::new();
        while let Next::Ask { node, .. } = get.next_step() {
            asked.push(node.id.to_bytes()[0]);
        }
        asked.sort_unstable();
        asked
    }

    fn is_electing(get: &Get) -> bool {
        matches!(get.stage, Stage::Electing(_))
    }

    /// Whether a node is being asked for its vote.
    fn is_polled(get: &Get, number: u8) -> bool {
        match &get.stage {
            Stage::Electing(election) => election.asked.contains(&NodeId::from_bytes([number; 32])),
            _ => false,
        }
    }

    fn is_done(get: &mut Get) -> bool {
        matches!(get.next_step(), Next::Done)
    }

    fn found(get: &Get) -> String {
        String::from_utf8(get.found().value.expect("a value was found").to_vec()).unwrap()
    }

    #[test]
    fn a_quorum_without_dissent_is_enough_and_nobody_else_is_asked() {
        let mut get = get(Key::default(), 10, None);
        assert_eq!(asked(&mut get), [1, 2, 3]);
        get.handle_answer(&node(1).id, value("a", 1));
        get.handle_answer(&node(2).id, value("a", 1));
        assert_eq!(asked(&mut get), [] as [u8; 0], "the third may still complete it");
        get.handle_answer(&node(3).id, value("a", 1));
        assert!(is_done(&mut get));
        assert_eq!((get.found().agreeing, found(&get)), (3, "a".into()));
    }

    #[test]
    fn a_node_that_has_no_value_or_is_late_is_made_up_for() {
        let mut get = get(Key::default(), 10, None);
        asked(&mut get);
        get.handle_answer(&node(1).id, Answer::Nodes(Vec::new()));
        assert_eq!(asked(&mut get).len(), 1);
        get.handle_late(&node(2).id);
        assert_eq!(asked(&mut get).len(), 2, "silence comes in crowds: one to spare");
    }

    /// Where a path had met none but silent nodes, a GET waited for them until they had failed, in
    /// spite of all the others.
    #[test]
    fn the_late_are_not_waited_for_once_they_could_not_outvote_the_others() {
        let mut get = get(Key::default(), 4, None);
        assert_eq!(asked(&mut get), [1, 2, 3]);
        get.handle_late(&node(3).id);
        get.handle_answer(&node(1).id, value("a", 1));
        assert_eq!(asked(&mut get), [4]);
        get.handle_late(&node(2).id);
        assert!(!is_done(&mut get), "two might agree against one");
        get.handle_answer(&node(4).id, value("a", 1));
        assert!(!is_done(&mut get), "or two against two");
        get.handle_answer(&node(2).id, value("a", 1));
        assert!(is_done(&mut get));
        assert_eq!((found(&get), get.found().agreeing), ("a".into(), 3));
    }

    /// With dissent, a GET waited for each that was silent until it had failed.
    #[test]
    fn an_election_does_not_wait_for_the_late_once_they_could_not_turn_it() {
        let mut get = get(Key::default(), 7, None);
        asked(&mut get);
        get.handle_answer(&node(1).id, value("lie", 9));
        get.handle_answer(&node(2).id, value("true", 1));
        get.handle_late(&node(3).id);
        // The first six are found; 3 is late again, and 4 will be late with its vote.
        for number in [1, 2, 3, 4, 5, 6, 7] {
            asked(&mut get);
            match number {
                3 => get.handle_late(&node(3).id),
                _ => get.handle_answer(&node(number).id, Answer::Nodes(Vec::new())),
            }
        }
        assert_eq!(asked(&mut get), [4, 5, 6]);
        get.handle_late(&node(4).id);
        assert_eq!(asked(&mut get), [7]);
        get.handle_answer(&node(5).id, value("true", 1));
        get.handle_answer(&node(6).id, value("true", 1));
        assert!(!is_done(&mut get));
        get.handle_answer(&node(7).id, value("lie", 9));
        assert!(!is_done(&mut get), "two that are late could make four of the two that lie");
        get.handle_answer(&node(3).id, Answer::Nodes(Vec::new()));
        assert_eq!(asked(&mut get), [3], "it is one of the closest, after all");
        get.handle_answer(&node(3).id, value("true", 1));
        assert!(is_done(&mut get), "one could not make up for two");
        assert_eq!((found(&get), get.found().agreeing), ("true".into(), 4));
    }

    #[test]
    fn who_is_late_may_still_dissent_while_it_could_matter() {
        let mut get = get(Key::default(), 2, None);
        assert_eq!(asked(&mut get), [1, 2]);
        get.handle_late(&node(2).id);
        get.handle_answer(&node(1).id, value("a", 1));
        assert!(!is_done(&mut get));
    }

    #[test]
    fn dissent_asks_the_whole_neighbourhood_and_most_votes_win() {
        let mut get = get(Key::default(), 7, None);
        asked(&mut get);
        get.handle_answer(&node(1).id, value("lie", 9));
        get.handle_answer(&node(2).id, value("true", 1));
        get.handle_answer(&node(3).id, value("lie", 9));
        // Those that gave values named no neighbours: they are asked for them now.
        let mut voters = Vec::new();
        for _ in 0..20 {
            for number in asked(&mut get) {
                let polling = is_polled(&get, number);
                let answer = if polling { value("true", 1) } else { Answer::Nodes(Vec::new()) };
                if polling {
                    voters.push(number);
                }
                get.handle_answer(&node(number).id, answer);
            }
        }
        assert!(is_done(&mut get));
        voters.sort_unstable();
        assert_eq!(voters, [4, 5, 6, 7], "nobody votes twice");
        assert_eq!((found(&get), get.found().dissenting), ("true".into(), 2));
        assert_eq!(get.liars(), [node(1).id, node(3).id]);
    }

    #[test]
    fn fewer_than_the_quorum_decide_among_themselves() {
        let mut get = get(Key::default(), 2, None);
        assert_eq!(asked(&mut get), [1, 2]);
        get.handle_answer(&node(1).id, value("a", 1));
        assert!(!is_done(&mut get));
        get.handle_answer(&node(2).id, Answer::Failed);
        assert!(is_done(&mut get));
        assert_eq!(found(&get), "a");
    }

    #[test]
    fn a_value_that_proves_itself_needs_no_vote() {
        let mut get = get(Key::of_value(b"proof"), 10, None);
        asked(&mut get);
        get.handle_answer(&node(1).id, value("lie", 9));
        get.handle_answer(&node(2).id, value("proof", 1));
        assert!(is_done(&mut get));
        assert_eq!(found(&get), "proof");
    }

    #[test]
    fn votes_for_less_than_this_node_published_do_not_count() {
        let floor = Published { value: Bytes::from_static(b"mine"), version: 5 };
        let mut get = get(Key::default(), 3, Some(floor.clone()));
        asked(&mut get);
        for number in 1..=3 {
            get.handle_answer(&node(number).id, value("old", 4));
        }
        assert!(is_done(&mut get));
        assert_eq!(found(&get), "mine");

        let mut get = self::get(Key::default(), 3, Some(floor));
        asked(&mut get);
        for number in 1..=3 {
            get.handle_answer(&node(number).id, value("newer", 6));
        }
        assert!(is_done(&mut get));
        assert_eq!(found(&get), "newer");
    }

    /// Every node on the way said that it had the value, and five of them made an end, before the
    /// first of those who should have it was asked: nobody on the way could contradict them.
    #[test]
    fn liars_on_the_way_end_no_search() {
        let far = |number: u8| node(0x80 + number);
        let seeds: Vec<NodeInfo> = (1..=6).map(far).collect();
        let breadth = Breadth { want: 4, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
        let search = Lookup::new(Key::default(), own(), breadth, &seeds);
        let mut get = Get::new(own(), search, breadth, QUORUM, None, None, None);
        assert_eq!(asked(&mut get), [0x81, 0x82, 0x83]);
        get.handle_answer(&far(1).id, Answer::Nodes((1..=4).map(node).collect()));
        get.handle_answer(&far(2).id, value("lie", 9));
        get.handle_answer(&far(3).id, value("lie", 9));
        let mut polled = Vec::new();
        for _ in 0..20 {
            for number in asked(&mut get) {
                let answer = match number {
                    _ if is_electing(&get) && !is_polled(&get, number) => Answer::Nodes(Vec::new()),
                    0x80.. => value("lie", 9),
                    _ => value("true", 1),
                };
                polled.push(number);
                get.handle_answer(&NodeId::from_bytes([number; 32]), answer);
            }
        }
        assert!(is_done(&mut get));
        assert_eq!((found(&get), get.found().agreeing), ("true".into(), 4), "{polled:?}");
    }

    /// A liar on one path named its accomplices, each voted, and together they were a quorum.
    #[test]
    fn one_path_brings_one_early_vote() {
        let seeds: Vec<NodeInfo> = [0x10, 0x11, 0x12].map(node).to_vec();
        let breadth = Breadth { want: 20, alpha: 3, paths: 3, diversity: DiversityLimits::NONE };
        let search = Lookup::new(Key::default(), own(), breadth, &seeds);
        let mut get = Get::new(own(), search, breadth, QUORUM, None, None, None);
        assert_eq!(asked(&mut get), [0x10, 0x11, 0x12]);
        get.handle_answer(&node(0x10).id, Answer::Nodes((1..=9).map(node).collect()));
        for _ in 0..9 {
            for number in asked(&mut get) {
                assert!(number < 0x10, "the other two are late and asked already");
                get.handle_answer(&node(number).id, value("lie", 9));
            }
        }
        assert!(!is_done(&mut get), "nine votes of one path");
        get.handle_answer(&node(0x11).id, value("lie", 9));
        assert!(!is_done(&mut get));
        get.handle_answer(&node(0x12).id, value("lie", 9));
        assert!(is_done(&mut get), "three paths agree");
    }

    /// A dense crowd of liars a little farther away than the true k closest outvoted them.
    #[test]
    fn far_liars_do_not_outvote_the_closest() {
        let liars: Vec<NodeInfo> = (0x20..0x30).map(node).collect();
        let seeds: Vec<NodeInfo> = (1..=4).map(node).chain(liars).collect();
        let breadth = Breadth { want: 4, alpha: 3, paths: 2, diversity: DiversityLimits::NONE };
        let search = Lookup::new(Key::default(), own(), breadth, &seeds);
        let mut get = Get::new(own(), search, breadth, 4, None, None, None);
        for liar in 0x20..0x30 {
            get.count(node(liar).id, record_of(value("lie", 9)));
        }
        for _ in 0..20 {
            for number in asked(&mut get) {
                let locating = is_electing(&get) && !is_polled(&get, number);
                let answer = if locating { Answer::Nodes(Vec::new()) } else { value("true", 1) };
                get.handle_answer(&node(number).id, answer);
            }
        }
        assert!(is_done(&mut get));
        assert_eq!(found(&get), "true");
    }

    #[test]
    fn without_any_value_the_answer_is_that_there_is_none() {
        let mut get = get(Key::default(), 2, None);
        for number in asked(&mut get) {
            get.handle_answer(&node(number).id, Answer::Nodes(Vec::new()));
        }
        assert!(is_done(&mut get));
        assert_eq!(get.found(), Found::default());
    }
}
