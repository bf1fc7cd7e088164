//! The primitives that a private network is built on, beside the vectors of their specifications: the
//! library that TLS has anyway computes what others compute.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use data_encoding::HEXLOWER;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal digits")
}

/// Bytes of output.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// RFC 5869, appendix A.1 to A.3.
#[test]
fn hkdf_is_that_of_rfc_5869() {
    let long = |first: u8| (0..80).map(|n| first + n).collect::<Vec<u8>>();
    for (ikm, salt, info, expected) in [
        (
            vec![0x0b; 22],
            hex("000102030405060708090a0b0c"),
            hex("f0f1f2f3f4f5f6f7f8f9"),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            long(0),
            long(0x60),
            long(0xb0),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59\
             0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ] {
        let expected = hex(expected);
        let mut output = vec![0; expected.len()];
        let extracted = Salt::new(HKDF_SHA256, &salt).extract(&ikm);
        let info = [info.as_slice()];
        let expanded = extracted.expand(&info, Length(expected.len())).expect("a short output");
        expanded.fill(&mut output).expect("as long as was said");
        assert_eq!(output, expected);
    }
}

/// RFC 4231, sections 4.2, 4.3, 4.4 and 4.7.
#[test]
fn hmac_is_that_of_rfc_4231() {
    for (key, data, expected) in [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, &key), &data);
        assert_eq!(HEXLOWER.encode(tag.as_ref()), expected);
    }
}

/// AES with 256 bits, the cases of the specification that NIST's SP 800-38D refers to: 14 (no additional
/// data) and 16 (additional data, and a last block that is not full).
#[test]
fn aes_gcm_is_that_of_nist() {
    for (key, nonce, aad, plain, sealed) in [
        (
            vec![0; 32],
            hex("000000000000000000000000"),
            Vec::new(),
            vec![0; 16],
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
            hex("cafebabefacedbaddecaf888"),
            hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            hex(
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24\
                 49a6b525b16aedf5aa0de657ba637b39",
            ),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056\
             828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes"));
        let nonce = || Nonce::try_assume_unique_for_key(&nonce).expect("12 bytes");
        let mut buffer = plain.clone();
        key.seal_in_place_append_tag(nonce(), Aad::from(&aad), &mut buffer).expect("a short text");
        assert_eq!(HEXLOWER.encode(&buffer), sealed);
        let opened = key.open_in_place(nonce(), Aad::from(&aad), &mut buffer).expect("it is whole");
        assert_eq!(opened, plain);
    }
}
