"""Serve gRPC on anything that listens, with grpclib in charge of each connection.

    from pierhead import run
    from pierhead import hosting

    run(hosting.grpclib.serve([Greeter()]), "127.0.0.1:50051", "tls+[::]:443?cert=rpc.pem")

grpcio's server binds by itself and takes no socket: docs/decisions/0017-grpc.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted

if TYPE_CHECKING:
    from grpclib._typing import IServable
    from grpclib.config import Configuration
    from grpclib.encoding.base import CodecBase, StatusDetailsCodecBase

__all__ = ["serve"]


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

    A connection without a call is closed after ``idle_timeout``. At the stop of the server a
    client is told that no further call is taken (GOAWAY, RFC 9113 §6.8), and those that were
    taken have ``drain_timeout``. How long one call may take is its caller's to say.

    Args:
        handlers: as for ``grpclib.server.Server``: objects of generated classes, or any with
            ``__mapping__()``.
        codec: turns messages into octets; protocol buffers where None.
        status_details_codec: likewise for the details of errors.
        config: windows and pings of HTTP/2.
        listen: functions for grpclib's events (``{RecvRequest: check}``), as
            ``grpclib.events.listen`` takes them.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme stands for.

    Raises:
        UsageError: grpclib is not installed, or one of these is no handler.
    """
    try:
        from pierhead.hosting.grpclib.connection import Calls, GrpcServer
    except ModuleNotFoundError as error:
        raise missing_extra("grpclib", error) from None
    if not isinstance(handlers, Collection):
        raise UsageError(f"{handlers!r} is no list of handlers; expected objects in [ ]")
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
