//! Files that are cut short, overwritten, missing or another node's: opened with everything that
//! was acknowledged, or refused with a line that says what to do. Never a panic, never fewer records
//! without a word, never another identity.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use common::{Disk, identity, node, put, record, submit};
use voiddht_core::event::StoredRecord;
use voiddht_store::{Condition, DataDir, Loaded, OpenError};

const DATABASE: &str = "records.redb";
const IDENTITY: &str = "identity.pem";

fn records() -> Vec<StoredRecord> {
    (1..=60).map(|n| record(n, &vec![n as u8; 100 * n as usize], 3600)).collect()
}

fn values(records: impl IntoIterator<Item = StoredRecord>) -> Vec<(String, Vec<u8>)> {
    records.into_iter().map(|r| (r.key.to_string(), r.value.to_vec())).collect()
}

/// Opens a used directory whose database was tampered with, and checks what must hold in any case.
/// Says whether it was opened.
#[track_caller]
fn check_kept_or_refused(disk: &Disk, context: &str) -> bool {
    let names = names(disk);
    let (on_completion, completions) = common::completions();
    let (store, is_kept) = match DataDir::open(disk.path(), on_completion) {
        Ok((store, Loaded { identity: found, condition, records: kept, .. })) => {
            assert_eq!(found, Some(identity(1)), "{context}");
            assert!(matches!(condition, Condition::Intact | Condition::CutShort), "{context}");
            let kept = values(kept.into_iter().map(|r| r.record));
            assert!(kept == values(records()), "{context}: {} records", kept.len());
            (store, true)
        }
        Err(error) => {
            assert!(matches!(&error, OpenError::DatabaseDamaged { .. }), "{context}: {error}");
            let text = error.to_string();
            assert!(text.contains("data/records.redb") && text.contains("move it away"), "{text}");
            assert!(!text.contains('\n') && names == self::names(disk), "{context}: {text}");
            // Its advice is good.
            fs::rename(disk.file(DATABASE), disk.file("away")).unwrap();
            let (store, loaded, _) = disk.open();
            assert_eq!(loaded.identity, Some(identity(1)), "{context}");
            assert_eq!(loaded.condition, Condition::DatabaseMissing, "{context}");
            drop(store);
            (DataDir::open(disk.path(), common::completions().0).unwrap().0, false)
        }
    };
    drop((store, completions));
    // Whatever happened, from here on it is a sound directory of the same node.
    let (store, _, completions) = disk.open();
    submit(&store, &completions, vec![put(record(1000, b"after", 60))]);
    store.close().unwrap();
    let (_store, loaded, _) = disk.open();
    assert_eq!(loaded.condition, Condition::Intact, "{context}");
    assert!(loaded.records.iter().any(|r| r.record.value == "after"), "{context}");
    is_kept
}

fn names(disk: &Disk) -> Vec<String> {
    contents(disk).into_iter().map(|(name, _)| name).collect()
}

/// A copy of a used directory, so that each test case starts from the same bytes.
fn copy_of(original: &Disk) -> Disk {
    let copy = Disk::new();
    fs::create_dir(copy.path()).unwrap();
    for entry in fs::read_dir(original.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn truncate(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[track_caller]
fn refused(disk: &Disk) -> OpenError {
    let before = contents(disk);
    let error = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    assert!(contents(disk) == before, "refused, and changed something: {error}");
    error
}

/// As [`refused`], where redb has opened its file, and marked it as it does.
#[track_caller]
fn refused_after_opening(disk: &Disk) -> OpenError {
    let before = names(disk);
    let error = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    assert_eq!(names(disk), before, "refused, and changed something: {error}");
    error
}

fn contents(disk: &Disk) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(disk.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "lock")
        .collect();
    files.sort();
    files
}

/// Used, and then killed: a copy of the files as they lie while the store is open.
fn killed() -> Disk {
    let disk = Disk::new();
    let (store, _, completions) = disk.open();
    store.save_identity(&identity(1)).unwrap();
    for record in records() {
        submit(&store, &completions, vec![put(record)]);
    }
    copy_of(&disk)
}

#[test]
fn a_database_cut_in_its_last_page_is_mended_or_refused() {
    let mut mended = 0;
    for original in [Disk::used(&records()), killed()] {
        let whole = length(&original.file(DATABASE));
        for cut in [1, 100].into_iter().chain((500..4096).step_by(500)).chain([4095, 4096, 4097]) {
            let disk = copy_of(&original);
            truncate(&disk.file(DATABASE), whole - cut);
            mended += u32::from(check_kept_or_refused(&disk, &format!("{cut} bytes cut")));
        }
    }
    // What was cut off was not in use in all cases: those must have lost nothing.
    assert!(mended > 0);
}

#[test]
fn a_database_cut_anywhere_is_kept_or_refused() {
    let original = Disk::used(&records());
    let whole = length(&original.file(DATABASE));
    let mut refused = 0;
    for length in (0..whole).step_by(4096).chain((0..whole).step_by(7919)) {
        let disk = copy_of(&original);
        truncate(&disk.file(DATABASE), length);
        let kept = check_kept_or_refused(&disk, &format!("cut to {length} of {whole}"));
        refused += u32::from(!kept);
    }
    assert!(refused > 0);
}

#[test]
fn a_database_with_a_changed_byte_is_kept_or_refused() {
    let original = Disk::used(&records());
    let whole = length(&original.file(DATABASE));
    let mut refused = 0;
    // The header closely, then something in every page.
    for offset in (0..400).step_by(3).chain((400..whole).step_by(3203)) {
        let disk = copy_of(&original);
        let file = File::options().read(true).write(true).open(disk.file(DATABASE)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x5a], offset).unwrap();
        let kept = check_kept_or_refused(&disk, &format!("byte {offset} of {whole}"));
        refused += u32::from(!kept);
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn an_unknown_file_in_place_of_the_database_is_left_alone() {
    for content in [vec![], b"SQLite format 3\0".to_vec(), vec![0; 100_000]] {
        let disk = Disk::used(&records());
        fs::write(disk.file(DATABASE), &content).unwrap();
        let error = refused(&disk);
        assert!(matches!(error, OpenError::DatabaseDamaged { .. }), "{error}");
    }
}

#[test]
fn without_an_identity_a_damaged_database_is_refused_and_left_alone() {
    for content in [vec![], b"SQLite format 3\0".to_vec()] {
        let disk = Disk::used(&records());
        fs::remove_file(disk.file(IDENTITY)).unwrap();
        fs::write(disk.file(DATABASE), &content).unwrap();
        let error = refused(&disk);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(DATABASE), "{error}");
    }
}

#[test]
fn a_database_of_another_program_is_not_taken_over() {
    const TABLE: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("theirs");
    let disk = Disk::new();
    fs::create_dir(disk.path()).unwrap();
    let database = redb::Database::create(disk.file(DATABASE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_lost_key_is_noticed() {
    let disk = Disk::used(&records());
    fs::remove_file(disk.file(IDENTITY)).unwrap();
    let error = refused_after_opening(&disk);
    assert!(matches!(&error, OpenError::IdentityMissing { node: Some(id), .. } if *id == node(1)));
    assert!(error.to_string().contains(&node(1).to_string()), "{error}");
}

#[test]
fn a_key_lost_before_the_database_knew_of_it_is_noticed() {
    let disk = Disk::new();
    let (store, _, completions) = disk.open();
    submit(&store, &completions, vec![put(record(1, b"value", 60))]);
    store.close().unwrap();
    let error = refused_after_opening(&disk);
    assert!(matches!(error, OpenError::IdentityMissing { node: None, .. }), "{error}");
}

#[test]
fn another_nodes_key_is_noticed() {
    let disk = Disk::used(&records());
    let other = Disk::new();
    other.open().0.save_identity(&identity(2)).unwrap();
    fs::copy(other.file(IDENTITY), disk.file(IDENTITY)).unwrap();
    let error = refused_after_opening(&disk);
    let OpenError::IdentitySwapped { file, database, .. } = error else { panic!("{error}") };
    assert_eq!((file, database), (node(2), node(1)));
}

#[test]
fn a_directory_without_its_database_keeps_its_identity() {
    let disk = Disk::used(&records());
    fs::remove_file(disk.file(DATABASE)).unwrap();
    let (store, loaded, _) = disk.open();
    assert_eq!(loaded.condition, Condition::DatabaseMissing);
    assert_eq!(loaded.identity, Some(identity(1)));
    store.close().unwrap();
    // The new database is that identity's own from the first commit on.
    fs::remove_file(disk.file(IDENTITY)).unwrap();
    assert!(matches!(refused_after_opening(&disk), OpenError::IdentityMissing { .. }));
}

#[test]
fn a_damaged_key_file_is_refused() {
    let disk = Disk::used(&[]);
    let good = fs::read_to_string(disk.file(IDENTITY)).unwrap();
    let cut = |length: usize| good.as_bytes()[..length].to_vec();
    let mut cases = vec![vec![], vec![0; 300], vec![0xff; 300], b"garbage\n".to_vec()];
    cases.push(vec![b'A'; 1_000_000]);
    // Up to the last line's end, every length is too short.
    cases.extend((0..good.len() - 1).step_by(17).map(cut));
    cases.push(cut(good.len() - 2));
    cases.push(good.replace("format 1", "format x").into());
    cases.push(good.replace("node 0", "node g").into());
    cases.push(good.replace("KEY-----\n", "KEY-----\n!").into());
    cases.push(good.replacen("-----BEGIN CERTIFICATE", "-----BEGIN SOMETHING", 1).into());
    for content in cases {
        fs::write(disk.file(IDENTITY), &content).unwrap();
        let error = refused(&disk);
        assert!(matches!(error, OpenError::IdentityDamaged { .. }), "{error}");
        assert!(error.to_string().contains(IDENTITY), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    fs::write(disk.file(IDENTITY), good).unwrap();
    assert_eq!(disk.open().1.identity, Some(identity(1)));
}

#[test]
fn a_save_that_was_cut_off_leaves_no_key_behind() {
    let disk = Disk::used(&[]);
    let unfinished = disk.file("identity.pem.new");
    fs::write(&unfinished, "half a key").unwrap();
    assert_eq!(disk.open().1.identity, Some(identity(1)));
    assert!(!unfinished.exists());
}

#[test]
fn a_database_that_was_not_finished_is_begun_anew() {
    let disk = Disk::new();
    fs::create_dir(disk.path()).unwrap();
    fs::write(disk.file("records.redb.new"), "half a database").unwrap();
    assert_eq!(disk.open().1.condition, Condition::New);
}

#[test]
fn what_others_can_reach_is_refused() {
    let disk = Disk::used(&[]);
    for mode in [0o640, 0o604, 0o660, 0o602, 0o777] {
        fs::set_permissions(disk.file(IDENTITY), Permissions::from_mode(mode)).unwrap();
        let error = refused(&disk);
        let OpenError::Exposed { mode: found, .. } = error else { panic!("{error}") };
        assert_eq!(found, mode);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(disk.file(IDENTITY), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(disk.path(), Permissions::from_mode(0o777)).unwrap();
    let error = refused(&disk);
    assert!(error.to_string().contains("chmod o-w"), "{error}");
    fs::set_permissions(disk.path(), Permissions::from_mode(0o755)).unwrap();
    disk.open();
}

/// What Kubernetes does to a volume with `fsGroup` at each mount: the group gets every directory,
/// setgid, and may read and write every file. The second start of a node must not fail there.
#[test]
fn a_volume_that_is_handed_over_to_a_group_is_used_and_its_key_closed_again() {
    let disk = Disk::used(&[]);
    let permit =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    permit(&disk.path(), 0o2770);
    for entry in fs::read_dir(disk.path()).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        permit(&path, mode | 0o660);
    }
    assert_eq!(disk.open().1.identity, Some(identity(1)));
    let mode = fs::metadata(disk.file(IDENTITY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Others, or a directory that is not the group's: as ever.
    for (directory, file) in [(0o2770, 0o664), (0o2750, 0o660), (0o770, 0o660)] {
        permit(&disk.path(), directory);
        permit(&disk.file(IDENTITY), file);
        assert!(matches!(refused(&disk), OpenError::Exposed { .. }), "{directory:o} {file:o}");
    }
}

#[test]
fn a_newer_version_is_left_alone() {
    let disk = Disk::used(&records());
    let good = fs::read_to_string(disk.file(IDENTITY)).unwrap();
    fs::write(disk.file(IDENTITY), good.replace("format 1\n", "format 2\n")).unwrap();
    let error = refused(&disk);
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    fs::write(disk.file(IDENTITY), good).unwrap();

    const META: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("meta");
    let database = redb::Database::create(disk.file(DATABASE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("schema", [0, 0, 0, 9].as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused_after_opening(&disk);
    assert!(matches!(error, OpenError::Newer { found: 9, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("run the newer version"), "{error}");
}
