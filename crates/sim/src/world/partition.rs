//! Partitions: hosts that do not reach each other for a while.

use rand::RngExt;

use super::World;
use crate::host::{HostId, State};
use crate::pipe::{EndState, Side};

impl World {
    /// Cuts the network into parts: hosts reach only those for which `side` gives the same.
    /// Connections between them fall silent, and break after a while.
    pub fn split(&mut self, side: impl Fn(HostId) -> u8) {
        self.split = true;
        for index in 0..self.hosts.len() {
            self.hosts[index].side = side(HostId(index as u32));
        }
        self.silence();
    }

    /// Cuts pairs of hosts apart: the two of each do not reach each other, and all others do. Pairs
    /// that were cut apart before stay so.
    pub fn cut(&mut self, pairs: impl IntoIterator<Item = (HostId, HostId)>) {
        self.cut.extend(pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b))));
        self.silence();
    }

    /// A share of all pairs of hosts, chosen at random.
    pub fn some_pairs(&mut self, share: f64) -> Vec<(HostId, HostId)> {
        let count = self.hosts().len() as u32;
        let all = (0..count).flat_map(|b| (0..b).map(move |a| (HostId(a), HostId(b))));
        all.filter(|_| self.random.random_bool(share)).collect()
    }

    /// Ends all partitions. Connections that have not broken yet go on, as TCP's do.
    pub fn heal(&mut self) {
        self.split = false;
        self.cut.clear();
        let all: Vec<_> = self.pipes.iter().map(|(id, pipe)| (id, *pipe)).collect();
        for (id, pipe) in all {
            // If both ends are there and know it.
            let goes_on = Side::BOTH.into_iter().all(|side| {
                let end = pipe.end(side);
                end.is_open() && self.hosts[end.host.index()].state == State::Up
            });
            for side in Side::BOTH.into_iter().filter(|_| goes_on) {
                if let Some(end) = self.pipes.end_mut(id, side) {
                    end.state = EndState::Open;
                }
            }
        }
    }

    /// Whether a partition lies between two hosts.
    pub(super) fn is_cut_off(&self, a: HostId, b: HostId) -> bool {
        let is_split = self.split && self.hosts[a.index()].side != self.hosts[b.index()].side;
        is_split || (!self.cut.is_empty() && self.cut.contains(&(a.min(b), a.max(b))))
    }

    /// Connections across partitions fall silent.
    fn silence(&mut self) {
        let across = self.pipes.iter().filter(|(_, pipe)| {
            self.is_cut_off(pipe.end(Side::Dialler).host, pipe.end(Side::Acceptor).host)
        });
        let across: Vec<_> = across.map(|(id, _)| id).collect();
        for id in across {
            for side in Side::BOTH {
                if self.pipes.end(id, side).is_some_and(|end| end.state == EndState::Open) {
                    self.fall_silent(id, side);
                }
            }
        }
    }
}
