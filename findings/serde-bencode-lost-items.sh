#!/usr/bin/env bash
# serde_bencode 0.2.4 writes values without an error that it does not read back. Of a list of options
# it leaves out each None, so the list comes back shorter and its items at other places; (None,
# Some(1)) and (Some(1), None) are the same text. Of a list of units nothing is left. A u64
# beyond i64::MAX is written, and refused when it is read, even as the crate's own Value. Expected: an
# error when writing, as bt_bencode 0.8.2 returns for None, or the same value back; BEP 3 sets no limit
# to integers, and bt_bencode reads all of u64.
#
# In a struct or map a None can be left out, since the others keep their names. In a list write a
# value that stands for none, and random numbers of 64 bits as byte strings.
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
serde = "=1.0.228"
serde_bencode = "=0.2.4"
bt_bencode = "=0.8.2"
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::Serialize;

/// Prints what each crate writes of a value, and what it reads of that.
fn show<T: Serialize + DeserializeOwned + Debug>(value: T) {
    println!("{value:?}");
    let written = serde_bencode::to_string(&value).map_err(|error| error.to_string());
    let read = written.as_ref().map(|text| serde_bencode::from_str::<T>(text));
    println!("  serde_bencode {written:?} {read:?}");
    let written = bt_bencode::to_vec(&value).map_err(|error| error.to_string());
    let read = written.as_ref().map(|bytes| bt_bencode::from_slice::<T>(bytes));
    let written = written.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
    println!("  bt_bencode {written:?} {read:?}");
}

fn main() {
    show(vec![Some(1), None, Some(3)]);
    show((None::<u8>, Some(1)));
    show((Some(1), None::<u8>));
    show(vec![(), (), ()]);
    show(i64::MAX as u64);
    show(i64::MAX as u64 + 1);
    let own = serde_bencode::from_str::<serde_bencode::value::Value>("i9223372036854775808e");
    println!("Value {own:?}");
}
RUST
cd "$work"
seen=$(cargo run --quiet)
echo "$seen"
wanted=$(
    cat <<'SEEN'
[Some(1), None, Some(3)]
  serde_bencode Ok("li1ei3ee") Ok(Ok([Some(1), Some(3)]))
  bt_bencode Err("unsupported type") Err("unsupported type")
(None, Some(1))
  serde_bencode Ok("li1ee") Ok(Err(EndOfStream))
  bt_bencode Err("unsupported type") Err("unsupported type")
(Some(1), None)
  serde_bencode Ok("li1ee") Ok(Err(EndOfStream))
  bt_bencode Err("unsupported type") Err("unsupported type")
[(), (), ()]
  serde_bencode Ok("le") Ok(Ok([]))
  bt_bencode Err("unsupported type") Err("unsupported type")
9223372036854775807
  serde_bencode Ok("i9223372036854775807e") Ok(Ok(9223372036854775807))
  bt_bencode Ok("i9223372036854775807e") Ok(Ok(9223372036854775807))
9223372036854775808
  serde_bencode Ok("i9223372036854775808e") Ok(Err(InvalidValue("Can't parse `9223372036854775808` as integer")))
  bt_bencode Ok("i9223372036854775808e") Ok(Ok(9223372036854775808))
Value Err(InvalidValue("Can't parse `9223372036854775808` as integer"))
SEEN
)
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
