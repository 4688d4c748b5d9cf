"""A datagram listener that reads the ancillary data of each datagram (``ecn``, ``gro``)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pierhead.buffer import BufferSource
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.net.datagram.ancillary_io import (
    AncillaryBatchIO,
    AncillaryIO,
    AncillaryRecvmsgIO,
    ReplyToWithEcn,
)
from pierhead.service.context import Ecn, Via

__all__ = ["AncillaryDatagramListener"]


class AncillaryDatagramListener(SocketDatagramListener):
    """A `SocketDatagramListener` that is `PerDatagramVia`: each datagram has its congestion mark.

    Datagrams that the kernel has coalesced reach the server as they were sent. Those above the
    limit of one call wait for the next iteration of the event loop, ahead of those left in the
    socket.

    Attributes:
        refused: always empty: the kernel's data is trusted.
    """

    refused: Mapping[str, int] = MappingProxyType({})
    _io: AncillaryIO
    _on_readable: Callable[[], None]  # from `start` on

    def _make_io(self, use_batches: bool, packet_info: bool, buffers: BufferSource) -> AncillaryIO:
        self._again: asyncio.Handle | None = None
        self._unmarked: Via | None = None
        self._marked: dict[Ecn, Via] = {}
        io = AncillaryBatchIO if use_batches else AncillaryRecvmsgIO
        return AncillaryIO(io(self._sock, packet_info, buffers))

    def via(self, reply_to: ReplyToWithEcn, via: Via) -> Via:
        """Return the `Via` of a datagram, with its congestion mark if requested."""
        if reply_to.ecn is None:
            return via
        if via is not self._unmarked:  # once: a listener has one
            self._unmarked = via
            self._marked = {ecn: dataclasses.replace(via, ecn=ecn) for ecn in Ecn}
        return self._marked[reply_to.ecn]

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting, here too."""
        self._on_readable = on_readable
        super().start(self._readable)
        self._ask_again()

    def stop(self) -> None:
        """Stop calling; datagrams can still be sent."""
        super().stop()
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _readable(self) -> None:
        if self._again is None:  # otherwise the call comes in this iteration, and once is enough
            self._call_on_readable()

    def _call_on_readable(self) -> None:
        self._again = None
        self._on_readable()
        self._ask_again()

    def _ask_again(self) -> None:
        if self._loop is not None and self._io.has_more:
            self._again = self._loop.call_soon(self._call_on_readable)
