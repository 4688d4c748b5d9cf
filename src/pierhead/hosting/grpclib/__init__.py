"""Serve gRPC on anything that listens, with grpclib in charge of each connection.

    from pierhead import run
    from pierhead import hosting

    run(hosting.grpclib.serve([Greeter()]), "127.0.0.1:50051", "tls+[::]:443?cert=rpc.pem")

grpcio's server binds by itself and cannot use an existing socket: docs/decisions/0017-grpc.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

if TYPE_CHECKING:
    from grpclib._typing import IServable
    from grpclib.config import Configuration
    from grpclib.encoding.base import CodecBase, StatusDetailsCodecBase

__all__ = ["serve"]


@makes_endpoint
def serve(
    handlers: Collection[IServable],
    *,
    codec: CodecBase | None = None,
    status_details_codec: StatusDetailsCodecBase | None = None,
    config: Configuration | None = None,
    listen: Mapping[type[Any], Callable[[Any], Any]] | None = None,
    name: str = "grpc",
    short_form: tuple[str, ...] = ("tcp",),
) -> Endpoint:
    """Return these handlers as an endpoint for streams.

    A connection without a call is closed after ``idle_timeout``. When the server stops, a client is
    told that no further call is accepted (GOAWAY, RFC 9113 §6.8), and accepted calls have
    ``drain_timeout`` to finish. How long one call may take is up to its caller.

    Args:
        handlers: as for ``grpclib.server.Server``: objects of generated classes, or any objects
            with ``__mapping__()``.
        codec: turns messages into octets; None for protocol buffers.
        status_details_codec: the same for the details of errors.
        config: HTTP/2 windows and pings.
        listen: functions for grpclib's events (``{RecvRequest: check}``), as in
            ``grpclib.events.listen``.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.

    Raises:
        UsageError: grpclib is not installed, or an object is not a handler.
    """
    try:
        from pierhead.hosting.grpclib.connection import Calls, GrpcServer
    except ModuleNotFoundError as error:
        raise missing_extra("grpclib", error) from None
    if not isinstance(handlers, Collection):
        raise UsageError(f"{handlers!r} is not a list of handlers; expected objects in [ ]")
    for one in handlers:
        if not hasattr(one, "__mapping__"):
            raise UsageError(f"{one!r} handles no calls; expected an object with __mapping__()")
    server = GrpcServer(
        handlers,
        listen or {},
        {"codec": codec, "status_details_codec": status_details_codec, "config": config},
    )
    return Endpoint(
        name=name,
        stream=hosted(lambda _: Calls(server.new_connection())),
        short_form=short_form,
        alpn=("h2",),
    )
