//! Which bytes are an envelope: one test per rule.

use super::*;

fn plain() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0, 8, 0]);
    bytes.extend_from_slice(&[7; 32]);
    bytes.extend_from_slice(&5_u64.to_be_bytes());
    bytes.extend_from_slice(&9_u64.to_be_bytes());
    bytes.extend_from_slice(b"endpoint");
    bytes.extend_from_slice(&[1; SIGNATURE_BYTES]);
    bytes.extend_from_slice(b"body");
    bytes
}

fn delegated() -> Vec<u8> {
    let mut bytes = plain();
    bytes[5] = FLAG_DELEGATED;
    let delegation = Delegation {
        writer: PublicKey::from_bytes([2; 32]),
        generation: 3,
        not_after: 4,
        signature: [5; SIGNATURE_BYTES],
    };
    bytes.splice(FIXED_BYTES..FIXED_BYTES, delegation.encode());
    bytes
}

fn bep44() -> Vec<u8> {
    let mut bytes = plain();
    bytes[4] = 2;
    bytes[48..56].fill(0);
    bytes
}

fn parse(bytes: Vec<u8>) -> Result<Envelope, ParseError> {
    Envelope::parse(bytes.into())
}

/// Parses a well-formed envelope after `change`.
fn check(mut bytes: Vec<u8>, change: impl Fn(&mut Vec<u8>), expected: ParseError) {
    assert!(parse(bytes.clone()).is_ok());
    change(&mut bytes);
    assert_eq!(parse(bytes), Err(expected));
}

#[test]
fn fields_are_where_the_layout_has_them() {
    let envelope = parse(delegated()).unwrap();
    assert_eq!(envelope.name().form, Form::Native);
    assert_eq!(envelope.name().owner, PublicKey::from_bytes([7; 32]));
    assert_eq!(envelope.name().salt.as_bytes(), b"endpoint");
    assert_eq!((envelope.seq(), envelope.not_after()), (5, 9));
    assert_eq!((envelope.generation(), envelope.effective_end()), (3, Some(4)));
    assert_eq!(envelope.writer(), PublicKey::from_bytes([2; 32]));
    assert_eq!(envelope.signature(), &[1; SIGNATURE_BYTES]);
    assert_eq!(envelope.body(), b"body");
    assert_eq!(envelope.body_bytes(), b"body"[..]);
}

#[test]
fn every_broken_rule_has_its_own_error() {
    use ParseError as E;
    check(plain(), |b| b[3] = 2, E::Magic);
    check(plain(), |b| b.truncate(3), E::Magic);
    check(plain(), |b| b[4] = 0, E::Form(0));
    check(plain(), |b| b[4] = 3, E::Form(3));
    check(plain(), |b| b[5] = 2, E::Flags(2));
    check(bep44(), |b| b[5] = 1, E::Flags(1));
    check(plain(), |b| b[6] = 65, E::Salt(65));
    check(plain(), |b| b[7] = 1, E::Reserved);
    check(plain(), |b| b[40..48].fill(0), E::Seq(0));
    check(plain(), |b| b[40] = 0x80, E::Seq((1 << 63) + 5));
    check(bep44(), |b| b[55] = 1, E::NotAfter);
    check(delegated(), |b| b[88..92].fill(0), E::Delegation("the delegation's generation"));
    check(delegated(), |b| b[92..100].fill(0), E::Delegation("the delegation's end"));
    check(bep44(), |b| b.truncate(b.len() - 3), E::Body(1));
    check(bep44(), |b| b.resize(b.len() + 1002, 0), E::Body(1006));
    check(plain(), |b| b.resize(MAX_VALUE_BYTES + 1, 0), E::Body(65_375 - 8 + 1));
}

#[test]
fn every_cut_before_the_body_is_refused() {
    for bytes in [plain(), delegated(), bep44()] {
        let body = bytes.len() - 4;
        for length in 0..body {
            let cut = parse(bytes[..length].to_vec());
            assert!(matches!(cut, Err(ParseError::Magic | ParseError::Truncated)), "{length}");
        }
    }
}

#[test]
fn the_largest_bodies_fit() {
    for (bytes, largest) in [(plain(), 65_375 - 8), (delegated(), 65_267 - 8)] {
        let mut bytes = bytes;
        bytes.resize(bytes.len() - 4 + largest, 0);
        assert_eq!(parse(bytes).unwrap().body().len(), largest);
    }
    let mut bytes = bep44();
    bytes.resize(bytes.len() - 4 + 1005, 0);
    assert_eq!(bytes.len(), 1_125 + 8);
    assert!(parse(bytes).is_ok());
}

#[test]
fn zero_is_a_sequence_number_of_bep44_only() {
    let mut bytes = bep44();
    bytes[40..48].fill(0);
    assert_eq!(parse(bytes).unwrap().seq(), 0);
}

#[test]
fn withdrawals_are_empty_in_their_form() {
    let mut native = plain();
    native.truncate(native.len() - 4);
    assert!(parse(native).unwrap().is_withdrawal());
    let owner = PublicKey::from_bytes([7; 32]);
    let wrap = |value: &[u8]| Envelope::from_bep44(owner, Salt::EMPTY, 0, [1; 64], value);
    assert!(wrap(b"0:").unwrap().is_withdrawal());
    assert!(!wrap(b"1:x").unwrap().is_withdrawal());
}
