#!/usr/bin/env bash
# hickory-proto 0.26.3, the zone file parser of hickory-dns: a relative `$ORIGIN` (without a final
# dot) is resolved against the root, not against the current origin, so the records after it
# silently get names outside the zone. In example.com, `$ORIGIN eu` and `node1 A ...` define
# node1.eu. instead of node1.eu.example.com. Besides, the "Zone origin name" that parse() returns is
# the last `$ORIGIN` of the file, not the zone's. Expected: what dnspython 2.9.2 reads. RFC 1035,
# section 5.1, makes every name without a final dot relative to the current origin, and for owners
# and targets hickory complies.
#
# parse() returns no error, and the names of the subdomain do not exist. Write each `$ORIGIN` in
# full, with the final dot, and take the zone's name from the configuration, not from parse().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/zone" <<'ZONE'
$TTL 3600
@      IN SOA ns root 1 7200 900 1209600 300
ns     IN A   192.0.2.1
$ORIGIN eu
node1  IN A   192.0.2.2
       IN MX  10 mail
$ORIGIN us.example.com.
node2  IN A   192.0.2.3
ZONE
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check dnspython==2.9.2
cat >"$work/read.py" <<'PYTHON'
import sys

import dns.zone

zone = dns.zone.from_file(sys.argv[1], origin="example.com.", relativize=False, check_origin=False)
print("origin", zone.origin)
for name, _, data in zone.iterate_rdatas():
    if data.rdtype.name != "SOA":
        print(name, data.rdtype.name, data)
PYTHON
dnspython=$("$work/venv/bin/python" "$work/read.py" "$work/zone")
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
hickory-proto = { version = "=0.26.3", default-features = false, features = ["std"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::txt::Parser;

fn main() {
    let zone = std::fs::read_to_string("zone").expect("a file");
    let name = Name::from_ascii("example.com.").expect("a name");
    let (origin, sets) = Parser::new(zone, None, Some(name)).parse().expect("it is accepted");
    println!("origin {origin}");
    for record in sets.values().flat_map(|set| set.records_without_rrsigs()) {
        if record.record_type() != RecordType::SOA {
            println!("{} {} {}", record.name, record.record_type(), record.data);
        }
    }
}
RUST
hickory=$(cd "$work" && cargo run --quiet)
printf 'dnspython 2.9.2:\n%s\nhickory-proto 0.26.3:\n%s\n' "$dnspython" "$hickory"
wanted='origin example.com.
ns.example.com. A 192.0.2.1
node1.eu.example.com. A 192.0.2.2
node1.eu.example.com. MX 10 mail.eu.example.com.
node2.us.example.com. A 192.0.2.3
origin us.example.com.
ns.example.com. A 192.0.2.1
node2.us.example.com. A 192.0.2.3
node1.eu. A 192.0.2.2
node1.eu. MX 10 mail.eu.'
[ "$dnspython
$hickory" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
