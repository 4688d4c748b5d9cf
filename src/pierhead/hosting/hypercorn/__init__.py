"""Serve an ASGI or WSGI application with hypercorn's HTTP on anything that listens.

    from pierhead import run
    from pierhead import hosting

    run(hosting.hypercorn.serve(app), "tls+0.0.0.0:8443?cert=web.pem", "unix:/run/app.sock")

hypercorn parses the stream into requests and talks to the application: HTTP/1.1, HTTP/2 (agreed in
TLS, or by prior knowledge) and WebSocket on both. Addresses, TLS, PROXY headers, limits, deadlines,
metrics and draining are Pierhead's. HTTP/3 is not served: hypercorn supports it only on its own
sockets, and stream listeners have no datagrams.

The application starts before the first address opens, and stops after the last connection has
ended. A request in flight at shutdown is answered and its body read to the end; a connection
without one is closed at once, a WebSocket with code 1012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pierhead.extra import missing_extra
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

if TYPE_CHECKING:
    from hypercorn import Config

__all__ = ["serve"]


@makes_endpoint
def serve(
    app: str | Any,
    config: Config | None = None,
    *,
    mode: Literal["asgi", "wsgi"] | None = None,
    name: str = "http",
    short_form: tuple[str, ...] = ("tcp",),
) -> Endpoint:
    """Return an application as an endpoint for streams.

    A client that breaks off during a request or its response has disconnected, and the application
    is told. One that ends its input after a complete HTTP/1.1 request still gets its response. A
    WebSocket with no traffic is closed after ``idle_timeout``, unless ``websocket_ping_interval``
    is set.

    Args:
        app: the application, or ``"module:name"``.
        config: hypercorn's configuration. Settings that Pierhead replaces, such as ``bind`` or
            ``certfile``, are refused with a remedy; ``alpn_protocols`` is what TLS offers. The
            default is a plain one that logs errors to the logger ``hypercorn.error``.
        mode: which of the two the application is; None to detect it.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.

    Raises:
        UsageError: an option is not hypercorn's here, or hypercorn is not installed. An application
            that cannot be found is an error when serving begins.
    """
    try:
        from pierhead.hosting.hypercorn.config import checked
        from pierhead.hosting.hypercorn.site import HypercornSite
    except ModuleNotFoundError as error:
        raise missing_extra("hypercorn", error) from None
    ready = checked(app, config)
    site = HypercornSite(app, ready, mode)
    return Endpoint(
        name=name,
        stream=hosted(site.guest),
        short_form=short_form,
        alpn=tuple(ready.alpn_protocols),
        lifespan=site.lifespan,
    )
