"""The asyncio client: one connection, many requests in flight.

An answer carries its key and nothing else. So for each key one answer is awaited at a time, and
requests for that key go out in the order in which they were made; requests for different keys do
not wait for one another.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Optional, TypeVar

from . import flows, wire
from .client import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_TIMEOUT, hosts
from .errors import ProtocolError, Timeout, Unreachable, VoiddhtError
from .wire import Answer, Freshness, Key, Request, Told

if TYPE_CHECKING:
    from .signed import Delegation, Envelope, KeyPair

T = TypeVar("T")

#: Requests in flight on the connection; further ones wait.
MAX_IN_FLIGHT = 256


class AsyncClient:
    """A connection with a node's module API. Made by ``await AsyncClient.connect()``."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float
    ) -> None:
        self._reader, self._writer, self._timeout = reader, writer, timeout
        self._awaited: dict[bytes, asyncio.Future[Answer]] = {}
        self._turns: dict[bytes, asyncio.Lock] = {}
        self._waiting: dict[bytes, int] = {}
        self._places = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._ended: Optional[VoiddhtError] = None
        self._reading = asyncio.ensure_future(self._read_answers())

    @classmethod
    async def connect(
        cls,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> AsyncClient:
        """Connects; each request may take ``timeout`` seconds."""
        failures: list[Exception] = []
        for name in hosts(host):
            try:
                opening = asyncio.open_connection(name, port)
                reader, writer = await asyncio.wait_for(opening, timeout)
            except (OSError, asyncio.TimeoutError) as error:
                failures.append(error)
            else:
                return cls(reader, writer, timeout)
        raise Unreachable(f"no node at {host}:{port}: {failures[-1]}") from failures[-1]

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; requests that are in flight fail."""
        self._end(Unreachable("the connection was closed"))
        self._reading.cancel()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # It is closed all the same.

    async def put(self, key: Key, value: bytes, *, ttl: int = 0, replication: int = 0) -> int:
        """See Client.put."""
        return await self._run(flows.put(key, value, ttl, replication))

    async def put_content(self, value: bytes, *, ttl: int = 0, replication: int = 0) -> bytes:
        """See Client.put_content."""
        return await self._run(flows.put_content(value, ttl, replication))

    async def get(self, key: Key) -> Optional[bytes]:
        """See Client.get."""
        return await self._run(flows.get(key))

    async def ask(
        self,
        key: Key,
        *,
        freshness: Freshness = Freshness.LATEST,
        proved_only: bool = False,
        least: tuple[int, int] = (0, 0),
    ) -> Told:
        """See Client.ask."""
        return await self._run(flows.ask(key, freshness, proved_only, *least))

    async def resolve(
        self, owner: bytes, *, salt: bytes = b"", freshness: Freshness = Freshness.LATEST
    ) -> Optional[Envelope]:
        """See Client.resolve."""
        return await self._run(flows.resolve(owner, salt, freshness))

    async def put_if(
        self,
        envelope: Envelope,
        expected: Optional[Envelope],
        *,
        ttl: int = 0,
        replication: int = 0,
    ) -> int:
        """See Client.put_if."""
        return await self._run(flows.put_if(envelope, expected, ttl, replication))

    async def publish(
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
        """See Client.publish."""
        flow = flows.publish(key_pair, body, salt, delegation, days, ttl, replication)
        return await self._run(flow)

    async def _run(self, flow: flows.Flow[T]) -> T:
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._exchange(request))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _exchange(self, request: Request) -> Answer:
        # Shielded: a request that is given up keeps its turn until the node has answered it, so
        # that its answer is not taken for the next one's.
        exchange = asyncio.ensure_future(self._in_turn(request))
        exchange.add_done_callback(_retrieve)
        try:
            return await asyncio.wait_for(asyncio.shield(exchange), self._timeout)
        except asyncio.TimeoutError as error:
            timeout = Timeout("the node did not answer in time")
            self._end(timeout)
            self._writer.close()
            raise timeout from error

    async def _in_turn(self, request: Request) -> Answer:
        key = request.key
        turn = self._turns.setdefault(key, asyncio.Lock())
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            async with self._places, turn:
                if self._ended is not None:
                    raise self._ended
                return await self._send(request)
        finally:
            self._waiting[key] -= 1
            if self._waiting[key] == 0:
                del self._waiting[key], self._turns[key]

    async def _send(self, request: Request) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._awaited[request.key] = answer
        try:
            self._writer.write(request.frame())
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(f"the connection with the node was lost: {error}") from error
        return await answer

    async def _read_answers(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(wire.FRAME_HEADER.size)
                kind, length = wire.body_bytes(header)
                answer = wire.answer(kind, await self._reader.readexactly(length))
                awaited = self._awaited.pop(answer.key, None)
                if awaited is None:
                    raise ProtocolError("an answer for a key about which nothing was asked")
                if not awaited.done():
                    awaited.set_result(answer)
        except asyncio.IncompleteReadError:
            self._end(Unreachable("the node closed the connection; its log says why"))
        except OSError as error:
            self._end(Unreachable(f"the connection with the node was lost: {error}"))
        except VoiddhtError as error:
            self._end(error)

    def _end(self, reason: VoiddhtError) -> None:
        if self._ended is None:
            self._ended = reason
        awaited, self._awaited = self._awaited, {}
        for answer in awaited.values():
            if not answer.done():
                answer.set_exception(reason)


def _retrieve(exchange: asyncio.Future[Answer]) -> None:
    """Marks an error as seen: the request may have been given up."""
    if not exchange.cancelled():
        exchange.exception()
