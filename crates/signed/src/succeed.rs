//! The successor of an envelope: its generation, sequence number and expiry.
//!
//! The owner overrules: where the newest envelope has a generation above 0, the owner signs under a
//! delegation to itself of the next generation, which cuts off the former writer. Nothing is signed
//! whose effective end is before that of the envelope that it replaces: once it had ended, replicas
//! and readers would take the older one again.

use bytes::Bytes;

use crate::envelope::MAX_SEQ;
use crate::{Delegation, Draft, Envelope, Name, PublicKey, SignError, SigningKey};

/// The signer.
#[derive(Clone, Copy, Debug)]
pub enum Writer<'a> {
    /// The owner's own key.
    Owner(&'a SigningKey),
    /// A key that the owner has delegated to.
    Delegate(&'a SigningKey, &'a Delegation),
}

/// Until when the next envelope is to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For ever, until replaced.
    Never,
    /// Exactly until then, in seconds since 1970.
    At(u64),
    /// At least until then, and not before the end of the envelope that it replaces.
    AtLeast(u64),
    /// Until the end of the envelope that it replaces; without one, for ever.
    AsReplaced,
}

/// An envelope that outranks the one that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The signed envelope.
    pub envelope: Envelope,
    /// The delegated writer of the replaced envelope, where the owner has cut it off.
    pub cut_off: Option<PublicKey>,
}

/// No envelope that outranks the newest can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SucceedError {
    /// The newest one has a higher generation: this writer was cut off.
    #[error(
        "the newest value was written under generation {newest}, this delegation has {own}: ask \
         the owner for a new delegation"
    )]
    CutOff {
        /// Generation of the newest envelope.
        newest: u32,
        /// This writer's.
        own: u32,
    },
    /// The greatest sequence number is used.
    #[error("no sequence number is left in this generation: the owner must sign the next value")]
    SeqUsedUp,
    /// The greatest generation is used.
    #[error("no generation is left for this name: choose another salt")]
    GenerationsUsedUp,
    /// It would end before the one that it replaces.
    #[error(
        "it would end before the value that it replaces, which would then come back: choose an end \
         not before {replaced:?} (seconds since 1970; none: for ever)"
    )]
    EndsEarlier {
        /// Effective end of the envelope to be replaced; `None` for none.
        replaced: Option<u64>,
    },
    /// The fields cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Writer<'_> {
    fn key(&self) -> &SigningKey {
        match self {
            Self::Owner(key) | Self::Delegate(key, _) => key,
        }
    }
}

/// Signs what follows `newest`, the highest-ranking valid envelope that is known (`None`: there is
/// none). `now` is in milliseconds since 1970.
///
/// # Errors
/// [`SucceedError`] says why this writer cannot outrank `newest`.
pub fn succeed(
    name: &Name,
    newest: Option<&Envelope>,
    writer: Writer<'_>,
    end: End,
    now: u64,
    body: Bytes,
) -> Result<Successor, SucceedError> {
    let replaced = newest.map(Envelope::effective_end);
    let not_after = resolve_end(end, replaced);
    let newest_generation = newest.map_or(0, Envelope::generation);
    let delegation = match writer {
        Writer::Owner(_) if newest_generation == 0 => None,
        Writer::Owner(key) => Some(overrule(key, name, newest_generation, not_after)?),
        Writer::Delegate(_, delegation) => Some(*delegation),
    };
    let own = delegation.map_or(0, |delegation| delegation.generation);
    if newest_generation > own {
        return Err(SucceedError::CutOff { newest: newest_generation, own });
    }
    let last = newest.filter(|newest| newest.generation() == own).map_or(0, Envelope::seq);
    let seq = next_seq(last, now)?;
    let draft = Draft { name: *name, seq, not_after, body };
    let envelope = draft.sign(writer.key(), delegation.as_ref())?;
    if let Some(replaced) = replaced
        && ends_before(envelope.effective_end(), replaced)
    {
        return Err(SucceedError::EndsEarlier { replaced });
    }
    let former = newest.filter(|newest| newest.generation() < own).map(Envelope::writer);
    let is_owner = matches!(writer, Writer::Owner(_));
    let cut_off = former.filter(|former| is_owner && *former != name.owner);
    Ok(Successor { envelope, cut_off })
}

/// The clock, or one more than the last, whichever is greater.
fn next_seq(last: u64, now: u64) -> Result<u64, SucceedError> {
    let after_last = last.checked_add(1).filter(|seq| *seq <= MAX_SEQ);
    Ok(now.clamp(1, MAX_SEQ).max(after_last.ok_or(SucceedError::SeqUsedUp)?))
}

/// The owner's delegation to itself, of the next generation. It ends with the envelope; a
/// delegation must have an end, so where the envelope has none it is the last second there is.
fn overrule(
    key: &SigningKey,
    name: &Name,
    newest: u32,
    not_after: u64,
) -> Result<Delegation, SucceedError> {
    let generation = newest.checked_add(1).ok_or(SucceedError::GenerationsUsedUp)?;
    let end = if not_after == 0 { u64::MAX } else { not_after };
    Ok(key.delegate(name, key.public_key(), generation, end)?)
}

/// The envelope's `not_after`: 0 for none.
fn resolve_end(end: End, replaced: Option<Option<u64>>) -> u64 {
    match (end, replaced) {
        (End::Never, _) | (End::AtLeast(_) | End::AsReplaced, Some(None)) => 0,
        (End::AsReplaced, None) => 0,
        (End::At(at), _) | (End::AtLeast(at), None) => at,
        (End::AtLeast(at), Some(Some(replaced))) => at.max(replaced),
        (End::AsReplaced, Some(Some(replaced))) => replaced,
    }
}

fn ends_before(end: Option<u64>, other: Option<u64>) -> bool {
    match (end, other) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(end), Some(other)) => end < other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Salt;

    const NOW: u64 = 1_700_000_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn name_of(owner: &SigningKey) -> Name {
        Name::native(owner.public_key(), Salt::new(b"endpoint").unwrap())
    }

    fn next(
        newest: Option<&Envelope>,
        writer: Writer<'_>,
        end: End,
    ) -> Result<Successor, SucceedError> {
        let owner = key(1);
        succeed(&name_of(&owner), newest, writer, end, NOW, Bytes::from_static(b"body"))
    }

    #[test]
    fn the_clock_is_the_sequence_number_until_the_newest_is_ahead_of_it() {
        let owner = key(1);
        let first = next(None, Writer::Owner(&owner), End::Never).unwrap().envelope;
        assert_eq!((first.seq(), first.generation()), (NOW, 0));
        let second = next(Some(&first), Writer::Owner(&owner), End::Never).unwrap();
        assert_eq!(second.envelope.seq(), NOW + 1);
        assert_eq!(second.cut_off, None);
        assert!(second.envelope.compare(&first).is_gt());
    }

    #[test]
    fn the_owner_cuts_off_a_writer_and_its_sequence_number_starts_anew() {
        let (owner, writer) = (key(1), key(2));
        let name = name_of(&owner);
        let delegation = owner.delegate(&name, writer.public_key(), 3, 2_000_000_000).unwrap();
        let draft = Draft { name, seq: MAX_SEQ, not_after: 0, body: Bytes::new() };
        let written = draft.sign(&writer, Some(&delegation)).unwrap();
        let as_writer = Writer::Delegate(&writer, &delegation);
        assert_eq!(next(Some(&written), as_writer, End::Never), Err(SucceedError::SeqUsedUp));

        let end = End::At(2_000_000_000);
        let overruled = next(Some(&written), Writer::Owner(&owner), end).unwrap();
        assert_eq!(overruled.cut_off, Some(writer.public_key()));
        let newest = overruled.envelope.verify(NOW / 1000).unwrap();
        assert_eq!((newest.generation(), newest.seq()), (4, NOW));
        assert_eq!(newest.writer(), owner.public_key());
        assert_eq!(
            next(Some(&newest), as_writer, End::Never),
            Err(SucceedError::CutOff { newest: 4, own: 3 })
        );

        let again = next(Some(&newest), Writer::Owner(&owner), End::Never).unwrap();
        assert_eq!((again.envelope.generation(), again.cut_off), (5, None));
        assert_eq!(again.envelope.effective_end(), Some(u64::MAX));
    }

    #[test]
    fn the_last_generation_cannot_be_overruled() {
        let (owner, writer) = (key(1), key(2));
        let name = name_of(&owner);
        let last = owner.delegate(&name, writer.public_key(), u32::MAX, u64::MAX).unwrap();
        let draft = Draft { name, seq: 1, not_after: 0, body: Bytes::new() };
        let written = draft.sign(&writer, Some(&last)).unwrap();
        assert_eq!(
            next(Some(&written), Writer::Owner(&owner), End::Never),
            Err(SucceedError::GenerationsUsedUp)
        );
    }

    #[test]
    fn nothing_ends_before_what_it_replaces() {
        let owner = key(1);
        let writer = Writer::Owner(&owner);
        let refused = |replaced| Err(SucceedError::EndsEarlier { replaced });
        let endless = next(None, writer, End::Never).unwrap().envelope;
        assert_eq!(next(Some(&endless), writer, End::At(5)), refused(None));
        let ends = next(None, writer, End::At(2_000)).unwrap().envelope;
        assert_eq!(next(Some(&ends), writer, End::At(1_999)), refused(Some(2_000)));

        let end_after = |newest, end| {
            next(newest, writer, end).map(|successor| successor.envelope.effective_end())
        };
        assert_eq!(end_after(Some(&ends), End::AtLeast(1_000)), Ok(Some(2_000)));
        assert_eq!(end_after(Some(&ends), End::AtLeast(3_000)), Ok(Some(3_000)));
        assert_eq!(end_after(Some(&ends), End::AsReplaced), Ok(Some(2_000)));
        assert_eq!(end_after(Some(&endless), End::AtLeast(3_000)), Ok(None));
        assert_eq!(end_after(Some(&endless), End::AsReplaced), Ok(None));
        assert_eq!(end_after(None, End::AsReplaced), Ok(None));
    }

    #[test]
    fn a_delegation_that_ends_too_early_cannot_replace() {
        let (owner, writer) = (key(1), key(2));
        let name = name_of(&owner);
        let endless = next(None, Writer::Owner(&owner), End::Never).unwrap().envelope;
        let short = owner.delegate(&name, writer.public_key(), 1, 2_000_000_000).unwrap();
        assert_eq!(
            next(Some(&endless), Writer::Delegate(&writer, &short), End::Never),
            Err(SucceedError::EndsEarlier { replaced: None })
        );
    }

    #[test]
    fn a_key_that_may_not_write_is_refused() {
        let (owner, stranger) = (key(1), key(9));
        let refused = Err(SucceedError::Sign(SignError::WrongKey));
        assert_eq!(next(None, Writer::Owner(&stranger), End::Never), refused);
        let delegation = owner.delegate(&name_of(&owner), key(2).public_key(), 1, 9).unwrap();
        let pretending = Writer::Delegate(&stranger, &delegation);
        assert_eq!(next(None, pretending, End::Never), refused);
    }
}
