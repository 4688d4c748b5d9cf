"""HTTP: a request is a message, and so is a response.

    filters/  what a request must be, and the handler that answers it
    wire/     requests, responses and fields as values; pure
    serving/  `serve`: the server of HTTP/1.1
    client/   `Client`

Every name here is resolved on first use (PEP 562): a client loads no server code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.protocols.http.client import Client, ReceivedResponse
    from pierhead.protocols.http.filters import (
        Event,
        Filter,
        Part,
        Rejected,
        accept,
        as_response,
        body,
        compress,
        context,
        cookie,
        cors,
        delete,
        events,
        file,
        files,
        form,
        get,
        head,
        header,
        header_is,
        host,
        html,
        json,
        json_reply,
        method,
        multipart,
        options,
        patch,
        path,
        post,
        put,
        query,
        redirect,
        request,
        request_log,
        status,
        stream,
        tail,
        text,
        text_reply,
        with_header,
    )
    from pierhead.protocols.http.over_http import beside, messages
    from pierhead.protocols.http.serving import HttpLimits, serve
    from pierhead.protocols.http.wire import Body, Fields, Request, Response

__all__ = [
    "Body",
    "Client",
    "Event",
    "Fields",
    "Filter",
    "HttpLimits",
    "Part",
    "ReceivedResponse",
    "Rejected",
    "Request",
    "Response",
    "accept",
    "as_response",
    "beside",
    "body",
    "compress",
    "context",
    "cookie",
    "cors",
    "delete",
    "events",
    "file",
    "files",
    "form",
    "get",
    "head",
    "header",
    "header_is",
    "host",
    "html",
    "json",
    "json_reply",
    "messages",
    "method",
    "multipart",
    "options",
    "patch",
    "path",
    "post",
    "put",
    "query",
    "redirect",
    "request",
    "request_log",
    "serve",
    "status",
    "stream",
    "tail",
    "text",
    "text_reply",
    "with_header",
]

_HOMES = {
    **dict.fromkeys(("Client", "ReceivedResponse"), "client"),
    **dict.fromkeys(("beside", "messages"), "over_http"),
    **dict.fromkeys(("HttpLimits", "serve"), "serving"),
    **dict.fromkeys(("Body", "Fields", "Request", "Response"), "wire"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "filters")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
