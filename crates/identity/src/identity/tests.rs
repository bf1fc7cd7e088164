use std::net::Ipv4Addr;

use super::*;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));

fn make(kind: KeyKind, policy: Policy) -> Identity {
    Identity::generate(kind, policy, HOST).unwrap()
}

#[test]
fn every_kind_is_made_and_taken_up_again() {
    for (kind, policy) in KeyKind::ALL.into_iter().flat_map(|k| Policy::ALL.map(|p| (k, p))) {
        let made = make(kind, policy);
        let certificate = made.certificate();
        assert_eq!((certificate.key_kind(), certificate.address()), (kind, HOST));
        assert_eq!(certificate.check_policy(Policy::SelfCertifying).is_ok(), {
            policy == Policy::SelfCertifying
        });
        let again =
            Identity::from_parts(&made.private_key_der(), certificate.der(), policy).unwrap();
        assert_eq!(again.certificate(), certificate);
        assert_eq!((again.node_id(), again.policy()), (made.node_id(), policy));
        assert_eq!(again.pushed(), made.pushed());
    }
}

#[test]
fn a_given_id_is_the_certificates() {
    let id = NodeId::from_bytes([9; 32]);
    let identity = Identity::generate_with_id(KeyKind::Ed25519, id, HOST).unwrap();
    assert_eq!((identity.node_id(), identity.policy()), (id, Policy::Tofu));
}

#[test]
fn no_two_nodes_are_alike() {
    for policy in Policy::ALL {
        let (one, other) = (make(KeyKind::Ed25519, policy), make(KeyKind::Ed25519, policy));
        assert_ne!(one.node_id(), other.node_id());
        assert!(!one.certificate().has_key_of(other.certificate()));
        assert_ne!(one.certificate().fingerprint(), other.certificate().fingerprint());
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let policy = Policy::SelfCertifying;
    let (one, other) = (make(KeyKind::Ed25519, policy), make(KeyKind::EcdsaP256, policy));
    let key = one.private_key_der();
    let certificate = one.certificate().der();
    let refused = |key: &[u8], certificate: &[u8], policy| {
        Identity::from_parts(key, certificate, policy).unwrap_err()
    };
    assert_eq!(refused(&other.private_key_der(), certificate, policy), IdentityError::Mismatch);
    assert_eq!(refused(&key, other.certificate().der(), policy), IdentityError::Mismatch);
    assert!(matches!(refused(&key[1..], certificate, policy), IdentityError::Key(_)));
    assert!(matches!(refused(&[], certificate, policy), IdentityError::Key(_)));
    let mut changed = certificate.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let error = IdentityError::Certificate(CertificateError::WrongSelfSignature);
    assert_eq!(refused(&key, &changed, policy), error);
    let tofu = make(KeyKind::Ed25519, Policy::Tofu);
    let error = IdentityError::Certificate(CertificateError::IdNotKeyHash);
    assert_eq!(refused(&tofu.private_key_der(), tofu.certificate().der(), policy), error);
}

#[test]
fn another_host_changes_the_certificate_and_neither_key_nor_id() {
    for kind in KeyKind::ALL {
        let before = make(kind, Policy::Tofu);
        let after = before.with_host("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(after.certificate().address().to_string(), "2001:db8::1");
        assert_eq!(after.node_id(), before.node_id());
        assert_eq!(after.private_key_der(), before.private_key_der());
        assert!(after.certificate().has_key_of(before.certificate()));
        let mapped = "::ffff:127.0.0.7".parse().unwrap();
        assert_eq!(before.with_host(mapped).unwrap().certificate(), before.certificate());
    }
}

#[test]
fn keys_are_in_the_first_version_of_their_form() {
    for kind in KeyKind::ALL {
        let key = make(kind, Policy::Tofu).private_key_der();
        let (outer, rest) = der::read(&key).unwrap();
        assert!(rest.is_empty());
        assert_eq!(outer.content[..3], [2, 1, 0], "{kind}");
    }
}

#[test]
fn printing_an_identity_does_not_print_its_key() {
    let identity = make(KeyKind::Ed25519, Policy::SelfCertifying);
    let printed = format!("{identity:?}");
    let seed = &identity.private_key_der()[16..];
    assert!(printed.contains("Ed25519"), "{printed}");
    assert!(!printed.contains(&data_encoding::HEXLOWER.encode(&seed[..8])));
    assert!(!printed.contains(&format!("{:?}", &seed[..4])[1..10]));
}

#[test]
fn what_is_pushed_is_a_length_and_that_much_pem() {
    let identity = make(KeyKind::Rsa2048, Policy::Tofu);
    let pushed = identity.pushed();
    let (prefix, pem) = pushed.split_first_chunk().unwrap();
    assert_eq!(crate::certificate::pushed_length(*prefix), Ok(pem.len()));
    assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----\n") && pem.ends_with(b"-----\n"));
}
