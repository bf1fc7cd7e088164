//! Key files and delegation files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use voiddht_client::signed::{self, Delegation, Name, SigningKey};
use zeroize::Zeroizing;

use crate::outcome::Failure;

/// More than a key file or a delegation has: of any other file, no more is read.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// Writes a new key pair to a file that only its owner may read, and that did not exist.
pub(super) fn create_key(path: &Path) -> Result<SigningKey, Failure> {
    let key = signed::generate().map_err(Failure::failed)?;
    let text = signed::to_pem(&key).ok_or_else(|| Failure::failed("the key cannot be encoded"))?;
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = open.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Usage(format!(
            "{}: the file exists; choose another name, or move it away",
            path.display()
        )),
        _ => Failure::Failed(format!("{}: {error}", path.display())),
    })?;
    Ok(key)
}

/// Reads a private key.
pub(super) fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    signed::from_pem(&read(path)?).map_err(|error| {
        Failure::Usage(format!(
            "{}: {error}; `dht key new` and `openssl genpkey -algorithm ed25519` make one",
            path.display()
        ))
    })
}

/// Reads a delegation, and the name that it is for. Its signature must hold.
pub(super) fn read_delegation(path: &Path) -> Result<(Name, Delegation), Failure> {
    let refuse = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!("{}: {why}; `dht key delegate` makes a delegation", path.display()))
    };
    let (name, delegation) = Delegation::from_text(&read(path)?).map_err(|error| refuse(&error))?;
    delegation.verify(&name).map_err(|error| refuse(&error))?;
    Ok((name, delegation))
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let file =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    match file {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::Usage(format!("{}: {error}", path.display()))),
    }
}
