"""The frames of the module API: ``size u16 | type u16 | body``, integers big-endian.

No sockets here. docs/protocol.md, section 1, draws every message.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from dataclasses import dataclass
from typing import Optional, Union

from .errors import ProtocolError

DHT_PUT, DHT_GET, DHT_SUCCESS, DHT_FAILURE = 650, 651, 652, 653
DHT_ASK, DHT_TOLD, DHT_PUT_IF, DHT_CONFLICT = 654, 655, 656, 657

#: The largest value.
MAX_VALUE_BYTES = 65_495
#: The largest value of a conditional PUT.
MAX_PUT_IF_VALUE_BYTES = MAX_VALUE_BYTES - 32

KEY_BYTES = 32
FRAME_HEADER = struct.Struct(">HH")
_PUT_START = struct.Struct(">HBB")
_ASK_START = struct.Struct(">BBHIQ")
_TOLD_START = struct.Struct(">BBH")
_ACKNOWLEDGE = 1
_PROVED_ONLY = 1

#: 32 bytes, 64 hexadecimal digits, or any other text, of which the SHA-256 is taken.
Key = Union[bytes, str]


class Freshness(enum.IntEnum):
    """How many nodes must agree that there is no newer signed value."""

    LATEST = 0
    FIRST = 2
    THOROUGH = 4


class Proof(enum.IntEnum):
    """How the node verified a value."""

    VOTE = 0
    HASH = 1
    SIGNATURE = 2


@dataclass(frozen=True)
class Request:
    """A message to the node."""

    kind: int
    key: bytes
    body: bytes

    def frame(self) -> bytes:
        return FRAME_HEADER.pack(FRAME_HEADER.size + len(self.body), self.kind) + self.body


@dataclass(frozen=True)
class Answer:
    """A message from the node: what follows the key is ``rest``."""

    kind: int
    key: bytes
    rest: bytes


@dataclass(frozen=True)
class Told:
    """The answer to an ASK."""

    proof: Proof
    #: How many nodes returned the value.
    agreeing: int
    #: Seconds that it has left.
    ttl: int
    #: None if nothing was found.
    value: Optional[bytes]


def key_bytes(key: Key) -> bytes:
    """The 32 bytes of a key."""
    if isinstance(key, bytes):
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
        return key
    if len(key) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(key)
        except ValueError:
            pass
    return hashlib.sha256(key.encode()).digest()


def content_key(value: bytes) -> bytes:
    """The key under which a value verifies itself: its SHA-256."""
    return hashlib.sha256(value).digest()


def put(key: bytes, value: bytes, ttl: int, replication: int) -> Request:
    _check_value(value, MAX_VALUE_BYTES)
    start = _PUT_START.pack(ttl, replication, _ACKNOWLEDGE)
    return Request(DHT_PUT, key, start + key + value)


def get(key: bytes) -> Request:
    return Request(DHT_GET, key, key)


def ask(key: bytes, freshness: Freshness, proved_only: bool, generation: int, seq: int) -> Request:
    flags = freshness | (_PROVED_ONLY if proved_only else 0)
    return Request(DHT_ASK, key, _ASK_START.pack(flags, 0, 0, generation, seq) + key)


def put_if(key: bytes, value: bytes, expected: bytes, ttl: int, replication: int) -> Request:
    _check_value(value, MAX_PUT_IF_VALUE_BYTES)
    start = _PUT_START.pack(ttl, replication, 0)
    return Request(DHT_PUT_IF, key, start + key + expected + value)


def body_bytes(header: bytes) -> tuple[int, int]:
    """The type of an answer, and the length of its body."""
    size, kind = FRAME_HEADER.unpack(header)
    if size < FRAME_HEADER.size + KEY_BYTES:
        raise ProtocolError(f"an answer of {size} bytes")
    return kind, size - FRAME_HEADER.size


def answer(kind: int, body: bytes) -> Answer:
    return Answer(kind, body[:KEY_BYTES], body[KEY_BYTES:])


def value_of(answer: Answer) -> Optional[bytes]:
    """What a GET found, or the acknowledgement of a PUT."""
    if answer.kind == DHT_SUCCESS and answer.rest:
        return answer.rest
    if answer.kind == DHT_FAILURE and not answer.rest:
        return None
    raise ProtocolError(f"an answer of type {answer.kind} with {len(answer.rest)} bytes")


def count_of(answer: Answer) -> int:
    """On how many nodes a PUT has stored."""
    value = value_of(answer)
    if value is None:
        return 0
    if len(value) != 1:
        raise ProtocolError(f"an acknowledgement of {len(value)} bytes")
    return value[0]


def told_of(answer: Answer) -> Told:
    if answer.kind != DHT_TOLD or len(answer.rest) < _TOLD_START.size:
        raise ProtocolError(f"an answer of type {answer.kind} with {len(answer.rest)} bytes")
    proof, agreeing, ttl = _TOLD_START.unpack_from(answer.rest)
    if proof not in set(Proof):
        raise ProtocolError(f"a proof of the unknown kind {proof}")
    return Told(Proof(proof), agreeing, ttl, answer.rest[_TOLD_START.size:] or None)


def _check_value(value: bytes, most: int) -> None:
    if not 1 <= len(value) <= most:
        raise ValueError(f"a value has 1 to {most} bytes, this one has {len(value)}")
