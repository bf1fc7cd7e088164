//! What only a second process can show: a kill in the middle of writing, a lock that is held
//! elsewhere, files that belong to another user. The second process is this test program again,
//! told by its environment to play a part.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::{Disk, completions, identity, put, record};
use voiddht_core::event::{Ticket, Write};
use voiddht_store::{Condition, DataDir, OpenError, Store};

const PART: &str = "VOIDDHT_STORE_TEST_PART";
const DIRECTORY: &str = "VOIDDHT_STORE_TEST_DIRECTORY";
/// Marks what the second process says, among what the test harness says.
const SAYS: &str = "child says ";
/// What makes this program run [`second_process`] alone.
const ARGUMENTS: [&str; 3] = ["--exact", "second_process", "--nocapture"];
/// A user other than root: nobody, on most systems.
const OTHER_USER: u32 = 65_534;

/// Where the second process comes in; does nothing in the first.
#[test]
fn second_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let directory = std::env::var(DIRECTORY).unwrap();
    match part.as_str() {
        "try" => match DataDir::open(directory, Box::new(|_| {})) {
            Ok(_) => say("opened"),
            Err(error) => say(&error.to_string()),
        },
        "hold" => {
            let _store = DataDir::open(directory, Box::new(|_| {})).unwrap();
            say("holding");
            std::io::stdin().lines().for_each(drop);
        }
        "stream" => stream(Path::new(&directory)),
        "fill" => fill(Path::new(&directory)),
        other => panic!("no such part: {other}"),
    }
}

fn say(what: &str) {
    println!("{SAYS}{what}");
    std::io::stdout().flush().unwrap();
}

/// Writes without end, several groups at once, and says which are acknowledged.
fn stream(directory: &Path) {
    let (on_completion, completions) = completions();
    let (store, loaded) = DataDir::open(directory, on_completion).unwrap();
    let start = loaded.records.iter().map(|r| number_in(&r.record.value)).max().unwrap_or(0);
    let submit = |store: &Store, number| store.submit(Ticket(number), group(number)).unwrap();
    (start + 1..=start + 20).for_each(|number| submit(&store, number));
    for completion in completions {
        assert_eq!(completion.result, Ok(()));
        say(&completion.ticket.0.to_string());
        submit(&store, completion.ticket.0 + 20);
    }
}

/// Writes until there is no room, says so, makes room, and says whether that helped.
fn fill(directory: &Path) {
    let (on_completion, completions) = completions();
    let (store, _) = DataDir::open(directory, on_completion).unwrap();
    store.save_identity(&identity(1)).unwrap();
    let put_one = |number| {
        store.submit(Ticket(number), vec![put(record(number, &[7; 60_000], 3600))]).unwrap();
        completions.recv().unwrap().result
    };
    let (full, failed) = (1..).find_map(|n| put_one(n).err().map(|failed| (n, failed))).unwrap();
    say(&format!("{:?}", failed.failure));
    for number in 1..=3 {
        let key = record(number, b"", 0).key;
        store.submit(Ticket(0), vec![Write::RemoveRecord(key)]).unwrap();
        completions.recv().unwrap().result.unwrap();
    }
    put_one(full).unwrap();
    store.close().unwrap();
    say(&full.to_string());
}

/// A record of its own for every number, and one of ten that are replaced again and again.
fn group(number: u64) -> Vec<Write> {
    vec![
        put(record(1000 + number, &value(number), 3600)),
        put(record(number % 10, &value(number), 3600)),
    ]
}

fn value(number: u64) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(8 + (number as usize * 37) % 5000, number as u8);
    value
}

fn number_in(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

/// The second process; killed with its handle.
struct Second {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Second {
    fn start(program: &Path, part: &str, directory: &Path, user: Option<u32>) -> Self {
        let mut command = Command::new(program);
        command.args(ARGUMENTS);
        Self::spawn(command, part, directory, user)
    }

    fn spawn(mut command: Command, part: &str, directory: &Path, user: Option<u32>) -> Self {
        command.env(PART, part).env(DIRECTORY, directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user).current_dir("/");
        }
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next thing it says; `None` when it has ended.
    fn next(&mut self) -> Option<String> {
        self.lines.by_ref().find_map(|line| {
            // The harness may have begun the line with the test's name.
            line.unwrap().split_once(SAYS).map(|(_, said)| said.to_owned())
        })
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let disk = Disk::new();
    disk.open().0.save_identity(&identity(1)).unwrap();
    let mut newest = BTreeMap::new();
    let mut acknowledged = Vec::new();
    for acknowledgements in [1, 7, 60, 200] {
        let mut second = Second::start(&this_program(), "stream", &disk.path(), None);
        for _ in 0..acknowledgements {
            acknowledged.push(second.next().unwrap().parse::<u64>().unwrap());
        }
        second.kill();
        // What it still got out before the signal reached it is acknowledged as well.
        while let Some(line) = second.next() {
            acknowledged.extend(line.parse::<u64>());
        }
        drop(second);

        let (store, loaded, _) = disk.open();
        assert_eq!(loaded.condition, Condition::Intact);
        assert_eq!(loaded.identity, Some(identity(1)));
        let found: BTreeMap<_, _> =
            loaded.records.iter().map(|r| (r.record.key, &r.record.value)).collect();
        for number in &acknowledged {
            let key = record(1000 + number, b"", 0).key;
            assert!(found.get(&key).is_some_and(|v| **v == value(*number)), "{number} is lost");
            newest.insert(number % 10, *number);
        }
        for (slot, number) in &newest {
            let kept = number_in(found[&record(*slot, b"", 0).key]);
            // A later group may have been committed without having been acknowledged.
            assert!(kept >= *number, "{slot} went back from {number} to {kept}");
        }
        store.close().unwrap();
    }
    assert!(acknowledged.len() >= 268);
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let disk = Disk::new();
    let mut second = Second::start(&this_program(), "hold", &disk.path(), None);
    assert_eq!(second.next().as_deref(), Some("holding"));
    let error = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    let holder = second.process.id();
    assert!(
        matches!(error, OpenError::InUse { process: Some(process), .. } if process == holder),
        "{error}"
    );
    second.kill();
    second.process.wait().unwrap();
    disk.open();
}

/// What a process of another user than root says when it opens the directory. Root itself may
/// write anywhere, so run as root, the second process becomes another user.
fn opened_by_other_user(disk: &Disk) -> String {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let own = tempfile::tempdir().unwrap();
    fs::set_permissions(own.path(), Permissions::from_mode(0o755)).unwrap();
    // The program itself may lie where only root can go. Another process copies it: a file that was
    // open for writing here would stay so in whatever the tests beside this one are starting just
    // then, and a program that is open for writing cannot be started (ETXTBSY).
    let program = own.path().join("program");
    assert!(Command::new("cp").arg(this_program()).arg(&program).status().unwrap().success());
    let user = is_root.then_some(OTHER_USER);
    Second::start(&program, "try", &disk.path(), user).next().unwrap()
}

/// Gives a path to the user of [`opened_by_other_user`], with these permissions.
fn give(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let disk = Disk::new();
    give(disk.path().parent().unwrap(), 0o755);
    fs::create_dir(disk.path()).unwrap();
    give(&disk.path(), 0o555);
    let said = opened_by_other_user(&disk);
    assert!(said.contains("cannot write") && said.contains("data/lock"), "{said}");
    give(&disk.path(), 0o755);
    assert_eq!(opened_by_other_user(&disk), "opened");

    give(&disk.file("records.redb"), 0o444);
    let said = opened_by_other_user(&disk);
    assert!(said.contains("cannot write") && said.contains("records.redb"), "{said}");
    give(&disk.file("records.redb"), 0o600);
    assert_eq!(opened_by_other_user(&disk), "opened");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let disk = Disk::new();
    give(disk.path().parent().unwrap(), 0o555);
    let said = opened_by_other_user(&disk);
    assert!(said.contains("cannot write") && said.contains("/data"), "{said}");
    give(disk.path().parent().unwrap(), 0o755);
    fs::write(disk.path(), "a file").unwrap();
    let error = DataDir::open(disk.path(), Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

/// A limit on the length of files stands in for a full disk: it needs no disk of its own.
#[test]
fn a_disk_that_fills_up_and_is_given_room_goes_on() {
    let disk = Disk::new();
    let mut shell = Command::new("sh");
    // In blocks of 512 or 1024 bytes, as the shell will have it; either is room for a few records.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]);
    shell.arg(this_program()).args(ARGUMENTS);
    let mut second = Second::spawn(shell, "fill", &disk.path(), None);
    assert_eq!(second.next().as_deref(), Some("DiskFull"));
    let last: u64 = second.next().unwrap().parse().unwrap();
    second.process.wait().unwrap();
    let (_store, loaded, _) = disk.open();
    let found: Vec<_> = loaded.records.iter().map(|r| r.record.key).collect();
    assert_eq!(found, (4..=last).map(|n| record(n, b"", 0).key).collect::<Vec<_>>());
}
