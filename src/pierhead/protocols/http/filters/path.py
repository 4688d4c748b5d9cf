"""Filters of the path."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from pierhead.codec.typed import kind_name
from pierhead.protocols.http.filters.conversion import from_text
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.route import Parameter, Path, Route, Tail

__all__ = ["path", "tail"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def path(*parts: str) -> Filter[()]: ...
@overload
def path(a: type[A], /) -> Filter[A]: ...
@overload
def path(a: type[A], b: str, /) -> Filter[A]: ...
@overload
def path(a: str, b: type[A], /) -> Filter[A]: ...
@overload
def path(a: type[A], b: type[B], /) -> Filter[A, B]: ...
@overload
def path(a: str, b: type[A], c: str, /) -> Filter[A]: ...
@overload
def path(a: str, b: type[A], c: type[B], /) -> Filter[A, B]: ...
@overload
def path(a: type[A], b: str, c: type[B], /) -> Filter[A, B]: ...
@overload
def path(a: str, b: type[A], c: str, d: type[B], /) -> Filter[A, B]: ...
@overload
def path(a: str, b: type[A], c: str, d: type[B], e: str, /) -> Filter[A, B]: ...
def path(*parts: Any) -> Filter[*tuple[Any, ...]]:
    """Take requests of this path: text is itself, a type is a segment that is a value of it.

        http.path("users", int)         /users/7
        http.path("api/users")          /api/users
        http.path()                     /

    The whole path is matched: ``path("a") & path("b")`` is ``/a/b``, and ``/a/`` is another path
    than ``/a``. A segment that is not of its type is another path too.

    Args:
        parts: text, of one segment or of several between slashes, or types.
    """
    found: list[str | Parameter] = []
    for part in parts:
        if isinstance(part, str):
            found += part.removeprefix("/").split("/")
        else:
            found.append(Parameter(kind_name(part), _filled(from_text(part))))
    if not parts:
        found = [""]
    count = sum(isinstance(part, Parameter) for part in found)
    return Filter((Route((Path(tuple(found)),), count),))


def tail() -> Filter[tuple[str, ...]]:
    """Take requests of any path from here on, and extract its segments."""
    return Filter((Route((Path((Tail(),)),), 1),))


def _filled(convert: Any) -> Any:
    def converted(text: str) -> Any:
        if not text:
            raise ValueError("expected a segment")
        return convert(text)

    return converted
