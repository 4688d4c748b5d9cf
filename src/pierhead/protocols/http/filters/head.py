"""Filters of what comes before the content: method, host, fields, cookies, query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.http.filters.conversion import from_pairs, from_text
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.negotiation import chosen
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.filters.route import Asked
from pierhead.protocols.http.wire import Request
from pierhead.service.context import Context

__all__ = [
    "accept",
    "context",
    "cookie",
    "delete",
    "get",
    "head",
    "header",
    "header_is",
    "host",
    "method",
    "options",
    "patch",
    "post",
    "put",
    "query",
    "request",
]

T = TypeVar("T")
D = TypeVar("D")

_REQUIRED: Any = object()

#: How many parameters of a query or a form are read: enough for any form of a person.
_MAX_PAIRS = 1_000


def method(*names: str) -> Filter[()]:
    """Take requests of these methods; others get 405 with the methods that are allowed."""
    if not names:
        raise UsageError("no method was given, expected one or more")
    allowed = frozenset(names)
    detail, allow = f"expected {' or '.join(names)}", ", ".join(names)

    def take(asked: Asked) -> tuple[()] | Rejected:
        if asked.request.method in allowed:
            return ()
        return Rejected(405, detail, fields=[("Allow", allow)], stage=Stage.METHOD)

    return Filter.taking(Stage.METHOD, take, 0)


def get() -> Filter[()]:
    """Take GET, and HEAD, whose answer is that of GET without its content (RFC 9110 §9.3.2)."""
    return method("GET", "HEAD")


def head() -> Filter[()]:
    """Take HEAD alone."""
    return method("HEAD")


def post() -> Filter[()]:
    """Take POST."""
    return method("POST")


def put() -> Filter[()]:
    """Take PUT."""
    return method("PUT")


def patch() -> Filter[()]:
    """Take PATCH."""
    return method("PATCH")


def delete() -> Filter[()]:
    """Take DELETE."""
    return method("DELETE")


def options() -> Filter[()]:
    """Take OPTIONS."""
    return method("OPTIONS")


def host(*names: str) -> Filter[()]:
    """Take requests to these hosts, on any port; others get 421 (RFC 9110 §15.5.20)."""
    wanted = frozenset(name.lower() for name in names)

    def take(asked: Asked) -> tuple[()] | Rejected:
        authority = asked.request.authority.rpartition("@")[2].lower()
        name = authority.partition("]")[0] + "]" if authority.startswith("[") else None
        if (name or authority.partition(":")[0]) in wanted:
            return ()
        return Rejected(421, "this host is not served here", stage=Stage.HOST)

    return Filter.taking(Stage.HOST, take, 0)


@overload
def header(name: str) -> Filter[str]: ...
@overload
def header(name: str, kind: type[T]) -> Filter[T]: ...
@overload
def header(name: str, *, default: D) -> Filter[str | D]: ...
@overload
def header(name: str, kind: type[T], *, default: D) -> Filter[T | D]: ...
def header(name: str, kind: Any = str, *, default: Any = _REQUIRED) -> Filter[Any]:
    """Extract a field; without it, the default or 400."""
    return _one(f"field {name}", lambda request: request.fields.get(name), kind, default)


def header_is(name: str, value: str) -> Filter[()]:
    """Take requests whose field has this value; others get 400."""

    def take(asked: Asked) -> tuple[()] | Rejected:
        if asked.request.fields.get(name) == value:
            return ()
        return Rejected(400, f"field {name}: expected {value}", stage=Stage.HEAD)

    return Filter.taking(Stage.HEAD, take, 0)


@overload
def cookie(name: str) -> Filter[str]: ...
@overload
def cookie(name: str, *, default: D) -> Filter[str | D]: ...
def cookie(name: str, *, default: Any = _REQUIRED) -> Filter[Any]:
    """Extract a cookie (RFC 6265 §5.4); without it, the default or 400."""

    def find(request: Request) -> str | None:
        for field in request.fields.all("cookie"):
            for pair in field.split(";"):
                one, equals, value = pair.strip(" \t").partition("=")
                if one == name and equals:
                    return value.removeprefix('"').removesuffix('"')
        return None

    return _one(f"cookie {name}", find, str, default)


@overload
def query(name: str) -> Filter[str]: ...
@overload
def query(name: str, kind: type[T]) -> Filter[T]: ...
@overload
def query(name: str, *, default: D) -> Filter[str | D]: ...
@overload
def query(name: str, kind: type[T], *, default: D) -> Filter[T | D]: ...
@overload
def query(name: type[T]) -> Filter[T]: ...
def query(name: Any, kind: Any = str, *, default: Any = _REQUIRED) -> Filter[Any]:
    """Extract a parameter of the query, or all of them as an object with fields.

        http.query("page", int, default=1)
        http.query(Search)

    What is missing without a default, or of another type, is 400.
    """
    if isinstance(name, str):

        def find(request: Request) -> str | None:
            return next((value for one, value in pairs_of(request.query) if one == name), None)

        return _one(f"query parameter {name}", find, kind, default)
    convert = from_pairs(name)

    def take(asked: Asked) -> tuple[Any] | Rejected:
        try:
            return (convert(pairs_of(asked.request.query)),)
        except (DecodeError, ValueError) as error:
            detail = f"query: {error}"
            return Rejected(400, detail, path=place(str(error)), stage=Stage.HEAD)

    return Filter.taking(Stage.HEAD, take, 1)


def accept(*media_types: str) -> Filter[str]:
    """Extract which of these media types the client prefers; 406 if it accepts none.

    Of equally good ones the first listed is taken.
    """

    def take(asked: Asked) -> tuple[str] | Rejected:
        found = chosen(media_types, asked.request.fields.all("accept"))
        if found is not None:
            return (found,)
        detail = f"expected one of {', '.join(media_types)} to be acceptable"
        return Rejected(406, detail, stage=Stage.HEAD)

    return Filter.taking(Stage.HEAD, take, 1)


def request() -> Filter[Request]:
    """Extract the request itself."""
    return Filter.taking(Stage.HEAD, lambda asked: (asked.request,), 1)


def context() -> Filter[Context]:
    """Extract the context: who asks, and over what."""
    return Filter.taking(Stage.HEAD, lambda asked: (asked.context,), 1)


def pairs_of(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a query or form.

    Raises:
        ValueError: it has too many.
    """
    return parse_qsl(
        text, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_PAIRS
    )


def place(reason: str) -> str | None:
    """Return the path that a reason begins with: ``$.number``."""
    path = reason.partition(": ")[0].removeprefix("a key of ")
    return path if path.startswith("$") else None


def _one(what: str, find: Callable[[Request], str | None], kind: Any, default: Any) -> Filter[Any]:
    convert = from_text(kind)

    def take(asked: Asked) -> tuple[Any] | Rejected:
        try:
            text = find(asked.request)
            if text is not None:
                return (convert(text),)
        except ValueError as error:
            return Rejected(400, f"{what}: {error}", stage=Stage.HEAD)
        if default is not _REQUIRED:
            return (default,)
        return Rejected(400, f"{what} is missing", stage=Stage.HEAD)

    return Filter.taking(Stage.HEAD, take, 1)
