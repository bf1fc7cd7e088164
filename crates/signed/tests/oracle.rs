//! Ed25519 as this crate checks it, beside two independent sources: ed25519-dalek's
//! `verify_strict`, and the vectors of RFC 8032 and Project Wycheproof.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;
use voiddht_signed::{Envelope, PublicKey, Salt, SigningKey};
use wycheproof::eddsa::{TestName, TestSet};

/// What this crate makes of a BEP 44 envelope: whether it verifies.
fn accepts(envelope: &Envelope) -> bool {
    envelope.clone().verify_at_any_time().is_ok()
}

/// What the oracle makes of it. The signed message is built here, from BEP 44's text.
fn oracle_accepts(envelope: &Envelope) -> bool {
    let salt = envelope.name().salt;
    let mut message = Vec::new();
    if !salt.as_bytes().is_empty() {
        message.extend_from_slice(format!("4:salt{}:", salt.as_bytes().len()).as_bytes());
        message.extend_from_slice(salt.as_bytes());
    }
    message.extend_from_slice(format!("3:seqi{}e1:v", envelope.seq()).as_bytes());
    message.extend_from_slice(envelope.body());
    strict(envelope.name().owner.as_bytes(), &message, envelope.signature())
}

fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// Encodings at the edges: small orders, their negations and non-canonical forms.
fn edge_points() -> Vec<[u8; 32]> {
    let order_8 = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut points: Vec<[u8; 32]> = order_8
        .iter()
        .map(|text| HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap())
        .collect();
    for low in 0..=3 {
        points.push(std::array::from_fn(|index| if index == 0 { low } else { 0 }));
    }
    for low in 0xea..=0xff {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (low, 0x7f);
        points.push(point);
    }
    let negated: Vec<[u8; 32]> = points
        .iter()
        .map(|point| {
            let mut point = *point;
            point[31] |= 0x80;
            point
        })
        .collect();
    points.extend(negated);
    points
}

#[test]
fn edge_encodings_are_judged_as_the_oracle_judges_them() {
    let owner = SigningKey::from_seed(&[1; 32]).unwrap().public_key();
    let zero = [0; 32];
    for point in edge_points() {
        for s in [zero, [1; 32]] {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&point);
            signature[32..].copy_from_slice(&s);
            for key in [owner, PublicKey::from_bytes(point)] {
                let wrap = Envelope::from_bep44(key, Salt::EMPTY, 1, signature, b"1:x").unwrap();
                assert_eq!(accepts(&wrap), oracle_accepts(&wrap), "{point:02x?} {s:02x?}");
                assert!(!accepts(&wrap));
            }
        }
    }
}

proptest! {
    /// A real signature with some bits changed, under a key with some bits changed.
    #[test]
    fn changed_signatures_are_judged_as_the_oracle_judges_them(
        seed: [u8; 32],
        body in proptest::collection::vec(any::<u8>(), 2..40),
        salt in proptest::collection::vec(any::<u8>(), 0..=64),
        flips in proptest::collection::vec(0_usize..96 * 8, 0..2),
    ) {
        let dalek = ed25519_dalek::SigningKey::from_bytes(&seed);
        let mut owner = dalek.verifying_key().to_bytes();
        let ours = SigningKey::from_seed(&seed).unwrap();
        let public = ours.public_key();
        prop_assert_eq!(public.as_bytes(), &owner);
        let name = voiddht_signed::Name::bep44(ours.public_key(), Salt::new(&salt).unwrap());
        let draft = voiddht_signed::Draft { name, seq: 7, not_after: 0, body: body.clone().into() };
        let mut signature = *draft.sign(&ours, None).unwrap().signature();
        for flip in &flips {
            let (byte, bit) = (flip / 8, 1 << (flip % 8));
            match byte {
                0..64 => signature[byte] ^= bit,
                _ => owner[byte - 64] ^= bit,
            }
        }
        let owner = PublicKey::from_bytes(owner);
        let wrap =
            Envelope::from_bep44(owner, Salt::new(&salt).unwrap(), 7, signature, &body).unwrap();
        prop_assert_eq!(accepts(&wrap), oracle_accepts(&wrap));
        let undone = flips.len() == 2 && flips[0] == flips[1];
        prop_assert_eq!(accepts(&wrap), flips.is_empty() || undone);
    }

    /// Any bytes: parsing does not panic, and what parses has exactly this encoding.
    #[test]
    fn any_bytes_parse_or_are_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        form in 0_u8..4,
        flags in 0_u8..3,
        salt in 0_u8..70,
    ) {
        for (index, byte) in [b'V', b'D', b'S', 1, form, flags, salt, 0].into_iter().enumerate() {
            if let Some(at) = bytes.get_mut(index) {
                *at = byte;
            }
        }
        if let Ok(envelope) = Envelope::parse(bytes.clone().into()) {
            prop_assert_eq!(envelope.bytes(), &bytes);
            prop_assert!(envelope.body().len() < bytes.len());
        }
    }
}

/// Raw Ed25519, as an envelope cannot carry messages of other shapes: the library with this
/// crate's refusals in front of it, against Wycheproof's expectations.
#[test]
fn wycheproof_vectors_are_judged_as_expected() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut judged = 0;
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            let (message, signature) = (test.msg.as_slice(), test.sig.as_slice());
            let ours = UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
                && !PublicKey::from_bytes(key).is_refused();
            let oracle = <[u8; 64]>::try_from(signature)
                .is_ok_and(|signature| strict(&key, message, &signature));
            assert_eq!(ours, !test.result.must_fail(), "test {}", test.tc_id);
            assert_eq!(ours, oracle, "test {}", test.tc_id);
            judged += 1;
        }
    }
    assert!(judged >= 100, "only {judged} vectors");
}

/// RFC 8032, section 7.1: TEST 1 to 3.
#[test]
fn rfc_8032_keys_are_reproduced() {
    let tests = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        ),
    ];
    for (seed, public) in tests {
        let seed: [u8; 32] = HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.public_key().to_string(), public);
        assert_eq!(key.danger_seed(), &seed);
    }
}
