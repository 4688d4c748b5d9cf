"""A stream in Redis 5 or newer, for the rooms of several servers.

    XADD pierhead:ROOM MAXLEN ~ backlog * e ENTRY       the writer, several at once
    XREAD COUNT 100 BLOCK 4000 STREAMS pierhead:ROOM ID the reader, on a connection of its own

Identifiers begin with the time in milliseconds, so they also grow across a Redis that has lost its
data. One that has returned to an older copy is read again from the start of the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pierhead.backplane.brokered import Brokered, BrokerLost, without_secret
from pierhead.codec.base import Codec
from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.printable import printable

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["redis_streams"]

_SCHEMES = ("redis", "rediss", "unix")
_FIELD = b"e"
_START = "0-0"
#: Waiting for entries, in milliseconds: less than the deadline of a read.
_BLOCK_MS = 4000
_AT_ONCE = 100
_CLOSE_S = 2.0
#: What Redis takes as one value unless it is told otherwise (proto-max-bulk-len).
_LARGEST_BYTES = 512 * 2**20


def redis_streams(
    url: str,
    *,
    codec: Codec[Any] | None = None,
    backlog: int = 1000,
    backlog_bytes: int = 8 * 2**20,
    max_back_off: float = 5.0,
) -> Brokered[Any]:
    """Return a backplane of servers that share a Redis, for one `Room`.

    Args:
        url: of Redis, such as ``redis://:password@10.0.0.9:6379/0``; ``rediss:`` for TLS,
            ``unix:///run/redis.sock``. Who can write there can speak in the room.
        codec: how messages are encoded between servers; None for text.
        backlog: about how many messages Redis keeps for who was away, of all servers together; and
            how many wait here while Redis is away.
        backlog_bytes: octets of the messages that wait here.
        max_back_off: the longest pause between two attempts to reach Redis, in seconds.

    Raises:
        UsageError: redis-py is not installed, the URL is none, or a limit is out of its range.
    """
    try:
        import redis.asyncio  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("redis", error) from None
    return Brokered(
        _Redis(url),
        codec=codec,
        backlog=backlog,
        backlog_bytes=backlog_bytes,
        max_back_off=max_back_off,
    )


class _Redis:
    """Where the stream is."""

    def __init__(self, url: str) -> None:
        scheme, found, _ = url.partition("://")
        if not found or scheme not in _SCHEMES:
            raise UsageError(
                f"{scheme!r} is no scheme of Redis; expected such as 'redis://127.0.0.1:6379/0', "
                "'rediss://…' or 'unix:///run/redis.sock'"
            )
        self._url = url
        self._client()  # what is wrong with the rest is said at once
        self.name = without_secret(url)

    def _client(self) -> Redis:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            return Redis.from_url(
                self._url,
                single_connection_client=True,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
        except ValueError as error:
            raise UsageError(f"the URL of Redis is wrong: {error}") from None

    def open(
        self, room: str, backlog: int, backlog_bytes: int
    ) -> AbstractAsyncContextManager[_Stream]:
        """Connect twice: a read that waits would hold up the writer."""
        del backlog_bytes  # Redis counts messages alone
        return self._open(f"pierhead:{room}", backlog)

    @asynccontextmanager
    async def _open(self, key: str, backlog: int) -> AsyncIterator[_Stream]:
        writer, reader = self._client(), self._client()
        try:
            yield _Stream(writer, reader, key, backlog)
        finally:
            for client in (writer, reader):
                with suppress(Exception):
                    async with asyncio.timeout(_CLOSE_S):
                        await client.aclose()


class _Stream:
    """Two connections with Redis."""

    largest_bytes = _LARGEST_BYTES

    def __init__(self, writer: Redis, reader: Redis, key: str, backlog: int) -> None:
        self._writer = writer
        self._reader = reader
        self._key = key
        self._backlog = backlog
        self._is_checked = False

    async def append(self, entries: list[bytes]) -> str:
        """Append; see `Stream`."""
        with _lost():
            pipeline = self._writer.pipeline(transaction=False)
            for entry in entries:
                pipeline.xadd(self._key, {_FIELD: entry}, maxlen=self._backlog, approximate=True)
            *_, last = await pipeline.execute()
        return _text(last)

    async def read(self, after: str) -> tuple[list[bytes], str]:
        """Read what follows; see `Stream`."""
        with _lost():
            if not self._is_checked:
                after = await self._in_stream(after)
                self._is_checked = True
            found = await self._reader.xread({self._key: after}, count=_AT_ONCE, block=_BLOCK_MS)
        if not found:
            return [], after
        entries = _entries(found)
        return [fields.get(_FIELD, b"") for _, fields in entries], _text(entries[-1][0])

    async def _in_stream(self, after: str) -> str:
        """Return it, or the start if the stream does not reach so far."""
        newest = await self._reader.xrevrange(self._key, count=1)
        if newest and _order(_text(newest[0][0])) >= _order(after):
            return after
        return _START


def _entries(found: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return what one stream has: a list of pairs in RESP 2, a mapping in RESP 3."""
    if isinstance(found, dict):
        (batches,) = found.values()
        return [entry for batch in batches for entry in batch]
    ((_, entries),) = found
    return list(entries)


def _order(identifier: str) -> tuple[int, int]:
    milliseconds, _, number = identifier.partition("-")
    return int(milliseconds), int(number)


def _text(identifier: Any) -> str:
    return str(identifier, "ascii")


@contextmanager
def _lost() -> Iterator[None]:
    """Turn the errors of redis-py into ours."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerLost(f"Redis: {printable(str(error))}") from error
