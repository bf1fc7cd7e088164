#!/usr/bin/env bash
# mainline 8.0.1, the DHT under pkarr: a node answers a query only if its transaction ID has exactly
# four bytes, and a put only if it has a `target`. BEP 5 leaves the length of the ID to the sender
# (its examples have two bytes), and the put of BEP 44 has no `target`. libtorrent 2.1.1 sends two
# bytes, so none of its queries is answered. Expected: a node echoes an ID of any length, as
# libtorrent does, or returns an error (203).
#
# The node drops such queries without an answer, and logs them only at level "trace". In the network
# that both are in, libtorrent nodes can neither read from pkarr's nodes nor store on them. A client
# that should reach these must send IDs of four bytes, and `target` in each put; libtorrent accepts
# both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check libtorrent==2.1.1
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
/// Prints the address of a node on loopback, and runs it until standard input ends.
fn main() {
    let testnet = mainline::Testnet::builder(1).build().expect("a network on loopback");
    println!("{}", testnet.bootstrap[0]);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("standard input");
}
RUST
cat >"$work/ask.py" <<'PYTHON'
"""Sends the same queries to a node of each library, and prints whether they are answered."""
import hashlib
import re
import socket
import subprocess
import time

import libtorrent

ID = b"finding finding find"
VALUE = b"hello"
TARGET = hashlib.sha1(b"5:" + VALUE).digest()


def encode(value):
    """Bencoding (BEP 3)."""
    match value:
        case bytes():
            return b"%d:%s" % (len(value), value)
        case dict():
            pairs = (encode(key) + encode(value[key]) for key in sorted(value))
            return b"d" + b"".join(pairs) + b"e"
    raise TypeError(value)


def query(name, transaction, **arguments):
    arguments = {key.encode(): value for key, value in arguments.items()} | {b"id": ID}
    return encode({b"a": arguments, b"q": name, b"t": transaction, b"y": b"q"})


def ask(client, node, message):
    """What the node answers, or None after five attempts of a second."""
    for _ in range(5):
        client.sendto(message, node)
        until = time.monotonic() + 1
        while (left := until - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                answer, sender = client.recvfrom(4096)
            except TimeoutError:
                break
            # Nodes send queries of their own.
            if sender == node and b"1:y1:r" in answer:
                return answer
    return None


def show(what, answer):
    print(f"  {what}: {'answered' if answer else 'no answer'}")


def ask_all(client, node, captured):
    show("query of libtorrent, as it was sent", ask(client, node, captured))
    longer = re.sub(rb"1:t2:..", b"1:t4:aaaa", captured, count=1, flags=re.DOTALL)
    show("the same with an ID of 4", ask(client, node, longer))
    for length in (1, 2, 3, 4, 5, 8):
        show(f"ping, ID of {length}", ask(client, node, query(b"ping", b"a" * length)))
    for what, arguments in (("as in BEP 44", {}), ("and a target", {"target": TARGET})):
        answer = ask(client, node, query(b"get", b"aaaa", target=TARGET))
        start = answer.index(b"5:token") + len(b"5:token")
        size, _, rest = answer[start:].partition(b":")
        token = rest[: int(size)]
        put = query(b"put", b"aaaa", token=token, v=VALUE, **arguments)
        show(f"put, ID of 4, {what}", ask(client, node, put))


def capture(session, client):
    """The first query that libtorrent sends to a node it is told of."""
    client.settimeout(5)
    for _ in range(12):
        session.add_dht_node(client.getsockname())
        try:
            message = client.recv(4096)
        except TimeoutError:
            continue
        if b"1:y1:q" in message:
            return message
    raise SystemExit("libtorrent sends nothing")


def main():
    session = libtorrent.session({
        "listen_interfaces": "127.0.0.1:0", "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
    })
    while not session.is_dht_running() or session.listen_port() == 0:
        time.sleep(0.1)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    captured = capture(session, client)
    print("transaction IDs of libtorrent:", captured.rpartition(b"1:t")[2][:1].decode())
    print("libtorrent 2.1.1:")
    ask_all(client, ("127.0.0.1", session.listen_port()), captured)
    pipe = subprocess.PIPE
    with subprocess.Popen(["cargo", "run", "--quiet"], stdin=pipe, stdout=pipe, text=True) as node:
        address, _, port = node.stdout.readline().strip().rpartition(":")
        print("mainline 8.0.1:")
        ask_all(client, (address, int(port)), captured)
        node.stdin.close()


main()
PYTHON
cd "$work"
cargo build --quiet
seen=$("$work/venv/bin/python" ask.py)
echo "$seen"
wanted='transaction IDs of libtorrent: 2
libtorrent 2.1.1:
  query of libtorrent, as it was sent: answered
  the same with an ID of 4: answered
  ping, ID of 1: answered
  ping, ID of 2: answered
  ping, ID of 3: answered
  ping, ID of 4: answered
  ping, ID of 5: answered
  ping, ID of 8: answered
  put, ID of 4, as in BEP 44: answered
  put, ID of 4, and a target: answered
mainline 8.0.1:
  query of libtorrent, as it was sent: no answer
  the same with an ID of 4: answered
  ping, ID of 1: no answer
  ping, ID of 2: no answer
  ping, ID of 3: no answer
  ping, ID of 4: answered
  ping, ID of 5: no answer
  ping, ID of 8: no answer
  put, ID of 4, as in BEP 44: no answer
  put, ID of 4, and a target: answered'
[ "$seen" = "$wanted" ] || {
    echo "the behaviour has changed; it was:" >&2
    echo "$wanted" >&2
    exit 1
}
