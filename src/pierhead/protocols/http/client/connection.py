"""One connection of a client: one request at a time (RFC 9112).

Responses are parsed by llhttp. What it takes and RFC 9112 §6.3 does not, several lengths, is
refused here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from pierhead.client.line import ClientCounters
from pierhead.clock import Clock
from pierhead.errors import ConnectionEnded, DecodeError, PierheadError
from pierhead.extra import missing_extra
from pierhead.protocols.http.client.options import HttpClientOptions
from pierhead.protocols.http.client.received import IncomingContent, ReceivedResponse
from pierhead.protocols.http.wire.body import Body
from pierhead.protocols.http.wire.fields import Fields

try:
    import httptools
except ModuleNotFoundError as error:
    raise missing_extra("http", error) from None

__all__ = ["ClientConnection"]


class ClientConnection(asyncio.Protocol):
    """A connection to the server.

    Args:
        address: what was dialled, for messages.
        freed: called when it can take another request, or has ended.

    Attributes:
        is_open: whether it takes requests, now or later.
        is_busy: whether a request is under way, or content still to arrive.
        has_served: whether it has completed a response before.
        has_heard: whether any octet of the current response has arrived.
        sender: the task that sends the content of the current request; None if there is none.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        address: str,
        options: HttpClientOptions,
        counters: ClientCounters,
        clock: Clock,
        freed: Callable[[ClientConnection], None],
    ) -> None:
        self._address = address
        self._options = options
        self._counters = counters
        self._clock = clock
        self._freed = freed
        self._loop = asyncio.get_running_loop()
        self._parser: Any = None
        self._method = ""
        self._head: asyncio.Future[ReceivedResponse] | None = None
        self._pairs: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._content: IncomingContent | None = None
        self._continue: asyncio.Future[None] | None = None
        self._is_until_end = self._is_interim = self._is_sending = False
        self._drained: asyncio.Future[None] | None = None
        self._write_late_at: float | None = None
        self._reason = ""
        self._last_active = clock.monotonic()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.sender: asyncio.Task[None] | None = None
        self.is_open = True
        self.is_busy = self.has_served = self.has_heard = False

    # -- the client's side ---------------------------------------------------------------------

    def begin(self, method: str) -> asyncio.Future[ReceivedResponse]:
        """Begin a request; return what will be its response, once its head has arrived."""
        self.is_busy, self.has_heard, self._is_sending = True, False, True
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._head = self._loop.create_future()
        self._continue = self._loop.create_future()
        self._begin_head()
        return self._head

    async def write(self, octets: bytes) -> None:
        """Write octets of the request; wait while the server does not keep up.

        Raises:
            ConnectionEnded: the connection has ended.
        """
        if self.transport.is_closing():
            raise ConnectionEnded(self._address, self._reason or "the connection has ended")
        self._counters.bytes_sent.value += len(octets)
        self._last_active = self._clock.monotonic()
        self.transport.write(octets)
        if self._drained is not None:
            await asyncio.shield(self._drained)

    async def may_continue(self, seconds: float) -> None:
        """Return once the server asks for the content, or this much later (RFC 9110 §10.1.1)."""
        if self._continue is not None:
            await asyncio.wait([self._continue], timeout=seconds)

    def sent(self) -> None:
        """Note that the whole request has been written."""
        self._is_sending = False
        self._free()

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._reason = self._reason or reason
        self.is_open = False
        self.transport.abort()

    def fail(self, error: Exception, reason: str = "undecodable") -> None:
        """Fail the request with this error, and close."""
        self.is_open = False
        self._fail_waiting(error)
        self._loop.call_soon(self.abort, reason)

    def finish(self, reason: str) -> None:
        """Close after what is written."""
        self._reason = self._reason or reason
        self.is_open = False
        self.transport.close()

    async def wait_gone(self) -> None:
        """Return once it has ended."""
        await asyncio.wait([self._gone])

    @property
    def is_gone(self) -> bool:
        """Whether it has ended."""
        return self._gone.done()

    def sweep(self, now: float) -> None:
        """Enforce the deadlines."""
        usual, quiet_s = self._options.usual, now - self._last_active
        if self.is_gone:
            return
        if self._write_late_at is not None and now >= self._write_late_at:
            self.abort("write")
        elif not self.is_busy:
            if quiet_s >= usual.idle_timeout:
                self.finish("idle")
        elif self._content is not None and self._content.is_paused:
            if quiet_s >= self._options.unread_timeout:
                self.abort("unread")
        elif self._content is not None and quiet_s >= usual.message_timeout:
            self.abort("message")

    # -- the transport's side ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio's
        self.transport.set_write_buffer_limits(self._options.usual.max_write_buffer_bytes)
        self._counters.opened()

    def data_received(self, octets: bytes) -> None:
        """Parse what has arrived."""
        self._counters.bytes_received.value += len(octets)
        self._last_active = self._clock.monotonic()
        if not self.is_busy or self._parser is None:
            self._counters.dropped("unexpected")
            self.abort("unexpected")
            return
        self.has_heard = True
        if self._content is None:
            self._head_bytes += len(octets)
        try:
            self._parser.feed_data(octets)
        except httptools.HttpParserUpgrade:
            self.fail(DecodeError("the server has changed the protocol without being asked"))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self.fail(cause if isinstance(cause, PierheadError) else DecodeError(str(error)))
        except httptools.HttpParserError as error:
            self.fail(DecodeError(f"the response is malformed: {error}"))
        else:
            if self._content is None and self._head_bytes > self._options.max_head_bytes:
                self.fail(self._too_long())

    def eof_received(self) -> bool:
        """End content that has no other end."""
        self.is_open = False
        if self._content is not None and self._is_until_end:
            self.on_message_complete()
        return False

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._counters.writes_paused.value += 1
        self._drained = self._loop.create_future()
        self._write_late_at = self._clock.monotonic() + self._options.usual.write_timeout

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._write_late_at = None
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what is awaited."""
        self.is_open = False
        why = self._reason or (f"the connection was lost: {error}" if error else "")
        self._fail_waiting(
            ConnectionEnded(
                self._address,
                _WORDS.get(why, why)
                or "the server has closed the connection before its response was complete",
            )
        )
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
        self._counters.closed(self._reason or ("reset" if error else "eof"))
        self._gone.set_result(None)
        self.is_busy = False
        self._parser = None  # it refers back to this object
        self._freed(self)

    # -- the parser's side ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a response that nobody has asked for."""
        if not self.is_busy or (self._content is not None and self._content.is_over):
            raise DecodeError("there are octets after the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, or of the trailers."""
        self._head_bytes += len(name) + len(value) if self._content is not None else 0
        if self._content is not None and self._head_bytes > self._options.max_head_bytes:
            raise self._too_long()
        self._pairs.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Give the response to its caller; its content follows."""
        status = self._parser.get_status_code()
        if status < 200:
            self._is_interim = True
            if status == 101:
                raise DecodeError("the server has changed the protocol without being asked")
            return
        fields = Fields.of_parser(self._pairs)
        self._pairs = []
        lengths = {value for one in fields.all("content-length") for value in one.split(",")}
        if len(lengths) > 1:
            raise DecodeError("the response has several lengths (RFC 9112 section 6.3)")
        has_none = self._method == "HEAD" or status in (204, 304)
        is_chunked = "transfer-encoding" in fields
        self._is_until_end = not (lengths or is_chunked or has_none)
        if self._is_until_end or not self._parser.should_keep_alive():
            self.is_open = False
        content = IncomingContent(
            self._options.max_unread_bytes,
            self._loop.create_future,
            self._pause_reading,
            self._resume_reading,
            lambda: self.abort("given_up"),
        )
        length = int(lengths.pop()) if lengths and not has_none else None
        body = Body(length=0 if has_none else length)
        if not has_none:
            body = Body(content, length)
        self._content = content
        try:
            received = ReceivedResponse(
                status, fields, body, self._options.max_content_bytes, content
            )
        except PierheadError as error:
            raise DecodeError(f"the response is malformed: {error}") from None
        assert self._head is not None
        if not self._head.done():
            self._head.set_result(received)
        if has_none:
            self.on_message_complete()

    def on_body(self, octets: bytes) -> None:
        """Take content."""
        if self._content is None or self._content.is_over:
            raise DecodeError("the response has content where there can be none")
        self._content.arrived(octets)

    def on_message_complete(self) -> None:
        """End the response; an interim one is followed by another."""
        if self._is_interim:
            self._begin_head()
            if self._continue is not None and not self._continue.done():
                self._continue.set_result(None)
            return
        if self._content is None or self._content.is_over:
            return
        self._content.trailers = Fields.of_parser(self._pairs)
        self._content.end()
        self._free()

    # -- inside --------------------------------------------------------------------------------

    def _begin_head(self) -> None:
        self._pairs, self._head_bytes, self._is_interim = [], 0, False
        self._is_until_end = False

    def _free(self) -> None:
        """Take the next request, once this one is sent and its response complete."""
        if self._content is None or not self._content.is_over:
            return
        if self._continue is not None and not self._continue.done():
            self._continue.set_result(None)
        if self._is_sending:  # nobody wants the rest of the request, and nothing can follow it
            self.abort("early")
        self.is_busy, self.has_served = False, True
        self._content = self._head = self._parser = self.sender = None
        if not self.is_open:
            self.finish("eof")
        self._freed(self)

    def _too_long(self) -> DecodeError:
        most = self._options.max_head_bytes
        return DecodeError(
            f"the fields of the response have more than {most} bytes; raise max_head_bytes"
        )

    def _fail_waiting(self, error: Exception) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        if self._content is not None:
            self._content.end(error)
        if self._continue is not None and not self._continue.done():
            self._continue.set_result(None)

    def _pause_reading(self) -> None:
        self._counters.reads_paused.value += 1
        self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self.transport.is_closing():
            self._last_active = self._clock.monotonic()
            self.transport.resume_reading()


#: What a caller is told for the reason of an end.
_WORDS = {
    "write": "the server does not take what it is sent",
    "unread": "the response was not read in time; see unread_timeout",
    "message": "the response stopped; see message_timeout",
    "given_up": "the rest of the response was given up",
    "closed": "the client is closed",
}
