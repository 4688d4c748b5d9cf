"""Opens the connections of one client: for requests, or for a conversation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.client.dialled_conversation import Dialled, DialledConversation
from pierhead.client.dialled_datagrams import DialledDatagrams
from pierhead.client.line import ClientCounters, Line
from pierhead.client.loop_clock import LoopClock
from pierhead.client.options import ClientOptions
from pierhead.client.request_datagrams import RequestDatagrams
from pierhead.client.request_stream import RequestStream
from pierhead.client.route import DATAGRAMS, STREAMS, Route
from pierhead.clock import Clock
from pierhead.codec.base import WireFormat
from pierhead.codec.matching import ById
from pierhead.codec.packets import Packets
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.connection.sweep import Sweep
from pierhead.errors import ConnectError, UsageError
from pierhead.service.context import Peer, Transport, Via

__all__ = ["Dialler"]

T = TypeVar("T")

#: Deadlines of conversations are enforced at most this much late.
_SWEEP_S = 0.1


class Dialler:
    """What one client dials, and what its connections share.

    Attributes:
        name: the address, as text.
        peer: what was dialled, as the peer of requests.
        via: how requests leave.
        clock: of the running loop; set by `start`.

    Raises:
        UsageError: the address cannot be dialled.
    """

    clock: Clock

    def __init__(
        self,
        address: str | ListenSpec,
        source: str | None,
        wire_format: WireFormat[Any, Any],
        options: ClientOptions,
    ) -> None:
        spec = ListenSpec.parse(address) if isinstance(address, str) else address
        self._is_datagram = spec.address.scheme in DATAGRAMS
        self._route = Route(
            spec,
            source=source,
            schemes=DATAGRAMS if self._is_datagram else STREAMS,
            attempt_delay_s=options.attempt_delay,
        )
        self._source = source
        transport = Transport(self._route.spec.kind)
        self._is_packets = transport is Transport.SEQPACKET
        if self._is_packets:
            wire_format = dataclasses.replace(wire_format, framing=Packets())
        self._wire_format = wire_format
        self._options = options
        self.leave_timeout_s = options.write_timeout + options.linger_timeout
        self.name = self._route.name
        target = self._route.spec.address
        self.peer = Peer(target.target)
        self.via = Via(
            transport=transport, scheme=target.scheme or "", local="", listener=self.name
        )

    def start(self, counters: ClientCounters) -> None:
        """Bind to the running event loop, once."""
        self._counters = counters
        self.clock = LoopClock()
        self._budget = FrameBudget.of_this_loop()
        self._read_buffer = ReadBuffer(BufferPool(2 * self._options.read_size_bytes))
        self._conversations: set[Dialled] = set()
        self._sweep: Sweep | None = None  # while there are conversations
        self._messages = MessageCounters(counters.count)

    def _steps(self, now: float) -> Iterator[bool]:
        for conversation in list(self._conversations):
            conversation.sweep(now)
            yield True

    def _shared(self) -> dict[str, Any]:
        return {
            "limits": self._options,
            "read_buffer": self._read_buffer,
            "clock": self.clock,
            "budget": self._budget,
            "counters": self._counters,
        }

    async def line(self, changed: Callable[[], None]) -> Line:
        """Open a connection for requests, or a socket for datagrams.

        Raises:
            ConnectError: the address cannot be reached.
        """
        if self._is_datagram:
            if self._source is not None:
                _check_source(self._source, self._wire_format)
            end = await self._reach(self._route.datagrams(timeout_s=self._timeout_s))
            return RequestDatagrams(
                self._wire_format,
                self.name,
                end,
                changed,
                is_reliable=self.via.scheme == "unixgram",
                options=self._options,
                counters=self._counters,
            )
        stream = RequestStream(self._wire_format, self.name, changed, **self._shared())
        stream.joins_frames = not self._is_packets
        await self._reach(self._route.stream(lambda: stream, timeout_s=self._timeout_s))
        return stream

    async def check(self) -> None:
        """Open a connection and close it.

        Raises:
            ConnectError: the address cannot be reached.
        """
        if self._is_datagram:
            (await self._reach(self._route.datagrams(timeout_s=self._timeout_s))).close()
            return
        dialling = self._route.stream(asyncio.Protocol, timeout_s=self._timeout_s)
        (await self._reach(dialling)).close()

    async def conversation(self, liveness: Liveness[Any, Any] | None = None) -> Dialled:
        """Open a connection for a conversation, or a socket for datagrams.

        Raises:
            ConnectError: the address cannot be reached.
        """
        opening = self._datagrams if self._is_datagram else self._stream
        dialled = await opening(liveness)
        if not dialled.is_gone:
            self._conversations.add(dialled)
            if self._sweep is None:
                self._sweep = Sweep(self.clock, _SWEEP_S, self._steps)
                self._sweep.wake()
        return dialled

    async def _datagrams(self, liveness: Liveness[Any, Any] | None) -> DialledDatagrams:
        end = await self._reach(self._route.datagrams(timeout_s=self._timeout_s))
        return DialledDatagrams(
            self._wire_format,
            self.name,
            end,
            peer=self.peer,
            via=self.via,
            options=self._options,
            clock=self.clock,
            messages=self._messages,
            counters=self._counters,
            liveness=liveness,
            ended=self._forget,
        )

    async def _stream(self, liveness: Liveness[Any, Any] | None) -> DialledConversation:
        wire_format = self._wire_format
        stream = DialledConversation(
            wire_format.framing,
            wire_format.replies,
            wire_format.requests,
            peer=self.peer,
            via=self.via,
            messages=self._messages,
            liveness=liveness,
            ended=self._forget,
            **self._shared(),
        )
        stream.joins_frames = not self._is_packets
        await self._reach(self._route.stream(lambda: stream, timeout_s=self._timeout_s))
        return stream

    def _forget(self, dialled: Dialled) -> None:
        self._conversations.discard(dialled)
        if not self._conversations and self._sweep is not None:
            self._sweep.stop()
            self._sweep = None

    @property
    def _timeout_s(self) -> float:
        return self._options.connect_timeout

    async def _reach(self, dialling: Awaitable[T]) -> T:
        try:
            return await dialling
        except ConnectError as error:
            self._counters.count("connects_failed_total", reason=error.step).value += 1
            raise


#: With fewer identifiers on one port, they would be used again while a late reply may come.
_ENOUGH_IDENTIFIERS = 4096


def _check_source(source: str, wire_format: WireFormat[Any, Any]) -> None:
    """Refuse a fixed port where requests need a new one now and then (see `RequestDatagrams`)."""
    matching = wire_format.matching
    is_enough = isinstance(matching, ById) and len(matching.range) >= _ENOUGH_IDENTIFIERS
    if not is_enough and getattr(ListenSpec.parse(source).address, "port", None) != 0:
        raise UsageError(
            f"source {source} is a fixed place, where a late or doubled reply would be taken for "
            "that of another request; leave the source out, use port 0, or matching=ById(…) with "
            f"{_ENOUGH_IDENTIFIERS} identifiers or more"
        )
