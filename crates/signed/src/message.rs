//! The bytes that are signed.

use crate::{Delegation, Envelope, Form, Name, PublicKey, Salt};

/// Separates signatures of values, and the hash that makes their keys, from all other uses.
pub(crate) const VALUE_CONTEXT: &[u8] = b"voiddht signed value\0";
/// Separates signatures of delegations from all other uses.
const DELEGATION_CONTEXT: &[u8] = b"voiddht delegation\0";

/// What the writer of an envelope signs.
pub(crate) fn of_envelope(envelope: &Envelope) -> Vec<u8> {
    match envelope.name().form {
        Form::Native => {
            let (head, body) = (envelope.signed_head(), envelope.body());
            [VALUE_CONTEXT, head, body].concat()
        }
        Form::Bep44 => of_bep44(&envelope.name().salt, envelope.seq(), envelope.body()),
    }
}

/// What the owner signs to let another key write (form 1 only).
pub(crate) fn of_delegation(name: &Name, delegation: &Delegation) -> Vec<u8> {
    let Delegation { writer, generation, not_after, signature: _ } = delegation;
    of_delegation_parts(name, writer, *generation, *not_after)
}

pub(crate) fn of_delegation_parts(
    name: &Name,
    writer: &PublicKey,
    generation: u32,
    not_after: u64,
) -> Vec<u8> {
    let salt = &name.salt;
    [
        DELEGATION_CONTEXT,
        name.owner.as_bytes(),
        &[salt.length()],
        salt.as_bytes(),
        writer.as_bytes(),
        &generation.to_be_bytes(),
        &not_after.to_be_bytes(),
    ]
    .concat()
}

/// What BEP 44 signs: salt, sequence number and value as they stand in a bencoded dictionary.
fn of_bep44(salt: &Salt, seq: u64, value: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(64 + salt.as_bytes().len() + value.len());
    if !salt.is_empty() {
        message.extend_from_slice(format!("4:salt{}:", salt.length()).as_bytes());
        message.extend_from_slice(salt.as_bytes());
    }
    message.extend_from_slice(format!("3:seqi{seq}e1:v").as_bytes());
    message.extend_from_slice(value);
    message
}
