"""Serve an `asyncio.Protocol` of your own, or a library's, on anything that listens.

    from pierhead import run
    from pierhead import hosting

    run(hosting.protocol.serve(Greeter), "tcp:127.0.0.1:7000", "unix:./greeter.sock")

The protocol needs only what `loop.create_server(Greeter, …)` requires. Beside ``peername`` and the
like, ``transport.get_extra_info`` knows ``peer`` and ``via``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection
from typing import Any, cast

from pierhead.connection.life import Waits
from pierhead.errors import UsageError
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

__all__ = ["serve"]


@makes_endpoint
def serve(
    factory: Callable[[], asyncio.BaseProtocol],
    *,
    name: str = "protocol",
    short_form: tuple[str, ...] = ("tcp",),
    alpn: tuple[str, ...] = (),
) -> Endpoint:
    """Return an endpoint for streams that creates one protocol for each connection.

    A connection with no traffic for ``idle_timeout`` is closed. When the server stops, a protocol
    is told that its input has ended (``eof_received``); one that keeps the connection open after
    that has ``drain_timeout``.

    Args:
        factory: a protocol class, or any function that returns a protocol.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.
        alpn: protocols to offer in TLS, best first, where the address does not say.
    """
    given: Any = factory  # a caller without a type checker may pass anything
    if not callable(given) or inspect.iscoroutinefunction(given):
        hint = "; streams.serve takes an async callback" if callable(given) else ""
        raise UsageError(
            f"{given!r} does not create protocols; "
            f"expected a class or a function that returns one{hint}"
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
    """A protocol about which nothing else is known."""

    in_flight = 0
    waits = Waits.ACTIVITY

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
        self._was_told = False

    def end_of_input(self, _: asyncio.Transport) -> bool:
        """Report the end of input, once, whatever causes it."""
        if not self._was_told:
            self._was_told = True
            return bool(cast(asyncio.Protocol, self.protocol).eof_received())
        return True

    def finish(self, transport: asyncio.Transport) -> None:
        """Report the end of input, which closes the connection unless the protocol declines."""
        if not self.end_of_input(transport):
            transport.close()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return nothing: tasks that a protocol starts are its own."""
        return ()
