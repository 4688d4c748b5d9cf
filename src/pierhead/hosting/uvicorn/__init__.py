"""Serve an ASGI application with uvicorn's HTTP on anything that listens.

    from pierhead import run
    from pierhead import hosting

    run(hosting.uvicorn.serve(app), "127.0.0.1:8000", "unix:/run/app.sock", "sd-listen:web")

uvicorn parses the stream into requests and speaks ASGI: HTTP/1.1, and WebSocket where `wsproto` or
`websockets` is installed. Addresses, TLS, PROXY headers, limits, deadlines, metrics and draining
are Pierhead's. ``scope["client"]`` is the client that a trusted PROXY header names.

The application starts before the first address opens, and stops after the last connection has
ended. A request in flight at shutdown is answered and its body read to the end; a connection
without one is closed at once, a WebSocket with code 1012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pierhead.extra import missing_extra
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

if TYPE_CHECKING:
    import uvicorn

__all__ = ["serve"]


@makes_endpoint
def serve(
    app: uvicorn.Config | str | Any,
    *,
    name: str = "http",
    short_form: tuple[str, ...] = ("tcp",),
    **options: Any,
) -> Endpoint:
    """Return an ASGI application as an endpoint for streams.

    A client that breaks off during a request or its response has disconnected, and the application
    is told. One that ends its input after a complete request still gets its response.

    Args:
        app: the application, ``"module:name"``, or a ready `uvicorn.Config`.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.
        options: those of `uvicorn.Config`, except the ones that Pierhead replaces, such as ``host``
            or ``ssl_certfile``, which are refused with a remedy. Two defaults differ:
            ``proxy_headers`` is off, since any client can send such headers, and ``log_config`` is
            None, since the program configures its own logging.

    Raises:
        UsageError: an option is unknown or not uvicorn's here, or uvicorn is not installed. An
            application that cannot be found is an error when serving begins.
    """
    try:
        from pierhead.hosting.uvicorn.config import config_for
        from pierhead.hosting.uvicorn.site import UvicornSite
    except ModuleNotFoundError as error:
        raise missing_extra("uvicorn", error) from None
    site = UvicornSite(config_for(app, options))
    return Endpoint(
        name=name,
        stream=hosted(site.guest),
        short_form=short_form,
        alpn=("http/1.1",),
        lifespan=site.lifespan,
    )
