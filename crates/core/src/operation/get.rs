//! GET: ask the replicas, and believe what proves itself or what enough of them agree on.
//!
//! Three stages, of which an honest network needs the first:
//!
//! 1. *Searching*: a lookup by FIND_VALUE. It ends early with a value that proves itself, or with
//!    `quorum` votes and no dissent; otherwise it runs to its end, and without dissent what it
//!    found decides.
//! 2. *Locating*: there was dissent. Nodes that answered with a value named no neighbours, so the
//!    true k closest are found by FIND_NODE first.
//! 3. *Polling*: each of them that has not voted is asked. Most votes win.
//!
//! Where the nodes around the key are denser than the size of the network explains, some of them
//! probably chose their IDs. Then neither their agreement nor their silence is enough: the search
//! is widened by as many as are too many, to where the PUT has gone too, and everyone votes.
//!
//! A value that this node published itself is a floor: votes for older versions do not count,
//! so that a program always reads its own writes.

use bytes::Bytes;
use voiddht_wire::peer::{Body, NodeInfo, Record};
use voiddht_wire::{Key, NodeId};

use super::{Answer, Found, Next, Published};
use crate::density::SizeEstimate;
use crate::lookup::{Breadth, Lookup};
use crate::vote::{Ballot, Vote};

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
    proof: Option<Bytes>,
    /// Who returned the proof; `None` if this node published it.
    proved_by: Option<NodeId>,
    search: Lookup,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Searching,
    Locating(Lookup),
    Polling { open: Vec<NodeInfo>, asked: Vec<NodeId> },
    Decided,
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
                    } else if self.ballot.is_unanimous(self.quorum) {
                        self.stage = if self.widen_if_dense() {
                            Stage::Locating(self.locate())
                        } else {
                            Stage::Decided
                        };
                    } else if self.ballot.has_dissent() {
                        self.widen_if_dense();
                        self.stage = Stage::Locating(self.locate());
                    } else if self.could_be_enough() {
                        return Next::Wait;
                    } else if let Some(ask) = self.search.next_ask() {
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    } else if !self.search.is_finished() {
                        return Next::Wait;
                    } else if !self.widen_if_dense() {
                        self.stage = Stage::Decided;
                    }
                }
                Stage::Locating(lookup) => {
                    if let Some(ask) = lookup.next_ask() {
                        let body = Body::FindNode { target: self.key };
                        return Next::Ask { node: ask.node, path: ask.path, body };
                    }
                    if !lookup.is_finished() {
                        return Next::Wait;
                    }
                    let open = lookup
                        .closest_answered(self.breadth.want)
                        .filter(|node| !self.ballot.has_voted(&node.id))
                        .collect();
                    self.stage = Stage::Polling { open, asked: Vec::new() };
                }
                Stage::Polling { open, asked } => {
                    if asked.len() < self.breadth.alpha.max(self.breadth.paths)
                        && let Some(node) = open.pop()
                    {
                        asked.push(node.id);
                        let body = Body::FindValue { key: self.key };
                        return Next::Ask { node, path: 0, body };
                    }
                    if !asked.is_empty() {
                        return Next::Wait;
                    }
                    self.stage = Stage::Decided;
                }
            }
        }
    }

    /// An answer came.
    pub fn handle_answer(&mut self, from: &NodeId, answer: Answer) {
        self.settle_poll(from);
        match answer {
            Answer::Value(record) => {
                self.search.answered(from, &[]);
                self.count(*from, record);
            }
            Answer::Nodes(nodes) => {
                self.search.answered(from, &nodes);
                if let Stage::Locating(lookup) = &mut self.stage {
                    lookup.answered(from, &nodes);
                }
            }
            Answer::Stored | Answer::Refused(_) | Answer::Failed => {
                self.search.failed(from);
                if let Stage::Locating(lookup) = &mut self.stage {
                    lookup.failed(from);
                }
            }
        }
    }

    /// A request is late.
    pub fn handle_late(&mut self, node: &NodeId) {
        self.search.late(node);
        if let Stage::Locating(lookup) = &mut self.stage {
            lookup.late(node);
        }
    }

    /// What was found. Meaningful once [`Next::Done`] has come.
    pub fn found(&self) -> Found {
        if let Some(value) = &self.proof {
            let version = self.floor.as_ref().map(|floor| floor.version);
            return Found { value: Some(value.clone()), version, agreeing: 1, dissenting: 0 };
        }
        let winner = self.ballot.winner();
        match (winner, &self.floor) {
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
        match self.ballot.winner() {
            Some(winner) if self.proof.is_none() && winner.agreeing > winner.dissenting => {
                self.ballot.liars(&winner).filter(|liar| *liar != self.own).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Widens the search, once, if the neighbourhood is too dense. Whether it did.
    fn widen_if_dense(&mut self) -> bool {
        let Some(size) = self.size.filter(|_| !self.widened) else { return false };
        let excess = size.excess(&self.search.distances()).min(self.breadth.want);
        self.widened = excess > 0;
        if self.widened {
            self.breadth.want += excess;
            self.search.widen(self.breadth.want);
        }
        self.widened
    }

    /// Whether the requests under way can complete the quorum: then no further one is sent.
    fn could_be_enough(&self) -> bool {
        self.ballot.votes().len() + self.search.in_flight() >= self.quorum
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

    fn locate(&self) -> Lookup {
        let seeds: Vec<NodeInfo> = self
            .search
            .usable()
            .map(|candidate| candidate.node)
            .take(2 * self.breadth.want)
            .collect();
        Lookup::new(self.key, self.own, self.breadth, &seeds)
    }

    fn settle_poll(&mut self, from: &NodeId) {
        if let Stage::Polling { asked, .. } = &mut self.stage {
            asked.retain(|one| one != from);
        }
    }
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

    fn asked(get: &mut Get) -> Vec<u8> {
        let mut asked = Vec::new();
        while let Next::Ask { node, .. } = get.next_step() {
            asked.push(node.id.to_bytes()[0]);
        }
        asked.sort_unstable();
        asked
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
        get.handle_late(&node(2).id);
        assert_eq!(asked(&mut get).len(), 2);
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
                let polling = matches!(get.stage, Stage::Polling { .. });
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
