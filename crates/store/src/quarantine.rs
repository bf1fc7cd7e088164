//! What is done with a database file that does not make sense: mended where that loses nothing,
//! else kept aside for whoever wants to look at it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::identity_file::sync_directory;

/// redb's unit of allocation: the length of a file is a multiple of it, unless its end was cut off.
const PAGE_BYTES: u64 = 4096;
/// The room that the largest value takes, and so the largest page that can have been the last.
const LARGEST_PAGE_BYTES: u64 = 64 * 1024;
/// Damaged databases that are kept; older ones make room, lest a disk that damages one file a day
/// is filled with them.
const MAX_KEPT: usize = 3;

/// Adds zeros to a file whose end may have been cut off, past where the end can have been. If what
/// is gone held nothing, as the end of a database mostly does, that mends it, and the checksums
/// say so.
pub(crate) fn lengthen(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(length.next_multiple_of(PAGE_BYTES) + LARGEST_PAGE_BYTES)?;
    file.sync_all()
}

/// Renames a damaged file so that its name says what it is and since when; returns the new path.
pub(crate) fn move_aside(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let prefix = format!("{name}.damaged-");
    let kept = kept(directory, &prefix)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // After every other one, whatever the clock says: no name is used twice, and the lowest number
    // is the oldest.
    let number = kept.last().map_or(seconds, |(newest, _)| seconds.max(newest.saturating_add(1)));
    let target = directory.join(format!("{prefix}{number}"));
    fs::rename(directory.join(name), &target)?;
    sync_directory(directory)?;
    let surplus = (kept.len() + 1).saturating_sub(MAX_KEPT);
    for (_, path) in kept.iter().take(surplus) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(file = %path.display(), %error, "an old damaged database stays");
        }
    }
    Ok(target)
}

/// The damaged databases that are there, oldest first.
fn kept(directory: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            kept.push((number, entry.path()));
        }
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_used_twice_and_old_ones_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let mut moved = Vec::new();
        for round in 0..MAX_KEPT + 2 {
            fs::write(directory.path().join("db"), round.to_string()).unwrap();
            moved.push(move_aside(directory.path(), "db").unwrap());
        }
        let (gone, kept) = moved.split_at(2);
        assert!(gone.iter().all(|path| !path.exists()));
        for (round, path) in kept.iter().enumerate() {
            assert_eq!(fs::read_to_string(path).unwrap(), (round + 2).to_string());
        }
    }

    #[test]
    fn a_lengthened_file_keeps_its_bytes_and_has_a_length_that_a_database_can_have() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        for length in [1, 4095, 4096, 4097] {
            fs::write(&path, vec![1; length]).unwrap();
            lengthen(&path).unwrap();
            let content = fs::read(&path).unwrap();
            assert_eq!(content.len() % 4096, 0);
            assert!(content.len() >= length + 65_536);
            assert!(content[..length].iter().all(|byte| *byte == 1));
            assert!(content[length..].iter().all(|byte| *byte == 0));
        }
    }
}
