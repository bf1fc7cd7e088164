#!/usr/bin/env bash
# redb 4.6.0: a value that is a little longer than a power of two takes twice the space on disk of one
# that is a little shorter. Each is stored in a leaf page of its own, and page sizes are powers of two.
# Expected: space that grows with the value, as in stores that chain pages of one size.
#
# Ten thousand values of 32 000 bytes need 0.33 GB, of 33 000 bytes 0.66 GB. A format whose records have a
# natural size (64 KiB messages with a header, say) should leave room for the key and the page's header.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
redb = "=4.6.0"
TOML
cat >"$work/src/main.rs" <<'RUST'
use redb::{Database, ReadableDatabase, TableDefinition};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("values");
const VALUES: u64 = 1000;

/// Megabytes of the file after a thousand values of this length, compacted.
fn megabytes(length: usize) -> u64 {
    let path = format!("{length}.redb");
    let mut database = Database::create(&path).expect("created");
    let write = database.begin_write().expect("a transaction");
    {
        let mut table = write.open_table(TABLE).expect("a table");
        for key in 0..VALUES {
            table.insert(key, vec![7; length].as_slice()).expect("inserted");
        }
    }
    write.commit().expect("committed");
    while database.compact().expect("compacted") {}
    drop(database.begin_read());
    std::fs::metadata(path).expect("a file").len() >> 20
}

fn main() {
    for length in [16_000, 32_000, 33_000, 48_000, 65_000, 66_000] {
        println!("{length} bytes: {} MiB for {} MiB of values", megabytes(length), length * 1000 >> 20);
    }
}
RUST
seen=$(cd "$work" && cargo run --quiet --release)
echo "redb 4.6.0, 1000 values each, compacted:"
echo "$seen"
size() { sed -n "s/^$1 bytes: \([0-9]*\) MiB.*/\1/p" <<<"$seen"; }
below=$(size 32000) above=$(size 33000)
# Twice as much for 3 % longer values.
((above * 10 >= below * 18)) || {
    echo "the behaviour has changed: $below MiB and $above MiB" >&2
    exit 1
}
