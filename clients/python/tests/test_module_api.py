"""The module API byte by byte, against real nodes: what is put at the first is got at the last.

Frames are written and read here with nothing but socket and struct, so that mistakes that no client
makes can be sent.
"""

import os
import socket
import struct
import unittest

#: `HOST:PORT HOST:PORT …`: module APIs of the nodes of one network.
NODES = [
    (node.rsplit(":", 1)[0].strip("[]"), int(node.rsplit(":", 1)[1]))
    for node in os.environ.get("VOIDDHT_TEST_NODES", "").split()
]

PUT, GET, SUCCESS, FAILURE = 650, 651, 652, 653
ACKNOWLEDGE = 1
LARGEST = 65495
TIMEOUT = 30.0


def key(name):
    """32 bytes that no other name of these checks has."""
    return (name.encode() + b"." * 32)[:32]


def frame(kind, body):
    return struct.pack(">HH", 4 + len(body), kind) + body


def put(name, value, ttl=600, replication=20, flags=ACKNOWLEDGE):
    return frame(PUT, struct.pack(">HBB", ttl, replication, flags) + key(name) + value)


def get(name):
    return frame(GET, key(name))


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.sendall(data)

    def send_bytewise(self, data):
        for index in range(len(data)):
            self.socket.sendall(data[index:index + 1])

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, "the node closed the connection after %d of %d bytes" % (len(data), count)
            data += piece
        return data

    def answer(self):
        """One answer: its type, its key, and what follows the key."""
        size, kind = struct.unpack(">HH", self.exactly(4))
        assert size >= 36, "an answer of %d bytes" % size
        body = self.exactly(size - 4)
        return kind, body[:32], body[32:]

    def expect(self, kind, name, value=None):
        got = self.answer()
        assert got[:2] == (kind, key(name)), "%r instead of %d for %s" % (got, kind, name)
        if value is not None:
            assert got[2] == value, "another value, of %d bytes" % len(got[2])
        return got[2]

    def expect_closed(self):
        try:
            got = self.socket.recv(1)
        except ConnectionResetError:
            return
        assert got == b"", "the node answered %r" % got

    def close(self):
        self.socket.close()


@unittest.skipUnless(NODES, "VOIDDHT_TEST_NODES names no nodes")
class ModuleApi(unittest.TestCase):
    def connect(self, address):
        connection = Connection(address)
        self.addCleanup(connection.close)
        return connection

    def test_single_bytes(self):
        first, last = NODES[0], NODES[-1]
        one = self.connect(first)
        one.send_bytewise(put("bytewise", b"in pieces"))
        count = one.expect(SUCCESS, "bytewise")
        assert len(count) == 1 and count[0] >= 1, "an acknowledgement of %r" % count
        other = self.connect(last)
        other.send_bytewise(get("bytewise"))
        other.expect(SUCCESS, "bytewise", b"in pieces")

    def test_burst(self):
        first, last = NODES[0], NODES[-1]
        names = ["burst %d" % number for number in range(200)]
        value = {name: (name.encode() * 40)[:300] for name in names}
        one = self.connect(first)
        one.send(b"".join(put(name, value[name]) for name in names))
        waiting = {key(name) for name in names}
        while waiting:
            kind, got, count = one.answer()
            assert kind == SUCCESS and got in waiting and len(count) == 1, (kind, got, count)
            waiting.remove(got)
        for address in (first, last):
            other = self.connect(address)
            other.send(b"".join(get(name) for name in names))
            expected = {key(name): value[name] for name in names}
            while expected:
                kind, got, found = other.answer()
                assert kind == SUCCESS and expected.pop(got) == found, (kind, got)

    def test_get_after_put(self):
        first, last = NODES[0], NODES[-1]
        one = self.connect(first)
        names = ["unanswered %d" % number for number in range(50)]
        burst = b"".join(put(name, name.encode(), flags=0) + get(name) for name in names)
        one.send(burst)
        expected = {key(name): name.encode() for name in names}
        while expected:
            kind, got, found = one.answer()
            assert kind == SUCCESS and expected.pop(got) == found, (kind, got)

    def test_sizes(self):
        first, last = NODES[0], NODES[-1]
        for size in (1, 2, LARGEST):
            value = bytes((7 * index + size) % 256 for index in range(size))
            name = "size %d" % size
            one, other = self.connect(first), self.connect(last)
            one.send(put(name, value))
            one.expect(SUCCESS, name)
            other.send(get(name))
            other.expect(SUCCESS, name, value)

    def test_zero_means_default(self):
        first, last = NODES[0], NODES[-1]
        one, other = self.connect(first), self.connect(last)
        one.send(put("defaults", b"v", ttl=0, replication=0))
        one.expect(SUCCESS, "defaults")
        other.send(get("defaults"))
        other.expect(SUCCESS, "defaults", b"v")

    def test_absent(self):
        first, last = NODES[0], NODES[-1]
        for address in (first, last):
            one = self.connect(address)
            one.send(get("absent"))
            one.expect(FAILURE, "absent", b"")

    def test_wrong_input(self):
        first, last = NODES[0], NODES[-1]
        bystander = self.connect(first)
        bystander.send(put("bystander", b"v"))
        bystander.expect(SUCCESS, "bystander")
        wrong = {
            "an empty value": put("empty", b""),
            "a PUT without its key": frame(PUT, b"\0" * 35),
            "a GET of 31 bytes": frame(GET, b"\0" * 31),
            "a GET of 33 bytes": frame(GET, b"\0" * 33),
            "an answer from a client": frame(SUCCESS, key("x") + b"v"),
            "a failure from a client": frame(FAILURE, key("x")),
            "an unknown type": frame(600, b"\0" * 32),
            "a peer's message": frame(660, b"\0" * 66),
            "a size of 0": struct.pack(">HH", 0, PUT) + b"\xff" * 4,
            "a size of 3": struct.pack(">HH", 3, GET),
            "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\r\n" * 20000,
            "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 6000,
        }
        for what, data in wrong.items():
            one = self.connect(first)
            try:
                try:
                    one.send(data)
                except (BrokenPipeError, ConnectionResetError):
                    continue
                one.expect_closed()
            except (AssertionError, OSError) as error:
                raise AssertionError("%s: %s" % (what, error))
            finally:
                one.close()
        half = self.connect(first)
        half.send(put("half", b"never finished")[:20])
        half.close()
        bystander.send(get("bystander"))
        bystander.expect(SUCCESS, "bystander", b"v")

    def test_put_and_leave(self):
        """Programs of the original network put and close at once."""
        first, last = NODES[0], NODES[-1]
        one = self.connect(first)
        one.send(put("left", b"v", flags=0))
        one.close()
        # The node may take up the new connection before it has read the old one.
        other = self.connect(first)
        for _ in range(1000):
            other.send(get("left"))
            if other.answer()[0] == SUCCESS:
                return
        raise AssertionError("the value was not stored")


if __name__ == "__main__":
    unittest.main()
