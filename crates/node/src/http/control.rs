//! The Unix socket by which the tools of a node's owner speak to it: its path and its permissions.
//!
//! Its directory must belong to this user, and be writable only for this user; or it is a volume
//! that an orchestrator hands over to this process's group (`fsGroup` of Kubernetes). A socket left
//! by a killed process is replaced; one that a process listens on is not.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use crate::groups;

/// The name of a node's control socket in its data directory.
pub const CONTROL_SOCKET: &str = "control";
/// Setgid, and writable by its group: a directory that is shared with the group.
const SHARED_DIRECTORY: u32 = 0o2020;
/// The ending of sockets that several nodes have in one directory.
const SHARED: &str = "sock";
/// Other nodes' sockets that are looked at when one is made: each killed node leaves one.
const MAX_NEIGHBOURS: usize = 256;
/// A younger socket may belong to a node that has made it and does not listen yet.
const SETTLED: Duration = Duration::from_secs(60);

/// Where a node makes the Unix socket by which its owner's tools speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// At this path: [`CONTROL_SOCKET`] in the data directory.
    At(PathBuf),
    /// In this directory, named after the address of the module API: for a node without a data
    /// directory.
    In(PathBuf),
}

impl ControlSocket {
    /// The path of the node whose module API is served there.
    pub(crate) fn path(&self, api: SocketAddr) -> PathBuf {
        match self {
            Self::At(path) => path.clone(),
            Self::In(directory) => directory.join(format!("{api}.sock")),
        }
    }
}

/// The socket's place in the file system; removed when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Which file it is, so that another one's in its place is left alone.
    made: Made,
}

/// What tells a file from another that took its name: its inode, and since that may be used again,
/// when it last changed, to the nanosecond.
#[derive(Debug, PartialEq, Eq)]
struct Made(u64, i64, i64);

impl Made {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self(found.ino(), found.ctime(), found.ctime_nsec()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Made::of(&self.path).is_ok_and(|found| found == self.made) {
            // If it cannot be removed now, the next start will replace it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket, and its directory if there is none.
pub(super) async fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        own_directory(directory)?;
    }
    remove_stale(path).await?;
    if let Some(directory) = directory.filter(|_| path.extension() == Some(OsStr::new(SHARED))) {
        remove_stale_neighbours(directory).await;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let made = Made::of(path)?;
    Ok((listener, SocketFile { path: path.to_owned(), made }))
}

/// Makes sure that no other user could put another socket in the place of ours.
fn own_directory(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::metadata(directory)?;
    // Root could replace the socket anywhere.
    let handed_over =
        found.mode() & SHARED_DIRECTORY == SHARED_DIRECTORY && groups::is_own(found.gid());
    if found.uid() != geteuid().as_raw() && !(handed_over && found.uid() == 0) {
        return Err(denied("its directory belongs to another user"));
    }
    let writable = if handed_over { 0o002 } else { 0o022 };
    if found.mode() & writable != 0 {
        return Err(denied("its directory can be written to by others"));
    }
    Ok(())
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of that name"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another node serves there")),
        Err(error) => Err(error),
    }
}

/// Removes what killed nodes have left in a directory that several nodes share.
async fn remove_stale_neighbours(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().take(MAX_NEIGHBOURS) {
        let changed = entry.metadata().and_then(|found| found.modified());
        let age = changed.ok().and_then(|changed| changed.elapsed().ok());
        let path = entry.path();
        if path.extension() == Some(OsStr::new(SHARED)) && age.is_some_and(|age| age > SETTLED) {
            // One that cannot be removed, or is in use, stays.
            let _ = remove_stale(&path).await;
        }
    }
}

fn denied(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use rustix::process::getegid;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_the_owners_alone_and_goes_with_its_node() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("voiddht/7401.sock");
        let (_listener, file) = bind(&path).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_killed_node_left_is_replaced_and_a_living_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("socket");
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (listener, file) = bind(&path).await.unwrap();
        let refused = bind(&path).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        drop(listener);
        let (_next, next_file) = bind(&path).await.unwrap();
        drop(file);
        assert!(path.exists(), "it is the other one's now");
        drop(next_file);
    }

    /// A volume of Kubernetes with `fsGroup`: setgid, and writable by the group of this process.
    #[tokio::test]
    async fn a_volume_that_is_handed_over_to_the_group_is_served_in() {
        let volume = tempfile::tempdir().unwrap();
        let mode = |mode| fs::set_permissions(volume.path(), Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(volume.path(), None, Some(getegid().as_raw())).unwrap();
        let path = volume.path().join("control");
        mode(0o2775);
        drop(bind(&path).await.unwrap());
        for refused in [0o775, 0o2777] {
            mode(refused);
            let error = bind(&path).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{refused:o}");
        }
    }

    #[tokio::test]
    async fn what_killed_nodes_left_beside_it_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let at = |name: &str| parent.path().join(name);
        let age = |path: &Path| {
            let long_ago = std::time::SystemTime::now() - 2 * SETTLED;
            let times = rustix::fs::Timestamps {
                last_access: timespec(long_ago),
                last_modification: timespec(long_ago),
            };
            let here = rustix::fs::CWD;
            rustix::fs::utimensat(here, path, &times, rustix::fs::AtFlags::empty()).unwrap();
        };
        let alive = UnixListener::bind(at("alive.sock")).unwrap();
        for name in ["dead.sock", "young.sock"] {
            drop(UnixListener::bind(at(name)).unwrap());
        }
        age(&at("alive.sock"));
        age(&at("dead.sock"));
        let _bound = bind(&at("own.sock")).await.unwrap();
        let exist = ["alive.sock", "dead.sock", "young.sock"].map(|name| at(name).exists());
        assert_eq!(exist, [true, false, true]);
        drop(alive);
    }

    fn timespec(time: std::time::SystemTime) -> rustix::fs::Timespec {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
        rustix::fs::Timespec { tv_sec: since.as_secs() as i64, tv_nsec: 0 }
    }

    #[tokio::test]
    async fn a_file_or_a_directory_of_others_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("socket");
        fs::write(&path, "precious").unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(bind(&path).await.map(drop).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let other = parent.path().join("other");
        assert_eq!(bind(&other).await.map(drop).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
}
