"""The module API over one connection: PUT with an acknowledgement, and GET."""

import socket
import struct

DHT_PUT, DHT_GET, DHT_SUCCESS, DHT_FAILURE = 650, 651, 652, 653
# Asks for an answer to a PUT: how many nodes have stored the value.
ACKNOWLEDGE = 1
# Longer than any operation that is not lost.
PATIENCE = 60


class Node:
    """A node, from outside."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def put(self, key, value, ttl=0, replication=0):
        """Stores a value; on how many nodes it now lies."""
        head = struct.pack(">HBB", ttl, replication, ACKNOWLEDGE)
        kind, answer = self._ask(DHT_PUT, head + key + value, key)
        return answer[0] if kind == DHT_SUCCESS else 0

    def get(self, key):
        """The value of a key, or None."""
        kind, answer = self._ask(DHT_GET, key, key)
        return answer if kind == DHT_SUCCESS else None

    def close(self):
        self.socket.close()

    def _ask(self, kind, body, key):
        self.socket.sendall(struct.pack(">HH", 4 + len(body), kind) + body)
        size, kind = struct.unpack(">HH", self._read(4))
        answer = self._read(size - 4)
        if kind not in (DHT_SUCCESS, DHT_FAILURE) or answer[:32] != key:
            raise ConnectionError(f"an answer of type {kind} to something else")
        return kind, answer[32:]

    def _read(self, count):
        read = b""
        while len(read) < count:
            piece = self.socket.recv(count - len(read))
            if not piece:
                raise ConnectionError("the node has closed the connection")
            read += piece
        return read
