"""What operators and their machines ask a server over HTTP: is it well, and what has it counted.

    /startup   200 once it has been ready, 503 before
    /ready     200 while new work should be sent here; 503 first of all when it is told to stop
    /health    200 as long as the event loop answers
    /metrics   everything that is counted, as OpenMetrics text

Nothing can be changed here. It is a service of HTTP like any other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from pierhead.address import InetAddress, ListenSpec
from pierhead.metrics import Reading
from pierhead.metrics_text import CONTENT_TYPE, exposition
from pierhead.protocols.http.wire import Request, Response
from pierhead.runtime.health import Health
from pierhead.service.context import Context

__all__ = ["PATHS", "AdminService", "is_private"]

#: The paths, and what each is for.
PATHS = {
    "/startup": "whether it has started",
    "/ready": "whether new work should be sent here",
    "/health": "whether its event loop answers",
    "/metrics": "what it has counted, for Prometheus",
}

#: What is answered now may be wrong in a second; and it is text, whatever a browser thinks.
_FIELDS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class AdminService:
    """Answers requests for the health and the metrics of a server.

    Args:
        health: the state of the server.
        readings: returns what it has counted.
        version: of the program, for the index.
    """

    def __init__(
        self, health: Health, readings: Callable[[], Iterable[Reading]], version: str = ""
    ) -> None:
        self._health = health
        self._readings = readings
        self._version = version

    async def __call__(self, request: Request, context: Context) -> Response:
        """Answer a request."""
        path = request.raw_path
        if path not in PATHS and path != "/":
            return _text(404, f"there is no {path!a}; there are: {', '.join(PATHS)}")
        if request.method not in ("GET", "HEAD"):
            response = _text(405, f"the method is {request.method}, expected GET or HEAD")
            response.fields = response.fields.with_field("Allow", "GET, HEAD")
            return response
        match path:
            case "/startup":
                return self._probe(self._health.has_started)
            case "/ready":
                return self._probe(self._health.is_ready)
            case "/health":
                return self._probe(True)
            case "/metrics":
                text = exposition(self._readings())
                return Response(200, text.encode(), _FIELDS, content_type=CONTENT_TYPE)
        return self._index()

    def _probe(self, holds: bool) -> Response:
        return _text(200 if holds else 503, self._health.state.value)

    def _index(self) -> Response:
        lines = [f"pierhead {self._version}".rstrip(), f"state: {self._health.state.value}", ""]
        lines += [f"{path:10} {meaning}" for path, meaning in PATHS.items()]
        return _text(200, "\n".join(lines))


def is_private(spec: ListenSpec) -> bool:
    """Return whether only this machine reaches an address.

    A socket that is handed over (``sd:``, ``fd:``) is the affair of who opened it.
    """
    address = spec.address
    return not isinstance(address, InetAddress) or _is_loopback(address.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return host == "localhost"


def _text(status: int, text: str) -> Response:
    return Response(status, text + "\n", _FIELDS)
