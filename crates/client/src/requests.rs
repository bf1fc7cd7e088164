//! The order of requests: which may go out, and which one an answer belongs to. No sockets here.
//!
//! For each key there is a lane: at most one request of it awaits an answer, the others wait
//! behind it in the order in which they were made. Invariant: a key has a lane exactly while an
//! answer for it is awaited.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use voiddht_wire::Key;
use voiddht_wire::api::{Answer, Request, Told};

use crate::error::{ProtocolError, RequestError};
use crate::put::PutReceipt;

/// What became of a conditional PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PutIfOutcome {
    /// Stored on so many nodes; 0: nowhere.
    Stored(u8),
    /// This envelope is the newest.
    Conflict(Bytes),
}

/// Where the end of a request is told.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// An unacknowledged PUT ends when it has been written.
    Written(oneshot::Sender<Result<(), RequestError>>),
    /// An acknowledged PUT ends with a count.
    Count(oneshot::Sender<Result<u8, RequestError>>),
    /// A PUT that asked for a receipt ends with one.
    Receipt(oneshot::Sender<Result<PutReceipt, RequestError>>),
    /// A GET ends with a value or without.
    Value(oneshot::Sender<Result<Option<Bytes>, RequestError>>),
    /// An ASK ends with what was told.
    Told(oneshot::Sender<Result<Told, RequestError>>),
    /// A conditional PUT ends with a count, or with the value that won.
    Conditional(oneshot::Sender<Result<PutIfOutcome, RequestError>>),
}

/// A request, and what belongs to it until its end.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    pub(crate) request: Request,
    pub(crate) waiter: Waiter,
    /// The place among the requests in flight; it is free again when this is dropped.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// A request that may be written now. Its waiter is here if writing is all that it waits for.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) request: Request,
    pub(crate) written: Option<(Waiter, Option<OwnedSemaphorePermit>)>,
}

/// All requests of one connection. Its size is bounded by the places that are given out.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    lanes: HashMap<Key, Lane>,
    outbox: VecDeque<Outgoing>,
    /// Why no request is taken any more.
    ended: Option<RequestError>,
}

#[derive(Debug)]
struct Lane {
    /// Those that the next answer for this key is for: one, or several GETs that share it.
    awaited: Vec<(Waiter, Option<OwnedSemaphorePermit>)>,
    waiting: VecDeque<Pending>,
}

impl Requests {
    /// Takes a request in.
    ///
    /// # Errors
    /// The reason for which the connection has ended, if it has.
    pub(crate) fn submit(&mut self, pending: Pending) -> Result<(), RequestError> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        match self.lanes.get_mut(&pending.key) {
            Some(lane) => lane.waiting.push_back(pending),
            None => self.advance(pending.key, VecDeque::from([pending])),
        }
        Ok(())
    }

    /// Takes everything that may be written now.
    pub(crate) fn take_outgoing(&mut self) -> VecDeque<Outgoing> {
        std::mem::take(&mut self.outbox)
    }

    /// Delivers an answer to its request, and says whether something may be written now.
    ///
    /// # Errors
    /// If no request matches it.
    pub(crate) fn handle_answer(&mut self, answer: Answer) -> Result<bool, ProtocolError> {
        let key = answer.key();
        let lane = self.lanes.remove(&key).ok_or(ProtocolError::Unasked(key))?;
        for (waiter, _place) in lane.awaited {
            waiter.answer(&answer)?;
        }
        self.advance(key, lane.waiting);
        Ok(!self.outbox.is_empty())
    }

    /// Ends every request with this reason, and every later one. Only the first reason counts.
    pub(crate) fn end(&mut self, reason: &RequestError) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason.clone());
        let awaited = self.lanes.drain().flat_map(|(_, lane)| {
            let waiting = lane.waiting.into_iter().map(|pending| pending.waiter);
            lane.awaited.into_iter().map(|(waiter, _)| waiter).chain(waiting)
        });
        let unwritten = self.outbox.drain(..).filter_map(|outgoing| outgoing.written);
        for waiter in awaited.chain(unwritten.map(|(waiter, _)| waiter)) {
            waiter.fail(reason);
        }
    }

    /// Lets requests of a key go out, up to the first that awaits an answer. GETs right behind a
    /// GET share its answer: it was asked after each of them was made.
    fn advance(&mut self, key: Key, mut waiting: VecDeque<Pending>) {
        let mut awaited = Vec::new();
        while let Some(pending) = waiting.pop_front() {
            if pending.waiter.is_given_up() {
                continue;
            }
            let Pending { request, waiter, place, .. } = pending;
            if let Waiter::Written(_) = waiter {
                self.outbox.push_back(Outgoing { request, written: Some((waiter, place)) });
                continue;
            }
            self.outbox.push_back(Outgoing { request, written: None });
            let shares = matches!(waiter, Waiter::Value(_));
            awaited.push((waiter, place));
            while shares && waiting.front().is_some_and(Pending::is_get) {
                awaited.extend(waiting.pop_front().map(|next| (next.waiter, next.place)));
            }
            break;
        }
        if !awaited.is_empty() {
            self.lanes.insert(key, Lane { awaited, waiting });
        }
    }
}

impl Pending {
    fn is_get(&self) -> bool {
        matches!(self.waiter, Waiter::Value(_))
    }
}

impl Waiter {
    /// Whether the request was given up. A send to such a waiter does nothing, and that is right.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Written(sender) => sender.is_closed(),
            Self::Count(sender) => sender.is_closed(),
            Self::Receipt(sender) => sender.is_closed(),
            Self::Value(sender) => sender.is_closed(),
            Self::Told(sender) => sender.is_closed(),
            Self::Conditional(sender) => sender.is_closed(),
        }
    }

    /// Reports that the request was written, where that is what is waited for.
    pub(crate) fn written(self) {
        if let Self::Written(sender) = self {
            let _ = sender.send(Ok(()));
        }
    }

    fn answer(self, answer: &Answer) -> Result<(), ProtocolError> {
        match self {
            Self::Written(sender) => pass(sender, Ok(())),
            Self::Value(sender) => pass(sender, value(answer)),
            Self::Count(sender) => pass(sender, count(answer)),
            Self::Receipt(sender) => pass(sender, receipt(answer)),
            Self::Told(sender) => pass(sender, told(answer)),
            Self::Conditional(sender) => pass(sender, conditional(answer)),
        }
    }

    pub(crate) fn fail(self, reason: &RequestError) {
        match self {
            Self::Written(sender) => drop(sender.send(Err(reason.clone()))),
            Self::Count(sender) => drop(sender.send(Err(reason.clone()))),
            Self::Receipt(sender) => drop(sender.send(Err(reason.clone()))),
            Self::Value(sender) => drop(sender.send(Err(reason.clone()))),
            Self::Told(sender) => drop(sender.send(Err(reason.clone()))),
            Self::Conditional(sender) => drop(sender.send(Err(reason.clone()))),
        }
    }
}

/// Hands over what an answer means; an answer of the wrong type ends the connection too.
fn pass<T>(
    sender: oneshot::Sender<Result<T, RequestError>>,
    meaning: Result<T, ProtocolError>,
) -> Result<(), ProtocolError> {
    let broken = meaning.as_ref().err().cloned();
    let _ = sender.send(meaning.map_err(RequestError::from));
    broken.map_or(Ok(()), Err)
}

fn value(answer: &Answer) -> Result<Option<Bytes>, ProtocolError> {
    match answer {
        Answer::Success { value, .. } => Ok(Some(value.clone())),
        Answer::Failure { .. } | Answer::FailureBecause { .. } => Ok(None),
        Answer::Told(_) | Answer::Conflict { .. } => Err(ProtocolError::WrongAnswer),
    }
}

fn count(answer: &Answer) -> Result<u8, ProtocolError> {
    match value(answer)?.as_deref() {
        None => Ok(0),
        Some(&[count]) => Ok(count),
        Some(other) => Err(ProtocolError::Acknowledgement { bytes: other.len() }),
    }
}

fn receipt(answer: &Answer) -> Result<PutReceipt, ProtocolError> {
    match answer {
        Answer::Success { value, .. } => PutReceipt::of(Ok(value)),
        Answer::Failure { .. } => PutReceipt::of(Err(&Bytes::new())),
        Answer::FailureBecause { why, .. } => PutReceipt::of(Err(why)),
        Answer::Told(_) | Answer::Conflict { .. } => Err(ProtocolError::WrongAnswer),
    }
}

fn told(answer: &Answer) -> Result<Told, ProtocolError> {
    match answer {
        Answer::Told(told) => Ok(told.clone()),
        _ => Err(ProtocolError::WrongAnswer),
    }
}

fn conditional(answer: &Answer) -> Result<PutIfOutcome, ProtocolError> {
    match answer {
        Answer::Conflict { value, .. } => Ok(PutIfOutcome::Conflict(value.clone())),
        answer => Ok(PutIfOutcome::Stored(count(answer)?)),
    }
}

#[cfg(test)]
mod tests;
