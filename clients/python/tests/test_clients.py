"""Both clients: against a scripted node, and against real ones where there are some."""

import asyncio
import hashlib
import os
import secrets
import socket
import struct
import unittest

from scripted_node import ScriptedNode, frame
from voiddht import (
    AsyncClient,
    Client,
    Freshness,
    Proof,
    ProtocolError,
    StoredNowhere,
    Timeout,
    Unreachable,
)

#: `HOST:PORT HOST:PORT …`: module APIs of the nodes of one network.
NODES = os.environ.get("VOIDDHT_TEST_NODES", "").split()


def key_of(kind, body):
    return {650: body[4:36], 651: body, 654: body[16:48], 656: body[4:36]}[kind]


class Scripted(unittest.TestCase):
    def run_with(self, answer, operate):
        with ScriptedNode(answer) as node, Client("127.0.0.1", node.port, timeout=5) as client:
            return operate(client), node.requests

    def test_a_put_is_sent_as_the_protocol_draws_it(self):
        stored, requests = self.run_with(
            lambda kind, body: [frame(652, key_of(kind, body) + b"\x14")],
            lambda client: client.put("greeting", b"hello", ttl=600, replication=3),
        )
        self.assertEqual(stored, 20)
        start = struct.pack(">HBB", 600, 3, 1)
        self.assertEqual(requests, [(650, start + hashlib.sha256(b"greeting").digest() + b"hello")])

    def test_an_ask_carries_flags_and_least(self):
        key = bytes(range(32))
        told, requests = self.run_with(
            lambda kind, body: [frame(655, key + struct.pack(">BBH", 2, 5, 60) + b"value")],
            lambda client: client.ask(
                key, freshness=Freshness.THOROUGH, proved_only=True, least=(7, 9)
            ),
        )
        self.assertEqual((told.proof, told.agreeing, told.ttl), (Proof.SIGNATURE, 5, 60))
        self.assertEqual(told.value, b"value")
        self.assertEqual(requests, [(654, struct.pack(">BBHIQ", 5, 0, 0, 7, 9) + key)])

    def test_failures_have_their_errors(self):
        def failing(answer):
            return lambda: self.run_with(answer, lambda client: client.put("x", b"v"))

        with self.assertRaises(StoredNowhere):
            failing(lambda kind, body: [frame(653, key_of(kind, body))])()
        with self.assertRaises(ProtocolError):
            failing(lambda kind, body: [frame(652, bytes(32) + b"\1")])()
        with self.assertRaises(ProtocolError):
            failing(lambda kind, body: [frame(655, key_of(kind, body))])()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            with Client("127.0.0.1", port, timeout=0.05) as client, self.assertRaises(Timeout):
                client.get("x")
        with self.assertRaises(Unreachable):
            Client("127.0.0.1", port)

    def test_localhost_is_the_loopback_address_of_either_family(self):
        def answer(kind, body):
            return [frame(652, body + b"value")]

        async def get(port):
            async with await AsyncClient.connect("localhost", port, timeout=5) as client:
                return await client.get("x")

        for host in ("::1", "127.0.0.1"):
            with ScriptedNode(answer, host) as node, Client("localhost", node.port) as client:
                self.assertEqual(client.get("x"), b"value", host)
            with ScriptedNode(answer, host) as node:
                self.assertEqual(asyncio.run(get(node.port)), b"value", host)

    def test_wrong_arguments_are_refused_before_anything_is_sent(self):
        def operate(client):
            for value in (b"", bytes(65_496)):
                with self.assertRaises(ValueError):
                    client.put("x", value)
            with self.assertRaises(ValueError):
                client.get(b"short")

        _, requests = self.run_with(lambda *_: [], operate)
        self.assertEqual(requests, [])

    def test_answers_reach_their_requests_in_any_order(self):
        held = []

        def answer(kind, body):
            held.append(frame(652, body + body[:1]))
            return held[::-1] if len(held) == 3 else []

        async def run(port):
            async with await AsyncClient.connect("127.0.0.1", port, timeout=5) as client:
                keys = [bytes([number]) * 32 for number in (1, 2, 3)]
                return await asyncio.gather(*map(client.get, keys))

        with ScriptedNode(answer) as node:
            self.assertEqual(asyncio.run(run(node.port)), [b"\1", b"\2", b"\3"])

    def test_requests_for_one_key_go_out_one_by_one_even_after_one_is_given_up(self):
        values = iter([b"first", b"second"])

        async def run(node):
            async with await AsyncClient.connect("127.0.0.1", node.port, timeout=5) as client:
                first = asyncio.ensure_future(client.get("x"))
                while not node.requests:
                    await asyncio.sleep(0)
                first.cancel()
                return await client.get("x")

        with ScriptedNode(lambda kind, body: [frame(652, body + next(values))]) as node:
            self.assertEqual(asyncio.run(run(node)), b"second")


@unittest.skipUnless(NODES, "VOIDDHT_TEST_NODES names no nodes")
class Real(unittest.TestCase):
    """What is put at the first node is got at the last."""

    def connect(self, index):
        host, port = NODES[index].rsplit(":", 1)
        return Client(host.strip("[]"), int(port))

    def test_values_of_all_sizes(self):
        with self.connect(0) as first, self.connect(-1) as last:
            for size in (1, 100, 65_495):
                value = secrets.token_bytes(size)
                key = first.put_content(value, ttl=600)
                self.assertEqual(last.get(key), value)
            self.assertIsNone(last.get(secrets.token_bytes(32)))

    def test_many_requests_in_flight(self):
        async def run():
            host, port = NODES[0].rsplit(":", 1)
            async with await AsyncClient.connect(host.strip("[]"), int(port)) as client:
                names = [secrets.token_hex(8) for _ in range(50)]
                await asyncio.gather(*(client.put(name, name.encode()) for name in names))
                got = await asyncio.gather(*map(client.get, names))
                self.assertEqual(got, [name.encode() for name in names])

        asyncio.run(run())


if __name__ == "__main__":
    unittest.main()
