#!/usr/bin/env bash
# rcgen 0.14.10: Issuer::from_ca_cert_pem() keeps only the last of several attributes of one type in
# the subject of the CA. From DC=com, DC=example, CN=Example CA it makes DC=example, CN=Example CA,
# without an error, and writes that as issuer into each certificate that it signs: none of them
# verifies. Expected: the CA's subject, byte by byte, because a chain is built by comparing the two;
# or an error, as there is for a name with two attributes in one RDN (DC=com + O=Example).
#
# Active Directory gives its CAs names with several DC, and several OU are usual too. OpenSSL
# reports "unable to get local issuer certificate", which points at the trust store. Before using an
# imported CA, compare the issuer of a certificate with the CA's subject (as_raw() of x509-parser).
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
rcgen = { version = "=0.14.10", features = ["x509-parser"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use rcgen::{CertificateParams, Issuer, KeyPair};

fn main() {
    let name = std::env::args().nth(1).expect("a name");
    let read = |what| std::fs::read_to_string(format!("{name}.{what}")).expect("a file");
    let key = KeyPair::from_pem(&read("key")).expect("a key");
    match Issuer::from_ca_cert_pem(&read("ca"), key) {
        Ok(issuer) => {
            let key = KeyPair::generate().expect("a key");
            let leaf = CertificateParams::new(["node.example.com".to_owned()]).expect("a name");
            let leaf = leaf.signed_by(&key, &issuer).expect("signed");
            std::fs::write(format!("{name}.leaf"), leaf.pem()).expect("written");
        }
        Err(error) => println!("{name}: {error}"),
    }
}
RUST
cd "$work"
issue() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -multivalue-rdn \
        -subj "$2" -keyout "$1.key" -out "$1.ca" 2>/dev/null
    cargo run --quiet -- "$1"
    [ -e "$1.leaf" ] || return 0
    echo "$1: CA $(openssl x509 -in "$1.ca" -noout -subject -nameopt RFC2253)"
    echo "$1: $(openssl x509 -in "$1.leaf" -noout -issuer -nameopt RFC2253)"
    openssl verify -CAfile "$1.ca" "$1.leaf" 2>&1 | grep -o 'OK$\|unable.*' | sed "s/^/$1: /"
}
seen=$(
    issue once "/DC=example/O=Example/CN=Example CA"
    issue twice "/DC=com/DC=example/CN=Example CA"
    issue units "/O=Example/OU=Network/OU=Nodes/CN=Example CA"
    issue plus "/DC=com+O=Example/CN=Example CA"
)
echo "rcgen 0.14.10, $(openssl version):"
echo "$seen"
wanted='once: CA subject=CN=Example CA,O=Example,DC=example
once: issuer=CN=Example CA,O=Example,DC=example
once: OK
twice: CA subject=CN=Example CA,DC=example,DC=com
twice: issuer=CN=Example CA,DC=example
twice: unable to get local issuer certificate
units: CA subject=CN=Example CA,OU=Nodes,OU=Network,O=Example
units: issuer=CN=Example CA,OU=Nodes,O=Example
units: unable to get local issuer certificate
plus: Could not parse certificate'
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
