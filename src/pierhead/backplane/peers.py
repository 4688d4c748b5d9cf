"""Rooms of several servers, without a broker: each server follows all others.

    peers("tcp:10.0.0.2:7100", "tcp:10.0.0.3:7100", listen="tcp:10.0.0.1:7100")

            ┌── log of what was said here ──▶ followers, each at its own pace
    room ───┤
            ◀── what was said there, in order ── one link to each other server

A server sends only what its own members have said, numbered, so what arrives has one way, keeps its
order and is never doubled. A follower that was away says what it has, and gets what is still in the
log; of what is not, it is told the number. Nobody waits for a follower.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pierhead.backplane.delivery import Delivery, Text
from pierhead.backplane.link_format import FORMAT, PINGS, Hello, Link, Message, Start
from pierhead.backplane.log import Log
from pierhead.client.client import connect
from pierhead.codec.base import Codec
from pierhead.connection.conversation import Conversation
from pierhead.errors import DecodeError, PeerUnavailable, UsageError
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.server.converse import converse
from pierhead.server.server import Server

__all__ = ["LIMITS", "Peers", "peers"]

M = TypeVar("M")

_log = logging.getLogger("pierhead.backplane")

LIMITS = (
    Limit(
        "backlog",
        default=1000,
        minimum=1,
        maximum=10_000_000,
        unit="messages",
        meaning="The last messages of this server, for followers that are behind or away.",
        source="a second at a thousand messages",
        metric="backplane_missed_total, at the follower",
        effect="at construction",
    ),
    Limit(
        "backlog_bytes",
        default=8 * 2**20,
        minimum=65_536,
        maximum=2**40,
        unit="bytes",
        meaning="Octets of these messages.",
        source="8 KiB for each message of the default backlog",
        metric="backplane_missed_total, at the follower",
        effect="at construction",
    ),
    Limit(
        "max_back_off",
        default=5.0,
        minimum=0.1,
        maximum=3600.0,
        unit="s",
        meaning="The longest pause between two attempts to reach another server.",
        source="the same as a client's",
        metric="none: see backplane_links_up",
        effect="at construction",
    ),
)
_BACKLOG, _BACKLOG_BYTES, _MAX_BACK_OFF = LIMITS

_SHORTEST_BACK_OFF_S = 0.1
#: The epoch of a follower that has heard nothing yet.
_NONE = bytes(16)


def peers(
    *addresses: str,
    listen: str,
    source: str | None = None,
    codec: Codec[Any] | None = None,
    backlog: int = 1000,
    backlog_bytes: int = 8 * 2**20,
    max_back_off: float = 5.0,
) -> Peers[Any]:
    """Return a backplane of these servers, for one `Room`.

    Args:
        addresses: of the other servers' backplanes; this server's own may be among them.
        listen: where this server serves its own. Who can connect to it can read what is said here,
            and nothing else; use ``tls+tcp:`` with ``client-ca`` on a network that is not yours.
        source: the address of this end of links; None to let the system choose.
        codec: how messages are encoded between servers; None for text.
        backlog, backlog_bytes: what is kept for those who are behind.
        max_back_off: the longest pause between two attempts to reach another server, in seconds.

    Raises:
        UsageError: a limit is out of its range.
    """
    others = tuple(dict.fromkeys(one for one in addresses if one != listen))
    log = Log(int(_BACKLOG.check(backlog)), int(_BACKLOG_BYTES.check(backlog_bytes)))
    return Peers(
        others,
        listen,
        source=source,
        codec=codec or Text(),
        log=log,
        max_back_off=_MAX_BACK_OFF.check(max_back_off),
    )


class Peers(Generic[M]):
    """A backplane of servers that follow each other; made by `peers`."""

    def __init__(
        self,
        others: tuple[str, ...],
        listen: str,
        *,
        source: str | None,
        codec: Codec[M],
        log: Log,
        max_back_off: float,
    ) -> None:
        self._others = others
        self._listen = listen
        self._source = source
        self._codec = codec
        self._said = log
        self._max_back_off = max_back_off
        self._epoch = secrets.token_bytes(16)
        self._followers: set[asyncio.Event] = set()
        self._room = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._server: Server | None = None

    async def start(
        self, room: str, deliver: Callable[[M], Awaitable[None]], metrics: Metrics
    ) -> None:
        """Serve what is said here, and follow the others.

        Args:
            room: its name, the same on every server.
            deliver: takes what was said elsewhere.

        Raises:
            UsageError: it has a room already.
            ListenError: its address cannot be opened.
        """
        if self._server is not None:
            raise UsageError("a backplane is for one room; call peers(…) for each")
        self._room = room
        self._delivery = Delivery(room, self._codec, deliver, metrics)
        endpoint = converse(self._serve, FORMAT, liveness=PINGS, name="backplane")
        self._server = Server(endpoint, self._listen, drain_timeout=1.0)
        await self._server.__aenter__()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._follow(address), name=f"follow {address}")
            for address in self._others
        ]

    @property
    def address(self) -> str:
        """Where this server serves what is said here, once it has started."""
        return self._listen if self._server is None else self._server.addresses[0]

    async def stop(self) -> None:
        """Stop following and serving."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._server is not None:
            await self._server.__aexit__(None, None, None)

    def publish(self, message: M) -> None:
        """Pass a message on to the other servers, without waiting.

        Raises:
            UsageError: it cannot be encoded.
        """
        self._said.append(self._codec.encode(message))
        for follower in self._followers:
            follower.set()

    # -- what was said here --------------------------------------------------------------------

    async def _serve(self, link: Conversation[Link, Link]) -> None:
        """Send what was said here to one follower, at its pace."""
        hello = await link.receive()
        if not isinstance(hello, Hello) or hello.room != self._room:
            _log.warning("%s: %s does not follow room %r", self._listen, link.peer, self._room)
            return
        after = self._begin_after(hello)
        woken = asyncio.Event()
        self._followers.add(woken)
        closing = asyncio.ensure_future(link.wait_closing())
        closing.add_done_callback(lambda _: woken.set())
        is_told = False
        try:
            while not closing.done():
                woken.clear()
                after = await self._send_after(after, link, is_told=is_told)
                is_told = True
                await woken.wait()
        finally:
            self._followers.discard(woken)
            closing.cancel()

    def _begin_after(self, hello: Hello) -> int:
        if hello.epoch == self._epoch:
            return min(hello.after, self._said.last)
        return self._said.last if hello.epoch == _NONE else 0  # it has followed an earlier run

    async def _send_after(
        self, after: int, link: Conversation[Link, Link], *, is_told: bool
    ) -> int:
        said = self._said
        while after < said.last or not is_told:
            missed = max(0, said.first - 1 - after)
            if missed or not is_told:
                after += missed
                is_told = True
                await link.send(Start(self._epoch, after, missed))
                continue
            after += 1
            await link.send(Message(after, said.get(after)))
        return after

    # -- what was said elsewhere ---------------------------------------------------------------

    async def _follow(self, address: str) -> None:
        """Follow another server for ever."""
        client = connect(address, FORMAT, source=self._source, idle_timeout="off")
        follower = _Follower(self, self._delivery, address)
        pause_s = _SHORTEST_BACK_OFF_S
        try:
            while True:
                try:
                    async with client.conversation(liveness=PINGS) as link:
                        self._delivery.links.value += 1
                        try:
                            await follower.follow(link)
                        finally:
                            self._delivery.links.value -= 1
                        pause_s = _SHORTEST_BACK_OFF_S
                except (PeerUnavailable, DecodeError, OSError) as error:
                    _log.debug("%s: %s", address, error)
                await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
                pause_s = min(2 * pause_s, self._max_back_off)
        finally:
            await client.close(drain=False)

    def hello(self, epoch: bytes, after: int) -> Hello:
        """Return what a follower says first."""
        return Hello(epoch, after, self._room)


class _Follower:
    """What is known of another server, across connections."""

    def __init__(self, backplane: Peers[Any], delivery: Delivery[Any], address: str) -> None:
        self._backplane = backplane
        self._delivery = delivery
        self._address = address
        self._epoch = _NONE
        self._after = 0

    async def follow(self, link: Conversation[Link, Link]) -> None:
        """Take what the other sends until the link ends."""
        await link.send(self._backplane.hello(self._epoch, self._after))
        async for frame in link:
            if isinstance(frame, Start):
                self._epoch, self._after = frame.epoch, frame.after
                if frame.missed:
                    self._delivery.note_missed(frame.missed, self._address)
            elif isinstance(frame, Message) and frame.number > self._after:
                self._after = frame.number
                await self._delivery.take(frame.payload)
