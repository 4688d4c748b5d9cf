"""A stream in NATS JetStream, for the rooms of several servers.

The stream ``pierhead-ROOM`` has one subject, ``pierhead.ROOM``. It is created on the server's disk
if it is not there; one with other limits or more copies that somebody has made is taken as it is.
Each connection has a consumer of its own, which the server forgets when it is gone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pierhead.backplane.brokered import Brokered, BrokerLost, without_secret
from pierhead.codec.base import Codec
from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.printable import printable

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

__all__ = ["jetstream"]

_SCHEMES = ("nats", "tls", "ws", "wss")
#: What a subject and the name of a stream may consist of, besides what a room's name may.
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]")
_AT_ONCE = 100
#: Waiting for entries, in seconds: less than the deadline of a read.
_FETCH_S = 4.0
_CONNECT_S = 5
_CALL_S = 5.0
_CLOSE_S = 2.0


def jetstream(
    url: str,
    *,
    codec: Codec[Any] | None = None,
    backlog: int = 1000,
    backlog_bytes: int = 8 * 2**20,
    max_back_off: float = 5.0,
) -> Brokered[Any]:
    """Return a backplane of servers that share NATS with JetStream, for one `Room`.

    Args:
        url: of NATS, such as ``nats://user:password@10.0.0.9:4222``; ``tls:`` for TLS; of several
            in one cluster, with commas. Who can publish there can speak in the room.
        codec: how messages are encoded between servers; None for text.
        backlog, backlog_bytes: how many messages NATS keeps for who was away, of all servers
            together; and how many wait here while NATS is away.
        max_back_off: the longest pause between two attempts to reach NATS, in seconds.

    Raises:
        UsageError: nats-py is not installed, the URL is none, or a limit is out of its range.
    """
    try:
        import nats  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("nats", error) from None
    return Brokered(
        _Nats(url),
        codec=codec,
        backlog=backlog,
        backlog_bytes=backlog_bytes,
        max_back_off=max_back_off,
    )


class _Nats:
    """Where the stream is."""

    def __init__(self, url: str) -> None:
        self._urls = [one.strip() for one in url.split(",")]
        names = []
        for one in self._urls:
            split = urlsplit(one)
            if split.scheme not in _SCHEMES or not split.hostname:
                raise UsageError(
                    f"{one!r} has no host, or none of the schemes of NATS; expected such as "
                    "'nats://127.0.0.1:4222' or 'tls://…'"
                )
            try:
                split.port  # noqa: B018  # it is read here
            except ValueError as error:
                raise UsageError(f"the URL of NATS is wrong: {error}") from None
            names.append(without_secret(one))
        self.name = ",".join(names)

    def open(
        self, room: str, backlog: int, backlog_bytes: int
    ) -> AbstractAsyncContextManager[_Stream]:
        """Connect; nats-py does not reconnect by itself, since we would not know what it lost."""
        token = _NO_TOKEN.sub(lambda found: f"={ord(found[0]):x}=", room)
        return self._open(token, backlog, backlog_bytes)

    @asynccontextmanager
    async def _open(self, token: str, backlog: int, backlog_bytes: int) -> AsyncIterator[_Stream]:
        from nats.aio.client import Client

        client = Client()
        reported: list[Exception] = []

        async def report(error: Exception) -> None:
            reported[:] = [error]

        try:
            with _lost(reported):
                await client.connect(
                    list(self._urls),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_CONNECT_S,
                    ping_interval=5,
                    max_outstanding_pings=1,
                    error_cb=report,
                )
                stream = _Stream(client, f"pierhead-{token}", f"pierhead.{token}")
                await stream.create(backlog, backlog_bytes)
            yield stream
        finally:
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_S):
                    await client.close()


class _Stream:
    """A connection with NATS."""

    def __init__(self, client: Client, name: str, subject: str) -> None:
        self._client = client
        self._calls: JetStreamContext = client.jetstream(timeout=_CALL_S)
        self._name = name
        self._subject = subject
        self._created = ""
        self._pull: JetStreamContext.PullSubscription | None = None

    @property
    def largest_bytes(self) -> int:
        """The largest entry that it takes, as the server said."""
        return self._client.max_payload

    async def create(self, backlog: int, backlog_bytes: int) -> None:
        """Create the stream if it is not there."""
        from nats.js.api import DiscardPolicy, StreamConfig
        from nats.js.errors import NotFoundError

        try:
            info = await self._calls.stream_info(self._name)
        except NotFoundError:
            info = await self._calls.add_stream(
                StreamConfig(
                    name=self._name,
                    subjects=[self._subject],
                    max_msgs=backlog,
                    max_bytes=backlog_bytes,
                    discard=DiscardPolicy.OLD,
                )
            )
        self._created = str(info.created)  # one that was deleted and made again numbers anew

    async def append(self, entries: list[bytes]) -> str:
        """Append; see `Stream`."""
        with _lost():
            sent = [self._calls.publish(self._subject, entry) for entry in entries]
            *_, last = await asyncio.gather(*sent)
        return self._position(last.seq)

    async def read(self, after: str) -> tuple[list[bytes], str]:
        """Read what follows; see `Stream`."""
        with _lost():
            if self._pull is None:
                self._pull = await self._consume(after)
            try:
                found = await self._pull.fetch(_AT_ONCE, timeout=_FETCH_S)
            except TimeoutError:
                if self._client.is_connected:
                    return [], after
                raise
        return [message.data for message in found], self._position(
            found[-1].metadata.sequence.stream
        )

    def _position(self, number: int) -> str:
        return f"{number} {self._created}"

    async def _consume(self, after: str) -> JetStreamContext.PullSubscription:
        """Return a consumer of what follows, or of all if the stream does not reach so far."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        number, _, created = after.partition(" ")
        info = await self._calls.stream_info(self._name)
        is_there = created == self._created and info.state.last_seq >= int(number)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=int(number) + 1 if is_there else 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60.0,
        )
        return await self._calls.pull_subscribe(self._subject, stream=self._name, config=config)


@contextmanager
def _lost(reported: Sequence[Exception] = ()) -> Iterator[None]:
    """Turn the errors of nats-py into ours, with what it reported instead of raising it."""
    from nats.errors import Error

    try:
        yield
    except (Error, OSError) as error:
        said = str(reported[-1] if reported else error)
        raise BrokerLost(f"NATS: {printable(said)}") from error
