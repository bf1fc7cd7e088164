//! A database file of which the end may have been cut off: mended where that loses nothing.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// redb's unit of allocation: the length of a file is a multiple of it, unless its end was cut off.
const PAGE_BYTES: u64 = 4096;
/// The room that the largest value takes, and so the largest page that can have been the last.
const LARGEST_PAGE_BYTES: u64 = 64 * 1024;

/// Adds zeros to a file whose end may have been cut off, past where the end can have been. If what
/// is gone held nothing, as the end of a database mostly does, that mends it, and the checksums
/// say so. The answer is its length before.
pub(crate) fn lengthen(path: &Path) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(length.next_multiple_of(PAGE_BYTES) + LARGEST_PAGE_BYTES)?;
    file.sync_all()?;
    Ok(length)
}

/// It did not: the file is as long as it was, for inspection.
pub(crate) fn set_back(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_lengthened_file_keeps_its_bytes_and_has_a_length_that_a_database_can_have() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        for length in [1, 4095, 4096, 4097] {
            fs::write(&path, vec![1; length]).unwrap();
            let before = lengthen(&path).unwrap();
            let content = fs::read(&path).unwrap();
            assert_eq!((before, content.len() % 4096), (length as u64, 0));
            assert!(content.len() >= length + 65_536);
            assert!(content[..length].iter().all(|byte| *byte == 1));
            assert!(content[length..].iter().all(|byte| *byte == 0));
            set_back(&path, before).unwrap();
            assert_eq!(fs::read(&path).unwrap(), vec![1; length]);
        }
    }
}
