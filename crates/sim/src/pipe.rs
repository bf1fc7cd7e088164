//! Connections as the network sees them: pipes with two ends.
//!
//! Which connection is opened, used and closed is decided by the sessions at its ends. Here is what
//! kernels and the network know of it: whether an end is open, when it was last used, and when what
//! was sent on it last arrives.
//!
//! All pipes are in one slab, and each host has a list of its own ends, sorted by the names that
//! its session calls them by: an idle connection of a large network costs some hundred bytes here.

use std::time::Duration;

use voiddht_core::peer::ConnectionId;
use voiddht_core::time::Moment;

use crate::host_id::HostId;

/// Names a pipe. Its slot is used again, its serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PipeId {
    slot: u32,
    serial: u32,
}

impl PipeId {
    /// A number that no other pipe has.
    pub(crate) fn number(self) -> u32 {
        self.serial
    }
}

/// One of the ends of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// That of the host that dialled.
    Dialler,
    /// The other one.
    Acceptor,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Dialler, Self::Acceptor];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// The state of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// The handshake is in progress.
    Opening,
    /// Its session was told that it is open.
    Open,
    /// Likewise; but the other end is gone or cut off, and this one does not know it yet.
    Silent,
    /// It was closed or has broken, or its host is down.
    Gone,
}

/// One end of a pipe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) host: HostId,
    pub(crate) state: EndState,
    /// What its session calls it. That of an acceptor is set when it accepts.
    pub(crate) name: ConnectionId,
    /// When something was last sent or received.
    pub(crate) used: Moment,
    /// When what was sent last will arrive: nothing overtakes it.
    pub(crate) arrives: Moment,
}

impl End {
    fn new(host: HostId, name: ConnectionId, now: Moment) -> Self {
        Self { host, state: EndState::Opening, name, used: now, arrives: now }
    }

    /// Uses the connection. How often it was probed since it was last used.
    pub(crate) fn touch(&mut self, now: Moment, keepalive: Duration) -> u64 {
        let idle = now.since(std::mem::replace(&mut self.used, now));
        if self.state == EndState::Open { whole(idle, keepalive) } else { 0 }
    }

    /// When the other end was last heard: keepalive probes are answered.
    pub(crate) fn heard(&self, now: Moment, keepalive: Duration) -> Moment {
        let probes = whole(now.since(self.used), keepalive);
        self.used + keepalive * u32::try_from(probes).unwrap_or(u32::MAX)
    }

    /// Whether its session takes it for open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, EndState::Open | EndState::Silent)
    }
}

/// How often a pause fits into a span.
fn whole(span: Duration, pause: Duration) -> u64 {
    span.as_micros().checked_div(pause.as_micros()).unwrap_or(0) as u64
}

/// A connection, or a dial that may become one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pipe {
    serial: u32,
    ends: [End; 2],
}

impl Pipe {
    pub(crate) fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// The side of the host that calls this pipe so.
    fn side_of(&self, host: HostId, name: ConnectionId) -> Side {
        let dialler = self.end(Side::Dialler);
        let is_dialler = dialler.host == host && dialler.name == name;
        if is_dialler { Side::Dialler } else { Side::Acceptor }
    }

    /// The end that a host calls so.
    pub(crate) fn end_of(&self, host: HostId, name: ConnectionId) -> &End {
        self.end(self.side_of(host, name))
    }

    fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.state == EndState::Gone)
    }
}

/// All pipes of a world.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    slots: Vec<Option<Pipe>>,
    free: Vec<u32>,
    serial: u32,
}

impl Pipes {
    /// A new pipe between two hosts, whose dialler calls it `name`.
    pub(crate) fn add(
        &mut self,
        from: HostId,
        to: HostId,
        name: ConnectionId,
        now: Moment,
    ) -> PipeId {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let ends = [End::new(from, name, now), End::new(to, ConnectionId(0), now)];
        let pipe = Some(Pipe { serial, ends });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = pipe;
                slot
            }
            None => {
                self.slots.push(pipe);
                (self.slots.len() - 1) as u32
            }
        };
        PipeId { slot, serial }
    }

    pub(crate) fn get(&self, id: PipeId) -> Option<&Pipe> {
        self.slots[id.slot as usize].as_ref().filter(|pipe| pipe.serial == id.serial)
    }

    pub(crate) fn get_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        self.slots[id.slot as usize].as_mut().filter(|pipe| pipe.serial == id.serial)
    }

    /// One end, while there is the pipe.
    pub(crate) fn end(&self, id: PipeId, side: Side) -> Option<&End> {
        self.get(id).map(|pipe| pipe.end(side))
    }

    /// Likewise.
    pub(crate) fn end_mut(&mut self, id: PipeId, side: Side) -> Option<&mut End> {
        self.get_mut(id).map(|pipe| pipe.end_mut(side))
    }

    /// One end is not there any more. Once neither is, the slot is free.
    pub(crate) fn set_gone(&mut self, id: PipeId, side: Side) {
        let Some(pipe) = self.get_mut(id) else { return };
        pipe.end_mut(side).state = EndState::Gone;
        if pipe.is_over() {
            self.slots[id.slot as usize] = None;
            self.free.push(id.slot);
        }
    }

    /// The end that a host calls so.
    pub(crate) fn find(
        &self,
        host: HostId,
        ends: &Ends,
        name: ConnectionId,
    ) -> Option<(PipeId, Side)> {
        let id = ends.get(name)?;
        Some((id, self.get(id)?.side_of(host, name)))
    }

    /// All pipes, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PipeId, &Pipe)> {
        let all = self.slots.iter().enumerate();
        all.filter_map(|(slot, pipe)| {
            let pipe = pipe.as_ref()?;
            Some((PipeId { slot: slot as u32, serial: pipe.serial }, pipe))
        })
    }
}

/// The ends of one host, by name.
#[derive(Debug, Default)]
pub(crate) struct Ends(Vec<(ConnectionId, PipeId)>);

impl Ends {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, PipeId)> {
        self.0.iter().copied()
    }

    pub(crate) fn get(&self, name: ConnectionId) -> Option<PipeId> {
        self.index_of(name).ok().map(|index| self.0[index].1)
    }

    /// Adds one. Sessions and hosts count their names up, so it is among the last.
    pub(crate) fn add(&mut self, name: ConnectionId, pipe: PipeId) {
        if let Err(index) = self.index_of(name) {
            self.0.insert(index, (name, pipe));
        }
    }

    pub(crate) fn remove(&mut self, name: ConnectionId) {
        if let Ok(index) = self.index_of(name) {
            self.0.remove(index);
        }
    }

    fn index_of(&self, name: ConnectionId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&name, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_connection_is_probed_once_per_pause() {
        let minute = Duration::from_secs(60);
        let mut idle = End::new(HostId(1), ConnectionId(1), at(0));
        idle.state = EndState::Open;
        assert_eq!((idle.heard(at(59), minute), idle.heard(at(150), minute)), (at(0), at(120)));
        assert_eq!((idle.touch(at(150), minute), idle.touch(at(209), minute)), (2, 0));
        idle.state = EndState::Silent;
        assert_eq!(idle.touch(at(1000), minute), 0, "it does not answer");
    }

    #[test]
    fn a_slot_is_used_again_and_what_was_meant_for_its_last_pipe_finds_none() {
        let mut pipes = Pipes::default();
        let (a, b) = (HostId(1), HostId(2));
        let first = pipes.add(a, b, ConnectionId(1), at(0));
        pipes.set_gone(first, Side::Dialler);
        assert!(pipes.get(first).is_some(), "the other end is there");
        pipes.set_gone(first, Side::Acceptor);
        assert!(pipes.get(first).is_none());
        let second = pipes.add(a, b, ConnectionId(3), at(0));
        assert_eq!(second.slot, first.slot);
        assert!(pipes.get(first).is_none());
        assert_eq!(pipes.iter().map(|(id, _)| id).collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn a_host_finds_its_ends_by_name() {
        let mut pipes = Pipes::default();
        let mut ends = [Ends::default(), Ends::default()];
        for number in 0..5_u64 {
            let (dialled, accepted) = (ConnectionId(2 * number + 1), ConnectionId(2 * number));
            let pipe = pipes.add(HostId(0), HostId(1), dialled, at(0));
            pipes.end_mut(pipe, Side::Acceptor).unwrap().name = accepted;
            ends[0].add(dialled, pipe);
            ends[1].add(accepted, pipe);
        }
        let find = |host: u32, name| {
            let found = pipes.find(HostId(host), &ends[host as usize], ConnectionId(name));
            found.map(|(_, side)| side)
        };
        assert_eq!((find(0, 3), find(0, 2)), (Some(Side::Dialler), None));
        assert_eq!((find(1, 4), find(1, 3)), (Some(Side::Acceptor), None));
        ends[0].remove(ConnectionId(3));
        assert_eq!((ends[0].get(ConnectionId(3)), ends[0].len()), (None, 4));
    }
}
