//! What a server pushes before TLS: a length, and a certificate in PEM or DER. What is accepted is
//! small, says the same when it is read again, and holds to the stricter policy's rule too where it
//! was read under that.

#![no_main]

use libfuzzer_sys::fuzz_target;
use voiddht_fuzz::TODAY;
use voiddht_identity::certificate::pushed_length;
use voiddht_identity::{Certificate, Policy};
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    // The fuzzer does not find lengths that fit by itself: they are also taken as they are.
    let pushed = match pushed_length(*length) {
        Ok(length) => {
            assert!((1..=MAX_CERTIFICATE_BYTES).contains(&length));
            &rest[..length.min(rest.len())]
        }
        Err(_) => rest,
    };
    let tofu = Certificate::parse_pushed(pushed, Policy::Tofu, TODAY);
    let certifying = Certificate::parse_pushed(pushed, Policy::SelfCertifying, TODAY);
    let Ok(certificate) = tofu else {
        assert!(certifying.is_err(), "the stricter policy accepts more");
        return;
    };
    assert_eq!(certifying.is_ok(), certificate.check_policy(Policy::SelfCertifying).is_ok());
    assert!(certificate.der().len() <= MAX_CERTIFICATE_BYTES);
    let again = Certificate::parse_der(certificate.der(), Policy::Tofu, TODAY);
    let again = again.expect("what was read can be read again");
    assert_eq!(again.node_id(), certificate.node_id());
    assert_eq!(again.address(), certificate.address());
    assert_eq!(again.fingerprint(), certificate.fingerprint());
});
