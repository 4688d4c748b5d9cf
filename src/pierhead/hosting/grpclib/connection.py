"""One gRPC connection: grpclib's protocol, and what its host must know about it; needs grpclib.

grpclib exposes neither the calls of a connection nor a way to end it without cancelling them. Both
become possible with a class between its protocol and its call handler (an `AbstractHandler`, which
it lets us supply). The handler takes it for the loop, too, and starts the task of each call by it.
Beside that, this relies on `Server._protocol_factory`.
`tests/unit/hosting/test_grpclib.py` has a test for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Literal, cast

from grpclib.events import listen
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from grpclib.server import Handler, Server
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from pierhead.connection.life import Waits
from pierhead.server.hosted_transport import HostedTransport

__all__ = ["Calls", "GrpcServer"]

#: Clients by this library (0.4.9) treat GOAWAY as the end of every call, although RFC 9113 §6.8 has
#: them wait for the accepted ones. They are sent none.
_HANGS_UP_AT_GOAWAY = "grpc-python-grpclib/"


class GrpcServer:
    """Creates connection protocols, all from one grpclib server that never listens.

    Args:
        handlers: of calls, in the form grpclib accepts.
        listening: functions for events.
        options: for ``grpclib.server.Server``.
    """

    def __init__(
        self,
        handlers: Collection[Any],
        listening: Mapping[type[Any], Callable[[Any], Any]],
        options: Mapping[str, Any],
    ) -> None:
        self._handlers = handlers
        self._listening = listening
        self._options = options
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def new_connection(self) -> H2Protocol:
        """Return the protocol of one connection on the running event loop."""
        loop = asyncio.get_running_loop()
        if self._server is None or self._loop is not loop:
            self._server, self._loop = Server(self._handlers, **self._options), loop
            for event, callback in self._listening.items():
                listen(self._server, event, callback)
        return self._server._protocol_factory()


class Calls(AbstractHandler):
    """The calls of one connection; a `Guest` (`pierhead.server.hosted`).

    Args:
        protocol: not yet connected.
    """

    def __init__(self, protocol: H2Protocol) -> None:
        self.protocol: asyncio.BaseProtocol = protocol
        self._handler = cast(Handler, protocol.handler)
        self._handler.loop = cast(asyncio.AbstractEventLoop, self)  # for `create_task`
        protocol.handler = self
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_stream = 0
        self._hangs_up = False
        self._closing: HostedTransport | None = None

    # -- grpclib's side ------------------------------------------------------------------------

    def accept(
        self, stream: Stream, headers: list[tuple[str, str]], release_stream: Callable[[], None]
    ) -> None:
        """Begin a call; refuse one that crosses our GOAWAY, which its client may then repeat."""
        if self._closing is not None:
            stream.reset_nowait(ErrorCodes.REFUSED_STREAM)
            release_stream()
            return
        connection = stream.connection
        if not isinstance(connection.write_ready, _Gate):
            connection.write_ready = _Gate(connection.write_ready.is_set())
        self._handler.accept(stream, headers, release_stream)
        self._last_stream = stream.id or 0
        self._hangs_up = _user_agent(headers).startswith(_HANGS_UP_AT_GOAWAY)

    def create_task(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start the task of a call, and know of it."""
        task = asyncio.get_running_loop().create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self, stream: Stream) -> None:
        """Cancel a call that its client has cancelled."""
        self._handler.cancel(stream)

    def close(self) -> None:
        """Cancel every call: the connection is lost."""
        self._handler.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._closing is not None and not self._tasks:
            self._closing.close()

    # -- the host's side -----------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many calls are in progress."""
        return len(self._tasks)

    @property
    def waits(self) -> Waits:
        """For activity between calls; during a call, either side may be silent for long.

        It is never for a message: a client may connect long before its first call.
        """
        return Waits.NOTHING if self._tasks else Waits.ACTIVITY

    def end_of_input(self, transport: HostedTransport) -> bool:
        """Close, cancelling the calls: a served HTTP/2 client keeps its side open."""
        transport.close()
        return False

    def finish(self, transport: HostedTransport) -> None:
        """Accept no further call, answer the accepted ones, then close the transport."""
        self._closing = transport
        if not self._hangs_up:
            # The state machine of h2 would refuse to answer after sending GOAWAY itself.
            frame = GoAwayFrame(last_stream_id=self._last_stream)
            transport.write(frame.serialize())
        if self._tasks:
            transport.read_on()  # window updates for long answers, and the rest of the calls' input
        else:
            transport.close()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return the calls still in progress."""
        return list(self._tasks)


class _Gate(asyncio.Event):
    """Lets calls write one at a time; a plain event would let all waiting calls write at once.

    Each has a frame to write, which is its whole message if the client allows such frames.
    """

    def __init__(self, is_open: bool) -> None:
        super().__init__()
        if is_open:
            self.set()

    async def wait(self) -> Literal[True]:
        """Wait until the gate is open, and still is when this call resumes."""
        while not self.is_set():
            await super().wait()
        return True


def _user_agent(headers: list[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name == "user-agent"), "")
