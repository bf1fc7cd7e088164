"""The blocking client: one connection, one request at a time. Safe to share between threads."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Optional, TypeVar

from . import flows, wire
from .errors import ProtocolError, Timeout, Unreachable
from .wire import Answer, Freshness, Key, Request, Told

if TYPE_CHECKING:
    from .signed import Delegation, Envelope, KeyPair

T = TypeVar("T")

DEFAULT_HOST, DEFAULT_PORT = "localhost", 7401
#: Above what a node itself allows an operation, so that its own answer comes first.
DEFAULT_TIMEOUT = 60.0


def hosts(host: str) -> list[str]:
    """The names to try. "localhost" is both loopback addresses (RFC 6761, section 6.3): a node serves
    programs on one of them, and not every system's list of hosts has both."""
    return ["::1", "127.0.0.1"] if host.rstrip(".").lower() == "localhost" else [host]


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    failures = []
    for name in hosts(host):
        try:
            return socket.create_connection((name, port), timeout)
        except OSError as error:
            failures.append(error)
    raise Unreachable(f"no node at {host}:{port}: {failures[-1]}") from failures[-1]


class Client:
    """A connection with a node's module API, and what can be done with it."""

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Connects; each request may take ``timeout`` seconds.

        Raises Unreachable if no node answers there.
        """
        self._socket = _connect(host, port, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def put(self, key: Key, value: bytes, *, ttl: int = 0, replication: int = 0) -> int:
        """Stores a value for ``ttl`` seconds; 0: the node's default. Returns on how many nodes.

        Raises StoredNowhere if on none.
        """
        return self._run(flows.put(key, value, ttl, replication))

    def put_content(self, value: bytes, *, ttl: int = 0, replication: int = 0) -> bytes:
        """Stores a value under its own SHA-256, and returns that key."""
        return self._run(flows.put_content(value, ttl, replication))

    def get(self, key: Key) -> Optional[bytes]:
        """The value of a key; None if no node that answered has one."""
        return self._run(flows.get(key))

    def ask(
        self,
        key: Key,
        *,
        freshness: Freshness = Freshness.LATEST,
        proved_only: bool = False,
        least: tuple[int, int] = (0, 0),
    ) -> Told:
        """A value, and how the node verified it. ``least`` is (generation, seq)."""
        return self._run(flows.ask(key, freshness, proved_only, *least))

    def resolve(
        self, owner: bytes, *, salt: bytes = b"", freshness: Freshness = Freshness.LATEST
    ) -> Optional[Envelope]:
        """What a public key has signed, verified here; None if nothing was found."""
        return self._run(flows.resolve(owner, salt, freshness))

    def put_if(
        self,
        envelope: Envelope,
        expected: Optional[Envelope],
        *,
        ttl: int = 0,
        replication: int = 0,
    ) -> int:
        """Stores an envelope if the newest is still the expected one (None: there is none).

        Raises Conflict with the newest if it is another.
        """
        return self._run(flows.put_if(envelope, expected, ttl, replication))

    def publish(
        self,
        key_pair: KeyPair,
        body: bytes,
        *,
        salt: bytes = b"",
        delegation: Optional[Delegation] = None,
        days: Optional[int] = 30,
        ttl: int = 0,
        replication: int = 0,
    ) -> Envelope:
        """Signs and stores what replaces the newest value, valid for ``days`` (None: for ever).

        Raises Conflict if another publication came in between.
        """
        flow = flows.publish(key_pair, body, salt, delegation, days, ttl, replication)
        return self._run(flow)

    def _run(self, flow: flows.Flow[T]) -> T:
        with self._lock:
            try:
                request = next(flow)
                while True:
                    request = flow.send(self._exchange(request))
            except StopIteration as end:
                result: T = end.value
                return result

    def _exchange(self, request: Request) -> Answer:
        try:
            self._socket.sendall(request.frame())
            kind, length = wire.body_bytes(self._exactly(wire.FRAME_HEADER.size))
            answer = wire.answer(kind, self._exactly(length))
        except socket.timeout as error:
            # A late answer must not be taken for the next request's.
            self.close()
            raise Timeout("the node did not answer in time") from error
        except OSError as error:
            raise Unreachable(f"the connection with the node was lost: {error}") from error
        if answer.key != request.key:
            raise ProtocolError("an answer for a key about which nothing was asked")
        return answer

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise Unreachable("the node closed the connection; its log says why")
            data += piece
        return bytes(data)
