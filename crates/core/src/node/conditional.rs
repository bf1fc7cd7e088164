//! Conditional publications: a PUT of an envelope that holds only if the newest one is the one that
//! the writer has read (DHT PUT IF).
//!
//! Three operations in a row: a thorough GET, which must find what is expected; the PUT; and a thorough
//! GET again, which must find what was put. It is not consensus: two writers that read the same state
//! at the same moment may both succeed, and the order of records decides between them.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use voiddht_wire::Key;
use voiddht_wire::api::Freshness;

use super::Node;
use super::operate::Origin;
use crate::event::{CommandId, ConditionalPut, Outcome, PutIfOutcome};
use crate::operation::get::ReadMode;
use crate::operation::{PutFailure, Receipt};
use crate::record::order::Class;
use crate::time::Now;

/// What zeros in the place of a digest mean: nothing is expected.
const NOTHING: [u8; 32] = [0; 32];

/// Conditional publications in progress. No more of them than operations.
#[derive(Debug, Default)]
pub(super) struct Conditionals {
    open: BTreeMap<CommandId, Conditional>,
}

#[derive(Debug)]
struct Conditional {
    put: ConditionalPut,
    since: Now,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Reading,
    Putting,
    /// Reading again: what the PUT achieved.
    Confirming(Receipt),
}

impl Node {
    /// Begins with the first read. A value that is no valid envelope of the key is refused at once.
    pub(super) fn start_put_if(&mut self, (id, since): (CommandId, Now), put: ConditionalPut) {
        let failure = match self.verify(&put.key, &put.value) {
            Ok(value) if matches!(value.class(), Class::Signed(_)) => None,
            Ok(_) => Some(PutFailure::NotSigned),
            Err(refused) => Some(PutFailure::Envelope(refused)),
        };
        if failure.is_some() {
            let receipt = Receipt { stored: 0, outstanding: 0, failure };
            return self.end_put_if(id, PutIfOutcome::Put(receipt));
        }
        let key = put.key;
        self.conditionals.open.insert(id, Conditional { put, since, stage: Stage::Reading });
        self.read_for_put_if(id, key, since);
    }

    fn read_for_put_if(&mut self, id: CommandId, key: Key, since: Now) {
        let freshness = Freshness::Thorough;
        let mode = ReadMode { freshness, proved_only: true, ..ReadMode::default() };
        self.start_get((Origin::Conditional(id), since), key, mode);
    }

    /// An operation of a conditional publication has ended.
    pub(super) fn continue_put_if(&mut self, id: CommandId, outcome: Outcome) {
        let Some(mut conditional) = self.conditionals.open.remove(&id) else { return };
        let (key, since) = (conditional.put.key, conditional.since);
        match (conditional.stage, outcome) {
            (Stage::Reading, Outcome::Get { value: newest, .. }) => {
                if digest(newest.as_ref()) != conditional.put.expected {
                    return self.end_put_if(id, conflict(newest));
                }
                let ConditionalPut { value, ttl, replication, .. } = conditional.put.clone();
                conditional.stage = Stage::Putting;
                self.conditionals.open.insert(id, conditional);
                let origin = Origin::Conditional(id);
                self.start_put((origin, since), key, value, ttl, replication);
            }
            (Stage::Putting, Outcome::Put { receipt, .. }) => {
                conditional.stage = Stage::Confirming(receipt);
                self.conditionals.open.insert(id, conditional);
                self.read_for_put_if(id, key, since);
            }
            (Stage::Confirming(receipt), Outcome::Get { value: newest, .. }) => {
                let is_ours = newest.as_ref() == Some(&conditional.put.value);
                let outcome = if is_ours { PutIfOutcome::Put(receipt) } else { conflict(newest) };
                self.end_put_if(id, outcome);
            }
            // Too many operations are in progress.
            (_, _) => self.answer(id, Outcome::Busy),
        }
    }

    fn end_put_if(&mut self, id: CommandId, outcome: PutIfOutcome) {
        self.answer(id, Outcome::PutIf(outcome));
    }
}

fn digest(value: Option<&Bytes>) -> [u8; 32] {
    value.map_or(NOTHING, |value| Sha256::digest(value).into())
}

/// Another envelope is the newest, or none was found where one was expected.
fn conflict(newest: Option<Bytes>) -> PutIfOutcome {
    newest.map_or_else(
        || {
            PutIfOutcome::Put(Receipt {
                stored: 0,
                outstanding: 0,
                failure: Some(PutFailure::Refused),
            })
        },
        PutIfOutcome::Conflict,
    )
}
