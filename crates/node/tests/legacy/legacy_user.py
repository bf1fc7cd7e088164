"""Puts and gets values as a node of the original network does, through `legacy_peer.Peer`.

Reads one request as JSON from each line of standard input, and answers with one line each:

    {"put": KEY_HEX, "value": VALUE_HEX, "ttl": SECONDS, "at": [[HOST, PORT], …]}
        → {"stored": on how many nodes}
    {"get": KEY_HEX, "at": [[HOST, PORT], …]}
        → {"value": VALUE_HEX or null, "asked": how many nodes}

`at` names the nodes to begin with. Requests are carried out side by side, and answered in order.
"""

import json
import queue
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import legacy_peer
from legacy_peer import FIND_NODE, FIND_VALUE, K, Node, Peer, STORE

AT_ONCE = 8


def lookup(peer, target, begin, kind):
    """The nodes closest to `target` that answer, nearest first; and a value, if one has it."""
    distance = lambda node: int.from_bytes(node.id, "big") ^ int.from_bytes(target, "big")
    answered, asked = {}, set()
    open_nodes = {(host, port): None for host, port in begin}
    while True:
        closest = sorted(answered.values(), key=distance)[:K]
        reach = distance(closest[-1]) if len(closest) == K else None
        known = [(address, node) for address, node in open_nodes.items() if address not in asked]
        known = [(a, n) for a, n in known if n is None or reach is None or distance(n) < reach]
        if not known:
            return closest, None, len(asked)
        address, _ = min(known, key=lambda it: -1 if it[1] is None else distance(it[1]))
        asked.add(address)
        try:
            answer = peer.call(*address, kind, target)
        except (OSError, EOFError):
            continue
        if answer["kind"] == "FIND_VALUE_REPLY":
            return closest, answer["value"], len(asked)
        if answer["kind"] != "FIND_NODE_REPLY":
            continue
        node = Node(*address, bytes.fromhex(answer["id"]))
        answered[node.id] = node
        for named in answer["nodes"]:
            named = Node(named["address"], named["port"], bytes.fromhex(named["id"]))
            open_nodes.setdefault((named.address, named.port), named)


def store(peer, node, body):
    """One STORE, which has no answer: the connection is closed behind it."""
    raw = legacy_peer.socket.create_connection((node.address, node.port), timeout=10)
    length = int.from_bytes(legacy_peer.read_exactly(raw, 4), "big")
    legacy_peer.read_exactly(raw, length)
    with peer.client_context.wrap_socket(raw) as stream:
        stream.sendall(peer.message(STORE, secrets.token_bytes(32), body))
        try:
            stream.unwrap()
        except (OSError, ValueError):
            pass  # The other side need not say goodbye.


def carry_out(peer, request):
    if "get" in request:
        _, value, asked = lookup(peer, bytes.fromhex(request["get"]), request["at"], FIND_VALUE)
        return {"value": value, "asked": asked}
    key, value = bytes.fromhex(request["put"]), bytes.fromhex(request["value"])
    nodes, _, _ = lookup(peer, key, request["at"], FIND_NODE)
    stored = 0
    for node in nodes:
        try:
            store(peer, node, request["ttl"].to_bytes(2, "big") + key + value)
            stored += 1
        except OSError:
            pass
    return {"stored": stored}


def main():
    # It does not listen: port 0 in its headers says so.
    peer = Peer("127.0.0.1", 0, secrets.token_bytes(32))
    begun = queue.Queue()

    def answer():
        while (future := begun.get()) is not None:
            print(json.dumps(future.result()), flush=True)

    answering = threading.Thread(target=answer)
    answering.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            begun.put(pool.submit(carry_out, peer, json.loads(line)))
    begun.put(None)
    answering.join()


if __name__ == "__main__":
    main()
