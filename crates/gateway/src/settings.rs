//! Where the gateway listens, and who may use it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::pace::Pace;

/// A token, at least: what cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// A token, at most: it must fit a request's head.
const MAX_TOKEN_BYTES: usize = 1024;

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The token that requests must bear. Required off loopback, unless the gateway is public.
    pub token: Option<Token>,
    /// Whether everyone may read. Without a token, no request may then write.
    pub public: bool,
    /// Origins of pages whose scripts may use the gateway.
    pub origins: Vec<Origin>,
    /// How fast it works, and clients must be.
    pub pace: Pace,
}

impl Settings {
    /// A gateway for this address with nothing further allowed.
    pub fn new(address: SocketAddr) -> Self {
        let (token, public, origins) = (None, false, Vec::new());
        Self { address, token, public, origins, pace: Pace::default() }
    }

    /// Refuses to be open to other machines without a token.
    ///
    /// # Errors
    /// [`OpenToAll`].
    pub fn check(&self) -> Result<(), OpenToAll> {
        let is_open = self.token.is_none() && !self.public;
        let is_local = self.address.ip().to_canonical().is_loopback();
        if is_open && !is_local { Err(OpenToAll(self.address)) } else { Ok(()) }
    }
}

/// The gateway would put and get for every machine that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the gateway does not listen on {0} without a token: other machines could write. Give \
     --gateway-token FILE, or --gateway-public for reads only"
)]
pub struct OpenToAll(SocketAddr);

/// The token of a gateway. Only its digest is kept, which also makes the time of a comparison say
/// nothing about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why a token cannot be taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "{path}: mode {mode:o} lets other users read the token; run: chmod 600 {path}",
        path = path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no token.
    #[error(
        "{path}: a token has {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} printable characters without \
         spaces; make one with: openssl rand -hex 32",
        path = path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// A token of these bytes; `None` if they are too few, or cannot stand in a request's head.
    pub fn new(token: &[u8]) -> Option<Self> {
        let is_sized = (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&token.len());
        let is_printable = token.iter().all(u8::is_ascii_graphic);
        (is_sized && is_printable).then(|| Self(Sha256::digest(token).into()))
    }

    /// Reads the first line of a file that only its owner may read.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Self::new(&read_token(path)?).ok_or_else(|| TokenError::Content { path: path.to_owned() })
    }

    pub(crate) fn is(&self, other: &[u8]) -> bool {
        Sha256::digest(other).as_slice() == self.0
    }
}

/// The first line of a token's file, which only its owner may read.
///
/// # Errors
/// [`TokenError`].
pub fn read_token(path: &Path) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let unreadable = |source| TokenError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(2 * MAX_TOKEN_BYTES));
    file.take(2 * MAX_TOKEN_BYTES as u64).read_to_end(&mut text).map_err(unreadable)?;
    let length = text.trim_ascii_end().len();
    text.truncate(length);
    Ok(text)
}

/// The origin of a page, as browsers send it: `https://app.example`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an origin, like https://app.example or http://localhost:8080, without a path")]
pub struct ParseOriginError;

impl Origin {
    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let (scheme, host) = text.split_once("://").ok_or(ParseOriginError)?;
        let is_host = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
        };
        let is_known = scheme == "http" || scheme == "https";
        if is_known && !host.is_empty() && host.bytes().all(is_host) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseOriginError)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let secret = "0123456789abcdef0123456789abcdef";
        fs::write(&path, format!("{secret}\n")).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && !error.contains(secret), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let token = Token::read(&path).unwrap();
        assert!(
            token.is(secret.as_bytes()) && !token.is(b"") && !token.is(&secret.as_bytes()[1..])
        );
        for wrong in ["", "short", "with spaces in the token", &"x".repeat(1025)] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(Token::read(&path), Err(TokenError::Content { .. })), "{wrong}");
        }
        let missing = directory.path().join("missing");
        assert!(matches!(Token::read(&missing), Err(TokenError::Read { .. })));
    }

    #[test]
    fn off_loopback_there_is_a_token_or_the_gateway_is_public() {
        let token = Token::new(&[b'a'; 32]);
        for (address, token, public, allowed) in [
            ("127.0.0.1:1", None, false, true),
            ("[::1]:1", None, false, true),
            ("[::ffff:127.0.0.1]:1", None, false, true),
            ("0.0.0.0:1", None, false, false),
            ("192.0.2.1:1", None, false, false),
            ("192.0.2.1:1", None, true, true),
            ("192.0.2.1:1", token, false, true),
        ] {
            let address = address.parse().unwrap();
            let settings = Settings { token, public, ..Settings::new(address) };
            assert_eq!(settings.check().is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for right in ["https://app.example", "http://localhost:8080", "http://[::1]:1"] {
            assert_eq!(right.parse::<Origin>().unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://a/",
            "HTTPS://a",
            "ftp://a",
            "http://a b",
        ] {
            assert_eq!(wrong.parse::<Origin>(), Err(ParseOriginError), "{wrong}");
        }
    }
}
