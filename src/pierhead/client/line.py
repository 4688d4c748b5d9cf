"""What carries the requests of a client: a connection, or a socket for datagrams.

Each request belongs to one line until its last reply, and each line gives a reply to the request
that it answers, never to another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Protocol

from pierhead.codec.matching import Asked
from pierhead.errors import again
from pierhead.failure_log import one_line
from pierhead.metrics import Metric, Metrics
from pierhead.service.context import Peer

__all__ = ["ClientCounters", "Line", "Reply", "local_name", "log_bug", "settle", "settle_all"]


_log = logging.getLogger("pierhead.client")


class Reply(Protocol):
    """Where the reply to a request goes: a future, or what collects many replies."""

    def done(self) -> bool:
        """Return whether nothing more is wanted."""
        ...

    def set_result(self, reply: Any, /) -> None:
        """Take a reply."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Take the reason why there will be no more."""
        ...


def settle(reply: Reply, error: BaseException) -> None:
    """Fail a request, unless it has ended already."""
    if not reply.done():
        reply.set_exception(again(error))


def settle_all(waiting: Iterable[Asked[Any, Any]], error: BaseException) -> bool:
    """Fail requests, each with an error of its own; return whether there are any."""
    are_any = False
    for asked in waiting:
        settle(asked.token, error)
        are_any = True
    return are_any


def log_bug(address: str, mistake: Exception) -> None:
    """Log a bug of the program's codec or framing that no request can be told about."""
    _log.error("%s: a bug of the codec or the framing: %s", address, one_line(mistake))


def local_name(transport: asyncio.BaseTransport) -> str:
    """Return the address of this end of a connection, as text; "unnamed" if it has none."""
    return str(Peer(transport.get_extra_info("sockname") or ""))


class Line(Protocol):
    """One connection, or one socket, that carries requests."""

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it takes requests, now or once there is room."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, and can be forgotten."""
        ...

    @property
    def load(self) -> int:
        """How many requests are without their reply."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether it takes another request now."""
        ...

    def ask(self, request: Any, reply: Reply, /) -> Asked[Any, Any]:
        """Send a request.

        Raises:
            UsageError: it cannot be encoded.
        """
        ...

    def give_up(self, asked: Asked[Any, Any], /, *, is_late: bool) -> None:
        """Drop the reply to a request when it arrives.

        Args:
            is_late: whether it should have arrived by now; otherwise its caller has given up early.
        """
        ...

    def hold_up(self) -> None:
        """Read nothing more until `read_on`: a reader of many replies is slow."""
        ...

    def read_on(self) -> None:
        """Read on."""
        ...

    def sweep(self, now: float, /) -> None:
        """Enforce the deadlines of the connection."""
        ...

    def finish(self, reason: str, /) -> None:
        """Close after what has been sent."""
        ...

    def abort(self, reason: str, /) -> None:
        """Close at once."""
        ...

    async def wait_gone(self) -> None:
        """Return once it has ended."""
        ...


class ClientCounters:
    """The counters of one client, shared by its connections."""

    def __init__(self, metrics: Metrics, address: str) -> None:
        self._metrics = metrics
        self._address = address
        self.frames_received = self.count("frames_received_total")
        self.frames_sent = self.count("frames_sent_total")
        self.bytes_received = self.count("bytes_received_total")
        self.bytes_sent = self.count("bytes_sent_total")
        self.reads_paused = self.count("reads_paused_total")
        self.writes_paused = self.count("writes_paused_total")
        self.requests = self.count("requests_total")
        self.answered = self.count("requests_answered_total")
        self.late = self.count("dropped_total", reason="late")
        self.connected = self.count("connects_total")
        self.open = metrics.gauge("connections_open", client=address)

    def count(self, name: str, **labels: str) -> Metric:
        """Return a counter of this client."""
        return self._metrics.counter(name, client=self._address, **labels)

    def failed(self, reason: str) -> None:
        """Count a request without a reply."""
        self.count("requests_failed_total", reason=reason).value += 1

    def dropped(self, reason: str) -> None:
        """Count something that arrived and belongs to no request."""
        self.count("dropped_total", reason=reason).value += 1

    def opened(self) -> None:
        """Count a connection."""
        self.connected.value += 1
        self.open.value += 1

    def closed(self, reason: str) -> None:
        """Count a connection that has ended."""
        self.count("connections_closed_total", reason=reason).value += 1
        self.open.value -= 1
