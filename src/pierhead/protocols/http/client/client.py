"""The HTTP client: requests to one server.

    async with http.Client("http://127.0.0.1:8080") as client:
        response = await client.post("/data", json=Data(5, True))
        print(await response.text())

A request takes an idle connection or opens one. One that finds its connection closed by the server
before any octet of the response is sent again on a new connection, if its method is idempotent and
its content can be sent again (RFC 9110 §9.2.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, Unpack

from pierhead.client.line import ClientCounters
from pierhead.client.route import Route
from pierhead.codec.json import Json
from pierhead.errors import ConnectionEnded, Overloaded, RequestTimedOut, UsageError
from pierhead.metrics import Metrics
from pierhead.protocols.http.client.base_address import BaseAddress
from pierhead.protocols.http.client.connection import ClientConnection
from pierhead.protocols.http.client.connections import Connections
from pierhead.protocols.http.client.options import HttpClientLimits, HttpClientOptions
from pierhead.protocols.http.client.received import ReceivedResponse
from pierhead.protocols.http.client.request_head import Content, Sent, request_head, request_target
from pierhead.protocols.http.wire.fields import Fields, FieldsGiven
from pierhead.service.context import Peer

__all__ = ["Client"]

#: RFC 9110 §9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})

#: How long a request with ``Expect: 100-continue`` waits for the server to ask for its content.
_CONTINUE_S = 1.0


class Client:
    """Requests to one server, over connections that are kept alive.

    Args:
        address: ``http://host:port/prefix``, ``https://…`` (verified), or any address that can be
            dialled, such as ``unix:/run/app.sock`` or ``mem:app``.
        host: the Host field; None for what the address says, ``localhost`` if it names no host.
        fields: sent with every request, unless it has fields of the same name.
        metrics: the registry to count in; None for one of its own.
        limits: see `HttpClientLimits`.

    Raises:
        UsageError: the address cannot be dialled, or a limit is out of its range.
    """

    def __init__(
        self,
        address: str,
        *,
        host: str | None = None,
        fields: FieldsGiven = (),
        metrics: Metrics | None = None,
        **limits: Unpack[HttpClientLimits],
    ) -> None:
        self._base = BaseAddress.parse(address, host)
        self._options = HttpClientOptions.of(limits)
        self._route = Route(
            self._base.spec,
            attempt_delay_s=self._options.usual.attempt_delay,
            protocols=("http/1.1",),
        )
        self._fields = Fields(fields)
        self.metrics = metrics or Metrics()
        self._counters = ClientCounters(self.metrics, self._route.name)
        self._connections: Connections | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<http.Client of {self._base.scheme}://{self._base.authority}{self._base.prefix}>"

    async def __aenter__(self) -> Self:
        """Return the client; connections open with requests."""
        self._running()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(drain=kind is None)

    async def close(self, *, drain: bool = True) -> None:
        """Close; requests made from now on fail.

        Args:
            drain: whether to wait for responses still awaited, up to ``drain_timeout``.
        """
        self._is_closed = True
        if self._connections is not None:
            await self._connections.close(drain=drain)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of this end, one for each open connection, as text."""
        found = () if self._connections is None else self._connections.locals
        return tuple(str(Peer(one or "")) for one in found)  # type: ignore[arg-type]

    def _running(self) -> Connections:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise ConnectionEnded(
                self._route.name, "the client is closed", is_clean=True, is_retry_safe=True
            )
        if self._connections is None:
            self._connections = Connections(self._route, self._options, self._counters)
        elif self._connections.loop is not loop:
            raise UsageError(
                f"the client of {self._route.name} belongs to another event loop; create one in "
                "each"
            )
        return self._connections

    # -- requests ------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str = "/",
        *,
        query: dict[str, str] | None = None,
        fields: FieldsGiven = (),
        json: Any = None,
        body: bytes | str | AsyncIterator[bytes] | None = None,
        length: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> ReceivedResponse:
        """Send a request; return its response once the head has arrived.

        Args:
            path: begins with a slash; may have a query. Percent-encoded where it must be.
            query: parameters put behind the path, encoded here.
            json: a value sent as JSON.
            body: content instead; an iterator is sent in chunks, or with its length.
            length: how many octets an iterator gives.
            timeout: until the head of the response, in seconds; None for ``request_timeout``.

        Raises:
            ConnectError: the server cannot be reached.
            ConnectionEnded: the connection ended before the response.
            RequestTimedOut: the response did not come in time.
            DecodeError: the response is malformed.
            Overloaded: too many requests are waiting for a connection.
            UsageError: the request is malformed.
        """
        content = _content(json, body, length)
        sent = request_head(
            method,
            request_target(self._base.prefix + path, query),
            self._base.authority,
            _joined(self._fields, Fields(fields)),
            content,
        )
        seconds = self._options.usual.request_timeout if timeout is None else timeout
        self._counters.requests.value += 1
        try:
            async with asyncio.timeout(None if seconds == float("inf") else seconds) as scope:
                response = await self._exchange(sent)
        except BaseException as error:
            if isinstance(error, TimeoutError) and scope.expired():
                self._counters.failed("timeout")
                raise RequestTimedOut(self._route.name, "no response in time") from None
            self._counters.failed(_label(error))
            raise
        self._counters.answered.value += 1
        return response

    async def get(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a GET request; see `request`."""
        return await self.request("GET", path, **options)

    async def head(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a HEAD request; see `request`."""
        return await self.request("HEAD", path, **options)

    async def post(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a POST request; see `request`."""
        return await self.request("POST", path, **options)

    async def put(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a PUT request; see `request`."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a PATCH request; see `request`."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str = "/", **options: Any) -> ReceivedResponse:
        """Send a DELETE request; see `request`."""
        return await self.request("DELETE", path, **options)

    async def _exchange(self, sent: Sent) -> ReceivedResponse:
        connections = self._running()
        connection = await connections.take()
        try:
            return await self._on(connection, sent)
        except ConnectionEnded:
            may_repeat = sent.method in _IDEMPOTENT and sent.content.is_repeatable
            if not (connection.has_served and may_repeat) or connection.has_heard:
                raise
        return await self._on(await connections.take(fresh=True), sent)

    async def _on(self, connection: ClientConnection, sent: Sent) -> ReceivedResponse:
        """Exchange one request on a connection."""
        head = connection.begin(sent.method)
        sending: asyncio.Task[None] | None = None
        try:
            if sent.content.octets is not None and not sent.expects_continue:
                await connection.write(sent.head + sent.content.octets)
                connection.sent()
            else:
                await connection.write(sent.head)
                sending = asyncio.create_task(_send(connection, sent))
                connection.sender = sending  # nothing else refers to it once the head is there
            return await head
        except BaseException:
            head.cancel()  # nobody awaits it any more
            connection.abort("given_up")
            if sending is not None:
                sending.cancel()
            raise
        finally:
            if head.done() and not head.cancelled():
                head.exception()  # it has been raised, or another error has


async def _send(connection: ClientConnection, sent: Sent) -> None:
    """Send the content; an error of the program's iterator is what the request fails with."""
    try:
        if sent.expects_continue:
            await connection.may_continue(_CONTINUE_S)
        async for octets in sent.content.framed():
            await connection.write(octets)
        connection.sent()
    except ConnectionEnded:
        return  # which the head, or the content, reports as well
    except Exception as mistake:
        connection.fail(mistake, "given_up")


def _content(json: Any, body: Any, length: int | None) -> Content:
    if json is not None and body is not None:
        raise UsageError("a request has either json or a body, not both; leave one out")
    if json is not None:
        return Content(Json(Any).encode(json), "application/json")
    if isinstance(body, str):
        return Content(body.encode(), "text/plain; charset=utf-8")
    return Content(body, None, length)


def _joined(usual: Fields, own: Fields) -> Fields:
    return Fields.of_parser([*(pair for pair in usual if pair[0] not in own), *own])


def _label(error: BaseException) -> str:
    if isinstance(error, Overloaded):
        return error.limit
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return _LABELS.get(type(error).__name__, "error")


_LABELS = {
    "ConnectError": "connect",
    "ConnectionEnded": "ended",
    "DecodeError": "undecodable",
    "UsageError": "usage",
}
