//! Reading a secret file: who may read it besides this process, and what it holds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use voiddht_identity::network::secrets::MAX_FILE_BYTES;
use voiddht_identity::network::{NetworkSecrets, SecretFileError};
use zeroize::Zeroizing;

use crate::groups;

/// What others may not have: the permission bits of group and world.
const OTHERS: u32 = 0o077;
/// What a file that is handed over to one process may have besides its owner's bits.
const GROUP_MAY_READ: u32 = 0o040;

/// Why a secret file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileFault {
    /// It cannot be opened or read.
    #[error("cannot read the network secrets in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is no regular file: network secrets are read from a file of mode 0600", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// Other users can read or change it.
    #[error(
        "{path} is open to other users (mode {mode:04o}): a user that has read it can join the network; \
         replace the secret if that is possible, and chmod 600 {path}",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who can change it.
    #[error(
        "{path} belongs to user {owner}, who can put another secret in it: make it this user's own \
         or root's",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// Its content is not as it must be.
    #[error("{}: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        source: SecretFileError,
    },
}

/// Reads the secrets of a private network. Blocks while the disk is slow.
///
/// # Errors
/// [`SecretFileFault`] says why the file is not used.
pub fn read_secret_file(path: &Path) -> Result<NetworkSecrets, SecretFileFault> {
    let unreadable = |source| SecretFileFault::Unreadable { path: path.to_owned(), source };
    // A pipe without a writer would block for ever.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(unreadable)?;
    check_access(&file, path)?;
    // One byte more than allowed, so that a longer file is seen to be too long.
    let most = MAX_FILE_BYTES + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(most));
    file.take(most as u64).read_to_end(&mut text).map_err(unreadable)?;
    let form = |source| SecretFileFault::Form { path: path.to_owned(), source };
    // What is no UTF-8 is no digits either; where it stands does not matter.
    let text = str::from_utf8(&text).map_err(|_| form(SecretFileError::NotText))?;
    NetworkSecrets::parse(text).map_err(form)
}

/// Only this user and root may read it, and change it. Files that the system hands over to one
/// process are root's and may be readable by a group: that is how an access list of systemd
/// (`LoadCredential=`) shows, and how Kubernetes hands a secret over to `fsGroup`.
fn check_access(file: &File, path: &Path) -> Result<(), SecretFileFault> {
    let unreadable = |source| SecretFileFault::Unreadable { path: path.to_owned(), source };
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(SecretFileFault::NotAFile { path: path.to_owned() });
    }
    let is_roots = found.uid() == 0;
    if found.uid() != geteuid().as_raw() && !is_roots {
        return Err(SecretFileFault::Foreign { path: path.to_owned(), owner: found.uid() });
    }
    let is_handed_over = is_roots && (found.gid() == 0 || groups::is_own(found.gid()));
    let allowed = if is_handed_over { GROUP_MAY_READ } else { 0 };
    if found.mode() & OTHERS & !allowed != 0 {
        return Err(SecretFileFault::Exposed {
            path: path.to_owned(),
            mode: found.mode() & 0o7777,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("net.secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    fn refused(content: &[u8], mode: u32) -> SecretFileFault {
        let (_directory, path) = file(content, mode);
        read_secret_file(&path).unwrap_err()
    }

    fn secret() -> Vec<u8> {
        "ab".repeat(32).into_bytes()
    }

    #[test]
    fn a_file_of_mode_0600_is_read() {
        for mode in [0o600, 0o400] {
            let (_directory, path) = file(&secret(), mode);
            let secrets = read_secret_file(&path).unwrap();
            assert_eq!(secrets.fingerprints().len(), 1);
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        for mode in [0o644, 0o604, 0o620, 0o660, 0o602, 0o601] {
            let fault = refused(&secret(), mode);
            assert!(matches!(fault, SecretFileFault::Exposed { mode: found, .. } if found == mode));
            assert!(fault.to_string().contains("chmod 600"), "{fault}");
        }
    }

    #[test]
    fn a_file_with_wrong_content_is_refused_by_its_reason() {
        let form = |content: &[u8]| match refused(content, 0o600) {
            SecretFileFault::Form { source, .. } => source,
            other => panic!("{other}"),
        };
        assert_eq!(form(b"# nothing yet\n"), SecretFileError::Empty);
        assert_eq!(form(b"\n\npassword\n"), SecretFileError::Form { line: 3 });
        assert_eq!(form(&[0xff; 64]), SecretFileError::NotText);
        assert_eq!(form(&vec![b'#'; MAX_FILE_BYTES + 1]), SecretFileError::TooLong);
        let mut padded = secret();
        padded.push(b'\n');
        padded.resize(MAX_FILE_BYTES + 1, b'#');
        assert_eq!(form(&padded), SecretFileError::TooLong);
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let fault = read_secret_file(&missing).unwrap_err();
        assert!(matches!(fault, SecretFileFault::Unreadable { .. }), "{fault}");
        let fault = read_secret_file(directory.path()).unwrap_err();
        assert!(matches!(fault, SecretFileFault::NotAFile { .. }), "{fault}");
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from(0o600)).unwrap();
        let fault = read_secret_file(&pipe).unwrap_err();
        assert!(matches!(fault, SecretFileFault::NotAFile { .. }), "{fault}");
    }
}
