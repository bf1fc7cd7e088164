//! Conditional publications: a PUT of an envelope that holds only if the newest one is the one that
//! the writer has read (DHT PUT IF).
//!
//! Three operations in a row: a thorough GET, which must find what is expected; the PUT; and a thorough
//! GET again, which must find what was put. It is not consensus: two writers that read the same state
//! at the same moment may both succeed, and the order of records decides between them.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use voiddht_signed::Refused;
use voiddht_wire::api::Freshness;
use voiddht_wire::{ConditionalPut, Key, Publication};

use crate::event::{CommandId, Outcome, PutIfOutcome};
use crate::operation::get::ReadMode;
use crate::operation::{PutFailure, Receipt};
use crate::record::value::VerifiedValue;
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

/// What a conditional publication does next.
#[derive(Debug)]
pub(super) enum PutIfStep {
    /// Reads the key.
    Read { key: Key, since: Now },
    /// Puts the value.
    Put { publication: Publication, since: Now },
    /// Ends.
    End(Outcome),
}

impl Conditionals {
    /// Begins with the first read. A value that is no valid envelope of the key is refused: `checked` is
    /// what its verification has shown.
    pub(super) fn start(
        &mut self,
        (id, since): (CommandId, Now),
        put: ConditionalPut,
        checked: Result<VerifiedValue, Refused>,
    ) -> PutIfStep {
        let failure = match checked {
            Ok(value) if value.class().is_signed() => None,
            Ok(_) => Some(PutFailure::NotSigned),
            Err(refused) => Some(PutFailure::Envelope(refused)),
        };
        if failure.is_some() {
            let receipt = Receipt { stored: 0, outstanding: 0, failure };
            return PutIfStep::End(Outcome::PutIf(PutIfOutcome::Put(receipt)));
        }
        let key = put.publication.key;
        self.open.insert(id, Conditional { put, since, stage: Stage::Reading });
        PutIfStep::Read { key, since }
    }

    /// An operation of a conditional publication has ended.
    pub(super) fn go_on(&mut self, id: CommandId, outcome: Outcome) -> Option<PutIfStep> {
        let Conditional { put, since, stage } = self.open.remove(&id)?;
        let key = put.publication.key;
        let outcome = match (stage, outcome) {
            (Stage::Reading, Outcome::Get { value: newest, .. }) => {
                if digest(newest.as_ref()) == put.expected {
                    let publication = put.publication.clone();
                    let stage = Stage::Putting;
                    self.open.insert(id, Conditional { put, since, stage });
                    return Some(PutIfStep::Put { publication, since });
                }
                Outcome::PutIf(conflict(newest))
            }
            (Stage::Putting, Outcome::Put { receipt, .. }) => {
                let stage = Stage::Confirming(receipt);
                self.open.insert(id, Conditional { put, since, stage });
                return Some(PutIfStep::Read { key, since });
            }
            (Stage::Confirming(receipt), Outcome::Get { value: newest, .. }) => {
                let is_ours = newest.as_ref() == Some(&put.publication.value);
                Outcome::PutIf(if is_ours { PutIfOutcome::Put(receipt) } else { conflict(newest) })
            }
            // Too many operations are in progress.
            (_, _) => Outcome::Busy,
        };
        Some(PutIfStep::End(outcome))
    }
}

/// How the key of a conditional publication is read.
pub(super) fn read_mode() -> ReadMode {
    let freshness = Freshness::Thorough;
    ReadMode { freshness, proved_only: true, ..ReadMode::default() }
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
