"""Serve an `asyncio.Protocol` of your own, or a library's, on anything that listens.

    from pierhead import run
    from pierhead import hosting

    run(hosting.protocol.serve(Greeter), "tcp:127.0.0.1:7000", "unix:./greeter.sock")

What `loop.create_server(Greeter, …)` asks of a protocol is all that is asked here. Beside
``peername`` and the like, ``transport.get_extra_info`` knows ``peer`` and ``via``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection
from typing import Any, cast

from pierhead.errors import UsageError
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted

__all__ = ["serve"]


def serve(
    factory: Callable[[], asyncio.BaseProtocol],
    *,
    name: str = "protocol",
    short_form: tuple[str, ...] = ("tcp",),
    alpn: tuple[str, ...] = (),
) -> Endpoint:
    """Return the protocols that this makes, one for each connection, as an endpoint for streams.

    A connection on which nothing moves for ``idle_timeout`` is closed. At the stop of the server
    a protocol is told the end of its input (``eof_received``); one that keeps the connection open
    after that has ``drain_timeout``.

    Args:
        factory: a class of protocols, or any function that returns one.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme stands for.
        alpn: what TLS agrees on, best first, where the address does not say.
    """
    given: Any = factory  # as a caller without a type checker may have it
    if not callable(given) or inspect.iscoroutinefunction(given):
        hint = "; streams.serve takes an async callback" if callable(given) else ""
        raise UsageError(
            f"{given!r} makes no protocols; expected a class or a function that returns one{hint}"
        )
    if inspect.isclass(given) and issubclass(given, asyncio.DatagramProtocol):
        raise UsageError(
            f"{given.__qualname__} is for datagrams; expected a class of asyncio.Protocol or "
            "asyncio.BufferedProtocol"
        )
    return Endpoint(
        name=name,
        stream=hosted(lambda _: _Guest(factory())),
        short_form=short_form,
        alpn=alpn,
    )


class _Guest:
    """A protocol of which nothing is known but that it is one."""

    in_flight = 0
    waits_for_peer = True
    awaits_request = False

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
        self._was_told = False

    def end_of_input(self, _: asyncio.Transport) -> bool:
        """Tell the end of input; once, whoever brings it about."""
        if not self._was_told:
            self._was_told = True
            return bool(cast(asyncio.Protocol, self.protocol).eof_received())
        return True

    def finish(self, transport: asyncio.Transport) -> None:
        """Tell the end of input, which closes the connection unless the protocol says no."""
        if not self.end_of_input(transport):
            transport.close()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return nothing: what a protocol starts is its own."""
        return ()
