//! One certificate for each way to be wrong, and the reason for which it is refused (PROTOCOL,
//! section 2). Each is right in all other ways: see `support/forge.rs`.

// The helpers of a test may fail as it may.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rcgen::KeyPair;
use support::forge::{
    ADDRESS_OID, Forge, ID_OID, SEQUENCE, alternative_names, element, extension, name, oid, time,
};
use support::{HOST, NOW, identity};
use voiddht_identity::certificate::{DerError, VALIDITY_GRACE_SECONDS};
use voiddht_identity::{Certificate, CertificateError, KeyKind, Policy};
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;

/// Reads a certificate under the more liberal policy, its own signature included.
fn read(der: &[u8]) -> Result<Certificate, CertificateError> {
    let certificate = Certificate::parse_der(der, Policy::Tofu, NOW)?;
    certificate.check_self_signature()?;
    Ok(certificate)
}

#[track_caller]
fn check(der: &[u8], expected: CertificateError) {
    assert_eq!(read(der).unwrap_err(), expected);
}

/// The right certificate again as PEM, with what is given put in place of the left by the right.
fn pem_with(from: &str, to: &str) -> String {
    let pushed = identity(KeyKind::Ed25519, Policy::Tofu).pushed();
    let pem = String::from_utf8(pushed[4..].to_vec()).unwrap();
    assert!(pem.contains(from));
    pem.replacen(from, to, 1)
}

#[track_caller]
fn check_pushed(pushed: &[u8], expected: CertificateError) {
    assert_eq!(Certificate::parse_pushed(pushed, Policy::Tofu, NOW).unwrap_err(), expected);
}

#[test]
fn right_ones_are_taken_in_every_kind_form_and_policy() {
    for kind in KeyKind::ALL {
        let forge = Forge::right(kind);
        let der = forge.der();
        for policy in Policy::ALL {
            let certificate = Certificate::parse_pushed(&der, policy, NOW).unwrap();
            certificate.check_self_signature().unwrap();
            assert_eq!((certificate.der().as_ref(), certificate.key_kind()), (&der[..], kind));
            let ours = identity(kind, policy);
            let pushed = ours.pushed();
            let (length, pem) = pushed.split_at(4);
            assert_eq!(length, (pem.len() as u32).to_be_bytes());
            let read = Certificate::parse_pushed(pem, policy, NOW).unwrap();
            read.check_self_signature().unwrap();
            assert_eq!(&read, ours.certificate());
            assert_eq!((read.node_id(), read.address()), (ours.node_id(), HOST));
        }
    }
}

#[test]
fn a_chosen_id_is_for_tofu_only() {
    let der = Forge::with_id(&[7; 32]);
    read(&der).unwrap();
    let error = Certificate::parse_der(&der, Policy::SelfCertifying, NOW).unwrap_err();
    assert_eq!(error, CertificateError::IdNotKeyHash);
    assert!(error.to_string().contains("--identity tofu"), "{error}");
}

#[test]
fn nothing_at_all() {
    check(&[], CertificateError::Empty);
    check_pushed(&[], CertificateError::Empty);
}

#[test]
fn more_than_any_certificate_needs() {
    let long = vec![SEQUENCE; MAX_CERTIFICATE_BYTES + 1];
    check(&long, CertificateError::TooLong(8193));
    check_pushed(&long, CertificateError::TooLong(8193));
}

#[test]
fn neither_pem_nor_der() {
    check_pushed(b"GET / HTTP/1.1\r\n\r\n", CertificateError::NeitherPemNorDer);
}

#[test]
fn pem_after_junk() {
    check_pushed(pem_with("-----B", "junk\n-----B").as_bytes(), CertificateError::NeitherPemNorDer);
}

#[test]
fn pem_before_junk() {
    check_pushed(pem_with("E-----\n", "E-----\nx").as_bytes(), CertificateError::PemForm);
    let pem = pem_with("END CERTIFICATE-----\n", "END CERTIFICATE-----\njunk");
    check_pushed(pem.as_bytes(), CertificateError::PemTrailing);
}

#[test]
fn pem_without_an_end() {
    check_pushed(pem_with("-----END", "").as_bytes(), CertificateError::PemForm);
}

#[test]
fn pem_that_is_not_base64() {
    check_pushed(pem_with("\nMI", "\n*I").as_bytes(), CertificateError::PemBase64);
}

#[test]
fn trailing_bytes() {
    let der = [Forge::with(|_| ()), vec![0, 0, 0]].concat();
    check(&der, CertificateError::TrailingBytes(3));
}

#[test]
fn trailing_bytes_inside_the_certificate() {
    let der = Forge::with(|forge| forge.after_signature = vec![5, 0]);
    check(&der, CertificateError::NotACertificate);
}

#[test]
fn a_length_longer_than_needed() {
    let mut der = Forge::with(|_| ());
    assert_eq!(der[..2], [SEQUENCE, 0x82]);
    der.splice(1..2, [0x83, 0]);
    check(&der, CertificateError::Der(DerError::Length));
}

#[test]
fn other_forms_than_der_deep_inside() {
    // Signed over, so that nothing else is wrong: a truth that is 1 instead of 255, in the address
    // extension, where it does not matter; and a name with a length of two bytes.
    let loose =
        |value| element(SEQUENCE, &[&oid(ADDRESS_OID), &[1, 1, value], &element(4, &[&address()])]);
    read(&Forge::with_extensions(|extensions| extensions[0] = loose(0xff))).unwrap();
    let der = Forge::with_extensions(|extensions| extensions[0] = loose(1));
    check(&der, CertificateError::Der(DerError::Value));
    let der = Forge::with(|forge| {
        assert!(forge.subject[1] < 0x80);
        forge.subject.insert(1, 0x81);
        forge.issuer.clone_from(&forge.subject);
    });
    check(&der, CertificateError::Der(DerError::Length));
}

/// The content of a right address extension.
fn address() -> Vec<u8> {
    element(SEQUENCE, &[&element(0x87, &[&[0; 16]])])
}

#[test]
fn a_length_that_is_indefinite() {
    let mut der = Forge::with(|_| ());
    der.splice(1..4, [0x80]);
    der.extend([0, 0]);
    check(&der, CertificateError::Der(DerError::Length));
}

#[test]
fn cut_anywhere() {
    let der = Forge::with(|_| ());
    for length in 1..der.len() {
        check(&der[..length], CertificateError::Der(DerError::Truncated));
    }
}

#[test]
fn der_of_something_else() {
    let null = [5, 0];
    check(&element(SEQUENCE, &[&null, &null, &null]), CertificateError::NotACertificate);
}

#[test]
fn version_1() {
    let der = Forge::with(|forge| forge.version = None);
    check(&der, CertificateError::Version(1));
    let der = Forge::with(|forge| {
        forge.version = None;
        forge.extensions.clear();
    });
    check(&der, CertificateError::Version(1));
}

#[test]
fn version_2() {
    check(&Forge::with(|forge| forge.version = Some(1)), CertificateError::Version(2));
}

#[test]
fn another_issuer() {
    let der = Forge::with(|forge| forge.issuer = name("an authority"));
    check(&der, CertificateError::NotSelfIssued);
}

#[test]
fn a_key_of_another_kind() {
    let der = Forge::with(|forge| {
        forge.key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    });
    check(&der, CertificateError::KeyKind);
}

#[test]
fn the_signature_algorithm_of_another_key() {
    let of_p256 = Forge::right(KeyKind::EcdsaP256).algorithms;
    let der = Forge::with(|forge| forge.algorithms = of_p256.clone());
    check(&der, CertificateError::SignatureAlgorithm);
    // Different in what is signed and beside it: which one counts would be the reader's choice.
    let der = Forge::with(|forge| forge.algorithms[0] = of_p256[0].clone());
    check(&der, CertificateError::NotACertificate);
}

#[test]
fn no_id() {
    let der = Forge::with_extensions(|extensions| drop(extensions.remove(1)));
    check(&der, CertificateError::MissingId);
}

#[test]
fn two_ids() {
    let der = Forge::with_extensions(|extensions| extensions.push(extensions[1].clone()));
    check(&der, CertificateError::RepeatedId);
    let der = Forge::with_extensions(|extensions| {
        extensions.push(extension(ID_OID, false, &[7; 32]));
    });
    check(&der, CertificateError::RepeatedId);
}

#[test]
fn an_id_of_another_length() {
    for length in [0, 1, 31, 33, 64] {
        check(&Forge::with_id(&vec![7; length]), CertificateError::IdLength(length));
    }
}

#[test]
fn an_id_wrapped_in_der() {
    check(&Forge::with_id(&element(4, &[&[7; 32]])), CertificateError::IdLength(34));
}

#[test]
fn a_critical_id() {
    let der = Forge::with_extensions(|extensions| {
        extensions[1] = extension(ID_OID, true, &[7; 32]);
    });
    check(&der, CertificateError::CriticalId);
}

#[test]
fn no_address() {
    let der = Forge::with_extensions(|extensions| drop(extensions.remove(0)));
    check(&der, CertificateError::MissingAddress);
}

#[test]
fn two_address_extensions() {
    let der = Forge::with_extensions(|extensions| extensions.push(extensions[0].clone()));
    check(&der, CertificateError::RepeatedAddress);
}

#[test]
fn an_address_that_is_not_one_of_16_bytes() {
    for names in [
        &[(0x87, &[127, 0, 0, 1][..])][..],
        &[(0x87, &[0; 15])],
        &[(0x87, &[0; 17])],
        &[(0x82, b"node.example.org")],
        &[(0x87, &[0; 16]), (0x87, &[1; 16])],
        &[(0x87, &[0; 16]), (0x82, b"node.example.org")],
        &[],
    ] {
        let der = Forge::with_extensions(|extensions| extensions[0] = alternative_names(names));
        check(&der, CertificateError::AddressForm);
    }
    let junk = extension(ADDRESS_OID, false, b"junk");
    let der = Forge::with_extensions(|extensions| extensions[0] = junk);
    check(&der, CertificateError::AddressForm);
}

#[test]
fn a_critical_extension_that_nobody_knows() {
    let unknown = |critical| extension("2a0304", critical, &[5, 0]);
    read(&Forge::with_extensions(|extensions| extensions.push(unknown(false)))).unwrap();
    let der = Forge::with_extensions(|extensions| extensions.push(unknown(true)));
    check(&der, CertificateError::UnknownCritical);
}

#[test]
fn not_valid_yet() {
    let der = Forge::with(|forge| forge.not_before = time("20260101000000Z"));
    let start = 1_767_225_600;
    let read = |now| Certificate::parse_der(&der, Policy::Tofu, now).map(|_| ());
    let earliest = start - VALIDITY_GRACE_SECONDS as u64;
    assert_eq!(read(earliest), Ok(()));
    let error = CertificateError::NotYetValid { not_before: start as i64 };
    assert_eq!(read(earliest - 1), Err(error));
}

#[test]
fn expired() {
    let der = Forge::with(|forge| forge.not_after = time("20260101000000Z"));
    let end = 1_767_225_600;
    let read = |now| Certificate::parse_der(&der, Policy::Tofu, now).map(|_| ());
    let latest = end + VALIDITY_GRACE_SECONDS as u64;
    assert_eq!(read(latest), Ok(()));
    let error = CertificateError::Expired { not_after: end as i64 };
    assert_eq!(read(latest + 1), Err(error));
    assert_eq!(read(u64::MAX), Err(error));
}

#[test]
fn ours_are_valid_by_every_clock() {
    let der = identity(KeyKind::Ed25519, Policy::SelfCertifying).certificate().der().clone();
    for now in [0, NOW, 253_402_300_799] {
        Certificate::parse_der(&der, Policy::SelfCertifying, now).unwrap();
    }
}

#[test]
fn a_wrong_self_signature() {
    for kind in KeyKind::ALL {
        let mut forge = Forge::right(kind);
        forge.signer = Some(Forge::right(kind).key);
        check(&forge.der(), CertificateError::WrongSelfSignature);
    }
}

#[test]
fn one_bit_changed_anywhere() {
    let right = Forge::with(|_| ());
    for index in 0..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[index] ^= 1 << bit;
            read(&wrong).expect_err("a changed certificate was taken");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Certificate::parse_pushed(&bytes, Policy::Tofu, NOW).is_err());
    }

    #[test]
    fn a_certificate_with_pieces_moved_is_refused_without_a_panic(
        from in 0..400usize, length in 1..40usize, to in 0..400usize,
    ) {
        let right = Forge::with(|_| ());
        let mut wrong = right.clone();
        let end = (from + length).min(wrong.len());
        let piece: Vec<u8> = wrong.drain(from.min(end)..end).collect();
        let to = to.min(wrong.len());
        wrong.splice(to..to, piece);
        prop_assert!(wrong == right || read(&wrong).is_err());
    }
}
