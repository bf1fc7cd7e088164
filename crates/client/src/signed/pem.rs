//! Key files: PKCS #8 version 1 in PEM, which is what `openssl genpkey -algorithm ed25519` writes and
//! what OpenSSL 3.0 reads; version 2, which carries the public key too, is read but not written
//! (RFC 8410, section 7).

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::Ed25519KeyPair;
use pem::{EncodeConfig, LineEnding, Pem};
use voiddht_signed::SigningKey;
use zeroize::Zeroizing;

const LABEL: &str = "PRIVATE KEY";

/// Text is no private key that can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There is no PEM, or something else around it.
    #[error("it is not one key in PEM")]
    Pem,
    /// What is in it is something else.
    #[error("it does not contain a private key")]
    Label,
    /// Another algorithm, or damage.
    #[error("it is not an Ed25519 private key in PKCS #8")]
    Key,
}

/// Reads a private key.
///
/// # Errors
/// [`PemError`] says what the text is not.
pub fn from_pem(text: &str) -> Result<SigningKey, PemError> {
    let blocks = pem::parse_many(text).map_err(|_| PemError::Pem)?;
    let [block] = &blocks[..] else { return Err(PemError::Pem) };
    if block.tag() != LABEL {
        return Err(PemError::Label);
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(block.contents());
    let seed = pair.ok().and_then(|pair| pair.seed().ok()).ok_or(PemError::Key)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| PemError::Key)?;
    let seed = <&[u8; 32]>::try_from(seed.as_ref()).map_err(|_| PemError::Key)?;
    SigningKey::from_seed(seed).ok_or(PemError::Key)
}

/// Writes a private key. `None` if the library cannot, which it can for every key.
pub fn to_pem(key: &SigningKey) -> Option<Zeroizing<String>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(key.danger_seed()).ok()?;
    let der = pair.to_pkcs8v1().ok()?;
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Some(Zeroizing::new(pem::encode_config(&Pem::new(LABEL, der.as_ref()), config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10.3: version 1, and version 2 with attributes and public key.
    const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn both_versions_are_read_and_version_1_is_written() {
        let public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        for text in [VERSION_1, VERSION_2] {
            let key = from_pem(text).unwrap();
            assert_eq!(key.public_key().to_string(), public);
            assert_eq!(to_pem(&key).unwrap().as_str(), VERSION_1);
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_with_its_reason() {
        let two = VERSION_1.repeat(2);
        let public = VERSION_1.replace("PRIVATE", "PUBLIC");
        let damaged = VERSION_1.replace("MC4CAQAw", "MC4CAQBw");
        let cases = [
            ("", PemError::Pem),
            ("d75a98", PemError::Pem),
            (two.as_str(), PemError::Pem),
            (&public, PemError::Label),
            (&damaged, PemError::Key),
        ];
        for (text, expected) in cases {
            assert_eq!(from_pem(text).unwrap_err(), expected, "{text}");
        }
    }
}
