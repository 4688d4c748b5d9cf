"""Serve an aiohttp application on anything that listens.

    from aiohttp import web
    from pierhead import run
    from pierhead import hosting

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"Hello, {request.remote}\\n")

    app = web.Application()
    app.router.add_get("/", hello)
    run(hosting.aiohttp.serve(app), "127.0.0.1:8000", "unix:/run/app.sock", "sd-listen:web")

It replaces `aiohttp.web.run_app`: aiohttp parses, routes and answers; Pierhead handles addresses,
timeouts and shutdown. The application's own hooks (``on_startup``, ``on_shutdown``, ``on_cleanup``,
``cleanup_ctx``) run when aiohttp runs them.

Only ``serve`` needs aiohttp: ``pip install 'pierhead[aiohttp]'``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack

from pierhead.extra import missing_extra
from pierhead.hosting.refusal import (
    ADDRESSES,
    BACKLOG,
    CERTIFICATE,
    EVENT_LOOP,
    PROCESSES,
    replaced,
    unknown,
)
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

if TYPE_CHECKING:
    from logging import Logger

    from aiohttp.abc import AbstractAccessLogger
    from aiohttp.web import Application, Server

__all__ = ["Settings", "Source", "serve"]

#: An application, aiohttp's low-level server, or a function that makes one of them.
Source: TypeAlias = (
    "Application | Server | Callable[[], Application | Server | Awaitable[Application | Server]]"
)


class Settings(TypedDict, total=False):
    """Settings of aiohttp's own server, beside Pierhead's."""

    #: Where requests are logged, at level INFO; None for nowhere.
    access_log: Logger | None
    access_log_class: type[AbstractAccessLogger]
    access_log_format: str
    #: Whether a body is decompressed before a handler reads it.
    auto_decompress: bool
    #: Whether a handler is cancelled when its client leaves.
    handler_cancellation: bool
    #: In octets: the request line, and one header field.
    max_line_size: int
    max_field_size: int
    #: In octets: how much of a body is buffered before reading from its client pauses.
    read_bufsize: int


#: Parameters of `run_app` and its runners that are refused, and what to use instead.
REPLACED: Mapping[str, str] = {
    "host": ADDRESSES,
    "port": ADDRESSES,
    "path": ADDRESSES,
    "sock": "write fd:N or sd-listen as an address",
    "backlog": BACKLOG,
    "handle_signals": "run handles them",
    "keepalive_timeout": "give idle_timeout to run or Server, or idle-timeout= to an address",
    "lingering_time": "give linger_timeout to run or Server",
    "loop": EVENT_LOOP,
    "reuse_port": PROCESSES,
    "shutdown_timeout": "give drain_timeout to run or Server, or drain= to an address",
    "ssl_context": CERTIFICATE,
    "tcp_keepalive": "write it into the address: '127.0.0.1:8000?keepalive'",
}


@makes_endpoint
def serve(
    app: Source,
    *,
    name: str = "aiohttp",
    short_form: tuple[str, ...] = ("tcp",),
    alpn: tuple[str, ...] = ("http/1.1",),
    **settings: Unpack[Settings],
) -> Endpoint:
    """Return the application as an endpoint for streams.

    A client has ``first_byte_timeout`` to begin, ``message_timeout`` for the head of a request, and
    ``idle_timeout`` between requests and between two pieces of a body. A WebSocket may stay silent
    indefinitely: use aiohttp's ``heartbeat`` to limit that. When the server stops, connections
    without a request are closed, ``on_shutdown`` is called, pending requests are answered, and
    bodies in transit are read; a request unanswered after ``drain_timeout`` is reported as lost. An
    endpoint can be served by one server at a time.

    Args:
        app: an application, or a function, async or not, that creates one when serving begins.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.
        alpn: protocols to offer in TLS, best first, where the address does not say.
        settings: aiohttp's own; a low-level server was given them when it was created.

    Raises:
        UsageError: aiohttp is not installed, a setting is unknown or not aiohttp's here, or ``app``
            is none of the above.
    """
    try:
        from pierhead.hosting.aiohttp.site import AiohttpSite
    except ModuleNotFoundError as error:
        raise missing_extra("aiohttp", error) from None
    for setting in settings:
        if setting in REPLACED:
            raise replaced("aiohttp", setting, REPLACED[setting])
        if setting not in Settings.__optional_keys__:
            raise unknown("aiohttp", setting, Settings.__optional_keys__)
    site = AiohttpSite(name, app, dict(settings))
    return Endpoint(
        name=name,
        stream=hosted(site.guest),
        short_form=short_form,
        alpn=alpn,
        lifespan=site.lifespan,
    )
