//! The sealed certificate push: `length u32 | nonce 12 | AES-256-GCM(certificate in DER)`.
//!
//! `length` counts nonce, certificate and tag, and is authenticated with them. A node seals its
//! certificate once for each load of its secrets and repeats the bytes on every connection: what is
//! sealed is the same, so repeating the nonce with it reveals nothing new.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use bytes::Bytes;

use super::secrets::{Fingerprint, NetworkSecret, NetworkSecrets};
use crate::certificate::{is_certificate, pushed_length};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = NONCE_LEN;
/// What sealing adds to a certificate: nonce and tag.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + 16;

/// The bytes that a server of a private network pushes, its length included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPush(Bytes);

/// A push that one of the secrets opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedPush {
    /// The certificate in DER. Nothing in it is checked yet.
    pub certificate_der: Vec<u8>,
    /// The secret that it was sealed with.
    pub secret: Fingerprint,
}

/// A push that no secret opens, by what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PushError {
    /// A certificate in the clear.
    #[error("a node of a public network")]
    PublicNode,
    /// Sealed with another secret, or no push at all.
    #[error("a node of another network, or no node")]
    OtherNetwork,
}

impl SealedPush {
    /// Seals a certificate under the first secret. `nonce` must be random, and new for each
    /// certificate or secret. `None` for a certificate that is too long to be pushed.
    pub fn seal(
        secret: &NetworkSecret,
        certificate_der: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Self> {
        let length = u32::try_from(certificate_der.len() + OVERHEAD_BYTES).ok()?.to_be_bytes();
        pushed_length(length).ok()?;
        let mut sealed = certificate_der.to_vec();
        let key = secret.push_key();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(length), &mut sealed).ok()?;
        Some(Self([&length, &nonce[..], &sealed].concat().into()))
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl NetworkSecrets {
    /// Opens what a server pushed behind its length, trying each secret.
    ///
    /// # Errors
    /// [`PushError`] says what the push looks like.
    pub fn open_push(&self, pushed: &[u8]) -> Result<OpenedPush, PushError> {
        let opened = self.iter().find_map(|secret| {
            let certificate_der = open(secret, pushed)?;
            Some(OpenedPush { certificate_der, secret: secret.fingerprint() })
        });
        opened.ok_or_else(|| match is_certificate(pushed) {
            true => PushError::PublicNode,
            false => PushError::OtherNetwork,
        })
    }
}

fn open(secret: &NetworkSecret, pushed: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(pushed.len()).ok()?.to_be_bytes();
    let (nonce, sealed) = pushed.split_first_chunk::<NONCE_BYTES>()?;
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = secret.push_key().open_in_place(nonce, Aad::from(length), &mut buffer).ok()?;
    let opened_bytes = opened.len();
    buffer.truncate(opened_bytes);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn secrets(bytes: &[u8]) -> NetworkSecrets {
        let lines: String =
            bytes.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect();
        NetworkSecrets::parse(&lines).unwrap()
    }

    #[test]
    fn a_push_is_sealed_as_the_specification_has_it() {
        let secret: [u8; 32] = std::array::from_fn(|index| index as u8);
        let secret = NetworkSecret::derive(&secret).unwrap();
        let nonce: [u8; 12] = std::array::from_fn(|index| 0x40 + index as u8);
        let push = SealedPush::seal(&secret, b"certificate", nonce).unwrap();
        let expected = "00000027404142434445464748494a4b3720b194506d42c8d1d92349ce4c6be352b91dcd59\
                        0a5bdf1a7ee7";
        assert_eq!(HEXLOWER.encode(push.as_bytes()), expected);
    }

    #[test]
    fn any_secret_of_the_file_opens_it() {
        let push = SealedPush::seal(secrets(&[3]).first(), b"certificate", [9; 12]).unwrap();
        let pushed = &push.as_bytes()[4..];
        let opened = secrets(&[1, 2, 3]).open_push(pushed).unwrap();
        assert_eq!(opened.certificate_der, b"certificate");
        assert_eq!(opened.secret, secrets(&[3]).first().fingerprint());
        assert_eq!(secrets(&[1, 2]).open_push(pushed), Err(PushError::OtherNetwork));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let ours = secrets(&[3]);
        let push = SealedPush::seal(ours.first(), b"certificate", [9; 12]).unwrap();
        let mut pushed = push.as_bytes()[4..].to_vec();
        for index in 0..pushed.len() {
            pushed[index] ^= 1;
            assert_eq!(ours.open_push(&pushed), Err(PushError::OtherNetwork), "{index}");
            pushed[index] ^= 1;
            assert!(ours.open_push(&pushed[..index]).is_err(), "{index}");
        }
        pushed.push(0);
        assert!(ours.open_push(&pushed).is_err());
    }

    #[test]
    fn a_certificate_in_the_clear_is_called_a_public_node() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pem = certificate.pem().replace("\r\n", "\n");
        for clear in [certificate.der().as_ref(), pem.as_bytes()] {
            assert_eq!(secrets(&[1]).open_push(clear), Err(PushError::PublicNode));
        }
        let cut = &certificate.der()[..100];
        assert_eq!(secrets(&[1]).open_push(cut), Err(PushError::OtherNetwork));
    }

    #[test]
    fn a_certificate_that_is_too_long_to_push_is_not_sealed() {
        let ours = secrets(&[1]);
        let most = voiddht_wire::limits::MAX_CERTIFICATE_BYTES - OVERHEAD_BYTES;
        assert!(SealedPush::seal(ours.first(), &vec![0; most], [0; 12]).is_some());
        assert!(SealedPush::seal(ours.first(), &vec![0; most + 1], [0; 12]).is_none());
    }
}
