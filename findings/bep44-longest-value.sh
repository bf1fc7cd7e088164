#!/usr/bin/env bash
# BEP 44 limits a value to 1000 bytes "bencoded". libtorrent 2.1.1 counts the bencoding: a string of 996
# bytes (996 and the prefix `996:`) is the longest that it stores; one of 997 is answered with error 205.
# mainline 8.0.1, the DHT under pkarr, counts the bytes of the string: its nodes store 1000.
# Expected: one limit in one network.
#
# So a pkarr packet of 997 to 1000 bytes, which pkarr accepts, is refused by every libtorrent node of the
# network that both are in, and is stored by fewer nodes than its publisher asked.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check libtorrent==2.1.1
cat >"$work/ask.py" <<'PYTHON'
"""Puts immutable strings at a libtorrent node over UDP, and prints what it answers."""
import hashlib
import socket
import time

import libtorrent


def encode(value):
    """Bencoding (BEP 3)."""
    match value:
        case bytes():
            return b"%d:%s" % (len(value), value)
        case dict():
            pairs = (encode(key) + encode(value[key]) for key in sorted(value))
            return b"d" + b"".join(pairs) + b"e"
    raise TypeError(value)


def node():
    settings = {
        "listen_interfaces": "127.0.0.1:0", "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
    }
    return libtorrent.session(settings)


def ask(client, port, query, arguments):
    message = {b"a": arguments | {b"id": b"finding finding find"}, b"q": query, b"t": b"aa", b"y": b"q"}
    for _ in range(20):
        client.sendto(encode(message), ("127.0.0.1", port))
        try:
            return client.recv(4096)
        except TimeoutError:
            pass
    raise SystemExit("the node does not answer")


def main():
    session = node()
    while not session.is_dht_running() or session.listen_port() == 0:
        time.sleep(0.1)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    client.settimeout(1)
    for length in (995, 996, 997, 1000):
        value = b"x" * length
        # A token is for one target.
        target = hashlib.sha1(encode(value)).digest()
        answer = ask(client, session.listen_port(), b"get", {b"target": target})
        start = answer.index(b"5:token") + len(b"5:token")
        size, _, rest = answer[start:].partition(b":")
        put = {b"token": rest[: int(size)], b"v": value}
        answer = ask(client, session.listen_port(), b"put", put)
        print(length, "error 205" if b"i205e" in answer else "stored" if b"1:y1:r" in answer else answer)


main()
PYTHON
libtorrent=$("$work/venv/bin/python" "$work/ask.py")
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
mainline = "=8.0.1"
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    let testnet = mainline::Testnet::builder(5).build().expect("a network on loopback");
    let dht = mainline::Dht::builder().bootstrap(&testnet.bootstrap).build().expect("a node");
    for length in [996, 997, 1000, 1001] {
        #[allow(deprecated)]
        let stored = dht.put_immutable(&vec![b'x'; length]);
        println!("{length} {}", if stored.is_ok() { "stored" } else { "refused" });
    }
}
RUST
mainline=$(cd "$work" && cargo run --quiet)
printf 'libtorrent 2.1.1:\n%s\nmainline 8.0.1:\n%s\n' "$libtorrent" "$mainline"
wanted=$'995 stored\n996 stored\n997 error 205\n1000 error 205
996 stored\n997 stored\n1000 stored\n1001 refused'
[ "$libtorrent
$mainline" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
