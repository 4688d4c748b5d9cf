"""A server in the background of a script: `pierhead.Server` without async.

def shout(line: str, context: Context) -> str:
    return line.upper()

with blocking.serve(shout, "tcp:127.0.0.1:7000", wire_format=lines.wire_format()) as server:
    server.wait()
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from pierhead.address import ListenSpec
from pierhead.blocking.background import Background, within
from pierhead.blocking.threads import THREADS, threaded
from pierhead.codec.base import WireFormat
from pierhead.errors import UsageError
from pierhead.failure_log import OnError
from pierhead.metrics import Metrics
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.lost_requests import LostRequests
from pierhead.server.options import ServerLimits
from pierhead.server.serve import serve as serve_format
from pierhead.server.server import Server as AsyncServer
from pierhead.service.context import Context

__all__ = ["Server", "serve"]

Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")


@overload
def serve(
    what: Callable[[Q, Context], R | None],
    *addresses: str | ListenSpec,
    wire_format: WireFormat[Q, R],
    threads: int = ...,
    metrics: Metrics | None = ...,
    on_error: OnError | None = ...,
    **limits: Unpack[ServerLimits],
) -> Server: ...
@overload
def serve(
    what: Endpoint | Application,
    *addresses: str | ListenSpec,
    metrics: Metrics | None = ...,
    on_error: OnError | None = ...,
    **limits: Unpack[ServerLimits],
) -> Server: ...


def serve(
    what: Any,
    *addresses: str | ListenSpec,
    wire_format: WireFormat[Any, Any] | None = None,
    threads: int = int(THREADS.default),
    metrics: Metrics | None = None,
    on_error: OnError | None = None,
    **limits: Unpack[ServerLimits],
) -> Server:
    """Return a server that works in the background while its block runs.

    Args:
        what: a plain function from request and context to reply, which runs in threads of its own;
            or an endpoint or application, as for `pierhead.Server`.
        addresses: where to serve.
        wire_format: of the function's requests and replies.
        threads: how many requests may be in the function at once; the next one is shed.
        metrics, on_error, limits: as for `pierhead.Server`.

    Raises:
        UsageError: a function without a wire format, or the other way round; no address, a limit
            that is unknown or out of range.
    """
    endpoint = _endpoint(what, wire_format, threads)
    return Server(AsyncServer(endpoint, *addresses, metrics=metrics, on_error=on_error, **limits))


def _endpoint(
    what: Any, wire_format: WireFormat[Any, Any] | None, threads: int
) -> Endpoint | Application:
    if isinstance(what, (Endpoint, Application)):
        if wire_format is not None:
            raise UsageError(f"{what.__class__.__name__} has its wire format; leave it out here")
        return what
    if wire_format is None:
        name = getattr(what, "__qualname__", repr(what))
        raise UsageError(
            f"{name} has no wire format; write serve({name}, …, wire_format=lines.wire_format())"
        )
    is_async = inspect.iscoroutinefunction(what) or inspect.isasyncgenfunction(what)
    return serve_format(what if is_async else threaded(what, threads), wire_format)


class Server:
    """Serves in the background; made by `serve`.

    Entering opens every address or none. Leaving drains, or gives up at once if an error passes.
    """

    def __init__(self, server: AsyncServer) -> None:
        self._server = server
        self._background = Background.of_this_process()

    @property
    def addresses(self) -> list[str]:
        """The bound addresses as text, in the order given."""
        return self._server.addresses

    @property
    def metrics(self) -> Metrics:
        """Everything counted so far."""
        return self._server.metrics

    @property
    def lost(self) -> LostRequests:
        """Accepted requests that were not answered; it grows until draining has finished."""
        return self._server.lost

    def __enter__(self) -> Self:
        """Open every address, and start serving.

        Raises:
            ListenError: an address could not be opened; none is left open.
        """
        self._background.call(self._server.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain; Ctrl-C gives up what is still in flight."""
        self._background.call(self._server.__aexit__(kind, error, trace))

    def wait(self, *, timeout: float | None = None) -> None:
        """Wait for Ctrl-C, or until every listener has ended, as standard input does.

        Raises:
            TimeoutError: neither has happened in time.
        """
        self._background.call(within(self._server.wait_ended(), timeout, "the server did not end"))

    def reconfigure(self, **limits: Unpack[ServerLimits]) -> None:
        """Change limits at run time; see `pierhead.Server.reconfigure`."""

        async def change() -> None:
            self._server.reconfigure(**limits)

        self._background.call(change())

    def replace(
        self,
        what: Endpoint | Application,
        *addresses: str | ListenSpec,
        **limits: Unpack[ServerLimits],
    ) -> tuple[str, ...]:
        """Serve something else from now on; see `pierhead.Server.replace`."""
        return self._background.call(self._server.replace(what, *addresses, **limits))

    def reload(self) -> tuple[str, ...]:
        """Reload certificates and the files of endpoints; see `pierhead.Server.reload`."""
        return self._background.call(self._server.reload())
