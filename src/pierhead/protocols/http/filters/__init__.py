"""Filters: what a request must be, the values it then has, and the handler they are given to.

received = (http.path("data") & http.post() & http.json(Data)).map(lambda data: f"{data}")

filter.py     `&`, `|`, map, then, recover    rejection.py  why a request is refused
path.py       the path                        route.py      one way through a filter
head.py       method, host, fields, query     router.py     which of many ways
content.py    what a request carries          reply.py      what handlers return
"""

from pierhead.protocols.http.filters.compress import compress
from pierhead.protocols.http.filters.content import body, form, json, stream, text
from pierhead.protocols.http.filters.cors import cors
from pierhead.protocols.http.filters.events import Event, events
from pierhead.protocols.http.filters.files import file, files
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.head import (
    accept,
    context,
    cookie,
    delete,
    get,
    head,
    header,
    header_is,
    host,
    method,
    options,
    patch,
    post,
    put,
    query,
    request,
)
from pierhead.protocols.http.filters.multipart import Part, multipart
from pierhead.protocols.http.filters.path import path, tail
from pierhead.protocols.http.filters.rejection import Rejected
from pierhead.protocols.http.filters.reply import (
    as_response,
    html,
    json_reply,
    redirect,
    status,
    text_reply,
    with_header,
)
from pierhead.protocols.http.filters.request_log import request_log

__all__ = [
    "Event",
    "Filter",
    "Part",
    "Rejected",
    "accept",
    "as_response",
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
    "status",
    "stream",
    "tail",
    "text",
    "text_reply",
    "with_header",
]
