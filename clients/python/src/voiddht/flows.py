"""Operations as generators: each yields requests and is sent their answers.

Both clients run them, one with blocking sockets and one with asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generator, Optional, TypeVar

from . import wire
from .conflict import Conflict
from .errors import InvalidEnvelope, StoredNowhere
from .wire import Answer, Freshness, Key, Request, Told

if TYPE_CHECKING:
    from .signed import Delegation, Envelope, KeyPair

T = TypeVar("T")
Flow = Generator[Request, Answer, T]


def put(key: Key, value: bytes, ttl: int, replication: int) -> Flow[int]:
    stored = wire.count_of((yield wire.put(wire.key_bytes(key), value, ttl, replication)))
    if stored == 0:
        raise StoredNowhere("no node has stored the value")
    return stored


def put_content(value: bytes, ttl: int, replication: int) -> Flow[bytes]:
    key = wire.content_key(value)
    yield from put(key, value, ttl, replication)
    return key


def get(key: Key) -> Flow[Optional[bytes]]:
    return wire.value_of((yield wire.get(wire.key_bytes(key))))


def ask(
    key: Key, freshness: Freshness, proved_only: bool, generation: int, seq: int
) -> Flow[Told]:
    request = wire.ask(wire.key_bytes(key), freshness, proved_only, generation, seq)
    return wire.told_of((yield request))


def resolve(owner: bytes, salt: bytes, freshness: Freshness) -> Flow[Optional[Envelope]]:
    from .signed import Name

    name = Name(owner, salt)
    told = yield from ask(name.key, freshness, True, 0, 0)
    return None if told.value is None else name.open(told.value)


def put_if(
    envelope: Envelope, expected: Optional[Envelope], ttl: int, replication: int
) -> Flow[int]:
    digest = bytes(32) if expected is None else expected.digest
    name = envelope.name
    answer = yield wire.put_if(name.key, envelope.value, digest, ttl, replication)
    if answer.kind == wire.DHT_CONFLICT:
        newest = name.open(answer.rest)
        if newest is None:
            raise InvalidEnvelope("the node names an expired value as the newest")
        raise Conflict(newest)
    stored = wire.count_of(answer)
    if stored == 0:
        raise StoredNowhere("no node has stored the value")
    return stored


def publish(
    key_pair: KeyPair,
    body: bytes,
    salt: bytes,
    delegation: Optional[Delegation],
    days: Optional[int],
    ttl: int,
    replication: int,
) -> Flow[Envelope]:
    from .signed import succeed

    owner = key_pair.public_key if delegation is None else delegation.owner
    salt = salt if delegation is None else delegation.salt
    newest = yield from resolve(owner, salt, Freshness.THOROUGH)
    envelope = succeed(key_pair, body, salt=salt, newest=newest, delegation=delegation, days=days)
    yield from put_if(envelope, newest, ttl, replication)
    return envelope
