"""Endpoints of HTTP, from their sections."""

from __future__ import annotations

import logging
from typing import Any, Literal, cast

from pierhead.config.configuration import Files, Http
from pierhead.config.endpoints import access_layers
from pierhead.config.loading import load_object
from pierhead.config.making import Made, Making
from pierhead.service import Middleware, as_service, stack

__all__ = ["FILES_LOG", "build_files", "build_http"]

#: The logger of requests for files; its messages are whole lines.
FILES_LOG = "pierhead.access.files"


def build_http(serve: Http, making: Making) -> Made | None:
    """Return an endpoint that answers requests by a service of the user's."""
    from pierhead.protocols import http

    service: Any = making.attempt("service", _load, serve.service)
    if service is None:
        return None
    layered = stack(service, *access_layers(serve.access_log))
    limit = cast(Any, serve.max_body_bytes)
    endpoint = making.attempt("service", http.serve, layered, max_body_bytes=limit)
    return None if endpoint is None else Made(endpoint, hint=_curl_line)


def _load(reference: str) -> Any:
    return as_service(load_object(reference))


def build_files(serve: Files, making: Making) -> Made | None:
    """Return an endpoint that sends the files of a folder, text compressed where accepted."""
    from pierhead.protocols import http

    files = making.attempt(
        "folder", http.files, serve.folder, index=serve.index, cache_control=serve.cache_control
    )
    if files is None:
        return None
    layers: list[Middleware] = [http.compress()]
    if serve.access_log is not None:
        form = cast(Literal["common", "combined", "json"], serve.access_log)
        layers.insert(0, http.request_log(form, logging.getLogger(FILES_LOG)))
    return Made(http.serve(stack(files, *layers)), hint=_curl_line)


def _curl_line(address: str) -> str | None:
    """Return a command that asks the server."""
    scheme, _, target = address.partition(":")
    if scheme == "tcp":
        return f"curl http://{target}/"
    if scheme == "unix":
        return f"curl --unix-socket {target} http://localhost/"
    return None
