//! The identity file: a node's private key and certificate.
//!
//! It is not in the database, because records can be fetched again and an identity cannot: damage
//! to one must not affect the other. It is text, so that it can be read, backed up and given to
//! `openssl`; only its owner may read it; and it is replaced atomically, so that a complete one
//! always exists.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use voiddht_wire::limits::MAX_CERTIFICATE_BYTES;
use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::loaded::StoredIdentity;

/// The format of the directory as a whole, in the first line of the identity file: the names of
/// its files and redb's own file format. Checked before the database is touched.
pub(crate) const DIRECTORY_FORMAT: u32 = 1;

/// The name of the file with a node's key and certificate in its data directory.
pub const IDENTITY_NAME: &str = "identity.pem";
/// What a save that was cut off leaves behind: not yet in use.
const UNFINISHED_NAME: &str = "identity.pem.new";
/// Setgid, and writable by its group: a directory that its owner shares with the group.
const SHARED_DIRECTORY: u32 = 0o2020;
const TITLE: &str = "voiddht data directory, format ";
const NODE: &str = "node ";
const KEY_LABEL: &str = "PRIVATE KEY";
const CERTIFICATE_LABEL: &str = "CERTIFICATE";
/// An RSA key of 4096 bits and the largest certificate, in Base64, stay under it: whatever lies
/// at the path, no more is read.
const MAX_FILE_BYTES: u64 = 32 * 1024;
const _: () = assert!(2 * MAX_CERTIFICATE_BYTES as u64 + 8 * 1024 <= MAX_FILE_BYTES);
/// Characters of Base64 in a line (RFC 7468, section 2).
const LINE_CHARS: usize = 64;

/// The identity file of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct IdentityFile {
    directory: PathBuf,
}

impl IdentityFile {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(IDENTITY_NAME)
    }

    /// Removes what a save that was cut off left behind: it holds a private key.
    pub(crate) fn remove_unfinished(&self) -> Result<(), OpenError> {
        let path = self.directory.join(UNFINISHED_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(OpenError::from_io(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// Reads the identity; `None` if there is no such file.
    pub(crate) fn read(&self) -> Result<Option<StoredIdentity>, OpenError> {
        let path = self.path();
        let failed = |error| OpenError::from_io(&path, error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        self.check_access(&file)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        let damaged = |why| OpenError::IdentityDamaged { path: path.clone(), why };
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(damaged("it is far too long"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
        match parse(text) {
            Ok(identity) => Ok(Some(identity)),
            Err(Unreadable::Newer(found)) => {
                Err(OpenError::Newer { path, found, known: DIRECTORY_FORMAT })
            }
            Err(Unreadable::Damaged(why)) => Err(damaged(why)),
        }
    }

    /// Refuses a key that other users can read. A group may, where the directory is that group's to
    /// write in, setgid: so orchestrators hand over a volume (`fsGroup` of Kubernetes gives every
    /// file in it to the group again at each mount), and a user that can write in the directory can
    /// put another key in it anyway. The file is then made the owner's alone again.
    fn check_access(&self, file: &File) -> Result<(), OpenError> {
        let path = self.path();
        let failed = |error| OpenError::from_io(&path, error);
        let found = file.metadata().map_err(failed)?;
        let mode = found.mode() & 0o7777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        let directory = fs::metadata(&self.directory).map_err(failed)?;
        let shared = directory.mode() & SHARED_DIRECTORY == SHARED_DIRECTORY;
        if mode & 0o007 != 0 || !shared || directory.gid() != found.gid() {
            return Err(OpenError::Exposed { path, mode, directory: false });
        }
        match file.set_permissions(Permissions::from_mode(0o600)) {
            Ok(()) => tracing::info!(file = %path.display(), "key closed to the volume's group"),
            // The file belongs to another user; this process has only group access.
            Err(error) => tracing::debug!(%error, "the key stays open to the volume's group"),
        }
        Ok(())
    }

    /// Writes the identity so that after a power cut at any instant there is the old file or the
    /// new one.
    pub(crate) fn write(&self, identity: &StoredIdentity) -> io::Result<()> {
        let unfinished = self.directory.join(UNFINISHED_NAME);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(render(identity).as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path())?;
        sync_directory(&self.directory)
    }
}

/// Makes the names in a directory as durable as the files' content.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

enum Unreadable {
    Newer(u32),
    Damaged(&'static str),
}

fn render(identity: &StoredIdentity) -> Zeroizing<String> {
    // Once allocated, never grown: growing would leave a copy of the key behind.
    let der = identity.private_key_der.len() + identity.certificate_der.len();
    let mut text = Zeroizing::new(String::with_capacity(2 * der + 1024));
    text.push_str(&format!("{TITLE}{DIRECTORY_FORMAT}\n{NODE}{}\n", identity.node_id));
    push_block(&mut text, KEY_LABEL, &identity.private_key_der);
    push_block(&mut text, CERTIFICATE_LABEL, &identity.certificate_der);
    text
}

fn push_block(text: &mut String, label: &str, der: &[u8]) {
    let encoded = Zeroizing::new(BASE64.encode(der));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
}

fn parse(text: &str) -> Result<StoredIdentity, Unreadable> {
    let format = text.lines().next().and_then(|line| line.strip_prefix(TITLE));
    let format: u32 = format
        .and_then(|number| number.trim().parse().ok())
        .ok_or(Unreadable::Damaged("its first line is not that of an identity file"))?;
    if format > DIRECTORY_FORMAT {
        return Err(Unreadable::Newer(format));
    }
    let node_id = text
        .lines()
        .find_map(|line| line.strip_prefix(NODE))
        .and_then(|id| id.trim().parse().ok())
        .ok_or(Unreadable::Damaged("it does not say whose it is"))?;
    let private_key_der =
        block(text, KEY_LABEL).ok_or(Unreadable::Damaged("it holds no whole private key"))?;
    let certificate_der = block(text, CERTIFICATE_LABEL)
        .ok_or(Unreadable::Damaged("it holds no whole certificate"))?;
    Ok(StoredIdentity { node_id, private_key_der, certificate_der: certificate_der.to_vec() })
}

/// The content of the one block with this label; `None` if there is none, or it is not whole.
fn block(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = after.split_once(&format!("-----END {label}-----"))?;
    let mut encoded = Zeroizing::new(String::with_capacity(body.len()));
    encoded.extend(body.split_ascii_whitespace());
    let der = Zeroizing::new(BASE64.decode(encoded.as_bytes()).ok()?);
    (!der.is_empty()).then_some(der)
}
