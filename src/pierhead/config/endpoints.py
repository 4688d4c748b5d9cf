"""Endpoints of lines, echo, forwarding, and those of a user's program, from their sections."""

from __future__ import annotations

import dataclasses
from typing import Any

from pierhead.config.configuration import Custom, Echo, Forward, Lines
from pierhead.config.loading import load_object
from pierhead.config.making import Made, Making
from pierhead.errors import PierheadError, UsageError
from pierhead.middleware import access_log
from pierhead.server.endpoint import Endpoint
from pierhead.service import Middleware, as_service

__all__ = ["access_layers", "build_custom", "build_echo", "build_forward", "build_lines"]


def build_lines(serve: Lines, making: Making) -> Made | None:
    """Return an endpoint that answers lines, or converses in them."""
    from pierhead.protocols import lines

    key = "service" if serve.conversation is None else "conversation"
    if making.attempt(key, _check_one, serve) is None:
        return None
    encoding: Any = None if serve.encoding == "bytes" else serve.encoding
    known = making.attempt("encoding", lines.wire_format, encoding)
    if serve.conversation is not None:
        handler: Any = making.attempt("conversation", load_object, serve.conversation)
        if handler is None or known is None:
            return None
        endpoint = making.attempt("conversation", lines.converse, handler, encoding=encoding)
    else:
        service: Any = making.attempt("service", _load_service, serve.service)
        if service is None or known is None:
            return None
        layers = access_layers(serve.access_log)
        endpoint = making.attempt(
            "service", lines.serve, service, encoding=encoding, frame_layers=layers
        )
    return None if endpoint is None else Made(endpoint)


def _check_one(serve: Lines) -> bool:
    if (serve.service is None) == (serve.conversation is None):
        found = "neither" if serve.service is None else "both"
        raise UsageError(
            f"lines need service or conversation, and {found} is given; give one of them"
        )
    return True


def _load_service(reference: str) -> Any:
    return as_service(load_object(reference))


def build_echo(serve: Echo, making: Making) -> Made | None:
    """Return an endpoint that answers everything with itself."""
    from pierhead.codec import Octets
    from pierhead.protocols import lines
    from pierhead.service.coding import coded, in_frame_layers

    layers = access_layers(serve.access_log)
    of_lines = lines.serve(lines.echo, encoding=None, frame_layers=layers)
    datagram = in_frame_layers(coded(lines.echo, Octets()), layers)
    return Made(dataclasses.replace(of_lines, name="echo", datagram=datagram))


def access_layers(one_of: int) -> list[Middleware]:
    """Return the layer that logs requests, around octets; none for 0."""
    return [access_log(one_of=one_of)] if one_of else []


def build_forward(serve: Forward, making: Making) -> Made | None:
    """Return an endpoint that passes on what arrives."""
    from pierhead.protocols import proxying

    endpoint = making.attempt(
        "to", proxying.forward, *serve.to, policy=serve.policy, check=serve.check
    )
    return None if endpoint is None else Made(endpoint)


def build_custom(serve: Custom, making: Making) -> Made | None:
    """Return an endpoint that a user's program has made."""
    endpoint = making.attempt("endpoint", _load_endpoint, serve.endpoint)
    return None if endpoint is None else Made(endpoint)


def _load_endpoint(reference: str) -> Endpoint:
    found = load_object(reference)
    if not isinstance(found, Endpoint) and callable(found):
        try:
            found = found()
        except PierheadError:
            raise
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"{reference} failed: {words}; it is called without arguments"
            ) from error
    if not isinstance(found, Endpoint):
        raise UsageError(
            f"{reference} is {type(found).__name__}, expected a pierhead.Endpoint; a service "
            "becomes one by serve(service, wire_format)"
        )
    return found
