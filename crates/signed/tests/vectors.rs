//! The vectors of the format, and what happens to each when any byte of it changes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use data_encoding::HEXLOWER;
use voiddht_signed::{
    CLOCK_TOLERANCE_SECS, Claim, Draft, Envelope, Name, PublicKey, Refused, Salt, SigningKey,
};
use voiddht_wire::Key;

/// RFC 8032, section 7.1, TEST 1 and TEST 2.
const OWNER_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const WRITER_SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const NOW: u64 = 1_700_000_000;

struct Vector {
    key: &'static str,
    envelope: &'static str,
    sha256: &'static str,
    length: usize,
}

const NATIVE: Vector = Vector {
    key: "a280bf3ef97b35b23cf98da72d85ed76a67fee07a643858e96e37abbb0d0e4b1",
    envelope: "5644530101000800d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a00000000000000010000000000000000656e64706f696e74c8642b4cccfc155469ec2d3d19a7a927bf72d60950919fd1e41fc0c87272b0f4009242aa9f96ea85a72a482493f13c30c6830526a094be51fc9866be87331e0a3230332e302e3131332e373a3531383230",
    sha256: "41c279a123902d165dcac58d8a706ec16a9aa0f0f2190a91cf8069aca35fecc4",
    length: 145,
};
const WITHDRAWN: Vector = Vector {
    key: "f22a3019076a49122574b7a2d7a5ec316191e4bf04a40c3782de1a17586f583f",
    envelope: "5644530101000000d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a000000000000000200000000773594004e5e57432717bacb2f2d832df82fefdd73d67022b7e5d1a0348e3e720dbb2310fb6a926487bccb555aa803594c301fbf36797d25940b58b51d976e12d2298702",
    sha256: "f52419fb50950d2ebd8c63d8aeb2cfe5dcaf6af4f5b4696958a1822012738238",
    length: 120,
};
const DELEGATED: Vector = Vector {
    key: "a280bf3ef97b35b23cf98da72d85ed76a67fee07a643858e96e37abbb0d0e4b1",
    envelope: "5644530101010800d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a000000000000000100000000000000003d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c000000010000000077359400bd16131e963c1a606a5bdb38e2a1f6d27791c11de12d06476fe0f9d14301678f6279ec61a4a1c65230697956f111a7d55b19222c1a92dfddef30cfbd17397205656e64706f696e74308cbc00121a25f53ab3fb5843528761f90c8b1152ddd47870b3ba1f02dae61a71d1422e56d1327c558b309a32e7e62ad9b18e6d8695df7fb12d30e4bb2f4e073230332e302e3131332e373a3531383230",
    sha256: "347f88419f055eb194a993585c45da83d965cf9a74f55bde305703e03eb63e45",
    length: 253,
};
const BEP44_TEST_1: Vector = Vector {
    key: "a9078d9dcf781a054902ab37048a599b9b2c7a9b2d6e56f041922221cf3eb82d",
    envelope: "564453010200000077ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e54800000000000000010000000000000000305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f0131323a48656c6c6f20576f726c6421",
    sha256: "f192b0d19b366533b3be357f92acb7215e6d5e9011e24c745fabb3764d6d716c",
    length: 135,
};
const BEP44_TEST_2: Vector = Vector {
    key: "15115157a720932d5fc40736ba4fb4e37c58a56d4eed1f5463230d50db43800e",
    envelope: "564453010200060077ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e54800000000000000010000000000000000666f6f6261726834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a0831323a48656c6c6f20576f726c6421",
    sha256: "c209197e53a89f2a67ad0676aee322b4a08831328350ccdf2686576f881c048f",
    length: 141,
};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

fn key_pair(seed: &str) -> SigningKey {
    SigningKey::from_seed(&hex(seed)).unwrap()
}

impl Vector {
    fn key(&self) -> Key {
        self.key.parse().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        HEXLOWER.decode(self.envelope.as_bytes()).unwrap()
    }

    fn envelope(&self) -> Envelope {
        Envelope::parse(self.bytes().into()).unwrap()
    }

    /// It is valid under its key, as published.
    fn check(&self) {
        assert_eq!(self.bytes().len(), self.length);
        assert_eq!(HEXLOWER.encode(&self.envelope().digest()), self.sha256);
        assert!(is_valid(&self.key(), &self.bytes()));
    }

    /// Nothing that differs from it by a byte, a cut or an added byte is valid under its key.
    fn check_every_change(&self) {
        let (key, mut bytes) = (self.key(), self.bytes());
        for index in 0..bytes.len() {
            let original = bytes[index];
            for other in (0..=u8::MAX).filter(|other| *other != original) {
                bytes[index] = other;
                assert!(!is_valid(&key, &bytes), "byte {index} set to {other}");
            }
            bytes[index] = original;
        }
        for length in 0..bytes.len() {
            assert!(!is_valid(&key, &bytes[..length]), "cut to {length} bytes");
        }
        for added in 0..=u8::MAX {
            bytes.push(added);
            assert!(!is_valid(&key, &bytes), "{added} appended");
            bytes.pop();
        }
    }
}

fn is_valid(key: &Key, bytes: &[u8]) -> bool {
    match Claim::of(key, &Bytes::copy_from_slice(bytes)) {
        Claim::Signed(envelope) => envelope.verify(NOW).is_ok(),
        Claim::ContentAddressed | Claim::Plain => false,
    }
}

#[test]
fn vectors_are_valid_as_published() {
    for vector in [&NATIVE, &WITHDRAWN, &DELEGATED, &BEP44_TEST_1, &BEP44_TEST_2] {
        vector.check();
    }
}

#[test]
fn every_change_of_the_native_vector_is_refused() {
    NATIVE.check_every_change();
}

#[test]
fn every_change_of_the_withdrawn_vector_is_refused() {
    WITHDRAWN.check_every_change();
}

#[test]
fn every_change_of_the_delegated_vector_is_refused() {
    DELEGATED.check_every_change();
}

#[test]
fn every_change_of_the_bep44_vectors_is_refused() {
    BEP44_TEST_1.check_every_change();
    BEP44_TEST_2.check_every_change();
}

#[test]
fn signing_reproduces_the_native_vectors() {
    let (owner, writer) = (key_pair(OWNER_SEED), key_pair(WRITER_SEED));
    let salt = Salt::new(b"endpoint").unwrap();
    let name = Name::native(owner.public_key(), salt);
    let body = Bytes::from_static(b"203.0.113.7:51820");
    let draft = Draft { name, seq: 1, not_after: 0, body };
    assert_eq!(draft.sign(&owner, None).unwrap(), NATIVE.envelope());

    let delegation = owner.delegate(&name, writer.public_key(), 1, 2_000_000_000).unwrap();
    assert_eq!(draft.sign(&writer, Some(&delegation)).unwrap(), DELEGATED.envelope());

    let name = Name::native(owner.public_key(), Salt::EMPTY);
    let withdrawal = Draft { name, seq: 2, not_after: 2_000_000_000, body: Bytes::new() };
    let withdrawal = withdrawal.sign(&owner, None).unwrap();
    assert_eq!(withdrawal, WITHDRAWN.envelope());
    assert!(withdrawal.is_withdrawal());
}

#[test]
fn the_preimage_of_a_key_is_a_plain_value_under_it() {
    let name = *NATIVE.envelope().name();
    let mut preimage = b"voiddht signed value\0".to_vec();
    preimage.push(name.form.code());
    preimage.extend_from_slice(name.owner.as_bytes());
    preimage.extend_from_slice(name.salt.as_bytes());
    assert_eq!(Claim::of(&name.key(), &preimage.into()), Claim::Plain);
}

#[test]
fn an_envelope_under_another_key_is_a_plain_value_or_content_addressed() {
    let bytes = Bytes::from(NATIVE.bytes());
    assert_eq!(Claim::of(&WITHDRAWN.key(), &bytes), Claim::Plain);
    assert_eq!(Claim::of(&Key::of_value(&bytes), &bytes), Claim::ContentAddressed);
}

#[test]
fn an_end_is_judged_with_the_tolerance_of_clocks() {
    for (vector, end) in [(&WITHDRAWN, 2_000_000_000), (&DELEGATED, 2_000_000_000)] {
        let at = |now| vector.envelope().verify(now);
        assert!(at(end + CLOCK_TOLERANCE_SECS).is_ok());
        assert_eq!(at(end + CLOCK_TOLERANCE_SECS + 1), Err(Refused::Expired));
        assert!(vector.envelope().verify_at_any_time().is_ok());
    }
    assert!(NATIVE.envelope().verify(u64::MAX).is_ok());
}

#[test]
fn weak_keys_and_signatures_are_refused_by_name() {
    let verify = |bytes: Vec<u8>| Envelope::parse(bytes.into()).unwrap().verify(NOW);
    let identity: [u8; 32] = std::array::from_fn(|index| u8::from(index == 0));
    let mut identity_negated = identity;
    identity_negated[31] = 0x80;
    for weak in [identity, identity_negated] {
        let mut bytes = NATIVE.bytes();
        bytes[8..40].copy_from_slice(&weak);
        assert_eq!(verify(bytes), Err(Refused::WeakOwner));

        let mut bytes = DELEGATED.bytes();
        bytes[56..88].copy_from_slice(&weak);
        assert_eq!(verify(bytes), Err(Refused::WeakWriter));

        let mut bytes = NATIVE.bytes();
        bytes[64..96].copy_from_slice(&weak);
        assert_eq!(verify(bytes), Err(Refused::WeakSignature));
    }
}

#[test]
fn a_wrong_signature_is_named() {
    let verify = |bytes: Vec<u8>| Envelope::parse(bytes.into()).unwrap().verify(NOW);
    let mut bytes = NATIVE.bytes();
    bytes[47] ^= 2;
    assert_eq!(verify(bytes), Err(Refused::Signature));
    let mut bytes = DELEGATED.bytes();
    bytes[91] ^= 2;
    assert_eq!(verify(bytes), Err(Refused::DelegationSignature));
}

#[test]
fn a_delegation_is_for_one_owner_and_salt() {
    let owner = key_pair(OWNER_SEED);
    let envelope = DELEGATED.envelope();
    let delegation = *envelope.delegation().unwrap();
    assert_eq!(delegation.verify(envelope.name()), Ok(()));
    let other_salt = Name::native(owner.public_key(), Salt::new(b"endpoinT").unwrap());
    let other_owner = Name::native(PublicKey::from_bytes([9; 32]), envelope.name().salt);
    for name in [other_salt, other_owner] {
        assert_eq!(delegation.verify(&name), Err(Refused::DelegationSignature));
    }
}

#[test]
fn a_native_signature_does_not_hold_in_the_other_form() {
    let envelope = NATIVE.envelope();
    let Name { owner, salt, .. } = *envelope.name();
    let signature = *envelope.signature();
    let moved = Envelope::from_bep44(owner, salt, 1, signature, envelope.body()).unwrap();
    assert_eq!(moved.verify(NOW), Err(Refused::Signature));
}
