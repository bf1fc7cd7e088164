//! The secrets of a private network: their file, and the keys that follow from each.
//!
//! A file has 1 to 8 secrets, one a line. The first proves membership; all are accepted, so that a
//! secret can be replaced without downtime: add the new one as second line everywhere, move it to
//! the first everywhere, delete the old one everywhere.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType};
use aws_lc_rs::hmac;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Secrets in a file, at most: enough for a rotation that was begun twice.
pub const MAX_SECRETS: usize = 8;
/// Bytes of a secret. Only random bytes are allowed, no passwords: there is nothing to guess.
pub const SECRET_BYTES: usize = 32;
/// A file is read up to this length, comments included.
pub const MAX_FILE_BYTES: usize = 16 * 1024;

const HKDF_SALT: &[u8] = b"voiddht private network 1";
const FINGERPRINT_CONTEXT: &[u8] = b"voiddht network\0";

/// Tells secrets apart without revealing them: the first 8 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The keys of one secret. The secret itself is not kept.
pub struct NetworkSecret {
    fingerprint: Fingerprint,
    push: LessSafeKey,
    client: hmac::Key,
    server: hmac::Key,
}

impl NetworkSecret {
    /// Derives the keys: HKDF-SHA256 (RFC 5869), expanded once for each use. `None` if the library
    /// refuses lengths that it is known to accept.
    pub fn derive(secret: &[u8; SECRET_BYTES]) -> Option<Self> {
        let extracted = hkdf::Salt::new(HKDF_SALT_ALGORITHM, HKDF_SALT).extract(secret);
        let push = expand(&extracted, b"push")?;
        let client = expand(&extracted, b"client")?;
        let server = expand(&extracted, b"server")?;
        Some(Self {
            fingerprint: Fingerprint::of(secret),
            push: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, push.as_slice()).ok()?),
            client: hmac::Key::new(hmac::HMAC_SHA256, client.as_slice()),
            server: hmac::Key::new(hmac::HMAC_SHA256, server.as_slice()),
        })
    }

    /// What to call it in logs and tables.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn push_key(&self) -> &LessSafeKey {
        &self.push
    }

    pub(super) fn client_key(&self) -> &hmac::Key {
        &self.client
    }

    pub(super) fn server_key(&self) -> &hmac::Key {
        &self.server
    }
}

impl fmt::Debug for NetworkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkSecret({})", self.fingerprint)
    }
}

impl Fingerprint {
    fn of(secret: &[u8; SECRET_BYTES]) -> Self {
        let digest = Sha256::new().chain_update(FINGERPRINT_CONTEXT).chain_update(secret);
        let digest: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(first)
    }
}

/// The secrets of a file, at least one.
#[derive(Debug)]
pub struct NetworkSecrets {
    first: NetworkSecret,
    others: Vec<NetworkSecret>,
}

/// What is wrong with a secret file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFileError {
    /// No line has a secret.
    #[error("the file has no secret: `dht network new` makes one")]
    Empty,
    /// It is no text.
    #[error("the file is no text: a secret is exactly 64 hexadecimal digits")]
    NotText,
    /// It is longer than any such file need be.
    #[error("the file has more than {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// A line is neither a secret nor a comment.
    #[error("line {line}: a secret is exactly 64 hexadecimal digits")]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// A secret stands there twice.
    #[error("line {line}: this secret is in the file already")]
    Repeated {
        /// Counted from 1.
        line: usize,
    },
    /// More than eight.
    #[error("the file has more than {MAX_SECRETS} secrets: delete those that are out of use")]
    TooMany,
}

impl NetworkSecrets {
    /// Reads the text of a secret file: one secret of exactly 64 hexadecimal digits a line; empty
    /// lines, and what follows a `#`, are ignored.
    ///
    /// # Errors
    /// [`SecretFileError`] names the line.
    pub fn parse(text: &str) -> Result<Self, SecretFileError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(SecretFileError::TooLong);
        }
        let mut secrets: Vec<NetworkSecret> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let content = line.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let secret =
                parse_secret(content).ok_or(SecretFileError::Form { line: line_number })?;
            if secrets.iter().any(|known| known.fingerprint == secret.fingerprint) {
                return Err(SecretFileError::Repeated { line: line_number });
            }
            if secrets.len() == MAX_SECRETS {
                return Err(SecretFileError::TooMany);
            }
            secrets.push(secret);
        }
        let mut secrets = secrets.into_iter();
        let first = secrets.next().ok_or(SecretFileError::Empty)?;
        Ok(Self { first, others: secrets.collect() })
    }

    /// The one that proves this node's membership.
    pub fn first(&self) -> &NetworkSecret {
        &self.first
    }

    /// All that are accepted, the first of them first.
    pub fn iter(&self) -> impl Iterator<Item = &NetworkSecret> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their fingerprints, in the order of the file.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.iter().map(NetworkSecret::fingerprint).collect()
    }
}

fn parse_secret(digits: &str) -> Option<NetworkSecret> {
    let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?);
    NetworkSecret::derive(bytes.as_slice().try_into().ok()?)
}

const HKDF_SALT_ALGORITHM: hkdf::Algorithm = HKDF_SHA256;

/// 32 bytes of output.
struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        SECRET_BYTES
    }
}

fn expand(extracted: &hkdf::Prk, info: &[u8]) -> Option<Zeroizing<[u8; SECRET_BYTES]>> {
    let mut key = Zeroizing::new([0; SECRET_BYTES]);
    extracted.expand(&[info], KeyBytes).ok()?.fill(key.as_mut_slice()).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn two() -> String {
        "ab".repeat(32)
    }

    fn refused(text: &str) -> SecretFileError {
        NetworkSecrets::parse(text).unwrap_err()
    }

    #[test]
    fn the_fingerprint_is_that_of_the_specification() {
        let secrets = NetworkSecrets::parse(ONE).unwrap();
        assert_eq!(secrets.first().fingerprint().to_string(), "ff20852e2f4d9f15");
    }

    #[test]
    fn derived_keys_are_those_of_the_specification() {
        let secret: [u8; 32] = std::array::from_fn(|index| index as u8);
        let extracted = hkdf::Salt::new(HKDF_SALT_ALGORITHM, HKDF_SALT).extract(&secret);
        let key = |info: &[u8]| HEXLOWER.encode(expand(&extracted, info).unwrap().as_slice());
        let expected = [
            ("push", "c4ac3170a5fc6f9d427fc409c7804d71f88729bd2f014a4bd01e7a60e2a3d59b"),
            ("client", "88dcd6c297d4f104a9345dd2545ea7d2c8da8f7f6eb30139d31819dab8c59735"),
            ("server", "244429ecf88dd263ef177e45f5261b4323e10688352192562940b90f0f873a6c"),
        ];
        for (info, expected) in expected {
            assert_eq!(key(info.as_bytes()), expected, "{info}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_ignored_and_the_order_is_kept() {
        let text = format!("# the network of the house\n\n  {ONE}  # new\n{}\n", two());
        let secrets = NetworkSecrets::parse(&text).unwrap();
        let alone = NetworkSecrets::parse(ONE).unwrap().first().fingerprint();
        assert_eq!(secrets.fingerprints().len(), 2);
        assert_eq!(secrets.fingerprints()[0], alone);
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_line() {
        use SecretFileError::{Empty, Form, Repeated, TooLong, TooMany};
        assert_eq!(refused(""), Empty);
        assert_eq!(refused("# only a comment\n"), Empty);
        assert_eq!(refused("correct horse battery staple"), Form { line: 1 });
        assert_eq!(refused(&format!("{ONE}\n{}", &ONE[1..])), Form { line: 2 });
        assert_eq!(refused(&format!("{ONE}0")), Form { line: 1 });
        assert_eq!(refused(&format!("{ONE}{}", two())), Form { line: 1 });
        assert_eq!(refused(&format!("{ONE}\n{}", ONE.to_uppercase())), Repeated { line: 2 });
        let nine: String = (0..9).map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect();
        assert_eq!(refused(&nine), TooMany);
        assert!(NetworkSecrets::parse(&nine[..8 * 65]).is_ok());
        assert_eq!(refused(&"#".repeat(MAX_FILE_BYTES + 1)), TooLong);
    }

    #[test]
    fn nothing_that_is_printed_reveals_a_secret() {
        let printed = format!("{:?}", NetworkSecrets::parse(ONE).unwrap());
        assert!(printed.contains("ff20852e2f4d9f15") && !printed.contains("0001020304"));
    }
}
