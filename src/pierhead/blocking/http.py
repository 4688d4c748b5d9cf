"""The HTTP client for scripts and threads: `pierhead.protocols.http.Client` without async.

from pierhead.blocking import http

with http.Client("http://127.0.0.1:8080") as client:
    print(client.post("/data", json=Data(5, True)).text())
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from pierhead.blocking.background import Background
from pierhead.metrics import Metrics
from pierhead.protocols.http.client.client import Client as AsyncClient
from pierhead.protocols.http.client.options import HttpClientLimits
from pierhead.protocols.http.client.received import ReceivedResponse
from pierhead.protocols.http.wire.fields import Fields, FieldsGiven

__all__ = ["Client", "Response"]

M = TypeVar("M")


class Response:
    """A response as it was received; see `pierhead.protocols.http.ReceivedResponse`."""

    def __init__(self, received: ReceivedResponse, background: Background) -> None:
        self._received = received
        self._background = background

    def __repr__(self) -> str:
        return f"<blocking {self._received!r}>"

    @property
    def status(self) -> int:
        """The status code."""
        return self._received.status

    @property
    def fields(self) -> Fields:
        """The header fields."""
        return self._received.fields

    def read(self) -> bytes:
        """Return the whole content."""
        return self._background.call(self._received.read())

    def text(self) -> str:
        """Return the whole content as text."""
        return self._background.call(self._received.text())

    @overload
    def json(self, kind: type[M]) -> M: ...
    @overload
    def json(self, kind: Any = ...) -> Any: ...

    def json(self, kind: Any = Any) -> Any:
        """Return the content as a value of this type."""
        return self._background.call(self._received.json(kind))

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the content, in pieces as it arrives."""
        parts = aiter(self._received.body)
        while (part := self._background.call(_next(parts))) is not None:
            yield part

    def close(self) -> None:
        """Give up what has not arrived yet, with its connection."""
        self._background.call(_closed(self._received))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Client:
    """Requests to one server; any thread may use it, many at once.

    The arguments are those of `pierhead.protocols.http.Client`.

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
        self._client = AsyncClient(address, host=host, fields=fields, metrics=metrics, **limits)
        self._background = Background.of_this_process()

    def __repr__(self) -> str:
        return f"<blocking {self._client!r}>"

    @property
    def metrics(self) -> Metrics:
        """Its counters."""
        return self._client.metrics

    def request(
        self,
        method: str,
        path: str = "/",
        *,
        query: dict[str, str] | None = None,
        fields: FieldsGiven = (),
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        length: int | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Send a request; return its response once the head has arrived.

        Arguments and errors are those of `pierhead.protocols.http.Client.request`. An iterable body
        is iterated over in the event loop of all blocking calls, so it must not block.
        """
        content: Any = body
        if body is not None and not isinstance(body, (bytes, str)) and hasattr(body, "__iter__"):
            content = _parts(body)
        return Response(
            self._background.call(
                self._client.request(
                    method,
                    path,
                    query=query,
                    fields=fields,
                    json=json,
                    body=content,
                    length=length,
                    timeout=timeout,
                )
            ),
            self._background,
        )

    def get(self, path: str = "/", **options: Any) -> Response:
        """Send a GET request; see `request`."""
        return self.request("GET", path, **options)

    def head(self, path: str = "/", **options: Any) -> Response:
        """Send a HEAD request; see `request`."""
        return self.request("HEAD", path, **options)

    def post(self, path: str = "/", **options: Any) -> Response:
        """Send a POST request; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str = "/", **options: Any) -> Response:
        """Send a PUT request; see `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str = "/", **options: Any) -> Response:
        """Send a PATCH request; see `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str = "/", **options: Any) -> Response:
        """Send a DELETE request; see `request`."""
        return self.request("DELETE", path, **options)

    def close(self, *, drain: bool = True) -> None:
        """Close; see `pierhead.protocols.http.Client.close`."""
        self._background.call(self._client.close(drain=drain))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(drain=error is None)


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    return await anext(parts, None)


async def _closed(received: ReceivedResponse) -> None:
    received.close()


async def _parts(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in body:
        yield part
