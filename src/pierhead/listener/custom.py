"""Custom listeners: base classes that need one or two functions.

    class Ports(CustomStreamListener):
        async def accept(self):
            port = await plugged_in()
            return CustomConnection(port.read, port.write, peer=port.name)

    bus = CustomDatagramListener("mem:bus", receive=bus.get, send=bus.put)
    run(endpoint, Ports("mem:ports"), bus)

Connections may be carried by anything that reads and writes octets; no socket and no
`asyncio.Transport` is needed. The address is the name of such a listener, and its options
(``name=``, ``drain=``, ``maxconn=`` …) apply as for any other.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pierhead.address import ListenSpec
from pierhead.errors import UsageError
from pierhead.failure_log import FailureLog
from pierhead.listener.base import Accepted, ListenerEnded
from pierhead.net.datagram.base import Datagram, ReplyTo
from pierhead.net.transport.coroutine_transport import (
    ByteStream,
    CoroutineTransport,
    mistakes,
    release,
)
from pierhead.service.context import Peer, Transport

__all__ = ["CustomConnection", "CustomDatagramListener", "CustomStreamListener"]

#: A peer as the program names it: a name, or host and port.
PeerName: TypeAlias = Peer | str | tuple[Any, ...]


class CustomConnection:
    """One connection over two coroutine functions; an `Accepted`.

    Args:
        read: waits for octets and returns some; ``b""`` at the end of input. It is cancelled when
            the connection closes. An error that it raises ends the connection; one that is no
            OSError is a bug of the program, and is logged.
        write: takes octets, and returns once there is room for more; errors as for ``read``.
        peer: the other end.
        local: the local address that was reached; empty for the listener's.
        write_eof: ends the write side; None if the two sides cannot end separately.
        close: releases the connection; a plain function, called once.
        facts: the values of ``transport.get_extra_info``.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], Awaitable[object]],
        *,
        peer: PeerName,
        local: str = "",
        write_eof: Callable[[], Awaitable[object]] | None = None,
        close: Callable[[], object] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.peer = _peer(peer)
        self.local = local
        self._stream = ByteStream(read, write, write_eof, close, dict(facts or {}))
        self._is_over = False
        self._failures = mistakes

    def report_mistakes(self, failures: FailureLog) -> None:
        """Report mistakes of these functions there; called by the server."""
        self._failures = failures

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol; its ``connection_made`` has been called when this returns."""
        self._is_over = True
        return CoroutineTransport(self._stream, protocol, self.peer, self._failures)

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._is_over:
            self._is_over = True
            release(self._stream, self.peer, self._failures)


class _Custom:
    """The base of all custom listeners."""

    def __init__(self, address: str | ListenSpec) -> None:
        self._spec = ListenSpec.parse(address) if isinstance(address, str) else address

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        return self._spec

    @property
    def local(self) -> str:
        """The address without options."""
        return str(self._spec.address)

    def close(self) -> None:
        """Release what the listener holds; override it. It may be called more than once."""

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.local}>"


class CustomStreamListener(_Custom):
    """Yields custom connections; a `StreamListener`.

    Override `accept`, or pass it.

    Args:
        address: its name, with options: ``mem:ports?idle-timeout=30s``.
        accept: waits for the next connection and returns it.

    Raises:
        AddressError: the address does not parse.
    """

    transport = Transport.STREAM

    def __init__(
        self, address: str | ListenSpec, accept: Callable[[], Awaitable[Accepted]] | None = None
    ) -> None:
        super().__init__(address)
        self._accept = accept
        _check_has(self, CustomStreamListener, accept=accept)
        used = self.accept if accept is None else accept
        is_python = inspect.isfunction(getattr(used, "__func__", used))
        if is_python and not inspect.iscoroutinefunction(used):
            name = getattr(used, "__qualname__", repr(used))
            raise UsageError(f"{name} is a plain function; write it with 'async def'")

    async def accept(self) -> Accepted:
        """Wait for the next connection; must be safe to cancel.

        Raises:
            OSError: it is tried again, after a pause.
            ListenerEnded: there will be none.
        """
        assert self._accept is not None
        return await self._accept()


class CustomDatagramListener(_Custom):
    """Receives and sends datagrams by functions of the program; a `DatagramListener`.

    Override `receive` and `send`, or pass them.

    Args:
        address: its name, with options: ``memgram:bus?drain=5s``.
        receive: waits for a datagram; returns it and the destination of replies.
        send: sends a datagram to that destination; a plain function.

    Raises:
        AddressError: the address does not parse.
        UsageError: ``send`` is a coroutine function.
    """

    transport = Transport.DATAGRAM
    truncated = 0

    def __init__(
        self,
        address: str | ListenSpec,
        receive: Callable[[], Awaitable[Datagram]] | None = None,
        send: Callable[[bytes, Any], object] | None = None,
    ) -> None:
        super().__init__(address)
        self._receive, self._send = receive, send
        _check_has(self, CustomDatagramListener, receive=receive, send=send)
        if inspect.iscoroutinefunction(send or self.send):
            raise UsageError(
                "send is async, but a reply must have left when it returns; pass a plain function "
                "that raises BlockingIOError if there is no room"
            )
        self._received: deque[Datagram] = deque()
        self._error: OSError | None = None
        self._on_readable: Callable[[], None] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._failures = mistakes

    # -- to be overridden ----------------------------------------------------------------------

    async def receive(self) -> Datagram:
        """Wait for a datagram; return it and the destination of replies. Must be safe to cancel.

        Raises:
            OSError: it is tried again, after a pause.
            ListenerEnded: there will be none.
        """
        assert self._receive is not None
        return await self._receive()

    def send(self, datagram: bytes, to: ReplyTo) -> object:
        """Send a datagram, without waiting.

        Raises:
            BlockingIOError: there is no room; sending is retried for a while.
            OSError: it cannot be sent.
        """
        assert self._send is not None
        return self._send(datagram, to)

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram, derived from the destination of replies."""
        return _peer(reply_to)

    # -- the server's side ---------------------------------------------------------------------

    def report_mistakes(self, failures: FailureLog) -> None:
        """Report mistakes of ``send`` there."""
        self._failures = failures

    def start(self, on_readable: Callable[[], None]) -> None:
        """Start receiving, and call this function in the event loop when datagrams are waiting."""
        self._on_readable = on_readable
        if self._receiving is None:
            self._receiving = asyncio.get_running_loop().create_task(self._receive_on())

    def stop(self) -> None:
        """Stop receiving; datagrams can still be sent, and waiting ones are kept."""
        self._on_readable = None
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    async def _receive_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._received or self._error:  # level-triggered, like a socket
                loop.call_soon(self._tell)
                await asyncio.sleep(0)
            try:
                datagram, to = await self.receive()
                self._received.append((bytes(memoryview(datagram)), to))
            except ListenerEnded:
                return
            except OSError as error:
                self._error = error
            except Exception as error:  # a bug in the program: reported like any other failure
                self._error = OSError(errno.EIO, f"receive() failed: {error!r}")
                self._error.__cause__ = error

    def _tell(self) -> None:
        if self._on_readable is not None:
            self._on_readable()

    def receive_batch(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams.

        Raises:
            OSError: `receive` has raised it.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return [self._received.popleft() for _ in range(min(limit, len(self._received)))]

    def send_batch(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that was refused."""
        refused = []
        for index, (datagram, to) in enumerate(datagrams):
            try:
                self.send(datagram, to)
            except BlockingIOError:
                refused.append((index, errno.EAGAIN))
            except OSError as error:
                refused.append((index, error.errno or errno.EIO))
            except Exception as error:  # a bug in the program costs only this datagram
                where = f"{self.local}: send()"
                self._failures.report(where, error, "write", self.peer(to))
                refused.append((index, errno.EIO))
        return refused


def _check_has(listener: object, base: type, **given: object) -> None:
    """Refuse a listener with a function that is neither overridden nor passed."""
    name = type(listener).__qualname__
    for method, function in given.items():
        if function is None and getattr(type(listener), method) is getattr(base, method):
            raise UsageError(
                f"{name} has no {method}; override it, or pass it: {name}(address, {method})"
            )


def _peer(name: object) -> Peer:
    if isinstance(name, Peer):
        return name
    return Peer(name if isinstance(name, tuple) else str(name))
