#!/usr/bin/env bash
# aws-lc-rs 1.19.0: Ed25519KeyPair::to_pkcs8() writes version 2 of the format (RFC 5958, with the public
# key), which OpenSSL 3.0 cannot read; to_pkcs8v1() writes version 1, which it can. Both directions of
# `openssl genpkey` keys work. Expected: a key that the most used tool reads, from the method that comes
# without a version in its name.
#
# OpenSSL says "Error ... decoding" or "unsupported", not that a version is too new.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl version | grep -q '^OpenSSL 3\.0\.' || {
    echo "this is about OpenSSL 3.0, as Debian 12 has it; here is $(openssl version)" >&2
    exit 2
}
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
aws-lc-rs = { version = "=1.19.0", default-features = false, features = ["aws-lc-sys"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, Pkcs8V2Der};
use aws_lc_rs::signature::Ed25519KeyPair;

fn main() {
    let key = Ed25519KeyPair::generate().expect("a key");
    std::fs::write("unversioned.der", key.to_pkcs8().expect("encoded").as_ref()).expect("written");
    std::fs::write("v1.der", key.to_pkcs8v1().expect("encoded").as_ref()).expect("written");
    let v1: Pkcs8V1Der = key.as_der().expect("encoded");
    let v2: Pkcs8V2Der = key.as_der().expect("encoded");
    println!("bytes: {} and {}", v1.as_ref().len(), v2.as_ref().len());
}
RUST
(cd "$work" && cargo run --quiet)
reads() {
    openssl pkey -inform DER -in "$work/$1.der" -noout 2>/dev/null && echo "$1: read" || echo "$1: not read"
}
seen=$(reads unversioned; reads v1)
openssl version
echo "$seen"
[ "$seen" = $'unversioned: not read\nv1: read' ] || {
    echo "the behaviour has changed" >&2
    exit 1
}
