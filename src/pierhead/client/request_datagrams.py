"""Requests and their replies as datagrams: one message each, any of which may get lost."""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Callable
from typing import Any

from pierhead.client.datagram_end import DatagramClient
from pierhead.client.line import ClientCounters, Reply, log_bug, settle_all
from pierhead.client.options import ClientOptions
from pierhead.client.socket_end import Unreachable
from pierhead.codec.base import WireFormat
from pierhead.codec.matching import Asked, InOrder
from pierhead.errors import ConnectionEnded, DecodeError, PeerUnavailable, UsageError

__all__ = ["RequestDatagrams"]

#: Datagrams taken in one iteration of the loop.
_PER_TURN = 64


class RequestDatagrams:
    """Sends requests, and gives each reply to the request that it answers.

    By identifier, many are in flight, and an identifier is not used again on this port: a reply
    may come late, or twice. In order, a datagram that is late, doubled or overtaken would be taken
    for the reply to another request: so one is in flight, and the next one leaves from another
    port, which no reply to this one can reach.

    Args:
        address: what was dialled, for messages.
        end: owned; sends and receives.
        is_reliable: whether the network delivers each datagram once, and in order; only a request
            that is given up then needs another port.
        changed: called when there may be room for another request, or the socket is closed.
    """

    def __init__(
        self,
        wire_format: WireFormat[Any, Any],
        address: str,
        end: DatagramClient,
        changed: Callable[[], None],
        *,
        is_reliable: bool,
        options: ClientOptions,
        counters: ClientCounters,
    ) -> None:
        self._address = address
        self._end = end
        self._is_reliable = is_reliable
        self._changed = changed
        self._counters = counters
        self._encode = wire_format.requests.encode
        self._decode = wire_format.replies.decode
        # Unguessable, as far as the range allows: replies can be forged (RFC 5452 §9.2).
        self._matcher = wire_format.matcher(secrets.randbelow)
        self._in_order = isinstance(wire_format.matching, InOrder)
        self._window = 1 if self._in_order else options.max_requests_per_connection
        self._awaited = 0
        self._is_closed = self._is_retired = False
        self._given_up: set[Asked[Any, Any]] = set()  # and not answered since
        self._loop = asyncio.get_running_loop()
        counters.opened()
        self._receiving = self._loop.create_task(self._receive(), name=f"receive {address}")
        self._receiving.add_done_callback(lambda _: changed())

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        return self._end.local

    @property
    def is_open(self) -> bool:
        """Whether it takes requests, now or once there is room."""
        return not (self._is_closed or self._is_retired)

    @property
    def is_gone(self) -> bool:
        """Whether the socket is closed, and nothing receives."""
        return self._receiving.done()

    @property
    def load(self) -> int:
        """How many requests are without their reply."""
        return self._awaited

    @property
    def has_room(self) -> bool:
        """Whether it takes another request now."""
        return self._awaited < self._window and self._matcher.has_room and self.is_open

    def ask(self, request: Any, reply: Reply) -> Asked[Any, Any]:
        """Send a request; its reply, or an error, goes there.

        Raises:
            UsageError: it cannot be encoded, or is too large for a datagram.
        """
        asked = self._matcher.ask(request, reply)
        try:
            frame = self._encode(asked.request)
            self._end.send(frame)
        except OSError as error:
            self._matcher.take_back(asked)
            if error.errno == errno.EMSGSIZE:
                raise UsageError(
                    f"a request of {len(frame)} bytes is too large for a datagram; use a stream"
                ) from error
            reason = f"cannot send: {error.strerror or error}"
            raise PeerUnavailable(self._address, reason, is_retry_safe=True) from error
        except BaseException:
            self._matcher.take_back(asked)
            raise
        self._awaited += 1
        self._counters.frames_sent.value += 1
        self._counters.bytes_sent.value += len(frame)
        return asked

    def give_up(self, asked: Asked[Any, Any], *, is_late: bool) -> None:
        """Drop the reply to a request when it arrives."""
        if asked.is_answered or asked.is_given_up or self._is_closed:
            return
        self._matcher.give_up(asked)
        self._awaited -= 1
        self._given_up.add(asked)
        self._is_retired = self._is_retired or self._in_order or self._matcher.is_spent
        if self._is_retired and not self._awaited:
            self.abort("late_reply" if is_late else "given_up")
        self._changed()

    def hold_up(self) -> None:
        """Do nothing: datagrams that are not read are dropped by the system."""

    def read_on(self) -> None:
        """Do nothing."""

    async def _receive(self) -> None:
        try:
            while True:
                for _ in range(_PER_TURN):
                    self._take(await self._end.receive())
                await asyncio.sleep(0)  # `receive` does not wait while datagrams are there
        except Unreachable as error:
            self._refused(error)
        except OSError:  # closed, if not by this side then by the system
            self.abort("error")
        except Exception as mistake:
            if not self._fail_waiting(mistake):
                log_bug(self._address, mistake)
            self.abort("error")

    def _refused(self, error: Unreachable) -> None:
        """Fail what is awaited: the network says that a datagram did not arrive.

        It does not say which. Replies to the others may still arrive, so the next request takes
        another port.
        """
        reason = f"the network reports: {error.strerror}"
        is_the_only_one = self._awaited == 1 and not self._given_up
        self._counters.dropped("unreachable")
        self._fail_waiting(PeerUnavailable(self._address, reason, is_retry_safe=is_the_only_one))
        self.abort("unreachable")

    def _fail_waiting(self, error: Exception) -> bool:
        """Fail what is awaited; return whether anything is."""
        self._awaited = 0
        return settle_all(self._matcher.end(), error)

    def _take(self, frame: bytes) -> None:
        self._counters.frames_received.value += 1
        self._counters.bytes_received.value += len(frame)
        try:
            reply = self._decode(frame)
            asked = self._matcher.take(reply)
        except DecodeError:  # anybody may have sent it, so the request goes on waiting
            self._counters.dropped("undecodable")
            return
        if asked is None:
            self._counters.dropped("unexpected")
        elif asked.is_given_up:
            self._counters.late.value += 1
            self._given_up.discard(asked)
            self._matcher.keep(asked)  # it may arrive once more
        else:
            if not asked.token.done():
                asked.token.set_result(reply)
            if asked.is_answered:
                self._awaited -= 1
                self._matcher.keep(asked)
                self._is_retired = self._is_retired or self._matcher.is_spent
            is_used_up = self._in_order and asked.is_answered and not self._is_reliable
            if (is_used_up or self._is_retired) and not self._awaited:
                self.abort("answered")
            self._changed()

    def sweep(self, now: float) -> None:
        """Do nothing: a socket without a connection has no deadlines."""

    def finish(self, reason: str) -> None:
        """Close; datagrams leave when they are sent."""
        self.abort(reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        if self._is_closed:
            return
        self._is_closed = True
        self._end.close()
        self._fail_waiting(ConnectionEnded(self._address, f"the socket was closed: {reason}"))
        self._counters.closed(reason)
        self._loop.call_soon(self._changed)

    async def wait_gone(self) -> None:
        """Return once the socket is closed and nothing receives."""
        await asyncio.wait([self._receiving])
