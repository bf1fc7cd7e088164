//! Certificates in DER, past the outer form: seeds are real ones of each kind of key. Whatever is
//! accepted is read to its last byte, and its own signature can be asked about.

#![no_main]

use libfuzzer_sys::fuzz_target;
use voiddht_fuzz::TODAY;
use voiddht_identity::{Certificate, Policy};
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = Certificate::parse_der(data, Policy::Tofu, TODAY) else { return };
    assert!(data.len() <= MAX_CERTIFICATE_BYTES);
    assert_eq!(&certificate.der()[..], data);
    assert!(data.windows(certificate.spki().len()).any(|window| window == certificate.spki()));
    let _ = (certificate.key_kind(), certificate.address());
    // Asked twice, for the answer is remembered.
    let signature = certificate.check_self_signature();
    assert_eq!(signature, certificate.clone().check_self_signature());
    let longer = [data, &[0]].concat();
    assert!(Certificate::parse_der(&longer, Policy::Tofu, TODAY).is_err(), "bytes after the DER");
    let shorter = &data[..data.len() - 1];
    assert!(Certificate::parse_der(shorter, Policy::Tofu, TODAY).is_err(), "cut off");
});
