#!/usr/bin/env bash
# rust-ini 0.21.3: a line that is one word, without `=`, is not refused and is not a key of its own.
# It becomes the beginning of the next line's key, line break included, so that the setting on that
# next line is lost under its own name. Expected: an error, or a key without a value.
#
# Valid input of many INI dialects (git, MySQL and systemd-like files have such lines). Programs that
# look keys up by name see neither the word nor the key after it.
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
rust-ini = "=0.21.3"
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    let file = ini::Ini::load_from_str("[node]\nverbose\nport = 7402\n").expect("it is accepted");
    let section = file.section(Some("node")).expect("the section is there");
    for (key, value) in section.iter() {
        println!("{key:?} = {value:?}");
    }
    println!("port: {:?}, verbose: {:?}", section.get("port"), section.get("verbose"));
}
RUST
seen=$(cd "$work" && cargo run --quiet)
echo "rust-ini 0.21.3:"
echo "$seen"
wanted='"verbose\nport" = "7402"
port: None, verbose: None'
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
